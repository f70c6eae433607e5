//! AWS's bill, from Cost Explorer.
//! <https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_GetCostAndUsage.html>

use std::collections::BTreeMap;

use cml_cloud::{Usd, tag};
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Deserialize;

use super::{Page, VALUE_CHARS, cut, json, quoted};

/// Name of the cost metric.
pub const COST: &str = "UnblendedCost";
/// Name of the usage metric.
pub const USAGE: &str = "UsageQuantity";
/// Larger sums would overflow; a line of the bill has some dollars.
const COST_MAX: u32 = 1_000_000_000;

/// The tag by which the bill is grouped. It must be active as a cost allocation tag.
/// <https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/activating-tags.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BilledBy {
    /// The launch id.
    Launch,
    /// The pool's name.
    Spec,
}

impl BilledBy {
    /// Returns the tag's key.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::Launch => tag::LAUNCH,
            Self::Spec => tag::SPEC,
        }
    }
}

/// A line of AWS's bill: one day, one value of the tag, one usage type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Billed {
    /// The day, UTC.
    pub day: Date,
    /// The tag's value; `None` for resources without the tag.
    pub tagged: Option<String>,
    /// AWS's usage type: `BoxUsage:g5.xlarge`, `EUC1-SpotUsage:g5.xlarge`, `EBS:VolumeUsage.gp3`.
    pub usage_type: String,
    /// The unblended cost.
    pub cost: Usd,
    /// The amount used.
    pub usage: Decimal,
    /// Its unit: `Hrs`, `GB-Month`.
    pub unit: String,
    /// Whether AWS may still change it.
    pub estimated: bool,
}

/// One page of the bill: the needed fields.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetCostAndUsage {
    #[serde(default)]
    results_by_time: Vec<Day>,
    next_page_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Day {
    time_period: Period,
    #[serde(default)]
    estimated: bool,
    #[serde(default)]
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Period {
    start: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Group {
    #[serde(default)]
    keys: Vec<String>,
    #[serde(default)]
    metrics: BTreeMap<String, Metric>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metric {
    #[serde(default)]
    amount: String,
    unit: Option<String>,
}

/// Parses one page of the bill.
///
/// # Errors
/// Reason why it cannot be parsed; a part of it is never returned.
pub fn read(body: &[u8], by: BilledBy) -> Result<Page<Billed>, String> {
    let answer: GetCostAndUsage = json(body)?;
    let mut items = Vec::new();
    for day in &answer.results_by_time {
        let start = &day.time_period.start;
        let date: Date = start.parse().map_err(|_| format!("{} is no day", quoted(start)))?;
        for group in &day.groups {
            items.push(line(date, day.estimated, group, by)?);
        }
    }
    Ok(Page { items, next: answer.next_page_token })
}

fn line(day: Date, estimated: bool, group: &Group, by: BilledBy) -> Result<Billed, String> {
    let [tagged, usage_type] = group.keys.as_slice() else {
        return Err(format!("a line of {day} has {} keys instead of two", group.keys.len()));
    };
    // `cml-runner:launch$01J…`; nothing after the dollar for resources without the tag.
    let value = tagged.strip_prefix(by.tag()).and_then(|rest| rest.strip_prefix('$'));
    let value = value.ok_or_else(|| format!("{} is no value of the tag {}", quoted(tagged), by.tag()))?;
    let metric = |name: &str| group.metrics.get(name).ok_or_else(|| format!("a line of {day} has no {name}"));
    let (cost, usage) = (metric(COST)?, metric(USAGE)?);
    let currency = cost.unit.as_deref();
    if currency != Some("USD") {
        return Err(format!(
            "the bill is in {}, not in USD",
            cut(currency.unwrap_or("no currency"), VALUE_CHARS)
        ));
    }
    Ok(Billed {
        day,
        tagged: Some(value.to_owned()).filter(|value| !value.is_empty()),
        usage_type: usage_type.clone(),
        cost: Usd(amount(cost, Decimal::from(COST_MAX))?),
        usage: amount(usage, Decimal::MAX)?,
        unit: usage.unit.clone().unwrap_or_default(),
        estimated,
    })
}

/// Cost Explorer writes small amounts as `1.2E-7`.
fn amount(metric: &Metric, most: Decimal) -> Result<Decimal, String> {
    let text = metric.amount.as_str();
    let read = text.parse().or_else(|_| Decimal::from_scientific(text));
    read.ok().filter(|amount| amount.abs() <= most).ok_or_else(|| format!("{} is no amount", quoted(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn group_of(keys: [&str; 2], cost: &str, unit: &str) -> Group {
        let metric = |amount: &str, unit: &str| json!({"Amount": amount, "Unit": unit});
        let metrics = json!({COST: metric(cost, unit), USAGE: metric("2.5", "Hrs")});
        serde_json::from_value(json!({"Keys": keys, "Metrics": metrics})).expect("a group")
    }

    fn read_line(group: &Group) -> Result<Billed, String> {
        line("2026-11-01".parse().expect("a day"), true, group, BilledBy::Launch)
    }

    #[test]
    fn a_line_of_the_bill_is_read() {
        let billed = read_line(&group_of(["cml-runner:launch$01J", "SpotUsage:g5.xlarge"], "1.25", "USD"));
        let billed = billed.expect("is read");
        assert_eq!((billed.tagged.as_deref(), billed.cost.to_string().as_str()), (Some("01J"), "$1.25"));
        assert_eq!((billed.usage.to_string().as_str(), billed.unit.as_str()), ("2.5", "Hrs"));
        let untagged = read_line(&group_of(["cml-runner:launch$", "SpotUsage:g5.xlarge"], "1.2E-7", "USD"));
        let untagged = untagged.expect("is read");
        assert_eq!((untagged.tagged, untagged.cost.0.to_string()), (None, "0.00000012".to_owned()));
    }

    #[test]
    fn what_is_not_understood_is_told_rather_than_left_out() {
        for (keys, cost, unit, word) in [
            (["other$01J", "x"], "1", "USD", "is no value of the tag cml-runner:launch"),
            (["cml-runner:launch$01J", "x"], "1", "CNY", "in CNY, not in USD"),
            (["cml-runner:launch$01J", "x"], "much", "USD", "\"much\" is no amount"),
            (["cml-runner:launch$01J", "x"], "1000000000.01", "USD", "\"1000000000.01\" is no amount"),
            (["cml-runner:launch$01J", "x"], "-1E28", "USD", "\"-1E28\" is no amount"),
        ] {
            let why = read_line(&group_of(keys, cost, unit)).expect_err("is not read");
            assert!(why.contains(word), "{why}");
        }
        let bare: Group =
            serde_json::from_value(json!({"Keys": ["cml-runner:launch$01J"]})).expect("a group");
        assert!(read_line(&bare).expect_err("is not read").contains("1 keys"));
    }
}
