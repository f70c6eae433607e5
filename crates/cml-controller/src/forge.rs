//! GitHub as a trait, so that the same controller runs against the real one and in the simulated world.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use cml_github::{
    GitHub, GitHubError, GitHubTime, JitRequest, JitRunner, Polled, Removal, Runner, RunnerDownload,
    TrackedJob,
};
use cml_planner::Job;
use secrecy::SecretString;

/// All jobs that are not over, as far as they can be seen.
#[derive(Clone, Debug, Default)]
pub struct JobList {
    /// The jobs.
    pub jobs: Vec<Job>,
    /// Repositories (`owner/name`) whose jobs could not be listed.
    pub unseen: BTreeSet<String>,
    /// How long the next list should wait.
    pub rest: Duration,
}

/// One scope of one GitHub. Every call is bounded in time by the implementation and repeats nothing that is not idempotent.
pub trait Forge: Send + Sync {
    /// Returns the scope as in the `cml-runner:owner` tag: `acme/vision`.
    fn scope(&self) -> String;

    /// Returns the URL for runners that register by themselves.
    fn runner_url(&self) -> String;

    /// Returns GitHub's time in its last answer; none before the first one.
    fn time(&self) -> Option<GitHubTime>;

    /// Registers a runner for one job.
    ///
    /// # Errors
    /// As [`GitHub::jit_runner`].
    fn jit_runner(&self, request: &JitRequest)
    -> impl Future<Output = Result<JitRunner, GitHubError>> + Send;

    /// Returns a token with which machines register runners by themselves.
    ///
    /// # Errors
    /// As GitHub answers.
    fn registration_token(&self) -> impl Future<Output = Result<SecretString, GitHubError>> + Send;

    /// Lists all runners, or those with this name; never a part of them.
    ///
    /// # Errors
    /// As GitHub answers.
    fn runners(&self, name: Option<&str>) -> impl Future<Output = Result<Vec<Runner>, GitHubError>> + Send;

    /// Returns one runner.
    ///
    /// # Errors
    /// As GitHub answers.
    fn runner(&self, id: u64) -> impl Future<Output = Result<Option<Runner>, GitHubError>> + Send;

    /// Removes a registration, unless it has a job.
    ///
    /// # Errors
    /// As GitHub answers; it may still be registered.
    fn remove_runner(&self, id: u64) -> impl Future<Output = Result<Removal, GitHubError>> + Send;

    /// Lists the runner packages.
    ///
    /// # Errors
    /// As GitHub answers.
    fn runner_packages(&self) -> impl Future<Output = Result<Vec<RunnerDownload>, GitHubError>> + Send;

    /// Lists every job that is not over, and those of `followed` that failed and of which no later attempt has begun. Only of the
    /// repositories in `only`, unless that is empty.
    ///
    /// # Errors
    /// As GitHub answers.
    fn jobs(
        &self,
        followed: &[TrackedJob],
        only: &BTreeSet<String>,
    ) -> impl Future<Output = Result<JobList, GitHubError>> + Send;

    /// Re-runs failed jobs of a run: the one that is named, or all that failed.
    ///
    /// # Errors
    /// As GitHub answers; it refuses while the run is under way.
    fn rerun(
        &self,
        repository: &str,
        run_id: u64,
        only: Option<u64>,
    ) -> impl Future<Output = Result<(), GitHubError>> + Send;

    /// Returns the runner with this name.
    ///
    /// # Errors
    /// As GitHub answers.
    fn runner_by_name(&self, name: &str) -> impl Future<Output = Result<Option<Runner>, GitHubError>> + Send {
        async move {
            let found = self.runners(Some(name)).await?;
            Ok(found.into_iter().find(|runner| runner.name.eq_ignore_ascii_case(name)))
        }
    }

    /// Removes the runner with this name.
    ///
    /// # Errors
    /// As GitHub answers; it may still be registered.
    fn remove_runner_by_name(&self, name: &str) -> impl Future<Output = Result<Removal, GitHubError>> + Send {
        async move {
            match self.runner_by_name(name).await? {
                Some(runner) => self.remove_runner(runner.id).await,
                None => Ok(Removal::AlreadyGone),
            }
        }
    }
}

impl Forge for GitHub {
    fn scope(&self) -> String {
        self.location().scope.to_string()
    }

    fn runner_url(&self) -> String {
        self.location().runner_url()
    }

    fn time(&self) -> Option<GitHubTime> {
        Self::time(self)
    }

    async fn jit_runner(&self, request: &JitRequest) -> Result<JitRunner, GitHubError> {
        Self::jit_runner(self, request).await
    }

    async fn registration_token(&self) -> Result<SecretString, GitHubError> {
        Self::registration_token(self).await
    }

    async fn runners(&self, name: Option<&str>) -> Result<Vec<Runner>, GitHubError> {
        Self::runners(self, name).await
    }

    async fn runner(&self, id: u64) -> Result<Option<Runner>, GitHubError> {
        Self::runner(self, id).await
    }

    async fn remove_runner(&self, id: u64) -> Result<Removal, GitHubError> {
        Self::remove_runner(self, id).await
    }

    async fn runner_packages(&self) -> Result<Vec<RunnerDownload>, GitHubError> {
        Self::runner_packages(self).await
    }

    async fn jobs(&self, followed: &[TrackedJob], only: &BTreeSet<String>) -> Result<JobList, GitHubError> {
        let Polled { jobs, unseen, rest } = Self::jobs(self, followed, only).await?;
        let jobs = jobs.into_iter().map(crate::jobs::from_github).collect();
        Ok(JobList { jobs, unseen, rest })
    }

    async fn rerun(&self, repository: &str, run_id: u64, only: Option<u64>) -> Result<(), GitHubError> {
        Self::rerun(self, repository, run_id, only).await
    }
}
