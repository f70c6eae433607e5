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

/// Appends a report to the step's summary; false where there is none.
pub(crate) fn append_summary(text: &str) -> Result<bool, String> {
    append("GITHUB_STEP_SUMMARY", &format!("{}\n", text.trim_end()))?;
    Ok(env("GITHUB_STEP_SUMMARY").is_some())
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
