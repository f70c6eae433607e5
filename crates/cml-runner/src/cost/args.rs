//! Flags of `cost`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use cml_cost::{GroupBy, Month};

use crate::args::State;

/// Flags of `cost`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Cost {
    #[command(subcommand)]
    pub(crate) command: Option<CostCommand>,
    #[command(flatten)]
    pub(crate) period: Period,
    /// Grouping of the rows
    #[arg(long, default_value = "spec", value_enum)]
    pub(crate) by: Group,
    /// Show the N most expensive rows; group the rest into one row
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) top: u16,
    /// Output format
    #[arg(long, default_value = "table", value_enum)]
    pub(crate) format: Format,
    /// Write the report to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Compare the ledger with the AWS bill: cost-explorer, or a Cost and Usage Report (CSV)
    #[arg(long, value_name = "cost-explorer|FILE", conflicts_with_all = ["output", "format", "by", "top"])]
    pub(crate) verify_with: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) past: Past,
    #[command(flatten)]
    pub(crate) source: Source,
}

/// Time range of a report.
#[derive(Debug, Clone, Args)]
pub(crate) struct Period {
    /// Time range ending today, inclusive (UTC): 7d, 30d, "12 weeks"
    #[arg(long, value_name = "DURATION", default_value = "30d", conflicts_with = "month")]
    pub(crate) since: String,
    /// Calendar month (UTC), such as 2026-11
    #[arg(long, value_name = "MONTH")]
    pub(crate) month: Option<Month>,
}

/// Machines that no journal records.
#[derive(Debug, Clone, Args)]
pub(crate) struct Past {
    /// Also estimate machines whose end is in no journal, from the repository's jobs at GitHub. Runner names identify the
    /// launch, and the type and market if recorded
    #[arg(long, help_heading = "Reconstruction")]
    pub(crate) reconstruct: bool,
    /// Region of reconstructed machines [default: AWS_REGION, then us-east-1]
    #[arg(long, value_name = "REGION", requires = "reconstruct", help_heading = "Reconstruction")]
    pub(crate) assume_region: Option<String>,
    /// Instance type of reconstructed machines whose runner name does not contain one
    #[arg(long, value_name = "TYPE", requires = "reconstruct", help_heading = "Reconstruction")]
    pub(crate) assume_type: Option<String>,
    /// Market of reconstructed machines whose runner name does not contain one [default: spot]
    #[arg(long, value_name = "MARKET", requires = "reconstruct", help_heading = "Reconstruction")]
    pub(crate) assume_market: Option<Market>,
}

/// Spot or on-demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Market {
    /// Spot
    Spot,
    /// On-demand
    OnDemand,
}

/// Input of a report.
#[derive(Debug, Clone, Args)]
pub(crate) struct Source {
    /// Journal file; repeatable [default: the daemon's and all launch journals in the state directory]
    #[arg(long = "journal", env = "CML_RUNNER_JOURNAL", value_name = "FILE")]
    pub(crate) journals: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) state: State,
}

/// Subcommands of `cost`.
#[derive(Debug, Subcommand)]
pub(crate) enum CostCommand {
    /// Recommend changes that lower costs, with estimated savings
    Advise(Advise),
}

/// Flags of `cost advise`.
#[derive(Debug, Args)]
pub(crate) struct Advise {
    #[command(flatten)]
    pub(crate) period: Period,
    #[command(flatten)]
    pub(crate) source: Source,
}

/// Groupings of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Group {
    /// Jobs of a run
    Job,
    /// Workflows
    Workflow,
    /// Branches
    Branch,
    /// Repositories
    Repo,
    /// Users who started the runs
    Actor,
    /// Specs of the cml.yaml
    Spec,
    /// Instance types
    Type,
    /// Zones
    Zone,
    /// Spot and on-demand
    Market,
    /// Days (UTC)
    Day,
}

impl Group {
    pub(crate) fn by(self) -> GroupBy {
        match self {
            Self::Job => GroupBy::Job,
            Self::Workflow => GroupBy::Workflow,
            Self::Branch => GroupBy::Branch,
            Self::Repo => GroupBy::Repo,
            Self::Actor => GroupBy::Actor,
            Self::Spec => GroupBy::Spec,
            Self::Type => GroupBy::Type,
            Self::Zone => GroupBy::Zone,
            Self::Market => GroupBy::Market,
            Self::Day => GroupBy::Day,
        }
    }
}

/// Output formats of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Table for the terminal
    Table,
    /// Markdown
    Md,
    /// CSV for spreadsheets
    Csv,
    /// JSON for programs
    Json,
    /// Self-contained HTML page with plots
    Html,
}
