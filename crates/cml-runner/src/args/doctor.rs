//! The flags of `doctor`.

use std::path::PathBuf;

use clap::Args;

use crate::args::{CloudName, Spot, State};

/// Flags of `doctor`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Doctor {
    /// The cml.yaml whose specs to check [default: cml.yaml, if it exists and no machine flag is given]
    #[arg(long, env = "CML_RUNNER_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Also check what the daemon needs: webhooks, jobs, additional permissions
    #[arg(long)]
    pub(crate) daemon: bool,
    /// Cloud to check, without a cml.yaml [default: aws]
    #[arg(long, env = "CML_RUNNER_CLOUD", help_heading = "Machine", conflicts_with = "config")]
    pub(crate) cloud: Option<CloudName>,
    /// Root disk size in GB [default: 35, or the size of the image if larger]
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
    /// Spot policy [default: never]
    #[arg(long, env = "CML_RUNNER_SPOT", help_heading = "Machine", conflicts_with = "config")]
    pub(crate) spot: Option<Spot>,
    /// Machine image, as for launch
    #[arg(
        long,
        alias = "cloud-image",
        env = "CML_RUNNER_CLOUD_IMAGE",
        help_heading = "Machine",
        conflicts_with = "config"
    )]
    pub(crate) image: Option<String>,
    /// Subnet ids, comma-separated [default: the subnets of the default VPC]
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
