//! The command line as typed: flags, CML's flags, and the environment names that stand for them. No I/O.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::report::args::{
    CheckCommand, CommentCommand, PrCommand, Publish, RepoCommand, ReportCommand, TensorboardCommand,
    WorkflowCommand,
};
use crate::setup::SetupArgs;

/// A machine for one GitHub Actions job, on your own cloud account, gone when the job is done.
#[derive(Debug, Parser)]
// The last of a repeated option wins, so that a wrapper's defaults can be overridden.
#[command(
    name = "cml-runner",
    version,
    max_term_width = 110,
    disable_help_subcommand = true,
    args_override_self = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command understands.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// GitHub repository, organization or enterprise as a URL [default: GITHUB_REPOSITORY, then the git remote]
    #[arg(long, global = true, value_name = "URL", env = "CML_REPO", help_heading = "GitHub")]
    pub(crate) repo: Option<String>,
    /// GitHub token; prefer the environment [default: REPO_TOKEN, repo_token, GITHUB_TOKEN]
    #[arg(
        long,
        global = true,
        alias = "driver-token",
        env = "CML_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN",
        help_heading = "GitHub"
    )]
    pub(crate) token: Option<String>,
    /// GitHub App id, instead of a token
    #[arg(
        long,
        global = true,
        env = "CML_APP_ID",
        value_name = "ID",
        requires = "app_key_file",
        help_heading = "GitHub"
    )]
    pub(crate) app_id: Option<u64>,
    /// File with the App's private key (PEM)
    #[arg(
        long,
        global = true,
        env = "CML_APP_KEY_FILE",
        value_name = "FILE",
        requires = "app_id",
        help_heading = "GitHub"
    )]
    pub(crate) app_key_file: Option<PathBuf>,
    /// The App's installation; found by itself when not given
    #[arg(long, global = true, env = "CML_APP_INSTALLATION_ID", value_name = "ID", help_heading = "GitHub")]
    pub(crate) app_installation_id: Option<u64>,
    /// CML's name for the forge; only `github` is served
    #[arg(long, global = true, env = "CML_DRIVER", value_name = "NAME", hide = true)]
    pub(crate) driver: Option<String>,
    /// How much to say on stderr: error, warn, info, debug or trace [default: warn; info for the daemon]
    #[arg(long, global = true, env = "CML_LOG", value_name = "LEVEL")]
    pub(crate) log: Option<String>,
    /// Print one JSON object on stdout
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Obtain a machine, make it a runner, and return once it is online
    Launch(Box<Launch>),
    /// List machines and what GitHub says of their runners
    Ls(Where),
    /// End a machine by launch id, instance id or runner name
    Stop(Stop),
    /// End machines past their deadline or without a runner, and remove registrations without a machine
    Reap(Reap),
    /// Show what a machine wrote to its console
    Logs(Logs),
    /// Keep pools of runners as a cml.yaml says, for as long as it runs
    Daemon(Daemon),
    /// Print the user data that a launch would boot, without its secrets
    Render(Box<Render>),
    /// Check a cml.yaml
    Validate {
        /// The file; - for standard input
        #[arg(default_value = "cml.yaml")]
        file: PathBuf,
    },
    /// Print the JSON Schema of cml.yaml, for editors
    Schema,
    /// Say what a cml.yaml would launch now, where and for how much; touches nothing
    Plan(Plan),
    /// Play a cml.yaml against past jobs: what it would have cost, how long jobs would have waited
    Simulate(Simulate),
    /// See it work on this machine: a simulated GitHub, a local machine, a model trained
    Demo(Demo),
    /// Put a file where a comment can show it, and print its address or Markdown
    Publish(Publish),
    /// Write a report as a comment on a pull request, a commit or an issue
    Comment {
        /// What to do
        #[command(subcommand)]
        command: CommentCommand,
    },
    /// Write a report as a check run
    Check {
        /// What to do
        #[command(subcommand)]
        command: CheckCommand,
    },
    /// Open a pull request with what a job has changed
    Pr {
        /// What to do
        #[command(subcommand)]
        command: PrCommand,
    },
    /// Metrics, plots and gates for reports
    Report {
        /// What to do
        #[command(subcommand)]
        command: ReportCommand,
    },
    /// Run a workflow run again
    Workflow {
        /// What to do
        #[command(subcommand)]
        command: WorkflowCommand,
    },
    /// Make a CI checkout ready for work
    Repo {
        /// What to do
        #[command(subcommand)]
        command: RepoCommand,
    },
    /// What became of tensorboard.dev
    #[command(hide = true)]
    Tensorboard {
        /// What to do
        #[command(subcommand)]
        command: TensorboardCommand,
    },
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Run one local machine (used by the local provider itself)
    #[command(hide = true)]
    Supervise {
        /// The instance's directory
        dir: PathBuf,
    },
}

/// Flags of `render`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Render {
    /// Say what the parts are, how large, and what runs when, in place of the text
    #[arg(long)]
    pub(crate) explain: bool,
    #[command(flatten)]
    pub(crate) launch: Launch,
}

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// Clouds that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CloudName {
    /// Amazon EC2
    Aws,
    /// This machine
    Local,
}

/// Which markets may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Spot {
    /// Spot or nothing
    Only,
    /// Spot first, on-demand when there is none
    Prefer,
    /// On-demand only
    Never,
}

/// Flags of `launch`. CML's own spellings are aliases; those without a meaning here are accepted with a warning.
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
    /// The runner's name [default: cml-LAUNCH_ID]
    #[arg(long, env = "CML_RUNNER_NAME", help_heading = "Runner")]
    pub(crate) name: Option<String>,
    /// How long to wait for a job: 300, 5m, "1 day 2h"; never, 0 or -1 for no limit
    #[arg(
        long,
        env = "CML_RUNNER_IDLE_TIMEOUT",
        default_value = "5 minutes",
        value_name = "TIME",
        allow_hyphen_values = true,
        help_heading = "Runner"
    )]
    pub(crate) idle_timeout: String,
    /// One job, then gone (JIT configuration; no token on the machine). The default of `cml-runner launch`
    #[arg(long, env = "CML_RUNNER_SINGLE", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new(), visible_alias = "ephemeral", help_heading = "Runner")]
    pub(crate) single: bool,
    /// Many jobs until it has been idle. The default of CML's own spellings (`cml runner launch`, `cml-runner --labels …`)
    #[arg(long, env = "CML_RUNNER_REUSABLE", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new(), conflicts_with = "single", help_heading = "Runner")]
    pub(crate) reusable: bool,
    /// Launch nothing when a runner with these labels is online, even a busy one; implies --reusable
    #[arg(long, env = "CML_RUNNER_REUSE", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new(), help_heading = "Runner")]
    pub(crate) reuse: bool,
    /// Launch nothing when a runner with these labels is online and idle; implies --reusable
    #[arg(long, env = "CML_RUNNER_REUSE_IDLE", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new(), help_heading = "Runner")]
    pub(crate) reuse_idle: bool,
    /// Runner group id; 1 is the default group
    #[arg(
        long,
        env = "CML_RUNNER_GROUP_ID",
        default_value_t = 1,
        value_name = "ID",
        help_heading = "Runner"
    )]
    pub(crate) group_id: u64,
    /// Stay until the machine is gone
    #[arg(long, env = "CML_RUNNER_WAIT", help_heading = "Runner")]
    pub(crate) wait: bool,

    /// Where: aws or local. Without it: this machine, in the foreground, as CML does
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
    /// Which markets: only, prefer or never spot [default: never; prefer with --cloud-spot]
    #[arg(long, env = "CML_RUNNER_SPOT", help_heading = "Machine")]
    pub(crate) spot: Option<Spot>,
    /// CML's flag: the same as --spot prefer
    #[arg(long, env = "CML_RUNNER_CLOUD_SPOT", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new(), help_heading = "Machine")]
    pub(crate) cloud_spot: bool,
    /// Highest spot price, USD per hour; -1 for the on-demand price
    #[arg(
        long = "spot-price",
        alias = "cloud-spot-price",
        env = "CML_RUNNER_CLOUD_SPOT_PRICE",
        allow_hyphen_values = true,
        value_name = "USD",
        help_heading = "Machine"
    )]
    pub(crate) spot_price: Option<String>,
    /// Root disk, GB
    #[arg(
        long = "disk",
        visible_alias = "cloud-hdd-size",
        env = "CML_RUNNER_CLOUD_HDD_SIZE",
        default_value_t = 35,
        value_name = "GB",
        help_heading = "Machine"
    )]
    pub(crate) disk_gib: u32,
    /// Image: ubuntu-24.04, ubuntu-22.04, debian-12, amazon-linux-2023, ami-…, ssm:/path
    #[arg(long, visible_alias = "cloud-image", env = "CML_RUNNER_CLOUD_IMAGE", help_heading = "Machine")]
    pub(crate) image: Option<String>,
    /// Subnets, comma-separated [default: the default VPC's]
    #[arg(long = "subnet", aliases = ["cloud-aws-subnet", "cloud-aws-subnet-id"], env = "CML_RUNNER_CLOUD_AWS_SUBNET", value_delimiter = ',', help_heading = "Machine")]
    pub(crate) subnets: Vec<String>,
    /// Security group id or name [default: ours, with no inbound rule]
    #[arg(
        long = "security-group",
        alias = "cloud-aws-security-group",
        env = "CML_RUNNER_CLOUD_AWS_SECURITY_GROUP",
        help_heading = "Machine"
    )]
    pub(crate) security_group: Option<String>,
    /// Instance profile (name or ARN) for the job's own use of AWS [default: none]
    #[arg(
        long = "instance-profile",
        alias = "cloud-permission-set",
        env = "CML_RUNNER_CLOUD_PERMISSION_SET",
        value_name = "ARN",
        help_heading = "Machine"
    )]
    pub(crate) instance_profile: Option<String>,
    /// Tag on the machine, KEY=VALUE; may be repeated
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

    /// The machine ends after this long, whatever happens
    #[arg(
        long,
        env = "CML_RUNNER_MAX_LIFETIME",
        default_value = "12h",
        value_name = "TIME",
        help_heading = "Limits"
    )]
    pub(crate) max_lifetime: String,
    /// The machine ends when its runner has not come up in this time
    #[arg(
        long,
        env = "CML_RUNNER_BOOT_TIMEOUT",
        default_value = "10m",
        value_name = "TIME",
        help_heading = "Limits"
    )]
    pub(crate) boot_timeout: String,
    /// Launch id (ULID): a repeat with the same id makes no second machine
    #[arg(long, env = "CML_RUNNER_LAUNCH_ID", value_name = "ULID", help_heading = "Limits")]
    pub(crate) launch_id: Option<cml_cloud::LaunchId>,
    /// Runner package to install instead of the one GitHub names
    #[arg(
        long,
        env = "CML_RUNNER_PACKAGE_URL",
        value_name = "URL",
        requires = "package_sha256",
        help_heading = "Limits"
    )]
    pub(crate) package_url: Option<String>,
    /// SHA-256 of that package
    #[arg(long, env = "CML_RUNNER_PACKAGE_SHA256", value_name = "HEX", help_heading = "Limits")]
    pub(crate) package_sha256: Option<String>,

    #[command(flatten)]
    pub(crate) legacy: Legacy,
    #[command(flatten)]
    pub(crate) state: State,
}

/// CML's flags that have no meaning here: accepted, so that workflows keep working, each with a word why.
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

/// Where records and caches of this machine lie.
#[derive(Debug, Clone, Args)]
pub(crate) struct State {
    /// Directory of the local provider's machines [default: XDG_STATE_HOME/cml-runner]
    #[arg(long, env = "CML_RUNNER_STATE_DIR", value_name = "DIR", help_heading = "Machine")]
    pub(crate) state_dir: Option<PathBuf>,
}

/// Which machines a command looks at.
#[derive(Debug, Clone, Args)]
pub(crate) struct Where {
    /// Where: aws or local
    #[arg(long, env = "CML_RUNNER_CLOUD", default_value = "local")]
    pub(crate) cloud: CloudName,
    /// Regions, comma-separated
    #[arg(long = "region", alias = "cloud-region", env = "CML_RUNNER_CLOUD_REGION", value_delimiter = ',')]
    pub(crate) regions: Vec<String>,
    #[command(flatten)]
    pub(crate) state: State,
}

#[derive(Debug, Args)]
pub(crate) struct Stop {
    /// Launch id, instance id or runner name
    pub(crate) target: String,
    /// End it even while a job runs on it
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) place: Where,
}

#[derive(Debug, Args)]
pub(crate) struct Reap {
    /// Say what would be done, change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How old a machine without a runner (or a runner without a machine) must be
    #[arg(long, default_value = "15m", value_name = "TIME")]
    pub(crate) grace: String,
    #[command(flatten)]
    pub(crate) place: Where,
}

#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// Launch id, instance id or runner name
    pub(crate) target: String,
    #[command(flatten)]
    pub(crate) place: Where,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Directory for the metrics and the plot [default: a new one among the temporary files]
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Daemon {
    /// The cml.yaml; it is read again when it changes and on SIGHUP
    #[arg(long, env = "CML_RUNNER_CONFIG", value_name = "FILE", default_value = "cml.yaml")]
    pub(crate) config: PathBuf,
    /// Where webhooks, the page, the API and the metrics are served
    #[arg(long, env = "CML_RUNNER_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    pub(crate) listen: SocketAddr,
    /// File with the webhook's secret [default: the value of CML_RUNNER_WEBHOOK_SECRET; without either, only polls]
    #[arg(long, env = "CML_RUNNER_WEBHOOK_SECRET_FILE", value_name = "FILE")]
    pub(crate) webhook_secret_file: Option<PathBuf>,
    /// The journal [default: daemon.db in the state directory]
    #[arg(long, env = "CML_RUNNER_JOURNAL", value_name = "FILE")]
    pub(crate) journal: Option<PathBuf>,
    /// How events are written to stderr
    #[arg(long, env = "CML_RUNNER_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
    /// How often all jobs are asked for, 10s to 1h
    #[arg(long, env = "CML_RUNNER_POLL", value_name = "TIME", default_value = "60s")]
    pub(crate) poll: String,
    /// Runners registered at GitHub in a minute at most: so many at once, then one after the other; 0 is no limit
    /// [default: 75 on github.com, no limit on an Enterprise Server]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) registrations_per_minute: Option<u32>,
    #[command(flatten)]
    pub(crate) state: State,
}

#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// The cml.yaml
    pub(crate) spec: PathBuf,
    #[command(flatten)]
    pub(crate) state: State,
}

#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// The cml.yaml
    pub(crate) spec: PathBuf,
    /// Jobs, one JSON object a line: {"queued_at": "2026-11-02T09:00:00Z", "labels": ["gpu"], "seconds": 900}
    #[arg(long, value_name = "FILE", required_unless_present = "from_github")]
    pub(crate) jobs: Option<PathBuf>,
    /// The jobs of the repository's last days, as GitHub tells them
    #[arg(long, conflicts_with = "jobs")]
    pub(crate) from_github: bool,
    /// How many days of jobs, the latest ones
    #[arg(long, default_value_t = 28, value_parser = clap::value_parser!(u16).range(1..=366))]
    pub(crate) days: u16,
    /// Another cml.yaml to set beside the first
    #[arg(long, value_name = "FILE")]
    pub(crate) compare: Option<PathBuf>,
    /// Write a page with plots
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Where in the history of a real spot market it begins
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}
