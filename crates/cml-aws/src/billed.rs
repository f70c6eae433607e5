//! What AWS itself says that our machines cost, by Cost Explorer: for comparison with the ledger.
//! <https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_GetCostAndUsage.html>
//!
//! Each request costs 0.01 USD. Days are UTC days; those of the last day or two may still grow, and say so.

use std::collections::BTreeMap;

use cml_cloud::{CloudError, ErrorKind, Usd, tag};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cloud::AwsCloud;
use crate::pages::{Pages, incomplete};
use crate::signed::COST_EXPLORER;

/// Machines, and their disks.
const SERVICES: [&str; 2] = ["Amazon Elastic Compute Cloud - Compute", "EC2 - Other"];
/// Days are kept for so long; before that there are months at best, and only where the account has asked for them.
/// <https://docs.aws.amazon.com/cost-management/latest/userguide/ce-granular-data.html>
const DAYS_KEPT_MONTHS: i64 = 14;
const COST: &str = "UnblendedCost";
const USAGE: &str = "UsageQuantity";

/// By which tag of ours the bill is divided. It must be active as a cost allocation tag.
/// <https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/activating-tags.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BilledBy {
    /// The launch id.
    Launch,
    /// The spec's name.
    Spec,
}

impl BilledBy {
    /// The tag's key.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::Launch => tag::LAUNCH,
            Self::Spec => tag::SPEC,
        }
    }
}

/// A line of AWS's bill: one day, one value of the tag, one kind of use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Billed {
    /// The day, UTC.
    pub day: Date,
    /// The tag's value; none for what does not carry the tag.
    pub tagged: Option<String>,
    /// AWS's name of the use: `BoxUsage:g5.xlarge`, `EUC1-SpotUsage:g5.xlarge`, `EBS:VolumeUsage.gp3`.
    pub usage_type: String,
    /// The unblended cost.
    pub cost: Usd,
    /// How much was used.
    pub usage: Decimal,
    /// Of what: `Hrs`, `GB-Month`.
    pub unit: String,
    /// True while AWS may still change it.
    pub estimated: bool,
}

impl AwsCloud {
    /// What AWS billed for machines and their disks from one day up to, not including, another. Takes the permission `ce:GetCostAndUsage`.
    ///
    /// # Errors
    /// As AWS answers; never a part of the answer.
    pub async fn billed(
        &self,
        by: BilledBy,
        (from, to): (Date, Date),
        now: Timestamp,
    ) -> Result<Vec<Billed>, CloudError> {
        let doing = format!("asking Cost Explorer for {from} to {to} by {}", by.tag());
        must_be_kept(&doing, from, now)?;
        let client = self.clients.signed(&COST_EXPLORER, &self.clients.default_region);
        let mut lines = Vec::new();
        let mut pages = Pages::default();
        loop {
            let question = question(by, (from, to), pages.token());
            let answer: GetCostAndUsage = client.ask("GetCostAndUsage", &question, &doing).await?;
            lines.extend(read(&answer, by).map_err(|why| incomplete(&doing, &why))?);
            if !pages.follow(&doing, answer.next_page_token.as_deref())? {
                return Ok(lines);
            }
        }
    }
}

fn question(by: BilledBy, (from, to): (Date, Date), page: Option<String>) -> Value {
    let mut question = json!({
        "TimePeriod": {"Start": from.to_string(), "End": to.to_string()},
        "Granularity": "DAILY",
        "Metrics": [COST, USAGE],
        "Filter": {"Dimensions": {"Key": "SERVICE", "Values": SERVICES}},
        "GroupBy": [{"Type": "TAG", "Key": by.tag()}, {"Type": "DIMENSION", "Key": "USAGE_TYPE"}],
    });
    if let Some(token) = page {
        question["NextPageToken"] = token.into();
    }
    question
}

/// One page of the bill, as far as it matters here.
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

/// Cost Explorer refuses a day that is older than fourteen months, counted from today.
fn must_be_kept(doing: &str, from: Date, now: Timestamp) -> Result<(), CloudError> {
    let today = now.to_zoned_datetime(TimeZone::UTC).date();
    match today.checked_sub(DAYS_KEPT_MONTHS.months()) {
        Ok(first) if from < first => Err(CloudError::new(
            ErrorKind::Invalid,
            doing,
            format!("Cost Explorer keeps days for {DAYS_KEPT_MONTHS} months: the first one now is {first}"),
        )
        .hint("ask for less (--since 420d), or compare with a Cost and Usage Report (--verify-with FILE)")),
        _ => Ok(()),
    }
}

fn read(answer: &GetCostAndUsage, by: BilledBy) -> Result<Vec<Billed>, String> {
    let mut lines = Vec::new();
    for day in &answer.results_by_time {
        let start = &day.time_period.start;
        let date: Date = start.parse().map_err(|_| format!("{start:?} is no day"))?;
        for group in &day.groups {
            lines.push(line(date, day.estimated, group, by)?);
        }
    }
    Ok(lines)
}

fn line(day: Date, estimated: bool, group: &Group, by: BilledBy) -> Result<Billed, String> {
    let [tagged, usage_type] = group.keys.as_slice() else {
        return Err(format!("a line of {day} has {} keys instead of two", group.keys.len()));
    };
    // `cml-runner:launch$01J…`; nothing after the dollar for what has no such tag.
    let value = tagged.strip_prefix(by.tag()).and_then(|rest| rest.strip_prefix('$'));
    let value = value.ok_or_else(|| format!("{tagged:?} is no value of the tag {}", by.tag()))?;
    let metric = |name: &str| group.metrics.get(name).ok_or_else(|| format!("a line of {day} has no {name}"));
    let (cost, usage) = (metric(COST)?, metric(USAGE)?);
    let currency = cost.unit.as_deref();
    if currency != Some("USD") {
        return Err(format!("the bill is in {}, not in USD", currency.unwrap_or("no currency")));
    }
    Ok(Billed {
        day,
        tagged: Some(value.to_owned()).filter(|value| !value.is_empty()),
        usage_type: usage_type.clone(),
        cost: Usd(amount(cost)?),
        usage: amount(usage)?,
        unit: usage.unit.clone().unwrap_or_default(),
        estimated,
    })
}

/// Cost Explorer writes small amounts as `1.2E-7`.
fn amount(metric: &Metric) -> Result<Decimal, String> {
    let text = metric.amount.as_str();
    let read = text.parse().or_else(|_| Decimal::from_scientific(text));
    read.map_err(|_| format!("{text:?} is no amount"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

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
        ] {
            let why = read_line(&group_of(keys, cost, unit)).expect_err("is not read");
            assert!(why.contains(word), "{why}");
        }
        let bare: Group =
            serde_json::from_value(json!({"Keys": ["cml-runner:launch$01J"]})).expect("a group");
        assert!(read_line(&bare).expect_err("is not read").contains("1 keys"));
    }

    fn page(lines: &[(&str, &str)], next: Option<&str>) -> serde_json::Value {
        let metric = |amount: &str, unit: &str| json!({"Amount": amount, "Unit": unit});
        let groups: Vec<_> = lines
            .iter()
            .map(|(launch, cost)| {
                json!({"Keys": [format!("cml-runner:launch${launch}"), "SpotUsage:g5.xlarge"],
                    "Metrics": {COST: metric(cost, "USD"), USAGE: metric("1", "Hrs")}})
            })
            .collect();
        let day = json!({"TimePeriod": {"Start": "2026-11-01", "End": "2026-11-02"}, "Estimated": true,
            "Total": {}, "Groups": groups});
        json!({"ResultsByTime": [day], "NextPageToken": next, "DimensionValueAttributes": []})
    }

    fn now() -> Timestamp {
        "2026-11-29T12:00:00Z".parse().expect("a time")
    }

    fn days() -> (Date, Date) {
        ("2026-11-01".parse().expect("a day"), "2026-11-02".parse().expect("a day"))
    }

    #[test]
    fn days_that_cost_explorer_keeps_no_more_are_refused_with_the_first_that_it_has() {
        let check = |day: &str| must_be_kept("asking", day.parse().expect("a day"), now());
        assert!(check("2025-09-29").is_ok());
        let error = check("2025-09-28").expect_err("is too old");
        assert!(error.cause.contains("2025-09-29"), "{error}");
        assert!(error.hint.is_some_and(|hint| hint.contains("--since")));
    }

    #[tokio::test]
    async fn all_pages_of_the_bill_are_read() {
        let pages =
            vec![(200, page(&[("01A", "1.5"), ("", "9")], Some("2"))), (200, page(&[("01B", "2")], None))];
        let (cloud, asked) = wire::answering(pages).await;
        let lines = cloud.billed(BilledBy::Launch, days(), now()).await.expect("is read");
        let lines: Vec<_> = lines.iter().map(|it| (it.tagged.as_deref(), it.cost.to_string())).collect();
        let of = |launch, cost: &str| (launch, cost.to_owned());
        assert_eq!(lines, [of(Some("01A"), "$1.5"), of(None, "$9"), of(Some("01B"), "$2")]);
        let asked = asked.lock().expect("never poisoned").clone();
        assert_eq!(asked[0]["TimePeriod"], json!({"Start": "2026-11-01", "End": "2026-11-02"}));
        assert_eq!(asked[0]["Filter"]["Dimensions"]["Values"], json!(SERVICES));
        assert_eq!(asked[0]["GroupBy"][0], json!({"Type": "TAG", "Key": "cml-runner:launch"}));
        assert_eq!((&asked[0]["NextPageToken"], &asked[1]["NextPageToken"]), (&json!(null), &json!("2")));
    }

    #[tokio::test]
    async fn a_bill_that_may_not_be_read_names_the_permission() {
        let words = json!({"__type": "AccessDeniedException", "Message": "User: x is not authorized"});
        let (cloud, _asked) = wire::answering(vec![(400, words)]).await;
        let error = cloud.billed(BilledBy::Spec, days(), now()).await.expect_err("is refused");
        assert_eq!(error.kind, cml_cloud::ErrorKind::Denied);
        assert!(error.hint.is_some_and(|hint| hint.contains("ce:GetCostAndUsage")));
    }

    #[tokio::test]
    async fn pages_that_lead_in_a_circle_are_no_bill() {
        let pages =
            vec![(200, page(&[("01A", "1.5")], Some("2"))), (200, page(&[("01A", "1.5")], Some("2")))];
        let (cloud, _asked) = wire::answering(pages).await;
        let error = cloud.billed(BilledBy::Launch, days(), now()).await.expect_err("has no end");
        assert!(error.to_string().contains("lead back"), "{error}");
    }
}
