//! Types of a cloud: offers, requests, instances.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use rust_decimal::Decimal;
use secrecy::{ExposeSecret, SecretSlice};
use serde::{Deserialize, Serialize};

use crate::ids::{Deadline, InstanceId, LaunchId};
use crate::money::{Disk, UsdPerHour};

/// Keys of the tags that every instance of this program has from its first moment.
pub mod tag {
    /// The launch id.
    pub const LAUNCH: &str = "cml-runner:launch";
    /// The pool's name, or `launch` for a launch without one.
    pub const SPEC: &str = "cml-runner:spec";
    /// The deadline, RFC 3339 in UTC.
    pub const DEADLINE: &str = "cml-runner:deadline";
    /// The GitHub scope that it works for, such as `acme/vision`.
    pub const OWNER: &str = "cml-runner:owner";
    /// The runner's name at GitHub.
    pub const RUNNER: &str = "cml-runner:runner";
    /// The controller that made it and may end it: the id of a daemon's journal, or `launch` for a launch without a
    /// daemon.
    pub const CONTROLLER: &str = "cml-runner:controller";
    /// Number of tags that the program adds to the user's: these, and `Name`.
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
    /// Formats as GitHub names runner packages: `x64`, `arm64`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::X64 => "x64",
            Self::Arm64 => "arm64",
        })
    }
}

/// Market in which capacity is bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Market {
    /// Spare capacity that the cloud may interrupt.
    Spot,
    /// Capacity at the list price; kept until terminated.
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

/// Markets that a launch may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpotPolicy {
    /// Spot only.
    Only,
    /// Spot first, on-demand when spot is unavailable.
    Prefer,
    /// On-demand only.
    Never,
}

/// Accelerators of one instance.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Gpu {
    /// Lower-case model name: `t4`, `a10g`.
    pub name: String,
    /// Number of accelerators.
    pub count: u32,
    /// Memory of one, MiB; 0 when unknown.
    pub memory_mib: u64,
}

impl Gpu {
    /// Returns whether CUDA runs on it: on all of EC2's except AMD's.
    #[must_use]
    pub fn runs_cuda(&self) -> bool {
        !self.name.starts_with("radeon")
    }
}

/// The accelerator's driver that a machine's image must contain. Types of different drivers never share a launch call:
/// a call boots one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Driver {
    /// No accelerator, or one that needs no driver.
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
    /// That of another accelerator, for which no default image is known.
    Other,
}

/// Resources of a machine.
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

/// One way to buy a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// `us-east-1`, or `local`.
    pub region: String,
    /// `us-east-1a`; `None` for any zone of the region.
    pub zone: Option<String>,
    /// `g4dn.xlarge`, or `local`.
    pub instance_type: String,
    /// Spot or on-demand.
    pub market: Market,
    /// Hourly price, where known.
    pub price: Option<UsdPerHour>,
    /// Its resources.
    pub resources: Resources,
    /// All its disks together, where they cost anything; unknown for offers recorded before disks were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<Disk>,
    /// The provider's quota that it counts against, by the provider's name: offers of one region, market and quota
    /// count together. `None`: no quota is known, and it counts alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<String>,
    /// The driver that its image must contain.
    #[serde(default)]
    pub driver: Driver,
}

impl Offer {
    /// Returns its maximum cost an hour, its disk included.
    #[must_use]
    pub fn hourly_at_most(&self) -> Option<UsdPerHour> {
        let disk = self.disk.map_or(Decimal::ZERO, |disk| disk.hourly_at_most().0);
        self.price.map(|price| UsdPerHour(price.0 + disk))
    }
}

/// Requirements for a machine, where the user names no types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceRequirements {
    /// Acceptable GPU models (`a10g`); empty: any that runs CUDA. `None`: no GPU.
    pub gpu: Option<Vec<String>>,
    /// Number of GPUs.
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

/// An inclusive range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Range {
    /// Minimum.
    pub least: u64,
    /// Maximum; `None`: unlimited.
    pub most: Option<u64>,
}

impl Range {
    /// Returns whether the range includes an amount.
    #[must_use]
    pub fn contains(&self, amount: u64) -> bool {
        amount >= self.least && self.most.is_none_or(|most| amount <= most)
    }
}

/// A query for offers, in the user's terms; the provider resolves aliases.
#[derive(Clone, Debug)]
pub struct OfferQuery {
    /// Regions in order of preference; CML's aliases (`us-west`) are accepted. Empty: the provider's default.
    pub regions: Vec<String>,
    /// Instance types or CML's sizes (`m`, `m+t4`); empty: the provider's default.
    pub types: Vec<String>,
    /// Requirements for the machine, instead of types.
    pub needs: Option<InstanceRequirements>,
    /// GPU model in addition to the type (`t4`); CML's `nogpu` is none.
    pub gpu: Option<String>,
    /// Allowed markets.
    pub spot: SpotPolicy,
    /// Highest spot price accepted.
    pub spot_price_max: Option<UsdPerHour>,
    /// Subnets and groups of the machine; they limit the zones.
    pub network: Network,
    /// Image to boot: it determines the minimum size of the disks.
    pub image: Image,
    /// Root disk, GiB; `None`: the provider's default, or what the image needs where that is more.
    pub disk_gib: Option<u32>,
    /// Snapshot for one more disk.
    pub cache_snapshot: Option<String>,
}

/// The image to boot.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Image {
    /// An alias (`ubuntu-24.04`), an `ami-…` id, an `ssm:/path`, or `None` for the provider's default.
    pub name: Option<String>,
}

/// Placement of the machine in the cloud's network; all optional.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Network {
    /// Subnet ids; none: the default VPC's.
    pub subnets: Vec<String>,
    /// Security group id or name; `None`: this program's, without any inbound rule.
    pub security_group: Option<String>,
}

/// The script that turns a machine into a runner. Secret: it contains the runner's registration.
#[derive(Clone)]
pub struct UserData(SecretSlice<u8>);

impl UserData {
    /// Wraps the rendered bytes.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(SecretSlice::from(bytes))
    }

    /// Returns the bytes; for the launch call only.
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

/// Request for one machine.
#[derive(Clone, Debug)]
pub struct LaunchRequest {
    /// The launch.
    pub launch: LaunchId,
    /// Number of the attempt, from 1. A new attempt may request something else and is a new call; a repeat of the same
    /// attempt is the same call.
    pub attempt: u32,
    /// Pool name for the tags.
    pub spec: String,
    /// GitHub scope for the tags, such as `acme/vision`.
    pub owner: String,
    /// Name of the controller, for the tags: only that controller may end it before its deadline.
    pub controller: String,
    /// The runner's name.
    pub runner_name: String,
    /// The time after which the machine must not exist.
    pub deadline: Deadline,
    /// Acceptable offers, best first; one region, one market, never empty.
    pub offers: Vec<Offer>,
    /// Highest spot price accepted.
    pub spot_price_max: Option<UsdPerHour>,
    /// The rendered script.
    pub user_data: UserData,
    /// Image to boot.
    pub image: Image,
    /// Root disk, GiB; `None`: the provider's default, or what the image needs where that is more.
    pub disk_gib: Option<u32>,
    /// Its network.
    pub network: Network,
    /// EC2 instance profile (name or ARN) for the job's own use. Default: none.
    pub instance_profile: Option<String>,
    /// Snapshot from which the machine gets a volume of its own, deleted with it; EC2's id.
    pub cache_snapshot: Option<String>,
    /// The user's own tags.
    pub tags: BTreeMap<String, String>,
    /// Users for local machines: each runs as one of these, which no other machine has; without any, as the user that
    /// launches it.
    pub users: Vec<String>,
}

impl LaunchRequest {
    /// Returns the idempotency token of this attempt.
    #[must_use]
    pub fn client_token(&self) -> String {
        format!("{}-{}", self.launch, self.attempt)
    }

    /// Returns this program's tags and the user's; this program's take precedence.
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

/// Result of a launch call.
#[derive(Clone, Debug)]
pub struct Launched {
    /// The machine.
    pub id: InstanceId,
    /// The offer that was bought; the zone is filled in where the provider reports it.
    pub offer: Offer,
    /// Offers that were refused before it.
    pub failures: Vec<crate::error::OfferFailure>,
}

/// State of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InstanceState {
    /// Bought, not running yet.
    Pending,
    /// Running.
    Running,
    /// Ending; may still be billed.
    Stopping,
    /// Not running, but its disk still exists and is billed.
    Stopped,
    /// It no longer exists.
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

/// An instance as its cloud reports it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Instance {
    /// The cloud's id.
    pub id: InstanceId,
    /// The launch that it belongs to; `None` when the tag was lost.
    pub launch: Option<LaunchId>,
    /// The pool's name; `None` when the tag was lost.
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
    /// Time at which the cloud started it.
    pub started_at: Timestamp,
    /// Time at which its termination was requested and its billing stopped, where the cloud reports it.
    pub ended_at: Option<Timestamp>,
    /// The time after which it must not exist; `None` when the tag was lost.
    pub deadline: Option<Deadline>,
    /// GitHub scope.
    pub owner: Option<String>,
    /// Name of its controller ([`tag::CONTROLLER`]); `None` when the tag was lost.
    #[serde(default)]
    pub controller: Option<String>,
    /// The runner's name.
    pub runner_name: Option<String>,
    /// Reason of its end, in the cloud's words, where it is reported.
    pub ended_because: Option<String>,
    /// Whether its end was a spot interruption. `ls --json` has it under this key.
    #[serde(default, rename = "taken_back")]
    pub is_interrupted: bool,
}

impl Instance {
    /// Returns true while it may cost money.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.state != InstanceState::Terminated
    }
}

/// Filter of a list of instances. Empty fields do not filter.
#[derive(Clone, Debug, Default)]
pub struct InstanceFilter {
    /// Regions to list; empty: the provider's default region.
    pub regions: Vec<String>,
    /// Only this launch.
    pub launch: Option<LaunchId>,
    /// Only this GitHub scope.
    pub owner: Option<String>,
    /// Only these ids, whatever their tags.
    pub ids: Vec<InstanceId>,
}

/// A spot price and the time from which it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpotPrice {
    /// Region of the capacity pool.
    pub region: String,
    /// Zone of the capacity pool.
    pub zone: Option<String>,
    /// Instance type of the capacity pool.
    pub instance_type: String,
    /// Time from which it holds, by the cloud's clock.
    pub since: Timestamp,
    /// The price.
    pub price: UsdPerHour,
}
