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
    /// Group by this
    #[arg(long, default_value = "spec", value_enum)]
    pub(crate) by: Group,
    /// Rows at most, the dearest ones; the others become one
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) top: u16,
    /// How to write it
    #[arg(long, default_value = "table", value_enum)]
    pub(crate) format: Format,
    /// Write it to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Set the ledger beside AWS's own bill: cost-explorer, or a Cost and Usage Report (CSV)
    #[arg(long, value_name = "cost-explorer|FILE", conflicts_with_all = ["output", "format", "by", "top"])]
    pub(crate) verify_with: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) past: Past,
    #[command(flatten)]
    pub(crate) source: Source,
}

/// Which days.
#[derive(Debug, Clone, Args)]
pub(crate) struct Period {
    /// The last days up to today (UTC), today among them: 7d, 30d, "12 weeks"
    #[arg(long, value_name = "TIME", default_value = "30d", conflicts_with = "month")]
    pub(crate) since: String,
    /// A calendar month (UTC), such as 2026-11
    #[arg(long, value_name = "MONTH")]
    pub(crate) month: Option<Month>,
}

/// Beside the journals.
#[derive(Debug, Clone, Args)]
pub(crate) struct Past {
    /// Also machines that no journal knows the end of: asks GitHub for the repository's jobs, whose runners' names tell the launch
    /// and what was asked for. An estimate
    #[arg(long, help_heading = "Without a journal")]
    pub(crate) reconstruct: bool,
    /// Where machines ran that only GitHub remembers [default: AWS_REGION, then us-east-1]
    #[arg(long, value_name = "REGION", requires = "reconstruct", help_heading = "Without a journal")]
    pub(crate) assume_region: Option<String>,
    /// Their type, where the runner's name does not tell it
    #[arg(long, value_name = "TYPE", requires = "reconstruct", help_heading = "Without a journal")]
    pub(crate) assume_type: Option<String>,
    /// Their market, where the runner's name does not tell it [default: spot]
    #[arg(long, value_name = "MARKET", requires = "reconstruct", help_heading = "Without a journal")]
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

/// What it is made from.
#[derive(Debug, Clone, Args)]
pub(crate) struct Source {
    /// A journal; may be repeated [default: the daemon's and those of all launches in the state directory]
    #[arg(long = "journal", env = "CML_RUNNER_JOURNAL", value_name = "FILE")]
    pub(crate) journals: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) state: State,
}

/// More than a report.
#[derive(Debug, Subcommand)]
pub(crate) enum CostCommand {
    /// Say what would cost less, how much less, and how to change it
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

/// What a report groups by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Group {
    /// Each job of a run
    Job,
    /// Workflows
    Workflow,
    /// Branches
    Branch,
    /// Repositories
    Repo,
    /// Who started the run
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

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For a terminal
    Table,
    /// Markdown
    Md,
    /// For spreadsheets
    Csv,
    /// For programs
    Json,
    /// One page that stands alone, with plots
    Html,
}
