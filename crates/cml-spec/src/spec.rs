//! One pool of the configuration.

use cml_cloud::SpotPolicy;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::budget::Limits;
use crate::hours::WarmHours;

/// A pool: labels, where and what to launch, limits, lifetimes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// Its name; unique.
    pub name: String,
    /// Labels of its runners, as configured.
    pub labels: Vec<String>,
    /// Whether its runners have GitHub's own labels too: `self-hosted`, the system and the architecture.
    #[serde(default = "yes")]
    pub default_labels: bool,
    /// Runner group; `None` is the default group.
    pub group: Option<String>,
    /// Markets it may buy from.
    pub spot: SpotPolicy,
    /// Maximum number of machines at any time, including those that are starting or ending.
    pub max: u32,
    /// Number of machines that are kept at all times, busy ones included.
    pub min: u32,
    /// Idle machines that are kept ready.
    pub warm: Vec<Warm>,
    /// When an idle machine is terminated.
    pub idle: Idle,
    /// Time from the launch to the deadline.
    pub max_lifetime: SignedDuration,
    /// Maximum time from the launch until the runner is online.
    pub boot_timeout: SignedDuration,
    /// Its budget.
    pub budget: Option<Limits>,
    /// Policy: the jobs that it accepts.
    pub allow: Allow,
    /// Handling of jobs whose machine was interrupted.
    pub reruns: Reruns,
}

fn yes() -> bool {
    true
}

/// Idle machines that are kept ready, always or in some hours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Warm {
    /// Number of machines.
    pub count: u32,
    /// The hours; `None` is always.
    pub hours: Option<WarmHours>,
}

/// When an idle machine is terminated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Idle {
    /// After this time.
    After(SignedDuration),
    /// Only at its deadline.
    Never,
    /// After a time learned from the gaps between this pool's jobs.
    Auto {
        /// Cost of a cold start, as seconds of the machine's price: boot, setup and waiting.
        cold_start: SignedDuration,
        /// Maximum time.
        max: SignedDuration,
    },
}

/// Policy of a pool: the jobs that it accepts. Empty lists allow all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allow {
    /// Events such as `push` or `pull_request`.
    pub events: Vec<String>,
    /// Whether pull requests from forks may run.
    pub forks: Forks,
    /// Logins of actors.
    pub actors: Vec<String>,
    /// `owner/name`, without regard to case.
    pub repositories: Vec<String>,
}

impl Default for Allow {
    /// Returns a policy that allows everything except code from forks.
    fn default() -> Self {
        Self { events: Vec::new(), forks: Forks::Never, actors: Vec::new(), repositories: Vec::new() }
    }
}

/// Whether code from forks may run: anyone can have written it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Forks {
    /// Never.
    Never,
    /// Like code of the repository itself.
    Always,
}

/// Handling of jobs whose machine was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reruns {
    /// Maximum number of re-runs of one job; 0 is never.
    pub max: u32,
    /// Whether the last re-run is on-demand, where the pool may buy that.
    pub last_on_demand: bool,
}
