//! Jobs of a repository's workflow runs.
//! <https://docs.github.com/en/rest/actions/workflow-runs>, <https://docs.github.com/en/rest/actions/workflow-jobs>

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::json;

use crate::error::GitHubError;
use crate::etag_cache::RateBudget;
use crate::lists::{Change, PER_PAGE, Page, Reader, Reading};
use crate::location::Scope;
use crate::names::repository_path;
use crate::origin::Origin;
use crate::runners::GitHub;
use crate::transport;

/// Maximum number of runs that one search returns, by GitHub's own limit.
const RUNS_MAX: usize = 1000;

/// A job as GitHub reports it, with its run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRecord {
    /// GitHub's id.
    pub id: u64,
    /// The run it belongs to.
    pub run_id: u64,
    /// The attempt of the run, from 1.
    pub attempt: u32,
    /// Its name.
    pub name: String,
    /// Labels that it asks for.
    pub labels: Vec<String>,
    /// `queued`, `waiting`, `in_progress`, `completed`, …
    pub status: String,
    /// `success`, `failure`, … once it is over.
    pub conclusion: Option<String>,
    /// GitHub's id of the runner that has or had it.
    pub runner_id: Option<u64>,
    /// Name of the runner that has or had it.
    pub runner_name: Option<String>,
    /// The workflow's name; empty where GitHub does not report it.
    pub workflow: String,
    /// The branch; empty where GitHub does not report it.
    pub branch: String,
    /// Start of its wait.
    pub created_at: Option<Timestamp>,
    /// Time of its start.
    pub started_at: Option<Timestamp>,
    /// Time of its end.
    pub completed_at: Option<Timestamp>,
    /// Its run.
    pub run: RunRecord,
}

/// A workflow run as GitHub reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRecord {
    /// GitHub's id.
    pub id: u64,
    /// `owner/name`.
    pub repository: String,
    /// The repository of the code; another repository is a fork.
    pub head_repository: Option<String>,
    /// `push`, `pull_request`, …
    pub event: String,
    /// The actor that started it.
    pub actor: String,
    /// `completed` once every job is over.
    pub status: String,
    /// The latest attempt, from 1.
    pub attempt: u32,
}

/// A failed job that is tracked: has its run ended, has a later attempt begun?
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TrackedJob {
    /// `owner/name`.
    pub repository: String,
    /// The run.
    pub run_id: u64,
    /// The job.
    pub job: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RunPage {
    #[serde(default)]
    total_count: Option<u64>,
    pub(crate) workflow_runs: Vec<RunWire>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RunWire {
    id: u64,
    #[serde(default)]
    event: String,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    run_attempt: Option<u32>,
    #[serde(default)]
    actor: Option<Login>,
    #[serde(default)]
    triggering_actor: Option<Login>,
    #[serde(default)]
    repository: Option<Named>,
    #[serde(default)]
    head_repository: Option<Named>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Login {
    login: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Named {
    full_name: String,
}

impl Page for RunPage {
    type Item = RunWire;
    type Key = u64;

    fn total(&self) -> Option<u64> {
        self.total_count
    }

    fn items(&self) -> &[RunWire] {
        &self.workflow_runs
    }

    fn key(run: &RunWire) -> u64 {
        run.id
    }
}

impl Page for JobPage {
    type Item = JobWire;
    type Key = u64;

    fn total(&self) -> Option<u64> {
        self.total_count
    }

    fn items(&self) -> &[JobWire] {
        &self.jobs
    }

    fn key(job: &JobWire) -> u64 {
        job.id
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct JobPage {
    #[serde(default)]
    total_count: Option<u64>,
    pub(crate) jobs: Vec<JobWire>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct JobWire {
    id: u64,
    #[serde(default)]
    run_attempt: Option<u32>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    labels: Option<Vec<String>>,
    #[serde(default)]
    status: String,
    #[serde(default)]
    conclusion: Option<String>,
    #[serde(default)]
    runner_id: Option<u64>,
    #[serde(default)]
    runner_name: Option<String>,
    #[serde(default)]
    workflow_name: Option<String>,
    #[serde(default)]
    head_branch: Option<String>,
    #[serde(default)]
    created_at: Option<Timestamp>,
    #[serde(default)]
    started_at: Option<Timestamp>,
    #[serde(default)]
    completed_at: Option<Timestamp>,
}

impl GitHub {
    /// Returns one run; `None` when there is no such run.
    ///
    /// # Errors
    /// As GitHub answers.
    pub async fn run(&self, repository: &str, run_id: u64) -> Result<Option<RunRecord>, GitHubError> {
        let call = self.call("looking at a run of");
        let path = format!("{}/actions/runs/{run_id}", repository_path(repository, &call.doing)?);
        let found: Option<RunWire> = transport::find(self.client().await?, &path, &call).await?;
        Ok(found.map(|run| RunRecord::of(run, repository)))
    }

    /// Returns the jobs of the runs that began on or after a day (UTC), the latest run first; at most 1,000 runs, which
    /// is GitHub's limit.
    ///
    /// # Errors
    /// As [`GitHub::jobs`].
    pub async fn finished_jobs(&self, since: Date) -> Result<Vec<JobRecord>, GitHubError> {
        let base = self.repository_path("")?;
        let query = format!("{base}/actions/runs?status=completed&created=%3E%3D{since}");
        let mut all = Vec::new();
        let Scope::Repository { owner, name } = &self.location().scope else { return Ok(all) };
        for run in self.search(&query, &format!("{owner}/{name}")).await? {
            // An earlier attempt ran on machines of its own.
            let call = self.call("listing the jobs of a run of");
            let jobs = self.jobs_of_attempts(&run, "all", &RateBudget::default()).await?;
            if !jobs.is_whole {
                return Err(GitHubError::list_changed(&call));
            }
            all.extend(jobs.items);
        }
        Ok(all)
    }

    /// Re-runs failed jobs of a run: the given one (with the jobs that need it), or all that failed. Never repeated:
    /// GitHub may have begun.
    ///
    /// # Errors
    /// [`GitHubErrorKind::Forbidden`] while the run is in progress; the others as GitHub answers.
    pub async fn rerun(&self, repository: &str, run_id: u64, only: Option<u64>) -> Result<(), GitHubError> {
        let call = self.call("running a job again of");
        let base = repository_path(repository, &call.doing)?;
        let path = match only {
            Some(job) => format!("{base}/actions/jobs/{job}/rerun"),
            None => format!("{base}/actions/runs/{run_id}/rerun-failed-jobs"),
        };
        let _: serde_json::Value =
            transport::post(self.client().await?, &path, Some(&json!({})), &call).await?;
        Ok(())
    }

    async fn search(&self, query: &str, repository: &str) -> Result<Vec<RunRecord>, GitHubError> {
        let call = self.call("listing the runs of");
        let client = self.client().await?;
        let call = &call;
        let page = |number: usize| {
            let path = format!("{query}&per_page={PER_PAGE}&page={number}");
            async move { transport::get::<RunPage>(client, &path, call).await.map(Arc::new) }
        };
        // Runs end all the time; one that has ended stays.
        let reader = Reader { change: Change::Grows, most: RUNS_MAX };
        let runs: Vec<RunWire> = reader.whole(call, page).await?;
        Ok(runs.into_iter().map(|run| RunRecord::of(run, repository)).collect())
    }

    /// Returns the jobs of a run's latest attempt. Where the run was re-run since it was listed, the run is queried
    /// once more: the actor of an attempt is known for this attempt alone.
    pub(crate) async fn jobs_of(
        &self,
        run: &RunRecord,
        cost: &RateBudget,
    ) -> Result<Reading<JobRecord>, GitHubError> {
        let mut jobs = self.jobs_of_attempts(run, "latest", cost).await?;
        if jobs.items.iter().all(|job| job.attempt <= run.attempt) {
            return Ok(jobs);
        }
        let now = self.run(&run.repository, run.id).await?.unwrap_or_else(|| run.clone());
        for job in &mut jobs.items {
            job.run = now.of_attempt(job.attempt);
        }
        Ok(jobs)
    }

    async fn jobs_of_attempts(
        &self,
        run: &RunRecord,
        which: &str,
        cost: &RateBudget,
    ) -> Result<Reading<JobRecord>, GitHubError> {
        let call = &self.call("listing the jobs of a run of");
        let client = self.client().await?;
        let base = repository_path(&run.repository, &call.doing)?;
        let base = format!("{base}/actions/runs/{}/jobs?filter={which}&per_page={PER_PAGE}", run.id);
        let page = |number: usize| {
            let path = format!("{base}&page={number}");
            async move { self.memory.jobs.get(client, &path, call, cost).await }
        };
        let reading: Reading<JobWire> = Reader::ANY.read(page).await?;
        let items = reading.items.into_iter().map(|wire| JobRecord::of(wire, run)).collect();
        Ok(Reading { items, is_whole: reading.is_whole })
    }
}

impl RunRecord {
    /// Returns the origin of its code.
    #[must_use]
    pub fn origin(&self) -> Origin {
        // GitHub does not report which inputs a run was given.
        Origin::of(&self.event, &self.repository, self.head_repository.as_deref(), true)
    }

    /// Returns the record for a job of this attempt. The actor of a later attempt than the reported one is unknown.
    fn of_attempt(&self, attempt: u32) -> Self {
        if attempt <= self.attempt {
            return self.clone();
        }
        Self { head_repository: None, actor: String::new(), ..self.clone() }
    }

    /// Creates a run of this repository, which GitHub repeats in nearly every answer.
    pub(crate) fn of(wire: RunWire, asked: &str) -> Self {
        let actor = wire.triggering_actor.or(wire.actor);
        Self {
            id: wire.id,
            repository: wire.repository.map_or_else(|| asked.to_owned(), |named| named.full_name),
            head_repository: wire.head_repository.map(|named| named.full_name),
            event: wire.event,
            actor: actor.map(|login| login.login).unwrap_or_default(),
            status: wire.status.unwrap_or_default(),
            attempt: wire.run_attempt.unwrap_or(1),
        }
    }
}

impl JobRecord {
    fn of(wire: JobWire, run: &RunRecord) -> Self {
        Self {
            id: wire.id,
            run_id: run.id,
            attempt: wire.run_attempt.unwrap_or(run.attempt),
            name: wire.name,
            // `[]`, null and no key are the same: a job that asks for no label.
            labels: wire.labels.unwrap_or_default(),
            status: wire.status,
            conclusion: wire.conclusion,
            // GitHub returns an empty name before there is a runner.
            runner_id: wire.runner_id.filter(|id| *id != 0),
            runner_name: wire.runner_name.filter(|name| !name.is_empty()),
            workflow: wire.workflow_name.unwrap_or_default(),
            branch: wire.head_branch.unwrap_or_default(),
            created_at: wire.created_at,
            started_at: wire.started_at,
            completed_at: wire.completed_at,
            run: run.clone(),
        }
    }
}
