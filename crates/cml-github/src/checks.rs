//! Check runs. <https://docs.github.com/en/rest/checks/runs>

use serde::{Deserialize, Serialize};

use crate::error::GitHubError;
use crate::runners::GitHub;
use crate::transport;

/// Maximum length of a check run's summary, and of its text, in characters.
pub const CHECK_TEXT_LIMIT: usize = 65_535;

/// A check run to create.
#[derive(Clone, Debug, Serialize)]
pub struct NewCheck {
    /// Shown in the list of checks.
    pub name: String,
    /// The commit.
    pub head_sha: String,
    /// `queued`, `in_progress` or `completed`.
    pub status: String,
    /// `success`, `failure`, …; only for a completed one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conclusion: Option<String>,
    /// Its output.
    pub output: CheckOutput,
}

/// Output of a check run.
#[derive(Clone, Debug, Serialize)]
pub struct CheckOutput {
    /// Title, one line.
    pub title: String,
    /// Markdown, at most [`CHECK_TEXT_LIMIT`].
    pub summary: String,
}

/// A check run that was created.
#[derive(Clone, Debug, Deserialize)]
pub struct Check {
    /// Its address for people.
    #[serde(default)]
    pub html_url: Option<String>,
}

impl GitHub {
    /// Creates a check run.
    ///
    /// # Errors
    /// As GitHub answers; a personal token never has the permission.
    pub async fn create_check(&self, check: &NewCheck) -> Result<Check, GitHubError> {
        let mut call = self.writing("writing a check run of", "checks");
        call.hint = Some(
            "check runs are for Apps: use the workflow's own GITHUB_TOKEN with `permissions: {checks: write}` (what \
             is not listed there is then refused), never a personal token"
                .to_owned(),
        );
        transport::post(self.client().await?, &self.repository_path("/check-runs")?, Some(check), &call).await
    }
}
