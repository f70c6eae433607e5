//! Comparison of the ledger with AWS's own bill: by launch where the bill has the tag, by day otherwise.

use std::collections::{BTreeMap, BTreeSet};

use cml_cloud::Usd;
use comfy_table::{CellAlignment, Table, presets};
use rust_decimal::Decimal;

use crate::format::{dollars, some};

/// Column names of the cost in AWS's cost and usage report.
const COST: [&str; 2] = ["lineItem/UnblendedCost", "line_item_unblended_cost"];
const START: [&str; 2] = ["lineItem/UsageStartDate", "line_item_usage_start_date"];
const TAG: [&str; 3] = [
    "resourceTags/user:cml-runner:launch",
    "resource_tags_user_cml_runner_launch",
    "resource_tags/user_cml_runner_launch",
];
/// The newer report has all tags in one column, as JSON.
const TAGS: &str = "resource_tags";
/// Names of this program's tag in that column.
const TAG_NAMES: [&str; 2] = ["user_cml_runner_launch", "user_cml-runner:launch"];

/// What AWS bills, by launch and day (`2026-11-24`), US dollars.
pub type Bill = BTreeMap<(String, String), Decimal>;

/// Error: a report of AWS could not be parsed.
#[derive(Debug, thiserror::Error)]
pub enum BadBill {
    /// It is not CSV.
    #[error("it is no CSV file: {0}")]
    Csv(#[from] csv::Error),
    /// A column is missing.
    #[error(
        "it has no column {0}; is it a Cost and Usage Report with resource ids, and is the tag cml-runner:launch activated \
         as a cost allocation tag?"
    )]
    Column(&'static str),
    /// A cost is not a number.
    #[error("line {line}: {text:?} is no amount")]
    Amount {
        /// Its line.
        line: u64,
        /// The text in its place.
        text: String,
    },
}

/// Reads a Cost and Usage Report (CSV, the legacy one or CUR 2.0). Lines without this program's tag are skipped.
/// <https://docs.aws.amazon.com/cur/latest/userguide/data-dictionary.html>
///
/// # Errors
/// [`BadBill`].
pub fn read_cur(text: impl std::io::Read) -> Result<Bill, BadBill> {
    let mut reader = csv::Reader::from_reader(text);
    let headers = reader.headers()?.clone();
    let column = |names: &[&str]| headers.iter().position(|header| names.contains(&header));
    let cost = column(&COST).ok_or(BadBill::Column(COST[0]))?;
    let start = column(&START).ok_or(BadBill::Column(START[0]))?;
    let tag = column(&TAG);
    let tags = column(&[TAGS]);
    if tag.is_none() && tags.is_none() {
        return Err(BadBill::Column(TAG[0]));
    }
    let mut bill = Bill::new();
    for record in reader.records() {
        let record = record?;
        let field = |at: usize| record.get(at).unwrap_or_default().trim();
        let direct = tag.map(field).filter(|launch| !launch.is_empty()).map(str::to_owned);
        let Some(launch) = direct.or_else(|| tags.and_then(|tags| tagged(field(tags)))) else { continue };
        let amount: Decimal = Decimal::from_scientific(field(cost))
            .or_else(|_| field(cost).parse())
            .ok()
            // Larger sums would overflow; a line of a bill has some dollars.
            .filter(|amount: &Decimal| amount.abs() <= Decimal::from(1_000_000_000))
            .ok_or_else(|| BadBill::Amount {
                line: record.position().map_or(0, csv::Position::line),
                text: field(cost).to_owned(),
            })?;
        let day = field(start).get(..10).unwrap_or_default().to_owned();
        let sum = bill.entry((launch, day)).or_default();
        *sum = sum.saturating_add(amount);
    }
    Ok(bill)
}

fn tagged(json: &str) -> Option<String> {
    let tags: BTreeMap<String, String> = serde_json::from_str(json).ok()?;
    TAG_NAMES.iter().find_map(|name| tags.get(*name)).filter(|launch| !launch.is_empty()).cloned()
}

/// One launch, by the ledger and by AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The launch.
    pub launch: String,
    /// Cost by the ledger; `None` when it is not in the ledger.
    pub ours: Option<Usd>,
    /// Cost by AWS; `None` when it is not in the bill.
    pub aws: Option<Usd>,
}

impl Pair {
    /// Returns AWS's cost minus the ledger's.
    #[must_use]
    pub fn difference(&self) -> Usd {
        let amount = |usd: Option<Usd>| usd.unwrap_or_default().0;
        Usd(amount(self.aws) - amount(self.ours))
    }
}

/// Compares both, the largest difference first.
#[must_use]
pub fn verify(ours: &BTreeMap<String, Usd>, bill: &Bill) -> Vec<Pair> {
    let mut aws: BTreeMap<&str, Decimal> = BTreeMap::new();
    for ((launch, _), cost) in bill {
        let sum = aws.entry(launch).or_default();
        *sum = sum.saturating_add(*cost);
    }
    let launches: BTreeSet<&str> = ours.keys().map(String::as_str).chain(aws.keys().copied()).collect();
    let pair = |launch: &str| Pair {
        launch: launch.to_owned(),
        ours: ours.get(launch).copied(),
        aws: aws.get(launch).map(|cost| Usd(*cost)),
    };
    let mut pairs: Vec<Pair> = launches.into_iter().map(pair).collect();
    pairs.sort_by_key(|pair| (std::cmp::Reverse(pair.difference().0.abs()), pair.launch.clone()));
    pairs
}

/// Formats at most `top` pairs for a terminal.
#[must_use]
pub fn verify_text(pairs: &[Pair], top: usize) -> String {
    let sum = |of: &dyn Fn(&Pair) -> Option<Usd>| Usd(pairs.iter().filter_map(of).map(|usd| usd.0).sum());
    let (ours, aws) = (sum(&|pair| pair.ours), sum(&|pair| pair.aws));
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["launch", "ledger", "AWS", "difference"]);
    let shown = |usd: Option<Usd>| usd.map_or("–".to_owned(), dollars);
    for pair in pairs.iter().take(top) {
        table.add_row([pair.launch.clone(), shown(pair.ours), shown(pair.aws), signed(pair.difference())]);
    }
    table.add_row(["all".to_owned(), dollars(ours), dollars(aws), signed(Usd(aws.0 - ours.0))]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let only = |of: &dyn Fn(&Pair) -> bool| pairs.iter().filter(|pair| of(pair)).count();
    let mut text = format!("{table}\n");
    let missing = only(&|pair| pair.ours.is_none());
    if missing > 0 {
        text.push_str(&format!(
            "{} on AWS's bill and not in the ledger: another state directory, or another team's? Those that live count up to now\n",
            some(missing, "launch is", "launches are")
        ));
    }
    let unbilled = only(&|pair| pair.aws.is_none());
    if unbilled > 0 {
        text.push_str(&format!("{} in the ledger and not on AWS's bill: it is up to a day late, and its tags hold from when they are activated\n",
            some(unbilled, "launch is", "launches are")
        ));
    }
    text
}

fn signed(usd: Usd) -> String {
    if usd.0.is_sign_negative() && !usd.0.is_zero() {
        format!("−{}", dollars(Usd(-usd.0)))
    } else {
        dollars(usd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(text: &str) -> Usd {
        Usd(text.parse().expect("a number"))
    }

    const LEGACY: &str = "identity/LineItemId,lineItem/UsageStartDate,lineItem/UnblendedCost,resourceTags/user:cml-runner:launch
a,2026-11-24T00:00:00Z,0.1250000000,01k9
b,2026-11-24T01:00:00Z,0.0300000000,01k9
c,2026-11-24T00:00:00Z,7.5,
d,2026-11-25T00:00:00Z,2E-1,01ka
";
    const NEWER: &str = r#"line_item_usage_start_date,line_item_unblended_cost,resource_tags
2026-11-24 00:00:00.000,0.125,"{""user_cml_runner_launch"":""01k9"",""user_name"":""x""}"
2026-11-24 00:00:00.000,3,{}
"#;

    #[test]
    fn both_kinds_of_report_are_read_and_what_is_not_ours_is_left_out() {
        let bill = read_cur(LEGACY.as_bytes()).expect("is read");
        assert_eq!(bill.len(), 2);
        assert_eq!(bill[&("01k9".to_owned(), "2026-11-24".to_owned())], usd("0.155").0);
        let bill = read_cur(NEWER.as_bytes()).expect("is read");
        assert_eq!(bill.values().copied().collect::<Vec<_>>(), [usd("0.125").0]);
    }

    #[test]
    fn a_file_that_is_something_else_is_told_as_such() {
        let error = |text: &str| read_cur(text.as_bytes()).expect_err("is refused").to_string();
        assert!(error("a,b\n1,2\n").contains("no column lineItem/UnblendedCost"));
        assert!(
            error("lineItem/UnblendedCost,lineItem/UsageStartDate\n1,2\n").contains("cost allocation tag")
        );
        assert!(error(&LEGACY.replace("7.5,", "much,01kb")).contains("line 4: \"much\" is no amount"));
        assert!(error(&LEGACY.replace("7.5,", "7.5")).contains("no CSV"));
        let most = "79228162514264337593543950335";
        assert!(
            error(&LEGACY.replace("2E-1", most)).contains("is no amount"),
            "a sum of two of these overflows"
        );
    }

    #[test]
    fn the_largest_difference_comes_first_and_what_one_side_lacks_is_told() {
        let ours = BTreeMap::from([("01k9".to_owned(), usd("0.155")), ("01kc".to_owned(), usd("0.5"))]);
        let pairs = verify(&ours, &read_cur(LEGACY.as_bytes()).expect("is read"));
        insta::assert_snapshot!(verify_text(&pairs, 10));
    }
}
