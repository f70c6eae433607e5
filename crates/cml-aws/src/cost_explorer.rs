//! AWS's own cost of the machines, by Cost Explorer: for comparison with the ledger.
//! <https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_GetCostAndUsage.html>
//!
//! Each request costs 0.01 USD. Days are UTC days; those of the last day or two may still grow, and are marked as such.

use cml_cloud::{CloudError, ErrorKind};
use cml_ec2::answers::cost_explorer::{self, Billed, BilledBy, COST, USAGE};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use crate::cloud::AwsCloud;
use crate::pages::{Pages, incomplete};
use crate::signed::COST_EXPLORER;

/// Machines, and their disks.
const SERVICES: [&str; 2] = ["Amazon Elastic Compute Cloud - Compute", "EC2 - Other"];
/// Number of months for which daily data is kept; before that there are months at best, and only where the account has
/// enabled them. <https://docs.aws.amazon.com/cost-management/latest/userguide/ce-granular-data.html>
const DAYS_KEPT_MONTHS: i64 = 14;

impl AwsCloud {
    /// Returns AWS's bill for machines and their disks from one day up to, not including, another. Needs the permission
    /// `ce:GetCostAndUsage`.
    ///
    /// # Errors
    /// As AWS answers; a part of the answer is never returned.
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
            let answer = client.ask("GetCostAndUsage", &question, &doing).await?;
            let page = cost_explorer::read(&answer, by).map_err(|why| incomplete(&doing, &why))?;
            lines.extend(page.items);
            if !pages.follow(&doing, page.next.as_deref())? {
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

/// Checks that daily data is kept: Cost Explorer refuses a day that is older than fourteen months, counted from today.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_server;

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
        let (cloud, asked) = test_server::answering(pages).await;
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
        let (cloud, _asked) = test_server::answering(vec![(400, words)]).await;
        let error = cloud.billed(BilledBy::Spec, days(), now()).await.expect_err("is refused");
        assert_eq!(error.kind, cml_cloud::ErrorKind::Denied);
        assert!(error.hint.is_some_and(|hint| hint.contains("ce:GetCostAndUsage")));
    }

    #[tokio::test]
    async fn pages_that_lead_in_a_circle_are_no_bill() {
        let pages =
            vec![(200, page(&[("01A", "1.5")], Some("2"))), (200, page(&[("01A", "1.5")], Some("2")))];
        let (cloud, _asked) = test_server::answering(pages).await;
        let error = cloud.billed(BilledBy::Launch, days(), now()).await.expect_err("has no end");
        assert!(error.to_string().contains("lead back"), "{error}");
    }
}
