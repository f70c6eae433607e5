//! Flags of the report commands: CML's and our own. No I/O.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, Subcommand, ValueEnum};

/// Storage for the files of a report.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ShelfArgs {
    /// Storage for files: repo (a separate ref of this repository), s3://BUCKET/PREFIX, https://… (a server with CML's upload protocol), or a directory [default: reports.to in the cml.yaml of the checkout, or repo]
    #[arg(long, env = "CML_REPORT_TO", value_name = "DESTINATION", help_heading = "Files")]
    pub(crate) to: Option<String>,
    /// Base URL of files in S3 [default: presigned URLs, valid for seven days]
    #[arg(long, env = "CML_REPORT_PUBLIC_URL", value_name = "URL", help_heading = "Files")]
    pub(crate) public_url: Option<String>,
}

/// Flags of `publish`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Publish {
    /// File to upload
    #[arg(value_name = "FILE")]
    pub(crate) path: PathBuf,
    /// Print Markdown (an inline image, or a link for other files) instead of the URL
    #[arg(long)]
    pub(crate) md: bool,
    /// Image title or link text
    #[arg(long, short, value_name = "TEXT")]
    pub(crate) title: Option<String>,
    /// MIME type of the file, such as text/csv [default: detected]
    #[arg(long, value_name = "TYPE")]
    pub(crate) mime_type: Option<String>,
    /// Append the output to this file instead of printing it
    #[arg(long, short, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) store: ShelfArgs,
    /// URL of a server with CML's upload protocol (CML's flag)
    #[arg(long, value_name = "URL", hide = true)]
    pub(crate) url: Option<String>,
    /// Use the storage of the forge, which is the default (CML's flag)
    #[arg(long, alias = "gitlab-uploads", hide = true)]
    pub(crate) native: bool,
    /// Omit the watermark from the URL (CML's flag)
    #[arg(long, hide = true)]
    pub(crate) rm_watermark: bool,
}

/// `comment`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum CommentCommand {
    /// Post a report as a comment
    Create(Comment),
    /// Update the last comment with a report, or create one if there is none
    Update(Comment),
}

/// Flags of `comment create` and `comment update`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Comment {
    /// Report file in Markdown
    #[arg(value_name = "REPORT")]
    pub(crate) markdown_file: PathBuf,
    /// Comment target: auto (the pull request, or the commit), pr, commit, commit/SHA, pr/NUMBER or issue/NUMBER
    #[arg(long, value_name = "TARGET", default_value = "auto")]
    pub(crate) target: String,
    /// Update the last comment with the same watermark title
    #[arg(long)]
    pub(crate) update: bool,
    /// Keep running, and update the comment whenever the report or its images change
    #[arg(long)]
    pub(crate) watch: bool,
    /// With --watch: update when this file is created, then delete it
    #[arg(long, value_name = "FILE")]
    pub(crate) trigger_file: Option<PathBuf>,
    /// Title that identifies a report on a pull request; {workflow} and {run} are replaced
    #[arg(long, value_name = "TITLE", default_value = "", hide_default_value = true)]
    pub(crate) watermark_title: String,
    /// Omit the invisible watermark that --update uses to find the comment
    #[arg(long, conflicts_with_all = ["update", "section"])]
    pub(crate) rm_watermark: bool,
    /// Update only this section of a comment shared by several jobs
    #[arg(long, value_name = "NAME")]
    pub(crate) section: Option<String>,
    /// Add a footer with the machine, its cost so far and its GPU usage
    #[arg(long)]
    pub(crate) footer: bool,
    /// Upload the files that the report links to [default: true]
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", value_parser = BoolishValueParser::new(), hide_default_value = true, hide_possible_values = true, value_name = "false", help_heading = "Files")]
    pub(crate) publish: bool,
    #[command(flatten)]
    pub(crate) store: ShelfArgs,
    /// URL of a server with CML's upload protocol (CML's flag)
    #[arg(long, value_name = "URL", hide = true)]
    pub(crate) publish_url: Option<String>,
    /// Use the storage of the forge, which is the default (CML's flag)
    #[arg(long, alias = "native", hide = true)]
    pub(crate) publish_native: bool,
    /// Same as --target pr (CML's older flag)
    #[arg(long, hide = true, conflicts_with = "target")]
    pub(crate) pr: bool,
    /// Same as --target commit/SHA (CML's older flag)
    #[arg(long, alias = "head-sha", hide = true, value_name = "SHA", conflicts_with = "target")]
    pub(crate) commit_sha: Option<String>,
}

/// `check`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum CheckCommand {
    /// Create a check run with a report
    Create(Check),
}

/// Flags of `check create`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Check {
    /// Report file in Markdown
    #[arg(value_name = "REPORT")]
    pub(crate) markdown_file: PathBuf,
    /// Commit SHA [default: the commit of the workflow run]
    #[arg(long, alias = "head-sha", value_name = "SHA")]
    pub(crate) commit_sha: Option<String>,
    /// Conclusion of the check run
    #[arg(long, default_value = "success", value_parser = ["success", "failure", "neutral", "cancelled", "skipped", "timed_out"])]
    pub(crate) conclusion: String,
    /// Status of the check run
    #[arg(long, default_value = "completed", value_parser = ["queued", "in_progress", "completed"])]
    pub(crate) status: String,
    /// Name and title of the check run
    #[arg(long, default_value = "CML Report", value_name = "TEXT")]
    pub(crate) title: String,
    /// Add a footer with the machine, its cost so far and its GPU usage
    #[arg(long)]
    pub(crate) footer: bool,
    #[command(flatten)]
    pub(crate) store: ShelfArgs,
}

/// `pr`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum PrCommand {
    /// Open a pull request with the files that this job changed
    Create(Box<Pr>),
}

/// Flags of `pr create`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Pr {
    /// Files to commit, as git pathspecs
    #[arg(value_name = "GLOB", default_value = ".")]
    pub(crate) globs: Vec<String>,
    /// Print a Markdown link instead of the URL
    #[arg(long)]
    pub(crate) md: bool,
    /// Skip workflows for the commit
    #[arg(long)]
    pub(crate) skip_ci: bool,
    /// Merge automatically with a merge commit once all checks pass
    #[arg(long, alias = "auto-merge", group = "merging")]
    pub(crate) merge: bool,
    /// Merge automatically with a rebase once all checks pass
    #[arg(long, group = "merging")]
    pub(crate) rebase: bool,
    /// Merge automatically with a squash commit once all checks pass
    #[arg(long, group = "merging")]
    pub(crate) squash: bool,
    /// Name of the new branch [default: TARGET-cml-pr-SHA]
    #[arg(long, value_name = "NAME")]
    pub(crate) branch: Option<String>,
    /// Base branch of the pull request [default: the branch of the workflow run]
    #[arg(long, value_name = "NAME")]
    pub(crate) target_branch: Option<String>,
    /// Title of the pull request
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,
    /// Body of the pull request
    #[arg(long, value_name = "TEXT")]
    pub(crate) body: Option<String>,
    /// Commit message
    #[arg(long, value_name = "TEXT")]
    pub(crate) message: Option<String>,
    /// Git remote of the repository, used if --repo and GITHUB_REPOSITORY are unset
    #[arg(long, value_name = "NAME", default_value = "origin")]
    pub(crate) remote: String,
    /// Email address of the commit author [default: GitHub's address for the owner of the token]
    #[arg(long, value_name = "EMAIL")]
    pub(crate) user_email: Option<String>,
    /// Name of the commit author
    #[arg(long, value_name = "NAME")]
    pub(crate) user_name: Option<String>,
}

/// `workflow`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum WorkflowCommand {
    /// Rerun a workflow run; a run in progress is cancelled first
    Rerun {
        /// Id of the workflow run [default: the current run]
        #[arg(long, env = "GITHUB_RUN_ID", value_name = "ID")]
        id: u64,
    },
}

/// `repo`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum RepoCommand {
    /// Fetch the history of a CI checkout and set the commit author
    Prepare(Prepare),
}

/// Flags of `repo prepare`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Prepare {
    /// Number of commits to fetch; 0 for the full history
    #[arg(long, value_name = "N")]
    pub(crate) fetch_depth: Option<u32>,
    /// Same as --fetch-depth 0 (CML's older flag)
    #[arg(long, hide = true)]
    pub(crate) unshallow: bool,
    /// Email address of the commit author [default: olivaw@iterative.ai in a workflow]
    #[arg(long, value_name = "EMAIL")]
    pub(crate) user_email: Option<String>,
    /// Name of the commit author [default: Olivaw[bot] in a workflow]
    #[arg(long, value_name = "NAME")]
    pub(crate) user_name: Option<String>,
}

/// `tensorboard`: the service was shut down; the command names alternatives.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum TensorboardCommand {
    /// Explain the alternatives
    Connect {
        /// CML's arguments, ignored
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        ignored: Vec<String>,
    },
}

/// `report`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ReportCommand {
    /// Print a Markdown table of metrics, compared with another version
    Metrics(Metrics),
    /// Plot columns of a table as SVG or PNG
    Plot(Box<Plot>),
    /// Fail if metrics do not meet the given conditions
    Check(Gate),
    /// Delete old published files
    Prune {
        /// Delete files older than this: 90d, "12 weeks"
        #[arg(long, value_name = "DURATION")]
        older_than: String,
        /// Show what would be deleted without deleting anything
        #[arg(long)]
        dry_run: bool,
    },
}

/// The direction in which metrics improve.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Better {
    /// Metrics that are better when higher, as patterns (*accuracy*); common names are recognized
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    pub(crate) higher: Vec<String>,
    /// Metrics that are better when lower, as patterns
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    pub(crate) lower: Vec<String>,
}

/// Flags of `report metrics`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Metrics {
    /// Two files to compare, OLD NEW, or any number of files with --base (JSON, YAML, TOML, CSV)
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Compare with the same files of this branch, tag or commit
    #[arg(long, value_name = "REF")]
    pub(crate) base: Option<String>,
    /// Omit unchanged metrics
    #[arg(long)]
    pub(crate) only_changed: bool,
    /// Number of significant digits
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
    /// Required condition, such as 'accuracy >= 0.9'; repeatable
    #[arg(long, value_name = "CONDITION")]
    pub(crate) require: Vec<String>,
    /// Fail if a metric is worse than in the same files of this branch, tag or commit
    #[arg(long, value_name = "REF")]
    pub(crate) no_worse_than: Option<String>,
    /// Allowed decline for --no-worse-than, such as 0.5% or 0.001
    #[arg(long, value_name = "AMOUNT", requires = "no_worse_than")]
    pub(crate) tolerance: Option<String>,
    /// Also create a check run with the result and this name
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true, default_missing_value = "Model check")]
    pub(crate) check_run: Option<String>,
    #[command(flatten)]
    pub(crate) better: Better,
}

/// Kinds of plots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlotKind {
    /// Line plot: -x step -y loss
    Line,
    /// Scatter plot: -x size -y error
    Scatter,
    /// Confusion matrix: -x actual -y predicted
    Confusion,
    /// ROC curve: -x label (0 or 1) -y score
    Roc,
    /// Precision-recall curve: -x label (0 or 1) -y score
    Pr,
}

/// Flags of `report plot`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Plot {
    /// Input table: CSV, TSV, JSON (a list of objects) or JSON lines
    #[arg(value_name = "FILE")]
    pub(crate) table: PathBuf,
    /// Output image; the name ends in .svg or .png
    #[arg(long, short, value_name = "FILE", default_value = "plot.svg")]
    pub(crate) output: PathBuf,
    /// Kind of plot
    #[arg(long, value_enum, default_value = "line")]
    pub(crate) kind: PlotKind,
    /// Column for the x axis (confusion matrix: the actual class; ROC and PR curves: the label)
    #[arg(short, long, value_name = "COLUMN")]
    pub(crate) x: String,
    /// Columns for the y axis (confusion matrix: the predicted class; ROC and PR curves: the scores)
    #[arg(short, long, value_name = "COLUMN", required = true, value_delimiter = ',')]
    pub(crate) y: Vec<String>,
    /// Title of the plot
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,
    /// Label of the x axis [default: the column name]
    #[arg(long, value_name = "TEXT")]
    pub(crate) x_label: Option<String>,
    /// Label of the y axis
    #[arg(long, value_name = "TEXT")]
    pub(crate) y_label: Option<String>,
    /// Logarithmic x axis
    #[arg(long)]
    pub(crate) log_x: bool,
    /// Logarithmic y axis
    #[arg(long)]
    pub(crate) log_y: bool,
    /// Width in pixels
    #[arg(long, value_name = "PIXELS")]
    pub(crate) width: Option<u32>,
    /// Height in pixels
    #[arg(long, value_name = "PIXELS")]
    pub(crate) height: Option<u32>,
    /// Label of the positive class (ROC and PR curves)
    #[arg(long, value_name = "LABEL", default_value = "1")]
    pub(crate) positive: String,
    /// Show fractions of each actual class instead of counts (confusion matrix)
    #[arg(long)]
    pub(crate) normalise: bool,
    /// Name of the list in a JSON file
    #[arg(long, value_name = "NAME")]
    pub(crate) at: Option<String>,
}
