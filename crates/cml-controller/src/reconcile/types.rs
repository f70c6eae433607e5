//! What goes into a reconciliation and what comes out of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cml_cloud::{CloudError, Deadline, Instance, InstanceId, LaunchId, Offer, SpotPrice};
use cml_planner::{Balance, Job, JobId, Plan, PlanningInput, RunnerStatus, TerminationReason, Waiting};
use jiff::{SignedDuration, Timestamp};

/// What clouds and GitHub showed at one time. What could not be asked for is none.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// Uptime of the process when the observation was begun; none: it is of now. What was launched since then does not show in it.
    pub begun: Option<Duration>,
    /// Jobs that are not over, failed ones that are tracked ([`super::Reconciler::tracked_jobs`]), and those that ended not long ago; none
    /// when GitHub could not be asked.
    pub jobs: Option<Vec<Job>>,
    /// Tracked jobs ([`super::Reconciler::tracked_jobs`]) that are missing from GitHub's answer: they need no re-run any more.
    pub untold: Vec<JobId>,
    /// All our machines.
    pub instances: Option<Vec<Instance>>,
    /// Regions that could not be asked: nothing is known of the machines there.
    pub silent_regions: BTreeSet<String>,
    /// How long after its launch a machine may first show in these regions; in any other, [`cml_planner::UNSEEN_GRACE`].
    pub shows_within: BTreeMap<String, SignedDuration>,
    /// Machines that still run and for which the cloud has announced an interruption.
    pub taken_back: Vec<InstanceId>,
    /// All runners.
    pub runners: Option<Vec<RunnerStatus>>,
    /// Offers of each spec.
    pub offers: BTreeMap<String, Vec<Offer>>,
    /// Why regions of a spec did not list their offers, each with its name.
    pub unanswered: BTreeMap<String, Vec<String>>,
    /// Changes of spot prices.
    pub spot_prices: Vec<SpotPrice>,
    /// Whether `spot_prices` is complete, so that machines that have ended can be billed.
    pub prices_are_whole: bool,
}

/// Why a launch failed.
#[derive(Debug)]
pub enum LaunchError {
    /// The cloud was called; after [`cml_cloud::ErrorKind::Transient`] the outcome is unknown.
    Cloud(CloudError),
    /// The cloud was not called, and why.
    NotAttempted(String),
}

/// One call to make. The outcome of a launch goes to [`super::Reconciler::record_launch`]; any other shows in the next observation.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Launches a machine; its intent is in the journal.
    Launch {
        /// Its id.
        launch: LaunchId,
        /// Its spec.
        spec: String,
        /// Any of these offers.
        offers: Vec<Offer>,
        /// Its deadline.
        deadline: Deadline,
    },
    /// Terminates a machine, after removing its registration: GitHub refuses that while the runner has a job.
    Terminate {
        /// Region.
        region: String,
        /// The machine.
        instance: InstanceId,
        /// Its runner's id, if GitHub's list has it.
        runner: Option<u64>,
        /// Its runner's name.
        name: Option<String>,
        /// Why.
        cause: TerminationReason,
    },
    /// Removes a registration.
    RemoveRunner {
        /// GitHub's id.
        runner: u64,
    },
    /// Re-runs jobs of a run.
    Rerun {
        /// `owner/name`.
        repository: String,
        /// The run.
        run_id: u64,
        /// The one job; none: all that failed.
        only: Option<JobId>,
    },
}

/// The result of one observation.
#[derive(Clone, Debug, Default)]
pub struct Reconciliation {
    /// Calls to make.
    pub commands: Vec<Command>,
    /// Jobs that get no machine now, and why.
    pub waiting: Vec<Waiting>,
    /// Accounts near their limits.
    pub near_limit: Vec<Balance>,
    /// When time alone makes another observation worthwhile.
    pub next_look_at: Option<Timestamp>,
}

/// The planner: [`cml_planner::plan()`], or a substitute.
pub type Planner<'a> = &'a (dyn Fn(&PlanningInput, Timestamp) -> Plan + Sync);

/// The current time, by two clocks.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// Wall-clock time, which people and NTP may set.
    pub wall: Timestamp,
    /// How long this process has run.
    pub uptime: Duration,
}
