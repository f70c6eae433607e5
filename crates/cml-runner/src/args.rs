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

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Obtain a machine, make it a runner, and return once it is online
    Launch(Box<Launch>),
    /// List machines and what GitHub says of their runners
    Ls(Where),
    /// End a machine by launch id, instance id or runner name
    Stop(Stop),
    /// End machines past their deadline, and remove runners without a machine
    Reap(Reap),
    /// Show what a machine wrote to its console
    Logs(Logs),
    /// Keep pools of runners as a cml.yaml says, for as long as it runs
    Daemon(Daemon),
    /// Write a cml.yaml and a workflow for a repository, and say what is left to do
    Init(Init),
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
    /// Say what stands in the way of a launch, and what to do about it; launches nothing
    Doctor(Box<Doctor>),
    /// Say what machines cost, whose money it was and what was wasted
    Cost(Box<Cost>),
    /// What machines cost where, and asking AWS for it
    Prices {
        /// What to do
        #[command(subcommand)]
        command: PricesCommand,
    },
    /// Play a cml.yaml against past jobs: what it would have cost, who would have waited
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
    /// Write the manual pages of all commands into a directory
    Man {
        /// The directory; made where it is missing
        dir: PathBuf,
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
    /// Where people look at the page through a proxy, such as https://runners.example.com: cookies stay with https, and
    /// without a token this name is answered, too
    #[arg(long, env = "CML_RUNNER_PUBLIC_URL", value_name = "URL")]
    pub(crate) public_url: Option<String>,
    /// File with the webhook's secret, 16 characters or more [default: the value of CML_RUNNER_WEBHOOK_SECRET; without either, only polls]
    #[arg(long, env = "CML_RUNNER_WEBHOOK_SECRET_FILE", value_name = "FILE")]
    pub(crate) webhook_secret_file: Option<PathBuf>,
    /// The journal [default: daemon.db in the state directory]
    #[arg(long, env = "CML_RUNNER_JOURNAL", value_name = "FILE")]
    pub(crate) journal: Option<PathBuf>,
    /// What this daemon's machines are tagged with: only the daemon of that name ends them before their deadline
    /// [default: the journal's own name; set one where a daemon may lose its journal]
    #[arg(long, env = "CML_RUNNER_CONTROLLER", value_name = "NAME", value_parser = controller)]
    pub(crate) controller: Option<String>,
    /// How events are written to stderr
    #[arg(long, env = "CML_RUNNER_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
    /// How often all jobs are asked for, 10s to 1h
    #[arg(long, env = "CML_RUNNER_POLL", value_name = "TIME", default_value = "60s")]
    pub(crate) poll: String,
    /// How often AWS is asked what machines cost, for reports: 10s to 30d; the first time ten minutes after the start
    #[arg(long, env = "CML_RUNNER_PRICES_EVERY", value_name = "TIME", default_value = "1d")]
    pub(crate) prices_every: String,
    /// Runners registered at GitHub in a minute at most: so many at once, then one after the other; 0 is no limit
    /// [default: 75 on github.com, no limit on an Enterprise Server]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) registrations_per_minute: Option<u32>,
    #[command(flatten)]
    pub(crate) state: State,
}

/// A name that a tag can carry, and that is not that of launches without a daemon.
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
    /// The cml.yaml
    pub(crate) spec: PathBuf,
    /// The daemon's name (`daemon --controller`): only its machines count. Default: those of every daemon of the scope
    #[arg(long, env = "CML_RUNNER_CONTROLLER", value_name = "NAME", value_parser = controller)]
    pub(crate) controller: Option<String>,
    #[command(flatten)]
    pub(crate) state: State,
}

#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// The cml.yaml
    pub(crate) spec: PathBuf,
    /// Jobs, one JSON object a line: {"queued_at": "2026-11-02T09:00:00Z", "labels": ["gpu"], "seconds": 900}
    #[arg(long, value_name = "FILE")]
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
