//! The planning input: everything that is known when a plan is made.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use cml_cloud::{Deadline, Disk, ErrorKind, Instance, LaunchId, Market, Offer, UsdPerHour};
use cml_spec::{Budget, Spec};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::budget::Spending;

/// GitHub's id of a job; another attempt is another job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub u64);

impl fmt::Display for JobId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0)
    }
}

/// Where a job is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobState {
    /// It needs a runner.
    Queued,
    /// It waits for an approval or another job: it needs no runner yet.
    Waiting,
    /// It runs.
    Running,
    /// It is over. It only matters which machine ran it.
    Over,
    /// It has failed, and no later attempt of its run has begun. The journal knows whether it was interrupted.
    Failed {
        /// All jobs of the run are over: GitHub accepts a re-run.
        run_over: bool,
    },
    /// It has failed because the cloud took its machine back.
    Interrupted {
        /// GitHub accepts a re-run.
        may_rerun: bool,
    },
}

/// A GitHub `workflow_job` that asks for self-hosted labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// GitHub's id.
    pub id: JobId,
    /// The run it belongs to.
    pub run_id: u64,
    /// Which attempt of the run, from 1.
    pub attempt: u32,
    /// Its name, the same in every attempt.
    pub name: String,
    /// `owner/name`.
    pub repository: String,
    /// Labels it asks for.
    pub labels: Vec<String>,
    /// The runner group it asks for, if any.
    pub group: Option<String>,
    /// `push`, `pull_request`, …
    pub event: String,
    /// The code comes from a fork.
    pub from_fork: bool,
    /// Who started the run.
    pub actor: String,
    /// The workflow's name; empty where GitHub does not name it.
    pub workflow: String,
    /// The branch; empty where GitHub does not name it.
    pub branch: String,
    /// Since when it waits.
    pub queued_at: Timestamp,
    /// Where it is.
    pub state: JobState,
    /// The name of the runner that has it.
    pub runner: Option<String>,
    /// How often this job of this run was interrupted before.
    pub interruptions: u32,
}

/// A launch in the journal whose end was not observed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaunchRecord {
    /// Its id.
    pub id: LaunchId,
    /// Its spec.
    pub spec: String,
    /// Labels that its runner was registered with, or will be.
    pub labels: Vec<String>,
    /// The region that was asked; none in launches of older journals, which have no region.
    pub region: Option<String>,
    /// The repository of the job that it is for; none for a machine that is kept ready.
    pub repository: Option<String>,
    /// Who started that job; none as above.
    pub actor: Option<String>,
    /// When it was decided.
    pub intended_at: Timestamp,
    /// How long this process had known its present stage when the observation was begun, by its uptime: a wall clock that is put
    /// forward must not make a launch old. Negative for what the observation is too old to show.
    pub watched_for: SignedDuration,
    /// If no machine shows after this part of `watched_for`, none will: no process may launch it any more, and its cloud shows what
    /// was launched.
    pub shows_within: SignedDuration,
    /// Its machine's deadline.
    pub deadline: Deadline,
    /// The offer that was launched; none while the call is under way or its outcome is unknown.
    pub bought: Option<Offer>,
    /// Price that counts against budgets: that of the launched offer, or of the dearest one that was asked for.
    pub price: UsdPerHour,
    /// Its root disk, which counts too.
    pub disk: Option<Disk>,
    /// Virtual processors that count against quotas.
    pub vcpus: u32,
    /// When the runner was first online, if it was.
    pub online_at: Option<Timestamp>,
    /// Since when it has been without a job, while it is.
    pub idle_since: Option<Timestamp>,
    /// Since when it has had an unknown job, while that is so.
    pub busy_unknown_since: Option<Timestamp>,
    /// When the cloud announced the interruption.
    pub notice_at: Option<Timestamp>,
    /// A person has stopped the machine.
    pub is_stopped: bool,
}

/// A machine that does not show counts as ended this long after its deadline, even if its region does not answer: it powers itself
/// off.
const PAST_DEADLINE: SignedDuration = SignedDuration::from_hours(1);

impl LaunchRecord {
    /// Returns whether its machine would show if it existed: its region has answered.
    #[must_use]
    pub fn would_show(&self, silent_regions: &BTreeSet<String>, now: Timestamp) -> bool {
        let region = self.bought.as_ref().map(|offer| &offer.region).or(self.region.as_ref());
        let is_told_of = match region {
            Some(region) => !silent_regions.contains(region),
            None => silent_regions.is_empty(),
        };
        is_told_of || now.duration_since(self.deadline.0) > PAST_DEADLINE
    }
}

/// A registered runner, as GitHub lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerStatus {
    /// GitHub's id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Connected.
    pub online: bool,
    /// Has a job.
    pub busy: bool,
    /// Its labels as GitHub lists them: a job's labels must all be among these.
    pub labels: Vec<String>,
}

/// A refusal of the cloud, from which a cooldown follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Region of the refused offer.
    pub region: String,
    /// Zone; none when the region as a whole refused.
    pub zone: Option<String>,
    /// Type.
    pub instance_type: String,
    /// Market.
    pub market: Market,
    /// The provider's quota that it counts against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<String>,
    /// What kind.
    pub kind: RefusalKind,
    /// Whether the cloud refused the call as a whole: the refusal holds for the region then, not for this offer alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_region: bool,
    /// The cloud's own message; none in older journals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// How many in a row, this one included, since the last success.
    pub in_a_row: u32,
    /// When.
    pub at: Timestamp,
}

/// The kinds of refusal that the planner treats differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RefusalKind {
    /// No machine there now.
    Capacity,
    /// The account's limit, met with this many vCPUs of the class in use.
    Quota {
        /// vCPUs of that quota in use when it was met.
        vcpus_in_use: u32,
    },
    /// Too many calls.
    Throttled,
    /// A permission is missing.
    Denied,
    /// The cloud does not accept the request as it is.
    #[serde(rename = "Unsupported")]
    Invalid,
    /// The region did not answer: the outcome of the call is unknown.
    Silent,
}

impl RefusalKind {
    /// Converts a cloud's kind of error.
    #[must_use]
    pub fn of(kind: ErrorKind, vcpus_in_use: u32) -> Self {
        match kind {
            ErrorKind::Capacity => Self::Capacity,
            ErrorKind::Quota => Self::Quota { vcpus_in_use },
            ErrorKind::Throttled => Self::Throttled,
            ErrorKind::Denied => Self::Denied,
            ErrorKind::Invalid => Self::Invalid,
            ErrorKind::Transient => Self::Silent,
        }
    }
}

/// Everything that is known when a plan is made.
#[derive(Clone, Debug, Default)]
pub struct PlanningInput {
    /// The specs.
    pub specs: Vec<Spec>,
    /// Jobs that are not over, and interrupted ones; none when GitHub could not be asked.
    pub jobs: Option<Vec<Job>>,
    /// Launches that are not known to be over.
    pub launches: Vec<LaunchRecord>,
    /// Our machines, ended ones too while the cloud shows them; none when the cloud could not be asked.
    pub instances: Option<Vec<Instance>>,
    /// Regions that could not be asked: nothing is known of the machines there.
    pub silent_regions: BTreeSet<String>,
    /// Runners; none when GitHub could not be asked.
    pub runners: Option<Vec<RunnerStatus>>,
    /// This controller's launches that show at GitHub or in the cloud. Everything else belongs to others: it does not count, and is
    /// terminated at its deadline only.
    pub ours: BTreeSet<LaunchId>,
    /// Offers of each spec, in the provider's order.
    pub offers: BTreeMap<String, Vec<Offer>>,
    /// Why regions of a spec did not list their offers, each with its name.
    pub unanswered: BTreeMap<String, Vec<String>>,
    /// The latest refusal of each offer.
    pub refusals: Vec<Refusal>,
    /// Budgets of repositories and people, over all specs.
    pub budgets: Vec<Budget>,
    /// What was spent on machines that have ended, this month and this week at least.
    pub spent: Vec<Spending>,
    /// Gaps between the arrivals of each spec's jobs, in seconds, the latest last.
    pub gaps_seconds: BTreeMap<String, Vec<u64>>,
}
