//! The words of a cloud: offers, requests, instances.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use rust_decimal::Decimal;
use secrecy::{ExposeSecret, SecretSlice};
use serde::{Deserialize, Serialize};

use crate::ids::{Deadline, InstanceId, LaunchId};
use crate::money::{Disk, UsdPerHour};

/// Keys of the tags that every instance of ours carries from its first moment.
pub mod tag {
    /// The launch id.
    pub const LAUNCH: &str = "cml-runner:launch";
    /// The spec's name, or `launch` for a launch without one.
    pub const SPEC: &str = "cml-runner:spec";
    /// The deadline, RFC 3339 in UTC.
    pub const DEADLINE: &str = "cml-runner:deadline";
    /// The GitHub scope it works for, such as `acme/vision`.
    pub const OWNER: &str = "cml-runner:owner";
    /// The runner's name at GitHub.
    pub const RUNNER: &str = "cml-runner:runner";
    /// Who made it and may end it: the id of a daemon's journal, or `launch` for a launch without a daemon.
    pub const CONTROLLER: &str = "cml-runner:controller";
    /// How many tags the program adds to yours: these, and `Name`.
    pub const OURS: usize = 7;
}

/// Processor architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// x86-64.
    X64,
    /// 64-bit ARM.
    Arm64,
}

impl fmt::Display for Arch {
    /// As GitHub names runner packages: `x64`, `arm64`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::X64 => "x64",
            Self::Arm64 => "arm64",
        })
    }
}

/// How capacity is bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Market {
    /// Spare capacity that the cloud may take back.
    Spot,
    /// The list price; kept until ended.
    OnDemand,
}

impl fmt::Display for Market {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Spot => "spot",
            Self::OnDemand => "on-demand",
        })
    }
}

/// Which markets a launch may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpotPolicy {
    /// Spot or nothing.
    Only,
    /// Spot first, on-demand when there is none.
    Prefer,
    /// On-demand only.
    Never,
}

/// Accelerators of one instance.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Gpu {
    /// Lower-case model name: `t4`, `a10g`.
    pub name: String,
    /// How many.
    pub count: u32,
    /// Memory of one, MiB; 0 when not known.
    pub memory_mib: u64,
}

impl Gpu {
    /// Whether CUDA runs on it: all that EC2 offers but AMD's.
    #[must_use]
    pub fn runs_cuda(&self) -> bool {
        !self.name.starts_with("radeon")
    }
}

/// The accelerator's driver that a machine's image must bring. Types of different drivers never share a launch call: a call
/// boots one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Driver {
    /// No accelerator, or one that needs nothing.
    #[default]
    None,
    /// NVIDIA's, with its open kernel module: Turing (T4) and later.
    Nvidia,
    /// NVIDIA's, with its proprietary kernel module: before Turing (V100, M60).
    NvidiaProprietary,
    /// AMD's.
    Amd,
    /// AWS Neuron, of Inferentia and Trainium.
    Neuron,
    /// Another accelerator's, for which no default image is known.
    Other,
}

/// What a machine has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Resources {
    /// Virtual processors.
    pub vcpus: u32,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// Accelerators, if any.
    pub gpu: Option<Gpu>,
    /// Processor architecture.
    pub arch: Arch,
}

/// One way to buy capacity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// `us-east-1`, or `local`.
    pub region: String,
    /// `us-east-1a`; none when any zone of the region will do.
    pub zone: Option<String>,
    /// `g4dn.xlarge`, or `local`.
    pub instance_type: String,
    /// Spot or on-demand.
    pub market: Market,
    /// Price of an hour, where known.
    pub price: Option<UsdPerHour>,
    /// What it has.
    pub resources: Resources,
    /// All its disks together, where they cost anything; not known of offers that were written down before disks were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<Disk>,
    /// The provider's quota that it counts against, in the provider's words: offers of one region, market and quota count
    /// together. None: no quota is known, and it counts alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<String>,
    /// What its image must bring.
    #[serde(default)]
    pub driver: Driver,
}

impl Offer {
    /// What an hour costs at the most, its disk included.
    #[must_use]
    pub fn hourly_at_most(&self) -> Option<UsdPerHour> {
        let disk = self.disk.map_or(Decimal::ZERO, |disk| disk.hourly_at_most().0);
        self.price.map(|price| UsdPerHour(price.0 + disk))
    }
}

/// What a machine must have, where the user names no types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceRequirements {
    /// Models of GPU that will do (`a10g`); empty: any that runs CUDA. None: no GPU.
    pub gpu: Option<Vec<String>>,
    /// GPUs.
    pub gpus: Range,
    /// Memory of each GPU, MiB.
    pub gpu_memory_mib: Range,
    /// Virtual processors.
    pub vcpus: Range,
    /// Memory, MiB.
    pub memory_mib: Range,
    /// Processor architecture.
    pub arch: Arch,
}

/// From how much to how much, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Range {
    /// At least.
    pub least: u64,
    /// At most; none: any more.
    pub most: Option<u64>,
}

impl Range {
    /// Whether so much will do.
    #[must_use]
    pub fn contains(&self, amount: u64) -> bool {
        amount >= self.least && self.most.is_none_or(|most| amount <= most)
    }
}

/// What is asked for, as the user says it; the provider resolves aliases.
#[derive(Clone, Debug)]
pub struct OfferQuery {
    /// Regions in order of preference; CML's aliases (`us-west`) are understood. Empty: the provider's default.
    pub regions: Vec<String>,
    /// Instance types or CML's sizes (`m`, `m+t4`); empty: the provider's default.
    pub types: Vec<String>,
    /// What the machine must have, instead of types.
    pub needs: Option<InstanceRequirements>,
    /// GPU model asked for beside the type (`t4`); CML's `nogpu` is none.
    pub gpu: Option<String>,
    /// Allowed markets.
    pub spot: SpotPolicy,
    /// Highest spot price accepted.
    pub spot_price_max: Option<UsdPerHour>,
    /// Subnets and groups that the machine must live in; they limit the zones.
    pub network: Network,
    /// Image to boot: it decides how large the disks are at least.
    pub image: Image,
    /// Root disk, GiB; none: the provider's default, or what the image needs where that is more.
    pub disk_gib: Option<u32>,
    /// Snapshot that one more disk is made of.
    pub cache_snapshot: Option<String>,
}

/// The image to boot.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Image {
    /// An alias (`ubuntu-24.04`), an `ami-…` id, an `ssm:/path`, or none for the provider's default.
    pub name: Option<String>,
}

/// Where in the cloud's network the machine lives; all optional.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Network {
    /// Subnet ids; none: the default VPC's.
    pub subnets: Vec<String>,
    /// Security group id or name; none: ours, without any inbound rule.
    pub security_group: Option<String>,
}

/// The script that turns a machine into a runner. Secret: it carries the runner's registration.
#[derive(Clone)]
pub struct UserData(SecretSlice<u8>);

impl UserData {
    /// Takes the rendered bytes.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(SecretSlice::from(bytes))
    }

    /// The bytes; for the launch call only.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }
}

impl fmt::Debug for UserData {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "UserData({} bytes)", self.expose().len())
    }
}

/// One call for one machine.
#[derive(Clone, Debug)]
pub struct LaunchRequest {
    /// The decision behind it.
    pub launch: LaunchId,
    /// Which try it is, from 1. A new try may ask for something else and is a new call; a repeat of the same try is
    /// the same call.
    pub attempt: u32,
    /// Spec name for the tags.
    pub spec: String,
    /// GitHub scope for the tags, such as `acme/vision`.
    pub owner: String,
    /// Who makes it, for the tags: only that controller may end it before its deadline.
    pub controller: String,
    /// The runner's name.
    pub runner_name: String,
    /// When the machine must be gone.
    pub deadline: Deadline,
    /// What would do, best first; one region, one market, never empty.
    pub offers: Vec<Offer>,
    /// Highest spot price accepted.
    pub spot_price_max: Option<UsdPerHour>,
    /// The rendered script.
    pub user_data: UserData,
    /// Image to boot.
    pub image: Image,
    /// Root disk, GiB; none: the provider's default, or what the image needs where that is more.
    pub disk_gib: Option<u32>,
    /// Where it lives.
    pub network: Network,
    /// EC2 instance profile (name or ARN) for the job's own use; none by default.
    pub instance_profile: Option<String>,
    /// Snapshot of which the machine gets a volume of its own, gone with it; EC2's id.
    pub cache_snapshot: Option<String>,
    /// The user's own tags.
    pub tags: BTreeMap<String, String>,
    /// A local machine runs as one of these users, which no other machine has; without any, as the user that launches it.
    pub users: Vec<String>,
}

impl LaunchRequest {
    /// The idempotency token of this try.
    #[must_use]
    pub fn client_token(&self) -> String {
        format!("{}-{}", self.launch, self.attempt)
    }

    /// Our tags and the user's; ours win.
    #[must_use]
    pub fn all_tags(&self) -> BTreeMap<String, String> {
        let mut tags = self.tags.clone();
        tags.insert("Name".to_owned(), tags.get("Name").cloned().unwrap_or_else(|| self.runner_name.clone()));
        tags.insert(tag::LAUNCH.to_owned(), self.launch.to_string());
        tags.insert(tag::SPEC.to_owned(), self.spec.clone());
        tags.insert(tag::OWNER.to_owned(), self.owner.clone());
        tags.insert(tag::CONTROLLER.to_owned(), self.controller.clone());
        tags.insert(tag::RUNNER.to_owned(), self.runner_name.clone());
        tags.insert(tag::DEADLINE.to_owned(), self.deadline.to_string());
        tags
    }
}

/// What a launch call bought.
#[derive(Clone, Debug)]
pub struct Launched {
    /// The machine.
    pub id: InstanceId,
    /// The offer it came from; the zone is filled in where the provider says it.
    pub offer: Offer,
    /// Offers that were refused on the way.
    pub failures: Vec<crate::error::OfferFailure>,
}

/// Where an instance is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InstanceState {
    /// Bought, not running yet.
    Pending,
    /// Running.
    Running,
    /// On its way out; may still be billed.
    Stopping,
    /// Not running, but its disk is still there and billed.
    Stopped,
    /// Gone.
    Terminated,
}

impl fmt::Display for InstanceState {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Terminated => "terminated",
        })
    }
}

/// What the cloud says exists.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Instance {
    /// The cloud's id.
    pub id: InstanceId,
    /// The launch it came from; none when the tag was lost.
    pub launch: Option<LaunchId>,
    /// The spec's name; none when the tag was lost.
    pub spec: Option<String>,
    /// State now.
    pub state: InstanceState,
    /// Region, or `local`.
    pub region: String,
    /// Zone, where there is one.
    pub zone: Option<String>,
    /// Type, or `local`.
    pub instance_type: String,
    /// Spot or on-demand.
    pub market: Market,
    /// When the cloud started it.
    pub started_at: Timestamp,
    /// When it was told to end, and stopped to cost, where the cloud says so.
    pub ended_at: Option<Timestamp>,
    /// When it must be gone; none when the tag was lost.
    pub deadline: Option<Deadline>,
    /// GitHub scope.
    pub owner: Option<String>,
    /// Who made it ([`tag::CONTROLLER`]); none when the tag was lost.
    #[serde(default)]
    pub controller: Option<String>,
    /// The runner's name.
    pub runner_name: Option<String>,
    /// Why it ended, in the cloud's words, where it says so.
    pub ended_because: Option<String>,
    /// Whether the cloud took it back: a spot interruption.
    #[serde(default)]
    pub is_interrupted: bool,
}

impl Instance {
    /// True while it may cost money.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.state != InstanceState::Terminated
    }
}

/// Which instances to list. Empty fields do not filter.
#[derive(Clone, Debug, Default)]
pub struct InstanceFilter {
    /// Regions to look in; empty: the provider's default region.
    pub regions: Vec<String>,
    /// Only this launch.
    pub launch: Option<LaunchId>,
    /// Only this GitHub scope.
    pub owner: Option<String>,
    /// Only these, whatever their tags say.
    pub ids: Vec<InstanceId>,
}

/// A spot price and since when it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpotPrice {
    /// Region of the pool.
    pub region: String,
    /// Zone of the pool.
    pub zone: Option<String>,
    /// Type of the pool.
    pub instance_type: String,
    /// Since when, by the cloud's clock.
    pub since: Timestamp,
    /// The price.
    pub price: UsdPerHour,
}
