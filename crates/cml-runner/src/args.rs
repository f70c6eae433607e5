//! The command line as typed: flags, CML's flags, and the environment names that stand for them. No I/O.

mod doctor;
mod global;
mod launch;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::cost::args::Cost;
use crate::init::Init;
use crate::prices::args::PricesCommand;
use crate::report::args::{
    CheckCommand, CommentCommand, PrCommand, Publish, RepoCommand, ReportCommand, TensorboardCommand,
    WorkflowCommand,
};

pub(crate) use doctor::Doctor;
pub(crate) use global::Global;
pub(crate) use launch::{Launch, Legacy};

/// Ephemeral GitHub Actions runners on EC2 in your own AWS account: one machine per job, terminated when the job ends.
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

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Launch a machine and wait until its runner is online
    Launch(Box<Launch>),
    /// List machines and the status of their runners at GitHub
    Ls(Where),
    /// Terminate a machine by launch id, instance id or runner name
    Stop(Stop),
    /// Terminate expired and orphaned machines, and remove runners without a machine
    Reap(Reap),
    /// Print the console output of a machine
    Logs(Logs),
    /// Run the autoscaler for the pools in cml.yaml
    Daemon(Daemon),
    /// Create a cml.yaml and a workflow for a repository, and list the remaining steps
    Init(Init),
    /// Print the user data of a launch, without secrets
    Render(Box<Render>),
    /// Validate a cml.yaml
    Validate {
        /// Path of the file, or - for standard input
        #[arg(default_value = "cml.yaml")]
        file: PathBuf,
    },
    /// Print the JSON Schema of cml.yaml, for use in editors
    Schema,
    /// Show what a cml.yaml would launch now, where and at what price (read-only)
    Plan(Plan),
    /// Check that everything needed for a launch is in place
    Doctor(Box<Doctor>),
    /// Report costs by job, repository, user or spec
    Cost(Box<Cost>),
    /// Show and refresh EC2 prices
    Prices {
        /// Subcommand
        #[command(subcommand)]
        command: PricesCommand,
    },
    /// Replay past jobs against a cml.yaml to estimate cost and wait times
    Simulate(Simulate),
    /// Run a demo on this machine: a simulated GitHub, a local runner and a training job
    Demo(Demo),
    /// Upload a file and print a URL or Markdown for it
    Publish(Publish),
    /// Post a report as a comment on a pull request, commit or issue
    Comment {
        /// Subcommand
        #[command(subcommand)]
        command: CommentCommand,
    },
    /// Post a report as a check run
    Check {
        /// Subcommand
        #[command(subcommand)]
        command: CheckCommand,
    },
    /// Open a pull request with the files that a job changed
    Pr {
        /// Subcommand
        #[command(subcommand)]
        command: PrCommand,
    },
    /// Create metric tables and plots for reports, and check metrics
    Report {
        /// Subcommand
        #[command(subcommand)]
        command: ReportCommand,
    },
    /// Rerun a workflow run
    Workflow {
        /// Subcommand
        #[command(subcommand)]
        command: WorkflowCommand,
    },
    /// Prepare a CI checkout for commits and comparisons
    Repo {
        /// Subcommand
        #[command(subcommand)]
        command: RepoCommand,
    },
    /// Explain the replacement for tensorboard.dev
    #[command(hide = true)]
    Tensorboard {
        /// Subcommand
        #[command(subcommand)]
        command: TensorboardCommand,
    },
    /// Print a shell completion script
    Completions {
        /// Shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages of all commands to a directory
    Man {
        /// Output directory; created if missing
        dir: PathBuf,
    },
    /// Supervise one local machine (internal; used by the local provider)
    #[command(hide = true)]
    Supervise {
        /// Directory of the instance
        dir: PathBuf,
    },
}

/// Flags of `render`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Render {
    /// List the parts, their sizes and the boot order instead of printing the user data
    #[arg(long)]
    pub(crate) explain: bool,
    #[command(flatten)]
    pub(crate) launch: Launch,
}

/// Log formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Human-readable text
    Text,
    /// One JSON object per line
    Json,
}

/// Supported clouds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CloudName {
    /// Amazon EC2
    Aws,
    /// This machine
    Local,
}

/// Spot policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Spot {
    /// Spot only
    Only,
    /// Spot first, on-demand if no spot capacity is available
    Prefer,
    /// On-demand only
    Never,
}

/// Location of local records.
#[derive(Debug, Clone, Args)]
pub(crate) struct State {
    /// Directory for journals, prices and local machines [default: XDG_STATE_HOME/cml-runner]
    #[arg(long, env = "CML_RUNNER_STATE_DIR", value_name = "DIR", help_heading = "Machine")]
    pub(crate) state_dir: Option<PathBuf>,
}

/// The machines that a command operates on.
#[derive(Debug, Clone, Args)]
pub(crate) struct Where {
    /// Cloud of the machines
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
    /// Terminate the machine even if it is running a job
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) place: Where,
}

#[derive(Debug, Args)]
pub(crate) struct Reap {
    /// Show what would be done without changing anything
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Minimum age of a machine without a runner, or of a runner without a machine
    #[arg(long, default_value = "15m", value_name = "DURATION")]
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
    /// Output directory for the metrics and the plot [default: a new temporary directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Daemon {
    /// Configuration file; reloaded when it changes and on SIGHUP
    #[arg(long, env = "CML_RUNNER_CONFIG", value_name = "FILE", default_value = "cml.yaml")]
    pub(crate) config: PathBuf,
    /// Address to serve webhooks, the dashboard, the API and metrics on
    #[arg(long, env = "CML_RUNNER_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    pub(crate) listen: SocketAddr,
    /// Public URL of the dashboard behind a proxy, such as https://runners.example.com. Cookies are then restricted to
    /// HTTPS, and requests for this host name are accepted even if no token is set
    #[arg(long, env = "CML_RUNNER_PUBLIC_URL", value_name = "URL")]
    pub(crate) public_url: Option<String>,
    /// File with the webhook secret, at least 16 characters [default: CML_RUNNER_WEBHOOK_SECRET; without a secret, polling only]
    #[arg(long, env = "CML_RUNNER_WEBHOOK_SECRET_FILE", value_name = "FILE")]
    pub(crate) webhook_secret_file: Option<PathBuf>,
    /// Journal file [default: daemon.db in the state directory]
    #[arg(long, env = "CML_RUNNER_JOURNAL", value_name = "FILE")]
    pub(crate) journal: Option<PathBuf>,
    /// Controller name for the machines' tags: only the daemon with this name terminates them before their deadline.
    /// Set it if the journal can be lost [default: the journal's generated name]
    #[arg(long, env = "CML_RUNNER_CONTROLLER", value_name = "NAME", value_parser = controller)]
    pub(crate) controller: Option<String>,
    /// Log format on stderr
    #[arg(long, env = "CML_RUNNER_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
    /// Interval between polls of GitHub for all jobs, 10s to 1h
    #[arg(long, env = "CML_RUNNER_POLL", value_name = "DURATION", default_value = "60s")]
    pub(crate) poll: String,
    /// Interval between price refreshes from AWS, for reports, 10s to 30d; the first is ten minutes after the start
    #[arg(long, env = "CML_RUNNER_PRICES_EVERY", value_name = "DURATION", default_value = "1d")]
    pub(crate) prices_every: String,
    /// Maximum number of runners to register at GitHub per minute: a burst of this size, then evenly spaced; 0 for no
    /// limit [default: 75 on github.com, no limit on GitHub Enterprise Server]
    #[arg(long, value_name = "N")]
    pub(crate) registrations_per_minute: Option<u32>,
    #[command(flatten)]
    pub(crate) state: State,
}

/// Parses a controller name that is valid in a tag and not reserved for `cml-runner launch`.
fn controller(text: &str) -> Result<String, String> {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.');
    if text.is_empty() || text.len() > 64 || !text.chars().all(is_plain) {
        return Err("write 1 to 64 letters, digits, -, _ and .".to_owned());
    }
    if text == cml_controller::LAUNCH {
        return Err(format!(
            "{text} is what machines of `cml-runner launch` are tagged with: choose another"
        ));
    }
    Ok(text.to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// Path of the cml.yaml
    pub(crate) spec: PathBuf,
    /// Count only the machines of this daemon (`daemon --controller`) [default: those of every daemon of the scope]
    #[arg(long, env = "CML_RUNNER_CONTROLLER", value_name = "NAME", value_parser = controller)]
    pub(crate) controller: Option<String>,
    #[command(flatten)]
    pub(crate) state: State,
}

#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// Path of the cml.yaml
    pub(crate) spec: PathBuf,
    /// File with jobs, one JSON object per line: {"queued_at": "2026-11-02T09:00:00Z", "labels": ["gpu"], "seconds": 900}
    #[arg(long, value_name = "FILE")]
    pub(crate) jobs: Option<PathBuf>,
    /// Use the repository's recent jobs, from the GitHub API
    #[arg(long, conflicts_with = "jobs")]
    pub(crate) from_github: bool,
    /// Number of days of jobs to use, the most recent ones
    #[arg(long, default_value_t = 28, value_parser = clap::value_parser!(u16).range(1..=366))]
    pub(crate) days: u16,
    /// Another cml.yaml to compare with the first
    #[arg(long, value_name = "FILE")]
    pub(crate) compare: Option<PathBuf>,
    /// Write an HTML report with plots to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Random seed for the starting point in the recorded spot market history
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}
