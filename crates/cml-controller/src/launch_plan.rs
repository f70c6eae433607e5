//! The launch plan: what a launch is made of.

use std::collections::BTreeMap;

use cml_bootstrap::RunnerPackage;
use cml_cloud::{Deadline, Image, LaunchId, Network, OfferQuery};
use cml_github::{RunnerDownload, RunnerGroup};
use cml_spec::Setup;
use jiff::SignedDuration;

/// How many jobs the runner may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunnerMode {
    /// One: a single-use JIT configuration, no token on the machine.
    Ephemeral,
    /// As many as come until it has been idle: registered by a one-hour registration token, as CML does.
    Persistent,
}

/// Whether an existing runner will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// Always launch.
    Never,
    /// An online runner with all the labels will do, even a busy one.
    Online,
    /// Only one that is online and idle.
    Idle,
}

/// Where the runner's package comes from.
#[derive(Clone, Debug)]
pub enum RunnerPackageSource {
    /// GitHub is asked, and the answer is reported as [`crate::Event::Packages`] so that it can be cached.
    Latest,
    /// A recent answer of GitHub.
    Cached(Vec<RunnerDownload>),
    /// The user has chosen one.
    Pinned(RunnerPackage),
}

/// The machine template: what every machine of a spec is made of.
#[derive(Clone, Debug)]
pub struct MachineTemplate {
    /// Name of the spec, for the tags; `launch` for a launch without one.
    pub spec: String,
    /// The runner's own labels.
    pub labels: Vec<String>,
    /// Whether it also has those that GitHub's configuration step adds: `self-hosted`, `linux` and its architecture.
    pub default_labels: bool,
    /// Runner group.
    pub group: RunnerGroup,
    /// How many jobs.
    pub mode: RunnerMode,
    /// Which offers will do.
    pub query: OfferQuery,
    /// Image to boot.
    pub image: Image,
    /// Its network.
    pub network: Network,
    /// Instance profile for the job's own use.
    pub instance_profile: Option<String>,
    /// The user's tags.
    pub tags: BTreeMap<String, String>,
    /// How long it may take from boot to "listening for jobs".
    pub boot_timeout: SignedDuration,
    /// How long it may wait for a job; none: for ever (until the deadline).
    pub idle_timeout: Option<SignedDuration>,
    /// The user's own part of the machine.
    pub setup: Setup,
    /// Where the runner's package comes from.
    pub packages: RunnerPackageSource,
}

/// One decision to obtain a machine.
#[derive(Clone, Debug)]
pub struct LaunchPlan {
    /// Its id, made before anything else.
    pub launch: LaunchId,
    /// The runner's name.
    pub runner_name: String,
    /// The machine's deadline.
    pub deadline: Deadline,
    /// Whether an existing runner will do.
    pub reuse: Reuse,
    /// The machine template.
    pub template: MachineTemplate,
}
