//! Flags of the commands that report: CML's own, and ours. No I/O.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, Subcommand, ValueEnum};

/// Where files go that a report shows.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ShelfArgs {
    /// Where files go: repo (this repository, on a reference of its own), s3://BUCKET/PREFIX, https://… (a server with CML's upload protocol), or a directory [default: reports.to of the checkout's cml.yaml, else repo]
    #[arg(long, env = "CML_REPORT_TO", value_name = "PLACE", help_heading = "Files")]
    pub(crate) to: Option<String>,
    /// What addresses of files in S3 begin with [default: addresses signed for seven days]
    #[arg(long, env = "CML_REPORT_PUBLIC_URL", value_name = "URL", help_heading = "Files")]
    pub(crate) public_url: Option<String>,
}

/// Flags of `publish`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Publish {
    /// The file: an image, a table, anything
    #[arg(value_name = "FILE")]
    pub(crate) path: PathBuf,
    /// Print Markdown that shows it (an image in place, anything else as a link) instead of the bare address
    #[arg(long)]
    pub(crate) md: bool,
    /// Title of the image, or text of the link
    #[arg(long, short, value_name = "TEXT")]
    pub(crate) title: Option<String>,
    /// What the file is, when its content does not tell (text/csv)
    #[arg(long, value_name = "TYPE")]
    pub(crate) mime_type: Option<String>,
    /// Append the result to this file instead of printing it
    #[arg(long, short, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) store: ShelfArgs,
    /// CML's name for a server with its upload protocol
    #[arg(long, value_name = "URL", hide = true)]
    pub(crate) url: Option<String>,
    /// CML: the forge's own store; here the repository, which is the default
    #[arg(long, alias = "gitlab-uploads", hide = true)]
    pub(crate) native: bool,
    /// CML: no marker in the address that its server gives
    #[arg(long, hide = true)]
    pub(crate) rm_watermark: bool,
}

/// `comment`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum CommentCommand {
    /// Write a report as a comment
    Create(Comment),
    /// Write a report over its last version, or as a comment when there is none
    Update(Comment),
}

/// Flags of `comment create` and `comment update`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Comment {
    /// The report, in Markdown
    #[arg(value_name = "REPORT")]
    pub(crate) markdown_file: PathBuf,
    /// auto (the pull request, else the commit), pr, commit, commit/SHA, pr/NUMBER or issue/NUMBER
    #[arg(long, value_name = "TARGET", default_value = "auto")]
    pub(crate) target: String,
    /// Write over the last version with the same watermark title
    #[arg(long)]
    pub(crate) update: bool,
    /// Go on: update the comment whenever the report or its images change, until stopped
    #[arg(long)]
    pub(crate) watch: bool,
    /// With --watch: update when this file appears; it is removed then
    #[arg(long, value_name = "FILE")]
    pub(crate) trigger_file: Option<PathBuf>,
    /// Tells reports of one pull request apart; {workflow} and {run} are filled in
    #[arg(long, value_name = "TITLE", default_value = "", hide_default_value = true)]
    pub(crate) watermark_title: String,
    /// Leave out the (invisible) mark by which --update finds the comment
    #[arg(long, conflicts_with_all = ["update", "section"])]
    pub(crate) rm_watermark: bool,
    /// Write only this section of a comment that several jobs share
    #[arg(long, value_name = "NAME")]
    pub(crate) section: Option<String>,
    /// Add small print: the machine, what it has cost so far, what its GPUs did
    #[arg(long)]
    pub(crate) footer: bool,
    /// Publish the files that the report links to [default: true]
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", value_parser = BoolishValueParser::new(), hide_default_value = true, hide_possible_values = true, value_name = "false", help_heading = "Files")]
    pub(crate) publish: bool,
    #[command(flatten)]
    pub(crate) store: ShelfArgs,
    /// CML's name for a server with its upload protocol
    #[arg(long, value_name = "URL", hide = true)]
    pub(crate) publish_url: Option<String>,
    /// CML: the forge's own store; here the repository, which is the default
    #[arg(long, alias = "native", hide = true)]
    pub(crate) publish_native: bool,
    /// CML's older name for --target pr
    #[arg(long, hide = true, conflicts_with = "target")]
    pub(crate) pr: bool,
    /// CML's older name for --target commit/SHA
    #[arg(long, alias = "head-sha", hide = true, value_name = "SHA", conflicts_with = "target")]
    pub(crate) commit_sha: Option<String>,
}

/// `check`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum CheckCommand {
    /// Write a report as a check run of the commit
    Create(Check),
}

/// Flags of `check create`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Check {
    /// The report, in Markdown
    #[arg(value_name = "REPORT")]
    pub(crate) markdown_file: PathBuf,
    /// The commit [default: the one that the run is about]
    #[arg(long, alias = "head-sha", value_name = "SHA")]
    pub(crate) commit_sha: Option<String>,
    /// How it ended
    #[arg(long, default_value = "success", value_parser = ["success", "failure", "neutral", "cancelled", "skipped", "timed_out"])]
    pub(crate) conclusion: String,
    /// How far it is
    #[arg(long, default_value = "completed", value_parser = ["queued", "in_progress", "completed"])]
    pub(crate) status: String,
    /// Name and title of the check
    #[arg(long, default_value = "CML Report", value_name = "TEXT")]
    pub(crate) title: String,
    /// Add small print: the machine, what it has cost so far, what its GPUs did
    #[arg(long)]
    pub(crate) footer: bool,
    #[command(flatten)]
    pub(crate) store: ShelfArgs,
}

/// `pr`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum PrCommand {
    /// Open a pull request with files that this job has changed
    Create(Box<Pr>),
}

/// Flags of `pr create`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Pr {
    /// Files, as git's patterns
    #[arg(value_name = "GLOB", default_value = ".")]
    pub(crate) globs: Vec<String>,
    /// Print Markdown with a link instead of the bare address
    #[arg(long)]
    pub(crate) md: bool,
    /// Keep the commit from starting workflows
    #[arg(long)]
    pub(crate) skip_ci: bool,
    /// Merge it with a merge commit once its checks allow
    #[arg(long, alias = "auto-merge", group = "merging")]
    pub(crate) merge: bool,
    /// Merge it by rebasing once its checks allow
    #[arg(long, group = "merging")]
    pub(crate) rebase: bool,
    /// Merge it as one commit once its checks allow
    #[arg(long, group = "merging")]
    pub(crate) squash: bool,
    /// The new branch [default: TARGET-cml-pr-SHA]
    #[arg(long, value_name = "NAME")]
    pub(crate) branch: Option<String>,
    /// The branch to change [default: the one that the run is about]
    #[arg(long, value_name = "NAME")]
    pub(crate) target_branch: Option<String>,
    /// Title of the pull request
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,
    /// Text of the pull request
    #[arg(long, value_name = "TEXT")]
    pub(crate) body: Option<String>,
    /// Message of the commit
    #[arg(long, value_name = "TEXT")]
    pub(crate) message: Option<String>,
    /// The remote that names the repository, when nothing else does
    #[arg(long, value_name = "NAME", default_value = "origin")]
    pub(crate) remote: String,
    /// Address of the commit's author [default: GitHub's own for the token]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) user_email: Option<String>,
    /// Name of the commit's author
    #[arg(long, value_name = "NAME")]
    pub(crate) user_name: Option<String>,
}

/// `workflow`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum WorkflowCommand {
    /// Run a workflow run again; one that is still going is cancelled first
    Rerun {
        /// The run [default: this one]
        #[arg(long, env = "GITHUB_RUN_ID", value_name = "ID")]
        id: u64,
    },
}

/// `repo`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum RepoCommand {
    /// Make a CI checkout ready for work: whole history, a name for commits
    Prepare(Prepare),
}

/// Flags of `repo prepare`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Prepare {
    /// How many commits of history to fetch; 0 is all of it
    #[arg(long, value_name = "NUMBER")]
    pub(crate) fetch_depth: Option<u32>,
    /// CML's older name for --fetch-depth 0
    #[arg(long, hide = true)]
    pub(crate) unshallow: bool,
    /// Address for commits [default: in a workflow olivaw@iterative.ai]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) user_email: Option<String>,
    /// Name for commits [default: in a workflow Olivaw[bot]]
    #[arg(long, value_name = "NAME")]
    pub(crate) user_name: Option<String>,
}

/// `tensorboard`: the service is gone; the command says what works instead.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum TensorboardCommand {
    /// Explain what to do instead
    Connect {
        /// Whatever CML took
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        ignored: Vec<String>,
    },
}

/// `report`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ReportCommand {
    /// Print a Markdown table of metrics, with what has changed since another version
    Metrics(Metrics),
    /// Draw a plot of columns of a table, as SVG or PNG
    Plot(Box<Plot>),
    /// Fail when metrics are not good enough
    Check(Gate),
    /// Remove published files that are old
    Prune {
        /// Age from which they go: 90d, "12 weeks"
        #[arg(long, value_name = "TIME")]
        older_than: String,
        /// Say what would go, and remove nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// What "better" means.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Better {
    /// Metrics that are better when higher, as patterns (*accuracy*); known words need not be said
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    pub(crate) higher: Vec<String>,
    /// Metrics that are better when lower
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    pub(crate) lower: Vec<String>,
}

/// Flags of `report metrics`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Metrics {
    /// OLD NEW, two files to compare; or with --base any number of files (JSON, YAML, TOML, CSV)
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Compare with the same files of this branch, tag or commit
    #[arg(long, value_name = "REF")]
    pub(crate) base: Option<String>,
    /// Leave out what has not changed
    #[arg(long)]
    pub(crate) only_changed: bool,
    /// Significant digits
    #[arg(long, default_value = "5", value_parser = clap::value_parser!(u8).range(1..=17))]
    pub(crate) precision: u8,
    #[command(flatten)]
    pub(crate) better: Better,
}

/// Flags of `report check`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Gate {
    /// Files with metrics (JSON, YAML, TOML, CSV)
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// What must hold: 'accuracy >= 0.9'; may be given several times
    #[arg(long, value_name = "CONDITION")]
    pub(crate) require: Vec<String>,
    /// No metric may be worse than in the same files of this branch, tag or commit
    #[arg(long, value_name = "REF")]
    pub(crate) no_worse_than: Option<String>,
    /// By how much it may be worse all the same: 0.5% or 0.001
    #[arg(long, value_name = "AMOUNT", requires = "no_worse_than")]
    pub(crate) tolerance: Option<String>,
    /// Write the result as a check run with this name, too
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true, default_missing_value = "Model check")]
    pub(crate) check_run: Option<String>,
    #[command(flatten)]
    pub(crate) better: Better,
}

/// What is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlotKind {
    /// Lines: -x step -y loss
    Line,
    /// Points: -x size -y error
    Scatter,
    /// Counts of classes: -x actual -y predicted
    Confusion,
    /// ROC curve: -x label (0 or 1) -y score
    Roc,
    /// Precision and recall: -x label (0 or 1) -y score
    Pr,
}

/// Flags of `report plot`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Plot {
    /// The table: CSV, TSV, JSON or JSON lines with a list of objects
    #[arg(value_name = "FILE")]
    pub(crate) table: PathBuf,
    /// The picture to write; its name ends in .svg or .png
    #[arg(long, short, value_name = "FILE", default_value = "plot.svg")]
    pub(crate) output: PathBuf,
    /// What to draw
    #[arg(long, value_enum, default_value = "line")]
    pub(crate) kind: PlotKind,
    /// Column along the bottom (of a confusion matrix: the actual class; of a curve: the label)
    #[arg(short, long, value_name = "COLUMN")]
    pub(crate) x: String,
    /// Columns to draw (of a confusion matrix: the predicted class; of a curve: the scores)
    #[arg(short, long, value_name = "COLUMN", required = true, value_delimiter = ',')]
    pub(crate) y: Vec<String>,
    /// Title
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,
    /// Name of the axis along the bottom [default: its column]
    #[arg(long, value_name = "TEXT")]
    pub(crate) x_label: Option<String>,
    /// Name of the other axis
    #[arg(long, value_name = "TEXT")]
    pub(crate) y_label: Option<String>,
    /// Logarithmic bottom axis
    #[arg(long)]
    pub(crate) log_x: bool,
    /// Logarithmic other axis
    #[arg(long)]
    pub(crate) log_y: bool,
    /// Width, pixels
    #[arg(long, value_name = "PIXELS")]
    pub(crate) width: Option<u32>,
    /// Height, pixels
    #[arg(long, value_name = "PIXELS")]
    pub(crate) height: Option<u32>,
    /// The label that counts as positive, of a curve
    #[arg(long, value_name = "LABEL", default_value = "1")]
    pub(crate) positive: String,
    /// Shares of each actual class instead of counts, of a confusion matrix
    #[arg(long)]
    pub(crate) normalise: bool,
    /// The list within a JSON file
    #[arg(long, value_name = "NAME")]
    pub(crate) at: Option<String>,
}
