//! `cost --verify-with`: comparison of the ledger with AWS's own bill.

use std::collections::BTreeMap;
use std::path::Path;

use cml_cloud::LaunchId;
use cml_cost::{Bill, Ledger, Window, read_cur, verify, verify_text};
use cml_ec2::answers::cost_explorer::BilledBy;
use jiff::ToSpan;
use jiff::tz::TimeZone;
use serde_json::json;

use crate::actions::now;
use crate::args::Global;
use crate::aws::{AwsCloud, AwsSettings};
use crate::context;
use crate::exit::{CliError, ExitCode};

/// The value for a query to AWS.
const COST_EXPLORER: &str = "cost-explorer";
/// No machine lives longer: a workflow run may last 35 days.
const LIFETIME_DAYS: i64 = 35;
/// Launches that are shown.
const SHOWN: usize = 20;

pub(super) async fn against(
    global: &Global,
    with: &Path,
    window: Window,
    ledger: &Ledger,
) -> Result<String, CliError> {
    let mut bill = if with == Path::new(COST_EXPLORER) { asked(window).await? } else { read(with)? };
    // A launch id contains the time of the launch: machines that began outside of the window belong to another one.
    bill.retain(|(launch, _), _| {
        let made_at = launch.parse::<LaunchId>().map(|launch| launch.made_at().as_second());
        made_at.is_ok_and(|second| (window.begins()..window.ends()).contains(&second))
    });
    let ours = ledger.by_launch(window).map_err(|error| super::failed(&error))?;
    let pairs = verify(&ours, &bill);
    if !global.json {
        return Ok(format!(
            "The ledger beside AWS's bill, launches of {window} (UTC)\n{}",
            verify_text(&pairs, SHOWN)
        ));
    }
    let pairs = pairs.iter().map(|pair| {
        json!({"launch_id": pair.launch, "ledger_usd": pair.ours, "aws_usd": pair.aws, "difference_usd": pair.difference()})
    });
    Ok(format!("{}\n", json!({"launches": pairs.collect::<Vec<_>>()})))
}

fn read(path: &Path) -> Result<Bill, CliError> {
    let named =
        |why: String| CliError::new(ExitCode::Usage, format!("--verify-with {}: {why}", path.display()));
    let file = std::fs::File::open(path).map_err(|error| {
        named(error.to_string()).hint("name a Cost and Usage Report (CSV), or write cost-explorer to ask AWS")
    })?;
    read_cur(std::io::BufReader::new(file)).map_err(|error| named(error.to_string()))
}

/// Queries the bill. A machine that began in the window may have lived into the days after it; AWS accepts no end after
/// the first of next month.
async fn asked(window: Window) -> Result<Bill, CliError> {
    let settings = AwsSettings { cache_dir: context::cache_dir(), ..AwsSettings::default() };
    let cloud = AwsCloud::connect(settings).await;
    let later = window.after.checked_add(LIFETIME_DAYS.days()).unwrap_or(window.after);
    let next_month = now().to_zoned_datetime(TimeZone::UTC).date().last_of_month().tomorrow();
    let to = next_month.map_or(later, |most| later.min(most));
    let mut bill: Bill = BTreeMap::new();
    for line in cloud.billed(BilledBy::Launch, (window.first, to), now()).await? {
        if let Some(launch) = line.tagged {
            *bill.entry((launch, line.day.to_string())).or_default() += line.cost.0;
        }
    }
    Ok(bill)
}
