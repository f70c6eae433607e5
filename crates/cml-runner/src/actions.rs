//! Outputs and step summary for GitHub Actions.

use std::io::Write;

use cml_controller::Outcome;
use cml_text::code;
use jiff::Timestamp;

use crate::context::env;

/// The values for later jobs.
pub(crate) struct Outputs<'a> {
    pub(crate) launch_id: String,
    pub(crate) labels: &'a [String],
    pub(crate) outcome: &'a Outcome,
}

impl Outputs<'_> {
    /// Writes `GITHUB_OUTPUT` and `GITHUB_STEP_SUMMARY` where Actions has set them.
    pub(crate) fn write(&self) -> Result<(), String> {
        append("GITHUB_OUTPUT", &self.output(&crate::launch::new_ulid().to_string())?)?;
        append("GITHUB_STEP_SUMMARY", &self.summary())
    }

    /// Returns the text of the outputs. `delimiter` is an unguessable word.
    fn output(&self, delimiter: &str) -> Result<String, String> {
        let (runner, instance) = match self.outcome {
            Outcome::Reused { runner, .. } => (runner, String::new()),
            Outcome::Launched(launch) => (&launch.runner, launch.instance.to_string()),
        };
        let label = self.labels.join(",");
        let values = [
            ("runner", runner.as_str()),
            ("label", &label),
            ("instance-id", &instance),
            ("launch-id", &self.launch_id),
        ];
        let lines = values.map(|(name, value)| {
            cml_text::named_value(name, value, delimiter)
                .ok_or_else(|| format!("cannot write GITHUB_OUTPUT: the value of {name} holds {delimiter}"))
        });
        lines.into_iter().collect()
    }

    fn summary(&self) -> String {
        match self.outcome {
            Outcome::Reused { runner, .. } => {
                format!("Runner {} was online already; nothing was launched.\n", code(runner))
            }
            Outcome::Launched(launch) => {
                let what = launch.offer.as_ref().map_or_else(
                    || code(&launch.instance.0),
                    |offer| {
                        let price =
                            offer.price.map_or_else(String::new, |price| format!(", {price} (estimate)"));
                        format!(
                            "{}: {} {} in {}{price}",
                            code(&launch.instance.0),
                            offer.market,
                            code(&offer.instance_type),
                            cml_text::line(offer.zone.as_deref().unwrap_or(offer.region.as_str()))
                        )
                    },
                );
                format!(
                    "Runner {} is online on {what}. The machine ends by {} at the latest.\n",
                    code(&launch.runner),
                    launch.deadline
                )
            }
        }
    }
}

/// Writes a report into the step's summary: it replaces its last version if that still exists, else it is appended to
/// the content of others; false where there is no summary.
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

/// Returns the current time: the edge's only clock.
pub(crate) fn now() -> Timestamp {
    #[allow(clippy::disallowed_methods, reason = "the edge of the program: here the clock is read")]
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_one_output_whatever_is_in_it() {
        let outcome = Outcome::Reused { runner: "r`\n# x".to_owned(), labels: Vec::new() };
        let labels = ["a\ninstance-id=i-evil\nFOO<<EOF".to_owned()];
        let outputs = Outputs { launch_id: "l".to_owned(), labels: &labels, outcome: &outcome };
        let expected = "runner<<END\nr`\n# x\nEND\nlabel<<END\na\ninstance-id=i-evil\nFOO<<EOF\nEND\ninstance-id<<END\n\nEND\nlaunch-id<<END\nl\nEND\n";
        assert_eq!(outputs.output("END").as_deref(), Ok(expected));
        assert!(outputs.output("EOF").is_err(), "a delimiter that stands in a value");
        assert_eq!(outputs.summary().lines().count(), 1, "{}", outputs.summary());
    }
}
