//! Flags of `prices`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::args::State;

/// Subcommands of `prices`.
#[derive(Debug, Subcommand)]
pub(crate) enum PricesCommand {
    /// Fetch prices from AWS and store them: list prices, gp3 storage, and spot price history since the last refresh
    Refresh(Refresh),
    /// Show known prices and their age (offline)
    Show(Show),
}

/// Selection of prices.
#[derive(Debug, Clone, Args)]
pub(crate) struct Wanted {
    /// Regions, comma-separated [default: those of the cml.yaml, then AWS_REGION, then us-east-1]
    #[arg(long = "region", alias = "cloud-region", value_delimiter = ',', value_name = "REGION")]
    pub(crate) regions: Vec<String>,
    /// The cml.yaml to read default regions and types from
    #[arg(long, env = "CML_RUNNER_CONFIG", value_name = "FILE", default_value = "cml.yaml")]
    pub(crate) config: PathBuf,
    #[command(flatten)]
    pub(crate) state: State,
}

/// Flags of `prices refresh`.
#[derive(Debug, Args)]
pub(crate) struct Refresh {
    /// Instance types or sizes (m, m+t4), comma-separated [default: those of the cml.yaml]
    #[arg(long = "type", alias = "cloud-type", value_delimiter = ',', value_name = "TYPE")]
    pub(crate) types: Vec<String>,
    #[command(flatten)]
    pub(crate) wanted: Wanted,
}

/// Flags of `prices show`.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Instance types or sizes (m, m+t4) [default: those of the cml.yaml]
    #[arg(value_name = "TYPE")]
    pub(crate) types: Vec<String>,
    #[command(flatten)]
    pub(crate) wanted: Wanted,
}
