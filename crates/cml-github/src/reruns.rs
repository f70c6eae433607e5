//! Re-running a workflow run. <https://docs.github.com/en/rest/actions/workflow-runs>

use std::time::Duration;

use serde::Deserialize;

use crate::error::{GitHubError, GitHubErrorKind};
use crate::runners::GitHub;
use crate::transport;

/// Interval between two checks of a cancelled run.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Maximum time until it ends: GitHub allows jobs five minutes after a cancellation.
const CANCELLED_WITHIN: Duration = Duration::from_secs(360);

#[derive(Deserialize)]
struct RunState {
    #[serde(default)]
    status: Option<String>,
}

impl GitHub {
    /// Re-runs all jobs of a workflow run; one that is still in progress is cancelled first.
    ///
    /// # Errors
    /// As GitHub answers.
    pub async fn rerun_whole(&self, run: u64) -> Result<(), GitHubError> {
        let path = self.repository_path(&format!("/actions/runs/{run}"))?;
        let client = self.client().await?;
        let call = self.writing("running a workflow run again in", "actions");
        let mut waited = Duration::ZERO;
        let mut cancelled = false;
        loop {
            let run: RunState = transport::get(client, &path, &call).await?;
            if run.status.as_deref() == Some("completed") {
                break;
            }
            if !cancelled {
                let answer: Result<serde_json::Value, _> =
                    transport::post(client, &format!("{path}/cancel"), None::<&()>, &call).await;
                // A run that has just ended cannot be cancelled any more.
                if let Err(error) = answer
                    && !error.cause.contains("409")
                {
                    return Err(error);
                }
                cancelled = true;
            }
            if waited >= CANCELLED_WITHIN {
                return Err(GitHubError {
                    kind: GitHubErrorKind::Transient,
                    doing: call.doing,
                    cause: format!("the run was cancelled, but has not ended within {} s", waited.as_secs()),
                    hint: Some("run it again once its jobs have ended".to_owned()),
                });
            }
            call.pause(tokio::time::sleep(LOOK_EVERY)).await?;
            waited += LOOK_EVERY;
        }
        transport::post(client, &format!("{path}/rerun"), None::<&()>, &call)
            .await
            .map(|_: serde_json::Value| ())
    }
}
