//! The flags of `doctor`.

use std::path::PathBuf;

use clap::Args;

use crate::args::{CloudName, Spot, State};

/// Flags of `doctor`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Doctor {
    /// The cml.yaml whose specs are looked at [default: cml.yaml, if it is here and no flag says what to look at]
    #[arg(long, env = "CML_RUNNER_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Also look at what the daemon needs beside: webhooks, jobs, further permissions
    #[arg(long)]
    pub(crate) daemon: bool,
    /// Where machines come from, without a cml.yaml [default: aws]
    #[arg(long, env = "CML_RUNNER_CLOUD", help_heading = "Machine", conflicts_with = "config")]
    pub(crate) cloud: Option<CloudName>,
    /// Root disk, GB [default: 35, or what the image needs where that is more]
    #[arg(
        long = "disk",
        alias = "cloud-hdd-size",
        value_name = "GB",
        value_parser = clap::value_parser!(u32).range(1..),
        help_heading = "Machine",
        conflicts_with = "config"
    )]
    pub(crate) disk_gib: Option<u32>,
    /// Regions, comma-separated
    #[arg(
        long = "region",
        alias = "cloud-region",
        env = "CML_RUNNER_CLOUD_REGION",
        value_delimiter = ',',
        help_heading = "Machine",
        conflicts_with = "config"
    )]
    pub(crate) regions: Vec<String>,
    /// Instance types or sizes (s, m, l, xl, m+t4), comma-separated
    #[arg(
        long = "type",
        alias = "cloud-type",
        env = "CML_RUNNER_CLOUD_TYPE",
        value_delimiter = ',',
        help_heading = "Machine",
        conflicts_with = "config"
    )]
    pub(crate) types: Vec<String>,
    /// Which markets: only, prefer or never spot [default: never]
    #[arg(long, env = "CML_RUNNER_SPOT", help_heading = "Machine", conflicts_with = "config")]
    pub(crate) spot: Option<Spot>,
    /// Image, as for launch
    #[arg(
        long,
        alias = "cloud-image",
        env = "CML_RUNNER_CLOUD_IMAGE",
        help_heading = "Machine",
        conflicts_with = "config"
    )]
    pub(crate) image: Option<String>,
    /// Subnets, comma-separated [default: the default VPC's]
    #[arg(
        long = "subnet",
        env = "CML_RUNNER_CLOUD_AWS_SUBNET",
        value_delimiter = ',',
        help_heading = "Machine",
        conflicts_with = "config"
    )]
    pub(crate) subnets: Vec<String>,
    /// Security group id or name
    #[arg(
        long = "security-group",
        env = "CML_RUNNER_CLOUD_AWS_SECURITY_GROUP",
        help_heading = "Machine",
        conflicts_with = "config"
    )]
    pub(crate) security_group: Option<String>,
    #[command(flatten)]
    pub(crate) state: State,
}
