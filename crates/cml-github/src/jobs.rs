//! Jobs of a repository's workflow runs.
//! <https://docs.github.com/en/rest/actions/workflow-runs>, <https://docs.github.com/en/rest/actions/workflow-jobs>

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::json;

use crate::error::GitHubError;
use crate::names::repository_path;
use crate::origin::Origin;
use crate::pages::Cost;
use crate::runners::GitHub;
use crate::transport::{self, Call};

/// Entries of a page; the most that GitHub gives.
pub(crate) const PER_PAGE: usize = 100;
/// Runs that one search gives at most, by GitHub's own limit.
const RUNS_MAX: usize = 1000;

/// A job as GitHub tells it, with what it says of the run.
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
    /// Labels it asks for.
    pub labels: Vec<String>,
    /// `queued`, `waiting`, `in_progress`, `completed`, …
    pub status: String,
    /// `success`, `failure`, … once it is over.
    pub conclusion: Option<String>,
    /// The runner that has or had it.
    pub runner_name: Option<String>,
    /// The workflow's name; empty where GitHub does not say it.
    pub workflow: String,
    /// The branch; empty where GitHub does not say it.
    pub branch: String,
    /// Since when it waits.
    pub created_at: Option<Timestamp>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// Of its run.
    pub run: RunRecord,
}

/// A workflow run as GitHub tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRecord {
    /// GitHub's id.
    pub id: u64,
    /// `owner/name`.
    pub repository: String,
    /// Where the code comes from; another repository is a fork.
    pub head_repository: Option<String>,
    /// `push`, `pull_request`, …
    pub event: String,
    /// Who started it.
    pub actor: String,
    /// `completed` once every job is over.
    pub status: String,
    /// The latest attempt, from 1.
    pub attempt: u32,
}

/// A failed job to look at again: has its run ended, has a later attempt begun?
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Followed {
    /// `owner/name`.
    pub repository: String,
    /// The run.
    pub run_id: u64,
    /// The job.
    pub job: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RunPage {
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
    repository: Named,
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

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct JobPage {
    pub(crate) jobs: Vec<JobWire>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct JobWire {
    id: u64,
    run_id: u64,
    #[serde(default)]
    run_attempt: Option<u32>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    labels: Vec<String>,
    status: String,
    #[serde(default)]
    conclusion: Option<String>,
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
    /// One run; none when there is no such run.
    ///
    /// # Errors
    /// As GitHub answers.
    pub async fn run(&self, repository: &str, run_id: u64) -> Result<Option<RunRecord>, GitHubError> {
        let call = self.call_about("looking at a run of");
        let path = format!("{}/actions/runs/{run_id}", repository_path(repository, &call.doing)?);
        let found: Option<RunWire> = transport::find(self.client().await?, &path, &call).await?;
        Ok(found.as_ref().map(RunRecord::from))
    }

    /// Jobs of the runs that began on or after a day (UTC), the latest run first; at most 1,000 runs, which is GitHub's limit.
    ///
    /// # Errors
    /// As [`GitHub::jobs`].
    pub async fn finished_jobs(&self, since: Date) -> Result<Vec<JobRecord>, GitHubError> {
        let base = self.repository_path("")?;
        let query = format!("{base}/actions/runs?status=completed&created=%3E%3D{since}");
        let mut all = Vec::new();
        for run in self.search(&query, RUNS_MAX).await? {
            // An earlier attempt was on machines of its own.
            all.extend(self.jobs_of_attempts(&run, "all", &Cost::default()).await?);
        }
        Ok(all)
    }

    /// Runs failed jobs of a run again: the one that is named (with the jobs that need it), or all that failed.
    /// Never repeated: GitHub may have begun.
    ///
    /// # Errors
    /// [`GitHubErrorKind::Forbidden`] while the run is under way; the others as GitHub answers.
    pub async fn rerun(&self, repository: &str, run_id: u64, only: Option<u64>) -> Result<(), GitHubError> {
        let call = self.call_about("running a job again of");
        let base = repository_path(repository, &call.doing)?;
        let path = match only {
            Some(job) => format!("{base}/actions/jobs/{job}/rerun"),
            None => format!("{base}/actions/runs/{run_id}/rerun-failed-jobs"),
        };
        let _: serde_json::Value =
            transport::post(self.client().await?, &path, Some(&json!({})), &call).await?;
        Ok(())
    }

    async fn search(&self, query: &str, most: usize) -> Result<Vec<RunRecord>, GitHubError> {
        let call = self.call_about("listing the runs of");
        let client = self.client().await?;
        let mut all: Vec<RunRecord> = Vec::new();
        for page in 1.. {
            let path = format!("{query}&per_page={PER_PAGE}&page={page}");
            let answer: RunPage = transport::get(client, &path, &call).await?;
            let last = answer.workflow_runs.len() < PER_PAGE;
            all.extend(answer.workflow_runs.iter().map(RunRecord::from));
            if last || all.len() >= most {
                break;
            }
        }
        Ok(all)
    }

    /// Jobs of a run's latest attempt. Where somebody has run it again since the run was listed, the run is asked for once more:
    /// who stands behind an attempt is known of this attempt alone.
    pub(crate) async fn jobs_of(&self, run: &RunRecord, cost: &Cost) -> Result<Vec<JobRecord>, GitHubError> {
        let mut jobs = self.jobs_of_attempts(run, "latest", cost).await?;
        if jobs.iter().all(|job| job.attempt <= run.attempt) {
            return Ok(jobs);
        }
        let now = self.run(&run.repository, run.id).await?.unwrap_or_else(|| run.clone());
        for job in &mut jobs {
            job.run = now.of_attempt(job.attempt);
        }
        Ok(jobs)
    }

    async fn jobs_of_attempts(
        &self,
        run: &RunRecord,
        which: &str,
        cost: &Cost,
    ) -> Result<Vec<JobRecord>, GitHubError> {
        let call = self.call_about("listing the jobs of a run of");
        let base = repository_path(&run.repository, &call.doing)?;
        let client = self.client().await?;
        let mut all: Vec<JobRecord> = Vec::new();
        for page in 1.. {
            let path =
                format!("{base}/actions/runs/{}/jobs?filter={which}&per_page={PER_PAGE}&page={page}", run.id);
            let answer = self.memory.jobs.get(client, &path, &call, cost).await?;
            for wire in &answer.jobs {
                if all.iter().all(|known| known.id != wire.id) {
                    all.push(JobRecord::of(wire.clone(), run));
                }
            }
            if answer.jobs.len() < PER_PAGE {
                break;
            }
        }
        Ok(all)
    }

    pub(crate) fn call_about(&self, doing: &str) -> Call<'_> {
        let location = self.location();
        Call::new(format!("{doing} {}", location.scope), location)
    }
}

impl RunRecord {
    /// Whose code it executes.
    #[must_use]
    pub fn origin(&self) -> Origin {
        // GitHub does not say which inputs a run was given.
        Origin::of(&self.event, &self.repository, self.head_repository.as_deref(), true)
    }

    /// The record for a job of this attempt. Of a later attempt than GitHub has told nobody knows who began it.
    fn of_attempt(&self, attempt: u32) -> Self {
        if attempt <= self.attempt {
            return self.clone();
        }
        Self { head_repository: None, actor: String::new(), ..self.clone() }
    }
}

impl From<&RunWire> for RunRecord {
    fn from(wire: &RunWire) -> Self {
        let actor = wire.triggering_actor.as_ref().or(wire.actor.as_ref());
        Self {
            id: wire.id,
            repository: wire.repository.full_name.clone(),
            head_repository: wire.head_repository.as_ref().map(|named| named.full_name.clone()),
            event: wire.event.clone(),
            actor: actor.map(|login| login.login.clone()).unwrap_or_default(),
            status: wire.status.clone().unwrap_or_default(),
            attempt: wire.run_attempt.unwrap_or(1),
        }
    }
}

impl JobRecord {
    fn of(wire: JobWire, run: &RunRecord) -> Self {
        Self {
            id: wire.id,
            run_id: wire.run_id,
            attempt: wire.run_attempt.unwrap_or(run.attempt),
            name: wire.name,
            labels: wire.labels,
            status: wire.status,
            conclusion: wire.conclusion,
            // GitHub gives an empty name before there is a runner.
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
