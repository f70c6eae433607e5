//! Updates of the prices on this machine, for reports: AWS deletes the history of spot prices. The fleet does not need
//! them: every failure here is a warning.

use std::path::Path;
use std::time::Duration;

use cml_spec::Config;
use jiff::SignedDuration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cloud_router::CloudRouter;
use crate::exit::{CliError, ExitCode};
use crate::prices::{self, Wanted};

/// Delay after the start, when the daemon has more urgent calls.
const FIRST_AFTER: Duration = Duration::from_secs(600);

/// Parses the interval. Prices change at their own pace, and AWS's price list allows a few calls a second.
pub(super) fn every(text: &str) -> Result<Duration, CliError> {
    let usage = |why: String| CliError::new(ExitCode::Usage, format!("--prices-every: {why}"));
    let time = cml_spec::duration::parse(text).map_err(|error| usage(error.to_string()))?;
    let may = SignedDuration::from_secs(10)..=SignedDuration::from_hours(30 * 24);
    match Duration::try_from(time) {
        Ok(every) if may.contains(&time) => Ok(every),
        _ => Err(usage(format!("{text} is not between 10s and 30d"))),
    }
}

/// Returns the types and regions of a configuration; nothing, if they cannot be determined.
pub(super) fn wanted(config: &Config, default_region: &str) -> Wanted {
    prices::of_config(config, default_region).unwrap_or_else(|trouble| {
        tracing::warn!("prices are not kept up to date: {}", trouble.message);
        Wanted::new()
    })
}

/// Refreshes prices periodically until cancelled.
pub(super) async fn keep(
    clouds: &CloudRouter,
    store: &Path,
    wanted: watch::Receiver<Wanted>,
    every: Duration,
    stop: &CancellationToken,
) {
    let mut pause = every.min(FIRST_AFTER);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = every;
        let wanted = wanted.borrow().clone();
        if wanted.is_empty() {
            continue;
        }
        let refreshing = async { prices::refresh_all(clouds.aws().await, store, &wanted).await };
        tokio::select! {
            () = stop.cancelled() => return,
            done = refreshing => match done {
                Ok(done) => {
                    done.iter().for_each(prices::Refreshed::log);
                    clouds.learn_prices().await;
                }
                Err(error) => tracing::warn!(%error, "prices are as old as before"),
            },
        }
    }
}
