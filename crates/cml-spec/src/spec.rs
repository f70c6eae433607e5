//! One named entry of what is wanted.

use cml_cloud::SpotPolicy;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::budget::Limits;
use crate::hours::WarmHours;

/// Labels, where and what to launch, limits, lifetimes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// Its name; unique.
    pub name: String,
    /// Labels of its runners, as the user names them.
    pub labels: Vec<String>,
    /// Its runners have GitHub's own labels too: `self-hosted`, the system and the architecture.
    #[serde(default = "yes")]
    pub default_labels: bool,
    /// Runner group; none is the default group.
    pub group: Option<String>,
    /// Markets it may buy from.
    pub spot: SpotPolicy,
    /// Most machines at any time, those on their way in and out included.
    pub max: u32,
    /// Machines that are kept at all times, busy ones included.
    pub min: u32,
    /// Idle machines that are kept ready.
    pub warm: Vec<Warm>,
    /// When an idle machine goes.
    pub idle: Idle,
    /// From the launch to the deadline.
    pub max_lifetime: SignedDuration,
    /// From the launch to the runner being online.
    pub boot_timeout: SignedDuration,
    /// Most money.
    pub budget: Option<Limits>,
    /// Whose jobs it takes.
    pub allow: Allow,
    /// What happens to jobs whose machine the cloud took back.
    pub reruns: Reruns,
}

fn yes() -> bool {
    true
}

/// Idle machines that are kept ready, always or in some hours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Warm {
    /// How many.
    pub count: u32,
    /// When; none is always.
    pub hours: Option<WarmHours>,
}

/// When an idle machine goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Idle {
    /// After this long.
    After(SignedDuration),
    /// Only at its deadline.
    Never,
    /// After a time learned from the gaps between this spec's jobs.
    Auto {
        /// What a cold start costs, as seconds of the machine's price: boot, setup and waiting.
        cold_start: SignedDuration,
        /// Never longer than this.
        max: SignedDuration,
    },
}

/// Whose jobs a spec takes. Empty lists allow all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allow {
    /// Events such as `push` or `pull_request`.
    pub events: Vec<String>,
    /// Whether pull requests from forks may run.
    pub forks: Forks,
    /// Logins.
    pub actors: Vec<String>,
    /// `owner/name`, without regard to case.
    pub repositories: Vec<String>,
}

impl Default for Allow {
    /// Everything but code from forks.
    fn default() -> Self {
        Self { events: Vec::new(), forks: Forks::Never, actors: Vec::new(), repositories: Vec::new() }
    }
}

/// Whether code from forks may run: it is anybody's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Forks {
    /// Never.
    Never,
    /// As code of the repository itself.
    Always,
}

/// What happens to jobs whose machine the cloud took back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reruns {
    /// How often one job is run again; 0 is never.
    pub max: u32,
    /// The last of them is on-demand, where the spec may buy that.
    pub last_on_demand: bool,
}
