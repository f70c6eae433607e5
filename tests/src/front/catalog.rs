//! Data that the emulator lacks: image aliases and spot prices.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::images;
use super::wire::{Answer, Ask, Refusal};

/// The answer to SSM's GetParameter for the public aliases; none for other names.
pub(super) fn parameter(ask: &Ask) -> Option<Answer> {
    let name = ask.get("Name");
    if !name.starts_with("/aws/service/") || name.starts_with("/aws/service/ami-amazon-linux-latest/") {
        return None;
    }
    let Some(image) = images::named_by(name) else {
        return Some(
            Refusal::new(400, "ParameterNotFound", format!("Parameter {name} not found.")).answer("ssm"),
        );
    };
    let parameter = json!({"Name": name, "Type": "String", "Value": image, "Version": 1,
        "ARN": format!("arn:aws:ssm:{}::parameter{name}", ask.region), "DataType": "aws:ec2:image"});
    Some(Answer::json(200, &json!({"Parameter": parameter})))
}

/// One type's prices.
struct Price {
    instance_type: &'static str,
    on_demand: f64,
    savings_percent: f64,
}

fn prices() -> impl Iterator<Item = Price> {
    let table = include_str!("../../data/spot_us-east-1.csv");
    table.lines().filter(|line| !line.starts_with('#')).skip(1).filter_map(|line| {
        let mut fields = line.split(',');
        Some(Price {
            instance_type: fields.next()?,
            on_demand: fields.next()?.parse().ok()?,
            savings_percent: fields.next()?.parse().ok()?,
        })
    })
}

/// The zones of a region in the emulator.
#[must_use]
pub fn zones(region: &str) -> Vec<String> {
    let letters = match region {
        "us-east-1" => "abcdef",
        "us-west-2" => "abcd",
        "us-west-1" => "ab",
        _ => "abc",
    };
    letters.chars().map(|letter| format!("{region}{letter}")).collect()
}

/// Returns a reproducible number in 0.9..1.1 that depends only on its words, so that zones and hours differ.
fn sway(words: &[&str]) -> f64 {
    let hash = words.iter().flat_map(|word| word.bytes()).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let hundred = u32::try_from(hash % 201).unwrap_or_default();
    0.9 + f64::from(hundred) / 1000.0
}

/// Returns the spot price of a type in a zone now, USD per hour; `None` for a type without prices here.
#[must_use]
pub fn spot_price(instance_type: &str, zone: &str) -> Option<f64> {
    let price = prices().find(|price| price.instance_type == instance_type)?;
    Some(price.on_demand * (1.0 - price.savings_percent / 100.0) * sway(&[instance_type, zone]))
}

/// Returns the list price of a type in a region, as AWS writes it; `None` for a type without prices here.
#[must_use]
pub fn list_price(region: &str, instance_type: &str) -> Option<String> {
    let price = prices().find(|price| price.instance_type == instance_type)?;
    let factor = if region == "us-east-1" { 1.0 } else { 1.1 };
    Some(format!("{:.10}", price.on_demand * factor))
}

/// DescribeSpotPriceHistory: now and the changes of the last hours, newest first, in pages.
pub(super) fn spot_history(ask: &Ask, now: Timestamp, largest_page: Option<usize>) -> Answer {
    let types = wanted(ask, "InstanceType", "instance-type");
    let zones_wanted = wanted(ask, "AvailabilityZone", "availability-zone");
    let start: Option<Timestamp> = ask.get("StartTime").parse().ok();
    let mut items = Vec::new();
    for price in
        prices().filter(|price| types.is_empty() || types.iter().any(|one| one == price.instance_type))
    {
        for zone in zones(&ask.region) {
            if !zones_wanted.is_empty() && !zones_wanted.contains(&zone) {
                continue;
            }
            for age in 0..4_i64 {
                let at = now - SignedDuration::from_mins(35 + age * 190);
                let drift =
                    if age == 0 { 1.0 } else { sway(&[price.instance_type, &zone, &age.to_string()]) };
                let usd = spot_price(price.instance_type, &zone).unwrap_or_default() * drift;
                items.push(format!(
                    "<item><instanceType>{}</instanceType><productDescription>Linux/UNIX</productDescription>\
                     <spotPrice>{usd:.6}</spotPrice><timestamp>{}</timestamp><availabilityZone>{zone}</availabilityZone></item>",
                    price.instance_type,
                    at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                ));
                // AWS includes the price that was in force at the requested start.
                if start.is_some_and(|start| at <= start) {
                    break;
                }
            }
        }
    }
    let size = ask.get("MaxResults").parse().unwrap_or(1000_usize).clamp(1, largest_page.unwrap_or(1000));
    let from = ask.get("NextToken").parse().unwrap_or(0_usize);
    let page: String = items.iter().skip(from).take(size).map(String::as_str).collect();
    let next = if from + size < items.len() { (from + size).to_string() } else { String::new() };
    let children = format!("<spotPriceHistorySet>{page}</spotPriceHistorySet><nextToken>{next}</nextToken>");
    Answer::ec2("DescribeSpotPriceHistory", &children)
}

/// Returns the values of a request's parameter (one or a list) or filter.
fn wanted(ask: &Ask, name: &str, filter: &str) -> Vec<String> {
    let mut values = ask.list(name);
    values.extend(ask.params.get(name).cloned());
    for index in 1.. {
        match ask.params.get(&format!("Filter.{index}.Name")) {
            Some(named) if named == filter => values.extend(ask.list(&format!("Filter.{index}.Value"))),
            Some(_) => {}
            None => break,
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_differ_by_zone_and_stay_below_the_list_price() {
        let prices: Vec<f64> =
            zones("us-east-1").iter().filter_map(|zone| spot_price("g4dn.xlarge", zone)).collect();
        assert_eq!(prices.len(), 6);
        assert!(prices.iter().all(|price| (0.05..0.526).contains(price)), "{prices:?}");
        assert!(prices.windows(2).any(|pair| (pair[0] - pair[1]).abs() > 0.000_1), "{prices:?}");
    }
}
