//! Offers that a machine may have been bought from, passed to it: by the type, zone and market that it finds, it knows
//! its own price.

use cml_cloud::{Market, Offer};

/// Limit on the offers, of which the best come first: user data has room for 16 KiB.
pub(crate) const LINES_MAX: usize = 32;

/// Returns at most so many lines of `offer=TYPE ZONE MARKET USD_PER_HOUR`; `*` is any zone. Offers without a price are
/// omitted.
pub(crate) fn lines(offers: &[Offer], most: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    // On-demand prices are few, one a type, and a launch tries them last: they must not be the ones omitted.
    let mut offers: Vec<&Offer> = offers.iter().collect();
    offers.sort_by_key(|offer| offer.market == Market::Spot);
    for offer in &offers {
        let Some(price) = offer.price else { continue };
        let is_alike =
            |other: &&&Offer| other.instance_type == offer.instance_type && other.market == offer.market;
        let is_the_same_everywhere = offers.iter().filter(is_alike).all(|other| other.price == offer.price);
        let zone = if is_the_same_everywhere { "*" } else { offer.zone.as_deref().unwrap_or("*") };
        let line = format!("offer={} {zone} {} {}", offer.instance_type, offer.market, price.0.normalize());
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.truncate(most);
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use cml_cloud::{Arch, Resources, UsdPerHour};

    use super::*;

    fn offer(instance_type: &str, zone: Option<&str>, price: Option<&str>) -> Offer {
        Offer {
            region: "us-east-1".to_owned(),
            zone: zone.map(str::to_owned),
            instance_type: instance_type.to_owned(),
            market: Market::Spot,
            price: price.map(|price| UsdPerHour(price.parse().expect("a number"))),
            resources: Resources { vcpus: 4, memory_mib: 16_384, gpu: None, arch: Arch::X64 },
            driver: cml_cloud::Driver::None,
            quota: None,
            disk: None,
        }
    }

    #[test]
    fn a_price_is_told_once_where_it_is_the_same_in_all_zones() {
        let all = [
            offer("g5.xlarge", Some("us-east-1a"), Some("0.4200")),
            offer("g5.xlarge", Some("us-east-1b"), Some("0.5")),
            offer("g6.xlarge", Some("us-east-1a"), Some("0.3")),
            offer("g6.xlarge", Some("us-east-1b"), Some("0.3")),
            offer("p5.48xlarge", None, None),
        ];
        let told = "offer=g5.xlarge us-east-1a spot 0.42\noffer=g5.xlarge us-east-1b spot 0.5\noffer=g6.xlarge * spot 0.3";
        assert_eq!(lines(&all, LINES_MAX), told);
    }

    #[test]
    fn a_long_list_keeps_its_best() {
        let all: Vec<Offer> =
            (0..500).map(|number| offer(&format!("m{number}.large"), None, Some("1"))).collect();
        let told = lines(&all, LINES_MAX);
        assert_eq!(told.lines().count(), LINES_MAX);
        assert!(told.starts_with("offer=m0.large * spot 1\n"));
        let last_resort = Offer { market: Market::OnDemand, ..offer("g5.xlarge", None, Some("2")) };
        let with_it: Vec<Offer> = all.into_iter().chain([last_resort]).collect();
        assert!(lines(&with_it, LINES_MAX).contains("offer=g5.xlarge * on-demand 2\n"));
    }
}
