//! The flags of `launch`, with CML's spellings.

use clap::{ArgAction, Args};

use super::{CloudName, Spot, State};
use crate::setup::SetupArgs;

/// Flags of `launch`. CML's own flags are aliases; those without an effect are accepted with a warning.
#[derive(Debug, Clone, Args)]
pub(crate) struct Launch {
    /// Labels of the runner, comma-separated
    #[arg(
        long,
        env = "CML_RUNNER_LABELS",
        default_value = "cml",
        value_delimiter = ',',
        help_heading = "Runner"
    )]
    pub(crate) labels: Vec<String>,
    /// Add the default labels (self-hosted, linux, and x64 or arm64). The runner then also takes jobs that request only these
    #[arg(long, env = "CML_RUNNER_DEFAULT_LABELS", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new(), help_heading = "Runner")]
    pub(crate) default_labels: bool,
    /// Runner name [default: cml-LAUNCH_ID]
    #[arg(long, env = "CML_RUNNER_NAME", help_heading = "Runner")]
    pub(crate) name: Option<String>,
    /// Idle time after which the runner stops: 300, 5m, "1 day 2h"; never, 0 or -1 for no limit
    #[arg(
        long,
        env = "CML_RUNNER_IDLE_TIMEOUT",
        default_value = "5 minutes",
        value_name = "DURATION",
        allow_hyphen_values = true,
        help_heading = "Runner"
    )]
    pub(crate) idle_timeout: String,
    /// Run one job, then terminate (JIT configuration; no token on the machine). Default for `cml-runner launch`
    #[arg(long, env = "CML_RUNNER_SINGLE", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", hide_default_value = true, default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new(), visible_alias = "ephemeral", help_heading = "Runner")]
    pub(crate) single: bool,
    /// Run jobs until the idle timeout. Default for CML's own commands (`cml runner launch`, `cml-runner --labels …`)
    #[arg(long, env = "CML_RUNNER_REUSABLE", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", hide_default_value = true, default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new(), conflicts_with = "single", help_heading = "Runner")]
    pub(crate) reusable: bool,
    /// Skip the launch if a runner with these labels is online, even a busy one; implies --reusable
    #[arg(long, env = "CML_RUNNER_REUSE", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", hide_default_value = true, default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new(), help_heading = "Runner")]
    pub(crate) reuse: bool,
    /// Skip the launch if a runner with these labels is online and idle; implies --reusable
    #[arg(long, env = "CML_RUNNER_REUSE_IDLE", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", hide_default_value = true, default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new(), help_heading = "Runner")]
    pub(crate) reuse_idle: bool,
    /// Runner group id (1 is the default group)
    #[arg(
        long,
        env = "CML_RUNNER_GROUP_ID",
        default_value_t = 1,
        value_name = "ID",
        help_heading = "Runner"
    )]
    pub(crate) group_id: u64,
    /// Wait until the machine is terminated
    #[arg(long, env = "CML_RUNNER_WAIT", help_heading = "Runner")]
    pub(crate) wait: bool,

    /// Cloud to launch on. If unset, the runner runs on this machine in the foreground, as in CML
    #[arg(long, env = "CML_RUNNER_CLOUD", help_heading = "Machine")]
    pub(crate) cloud: Option<CloudName>,
    /// Regions in order of preference, comma-separated
    #[arg(
        long = "region",
        alias = "cloud-region",
        env = "CML_RUNNER_CLOUD_REGION",
        value_delimiter = ',',
        help_heading = "Machine"
    )]
    pub(crate) regions: Vec<String>,
    /// Instance types or sizes (s, m, l, xl, m+t4), comma-separated
    #[arg(
        long = "type",
        visible_alias = "cloud-type",
        env = "CML_RUNNER_CLOUD_TYPE",
        value_delimiter = ',',
        help_heading = "Machine"
    )]
    pub(crate) types: Vec<String>,
    /// GPU model: t4, a10g, l4, v100, …
    #[arg(long, visible_alias = "cloud-gpu", env = "CML_RUNNER_CLOUD_GPU", help_heading = "Machine")]
    pub(crate) gpu: Option<String>,
    /// Spot policy [default: never; prefer with --cloud-spot]
    #[arg(long, env = "CML_RUNNER_SPOT", help_heading = "Machine")]
    pub(crate) spot: Option<Spot>,
    /// Same as --spot prefer (CML's flag)
    #[arg(long, env = "CML_RUNNER_CLOUD_SPOT", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", hide_default_value = true, default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new(), help_heading = "Machine")]
    pub(crate) cloud_spot: bool,
    /// Maximum spot price in USD per hour; -1 for the on-demand price
    #[arg(
        long = "spot-price",
        alias = "cloud-spot-price",
        env = "CML_RUNNER_CLOUD_SPOT_PRICE",
        allow_hyphen_values = true,
        value_name = "USD",
        help_heading = "Machine"
    )]
    pub(crate) spot_price: Option<String>,
    /// Root disk size in GB [default: 35, or the size of the image if larger]
    #[arg(
        long = "disk",
        visible_alias = "cloud-hdd-size",
        env = "CML_RUNNER_CLOUD_HDD_SIZE",
        value_name = "GB",
        help_heading = "Machine"
    )]
    pub(crate) disk_gib: Option<u32>,
    /// Machine image: ubuntu-24.04, ubuntu-22.04, debian-12, amazon-linux-2023, ami-…, ssm:/path
    #[arg(long, visible_alias = "cloud-image", env = "CML_RUNNER_CLOUD_IMAGE", help_heading = "Machine")]
    pub(crate) image: Option<String>,
    /// Subnet ids, comma-separated [default: the subnets of the default VPC]
    #[arg(long = "subnet", aliases = ["cloud-aws-subnet", "cloud-aws-subnet-id"], env = "CML_RUNNER_CLOUD_AWS_SUBNET", value_delimiter = ',', help_heading = "Machine")]
    pub(crate) subnets: Vec<String>,
    /// Security group id or name [default: a managed group without inbound rules]
    #[arg(
        long = "security-group",
        alias = "cloud-aws-security-group",
        env = "CML_RUNNER_CLOUD_AWS_SECURITY_GROUP",
        help_heading = "Machine"
    )]
    pub(crate) security_group: Option<String>,
    /// Instance profile (name or ARN) that gives jobs access to AWS [default: none]
    #[arg(
        long = "instance-profile",
        alias = "cloud-permission-set",
        env = "CML_RUNNER_CLOUD_PERMISSION_SET",
        value_name = "ARN",
        help_heading = "Machine"
    )]
    pub(crate) instance_profile: Option<String>,
    /// Tag for the machine, KEY=VALUE; repeatable
    #[arg(
        long = "tag",
        visible_alias = "cloud-metadata",
        env = "CML_RUNNER_CLOUD_METADATA",
        value_name = "KEY=VALUE",
        help_heading = "Machine"
    )]
    pub(crate) tags: Vec<String>,
    #[command(flatten)]
    pub(crate) setup: SetupArgs,

    /// Maximum lifetime of the machine; it is terminated after this time even if a job is running
    #[arg(
        long,
        env = "CML_RUNNER_MAX_LIFETIME",
        default_value = "12h",
        value_name = "DURATION",
        help_heading = "Limits"
    )]
    pub(crate) max_lifetime: String,
    /// Maximum time until the runner is online; the machine is terminated after it
    #[arg(
        long,
        env = "CML_RUNNER_BOOT_TIMEOUT",
        default_value = "10m",
        value_name = "DURATION",
        help_heading = "Limits"
    )]
    pub(crate) boot_timeout: String,
    /// Launch id (ULID) for idempotent retries: the same id never launches a second machine
    #[arg(long, env = "CML_RUNNER_LAUNCH_ID", value_name = "ULID", help_heading = "Limits")]
    pub(crate) launch_id: Option<cml_cloud::LaunchId>,
    /// URL of the runner package to install [default: the one that GitHub recommends]
    #[arg(
        long,
        env = "CML_RUNNER_PACKAGE_URL",
        value_name = "URL",
        requires = "package_sha256",
        help_heading = "Limits"
    )]
    pub(crate) package_url: Option<String>,
    /// SHA-256 of the runner package
    #[arg(long, env = "CML_RUNNER_PACKAGE_SHA256", value_name = "HEX", help_heading = "Limits")]
    pub(crate) package_sha256: Option<String>,

    #[command(flatten)]
    pub(crate) legacy: Legacy,
    #[command(flatten)]
    pub(crate) state: State,
}

/// CML's flags without an effect: accepted with a warning, so that workflows keep working.
#[derive(Debug, Clone, Args)]
pub(crate) struct Legacy {
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "true", env = "CML_RUNNER_NO_RETRY")]
    pub(crate) no_retry: Option<String>,
    #[arg(long, hide = true, env = "CML_RUNNER_DOCKER_VOLUMES")]
    pub(crate) docker_volumes: Vec<String>,
    #[arg(long, hide = true, env = "CML_RUNNER_CLOUD_SSH_PRIVATE", hide_env_values = true)]
    pub(crate) cloud_ssh_private: Option<String>,
    #[arg(long, hide = true, env = "CML_RUNNER_CLOUD_KUBERNETES_NODE_SELECTOR")]
    pub(crate) cloud_kubernetes_node_selector: Vec<String>,
    #[arg(long, hide = true, alias = "path", env = "CML_RUNNER_WORKDIR")]
    pub(crate) workdir: Option<String>,
    #[arg(long, hide = true, env = "CML_RUNNER_TPI_VERSION")]
    pub(crate) tpi_version: Option<String>,
    #[arg(long, hide = true, env = "CML_RUNNER_CML_VERSION")]
    pub(crate) cml_version: Option<String>,
    #[arg(long, hide = true, env = "CML_RUNNER_TF_RESOURCE")]
    pub(crate) tf_resource: Option<String>,
    #[arg(long, hide = true, env = "CML_RUNNER_DESTROY_DELAY")]
    pub(crate) destroy_delay: Option<String>,
}
