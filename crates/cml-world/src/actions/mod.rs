//! Runs and jobs: what GitHub Actions keeps, and how a job finds its runner.

pub(crate) mod origin;
pub(crate) mod queue;
pub(crate) mod verbatim;
pub(crate) mod workflow;

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::views::{JobView, RunId, RunView, StepView};
use origin::Origin;
use workflow::{JobSpec, Workflow};

/// A workflow run.
pub(crate) struct Run {
    pub(crate) id: u64,
    pub(crate) number: u64,
    pub(crate) workflow: Workflow,
    pub(crate) origin: Origin,
    pub(crate) attempt: u64,
    /// Login that started each attempt, from the first to the latest.
    pub(crate) started_by: Vec<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    /// When the latest attempt began.
    pub(crate) started_at: Timestamp,
    /// Whether cancellation was requested: jobs that are not queued yet will not be queued.
    pub(crate) cancelled: bool,
}

/// A job of one attempt of a run. It is created once the jobs that it needs are done.
pub(crate) struct Job {
    pub(crate) id: u64,
    pub(crate) run: u64,
    pub(crate) attempt: u64,
    pub(crate) spec: JobSpec,
    pub(crate) state: JobState,
    pub(crate) queued_at: Timestamp,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) completed_at: Option<Timestamp>,
    /// Id, name and group of the runner that took it.
    pub(crate) runner: Option<(u64, String, u64)>,
    /// Whether cancellation was requested.
    pub(crate) cancelled: bool,
    /// Time of the last request of its runner.
    pub(crate) alive_at: Timestamp,
    pub(crate) steps: Vec<Step>,
    pub(crate) log: Vec<u8>,
    pub(crate) summary: Vec<u8>,
    pub(crate) artifacts: BTreeMap<String, Vec<u8>>,
}

/// State of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobState {
    Queued,
    /// Offered to a runner at this time and not accepted yet. GitHub calls this queued.
    Offered(Timestamp),
    Running,
    Completed(Conclusion),
}

/// Conclusion of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conclusion {
    Success,
    Failure,
    Cancelled,
    Skipped,
}

/// Outcome of one step.
#[derive(Clone)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) conclusion: Option<Conclusion>,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) completed_at: Option<Timestamp>,
}

impl Conclusion {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Success, Self::Failure, Self::Cancelled, Self::Skipped]
            .into_iter()
            .find(|one| one.word() == word)
    }
}

impl Job {
    pub(crate) fn new(id: u64, run: &Run, spec: JobSpec, now: Timestamp) -> Self {
        let step = |name: &str| Step {
            name: name.to_owned(),
            conclusion: None,
            started_at: None,
            completed_at: None,
        };
        let steps = spec.steps.iter().map(|one| step(&one.name)).collect();
        Self {
            id,
            run: run.id,
            attempt: run.attempt,
            spec,
            state: JobState::Queued,
            queued_at: now,
            started_at: None,
            completed_at: None,
            runner: None,
            cancelled: false,
            alive_at: now,
            steps,
            log: Vec::new(),
            summary: Vec::new(),
            artifacts: BTreeMap::new(),
        }
    }

    pub(crate) fn status(&self) -> &'static str {
        match self.state {
            JobState::Queued | JobState::Offered(_) => "queued",
            JobState::Running => "in_progress",
            JobState::Completed(_) => "completed",
        }
    }

    pub(crate) fn conclusion(&self) -> Option<Conclusion> {
        match self.state {
            JobState::Completed(conclusion) => Some(conclusion),
            _ => None,
        }
    }

    pub(crate) fn view(&self) -> JobView {
        let accepted = self.runner.as_ref().filter(|_| self.started_at.is_some());
        JobView {
            id: self.id,
            run_id: RunId(self.run),
            attempt: self.attempt,
            name: self.spec.name.clone(),
            labels: self.spec.labels.clone(),
            status: self.status().to_owned(),
            conclusion: self.conclusion().map(|one| one.word().to_owned()),
            runner_id: accepted.map(|runner| runner.0),
            runner_name: accepted.map(|runner| runner.1.clone()),
            queued_at: self.queued_at,
            started_at: self.started_at,
            completed_at: self.completed_at,
            steps: self.steps.iter().map(Step::view).collect(),
        }
    }
}

impl Step {
    fn view(&self) -> StepView {
        StepView { name: self.name.clone(), conclusion: self.conclusion.map(|one| one.word().to_owned()) }
    }
}

/// Returns the state of an attempt of a run, derived from its jobs.
pub(crate) fn attempt_state<'a>(
    run: &Run,
    attempt: u64,
    jobs: impl Iterator<Item = &'a Job>,
) -> (&'static str, Option<Conclusion>) {
    let jobs: Vec<&Job> = jobs.filter(|job| job.run == run.id && job.attempt == attempt).collect();
    let ends: Vec<Conclusion> = jobs.iter().filter_map(|job| job.conclusion()).collect();
    if ends.len() == run.workflow.jobs.len() {
        let conclusion = [Conclusion::Failure, Conclusion::Cancelled, Conclusion::Success]
            .into_iter()
            .find(|one| ends.contains(one))
            .unwrap_or(Conclusion::Skipped);
        return ("completed", Some(conclusion));
    }
    let begun = jobs.iter().any(|job| job.started_at.is_some() || job.completed_at.is_some());
    (if begun { "in_progress" } else { "queued" }, None)
}

impl Run {
    /// Returns the login that started an attempt.
    pub(crate) fn starter_of(&self, attempt: u64) -> &str {
        let index = usize::try_from(attempt).ok().and_then(|attempt| attempt.checked_sub(1));
        index.and_then(|index| self.started_by.get(index)).unwrap_or(&self.origin.actor)
    }

    pub(crate) fn view<'a>(&self, jobs: impl Iterator<Item = &'a Job>) -> RunView {
        let (status, conclusion) = attempt_state(self, self.attempt, jobs);
        RunView {
            id: RunId(self.id),
            name: self.workflow.name.clone(),
            attempt: self.attempt,
            status: status.to_owned(),
            conclusion: conclusion.map(|one| one.word().to_owned()),
        }
    }
}
