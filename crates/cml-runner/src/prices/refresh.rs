//! `cml-runner prices refresh`, and the same once a day in the daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cml_cloud::{Cloud, CloudError, ErrorKind};
use cml_prices::{Fetched, ImportStats, SpotAnswer, Store, StoreError, catalog};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{Wanted, args, not_kept, path, wanted};
use crate::actions::now;
use crate::args::Global;
use crate::aws::{AwsCloud, AwsSettings};
use crate::context;
use crate::exit::{CliError, ExitCode};

/// Length of AWS's history of spot prices.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSpotPriceHistory.html>
const AWS_REMEMBERS: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Overlap of consecutive queries: a change may be published some time after it came into force.
const AGAIN: SignedDuration = SignedDuration::from_hours(1);

/// Result for one region.
pub(crate) struct Refreshed {
    region: String,
    types: usize,
    news: ImportStats,
    errors: Vec<String>,
    hint: Option<String>,
}

pub(crate) async fn refresh(global: &Global, args: &args::Refresh) -> Result<String, CliError> {
    let wanted = wanted(&args.types, &args.wanted)?;
    let settings = AwsSettings {
        default_region: wanted.keys().next().cloned(),
        cache_dir: context::cache_dir(),
        ..AwsSettings::default()
    };
    let cloud = AwsCloud::connect(settings).await;
    let done =
        refresh_all(&cloud, &path(&args.wanted.state), &wanted).await.map_err(|error| not_kept(&error))?;
    told(global, &done)
}

/// Queries each region, and stores the answer before the next one is queried.
///
/// # Errors
/// When the store cannot be written. Refusals of AWS are reported for each region.
pub(crate) async fn refresh_all(
    cloud: &AwsCloud,
    path: &Path,
    wanted: &Wanted,
) -> Result<Vec<Refreshed>, StoreError> {
    let mut done = Vec::new();
    for (region, types) in wanted {
        let (fetched, errors) = ask(cloud, path, region, types).await?;
        let at = path.to_owned();
        let news = beside(move || Store::open(&at)?.put(&fetched)).await?;
        let hint = errors.iter().find_map(|error| error.hint.clone());
        let errors = errors.iter().map(|error| in_words(region, error)).collect();
        done.push(Refreshed { region: region.clone(), types: types.len(), news, errors, hint });
    }
    Ok(done)
}

/// Queries one region. List prices are fetched completely or not at all, and so are spot prices; one without the other
/// is worth keeping, since AWS deletes the history.
async fn ask(
    cloud: &AwsCloud,
    path: &Path,
    region: &str,
    types: &BTreeSet<String>,
) -> Result<(Fetched, Vec<CloudError>), StoreError> {
    let asked = now();
    let names: Vec<String> = types.iter().cloned().collect();
    let (at, of, which) = (path.to_owned(), region.to_owned(), types.clone());
    let questions = beside(move || questions(&at, &of, &which, asked)).await?;
    let mut fetched =
        Fetched { region: region.to_owned(), asked, on_demand: Vec::new(), volume: None, spot: Vec::new() };
    let mut errors = Vec::new();
    match listed(cloud, region, &names).await {
        Ok((on_demand, volume)) => (fetched.on_demand, fetched.volume) = (on_demand, volume),
        Err(error) => errors.push(error),
    }
    let mut answers = Vec::new();
    for (since, types) in questions {
        match cloud.spot_prices(region, &types, since).await {
            Ok(changes) => answers.push(SpotAnswer { types, since, changes }),
            Err(error) => {
                errors.push(error);
                return Ok((fetched, errors));
            }
        }
    }
    fetched.spot = answers;
    Ok((fetched, errors))
}

async fn listed(
    cloud: &AwsCloud,
    region: &str,
    types: &[String],
) -> Result<(Vec<cml_prices::OnDemandPrice>, Option<cml_prices::VolumePrice>), CloudError> {
    Ok((cloud.on_demand_prices(region, types).await?, cloud.volume_price(region).await?))
}

/// Returns the start of the query for each set of types: the last known change, or the length of AWS's history.
fn questions(
    path: &Path,
    region: &str,
    types: &BTreeSet<String>,
    now: Timestamp,
) -> Result<BTreeMap<Timestamp, Vec<String>>, StoreError> {
    let store = Store::open(path)?;
    let oldest = now.checked_sub(AWS_REMEMBERS).unwrap_or(Timestamp::UNIX_EPOCH);
    let mut questions: BTreeMap<Timestamp, Vec<String>> = BTreeMap::new();
    for name in types {
        let known = store.spot_known_until(region, name)?;
        let since =
            known.and_then(|until| until.checked_sub(AGAIN).ok()).map_or(oldest, |since| since.max(oldest));
        questions.entry(since).or_default().push(name.clone());
    }
    Ok(questions)
}

/// Runs disk access on another thread: in the daemon this thread runs the controller.
async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

fn in_words(region: &str, error: &CloudError) -> String {
    let instead = match &error.kind {
        ErrorKind::Denied => {
            format!(
                "; until it is allowed, the shipped tables ({}) and what is known already are used",
                catalog::as_of()
            )
        }
        _ => String::new(),
    };
    format!("{region}: {error}{instead}")
}

impl Refreshed {
    /// Logs failures as warnings, the rest as information.
    pub(crate) fn log(&self) {
        let (region, listed, spot) = (&self.region, self.news.listed, self.news.spot);
        tracing::info!(region, listed, spot, "prices are up to date");
        for error in &self.errors {
            let hint = self.hint.as_deref().unwrap_or_default();
            tracing::warn!(hint, "some prices are as old as before: {error}");
        }
    }

    fn words(&self) -> String {
        let (types, listed, spot) = (count(self.types, "type"), self.news.listed, self.news.spot);
        format!(
            "{}: {types} asked for, {}, {}",
            self.region,
            count(listed, "new list price"),
            count(spot, "new spot price")
        )
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "region": self.region, "types": self.types, "new_list_prices": self.news.listed,
            "new_spot_prices": self.news.spot, "errors": self.errors,
        })
    }
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn told(global: &Global, done: &[Refreshed]) -> Result<String, CliError> {
    let object = json!({"regions": done.iter().map(Refreshed::json).collect::<Vec<_>>()});
    let words: Vec<String> = done.iter().map(Refreshed::words).collect();
    let errors: Vec<String> = done.iter().flat_map(|it| it.errors.clone()).collect();
    if errors.is_empty() {
        return Ok(if global.json { format!("{object}\n") } else { format!("{}\n", words.join("\n")) });
    }
    let what = "not all prices could be fetched; what was fetched is kept";
    Err(CliError {
        hint: done.iter().find_map(|it| it.hint.clone()),
        details: errors.into_iter().chain(words).collect(),
        object: Some(object),
        ..CliError::new(ExitCode::Failed, what)
    })
}
