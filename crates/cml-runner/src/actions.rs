//! What GitHub Actions reads from a step: outputs and the step summary.

use std::io::Write;

use cml_controller::Outcome;
use jiff::Timestamp;

use crate::place::env;

/// The values a later job wants.
pub(crate) struct Outputs<'a> {
    pub(crate) launch_id: String,
    pub(crate) labels: &'a [String],
    pub(crate) outcome: &'a Outcome,
}

impl Outputs<'_> {
    /// Writes `GITHUB_OUTPUT` and `GITHUB_STEP_SUMMARY` where Actions has set them.
    pub(crate) fn write(&self) -> Result<(), String> {
        append("GITHUB_OUTPUT", &self.output())?;
        append("GITHUB_STEP_SUMMARY", &self.summary())
    }

    fn output(&self) -> String {
        let (runner, instance) = match self.outcome {
            Outcome::Reused { runner, .. } => (runner, String::new()),
            Outcome::Launched(launch) => (&launch.runner, launch.instance.to_string()),
        };
        let launch_id = &self.launch_id;
        let label = self.labels.join(",");
        format!("runner={runner}\nlabel={label}\ninstance-id={instance}\nlaunch-id={launch_id}\n")
    }

    fn summary(&self) -> String {
        match self.outcome {
            Outcome::Reused { runner, .. } => {
                format!("Runner `{runner}` was online already; nothing was launched.\n")
            }
            Outcome::Launched(launch) => {
                let what = launch.offer.as_ref().map_or_else(
                    || format!("`{}`", launch.instance),
                    |offer| {
                        let price =
                            offer.price.map_or_else(String::new, |price| format!(", {price} (estimate)"));
                        format!(
                            "`{}`: {} `{}` in {}{price}",
                            launch.instance,
                            offer.market,
                            offer.instance_type,
                            offer.zone.as_deref().unwrap_or(offer.region.as_str())
                        )
                    },
                );
                format!(
                    "Runner `{}` is online on {what}. The machine ends by {} at the latest.\n",
                    launch.runner, launch.deadline
                )
            }
        }
    }
}

/// Puts a report into the step's summary: in place of its last version where that is still there, else below what others have
/// written; false where there is no summary.
pub(crate) fn put_into_summary(last: Option<&str>, text: &str) -> Result<bool, String> {
    const VARIABLE: &str = "GITHUB_STEP_SUMMARY";
    let Some(file) = env(VARIABLE) else { return Ok(false) };
    let block = |text: &str| format!("{}\n", text.trim_end());
    let now = if last.is_some() { std::fs::read_to_string(&file).unwrap_or_default() } else { String::new() };
    let Some((before, after)) = last.and_then(|last| now.rsplit_once(&block(last))) else {
        return append(VARIABLE, &block(text)).map(|()| true);
    };
    std::fs::write(&file, format!("{before}{}{after}", block(text)))
        .map(|()| true)
        .map_err(|error| format!("cannot write {VARIABLE} ({file}): {error}"))
}

fn append(variable: &str, text: &str) -> Result<(), String> {
    let Some(file) = env(variable) else { return Ok(()) };
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&file)
        .and_then(|mut open| open.write_all(text.as_bytes()))
        .map_err(|error| format!("cannot write {variable} ({file}): {error}"))
}

/// The time now: the edge's only clock.
pub(crate) fn now() -> Timestamp {
    #[allow(clippy::disallowed_methods, reason = "the edge of the program: here the clock is read")]
    Timestamp::now()
}
