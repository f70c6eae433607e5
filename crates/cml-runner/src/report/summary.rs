//! The step's summary: target of a report that may not be written as a comment, as in a pull request from a fork.

use crate::actions;
use crate::exit::{CliError, ExitCode};
use crate::report::files;

/// A report in the summary instead of a comment.
pub(crate) struct InSummary {
    refusal: CliError,
    /// The last version there.
    written: Option<String>,
}

impl InSummary {
    /// Creates it for this refusal, which is returned when there is no summary either.
    pub(crate) fn because(refusal: CliError) -> Self {
        Self { refusal, written: None }
    }

    /// Writes the report over its last version; the first time the reason is printed.
    pub(crate) fn show(&mut self, text: &str) -> Result<(), CliError> {
        let written = actions::put_into_summary(self.written.as_deref(), text);
        if !written.map_err(|error| CliError::new(ExitCode::Failed, error))? {
            return Err(self.refusal.clone());
        }
        if self.written.replace(text.to_owned()).is_none() {
            files::warn(&format!(
                "{}. In a pull request from a fork GitHub's token may only read: the report is in the step summary \
                 instead, without files that only this machine has",
                self.refusal.message
            ));
        }
        Ok(())
    }
}

/// Writes the report once; then there is nothing to print.
pub(crate) fn instead(text: &str, refusal: CliError) -> Result<String, CliError> {
    InSummary::because(refusal).show(text).map(|()| String::new())
}
