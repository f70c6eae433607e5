//! Global flags.

use std::path::PathBuf;

use clap::Args;

/// Flags of every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// URL of the GitHub repository, organization or enterprise [default: GITHUB_REPOSITORY, then the git remote]
    #[arg(long, global = true, value_name = "URL", env = "CML_REPO", help_heading = "GitHub")]
    pub(crate) repo: Option<String>,
    /// GitHub token; prefer an environment variable [default: REPO_TOKEN, repo_token, GITHUB_TOKEN]
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
    /// GitHub App id, to authenticate as an App instead of with a token
    #[arg(
        long,
        global = true,
        env = "CML_APP_ID",
        value_name = "ID",
        requires = "app_key_file",
        help_heading = "GitHub"
    )]
    pub(crate) app_id: Option<u64>,
    /// File with the private key of the GitHub App (PEM)
    #[arg(
        long,
        global = true,
        env = "CML_APP_KEY_FILE",
        value_name = "FILE",
        requires = "app_id",
        help_heading = "GitHub"
    )]
    pub(crate) app_key_file: Option<PathBuf>,
    /// Installation id of the GitHub App [default: detected]
    #[arg(long, global = true, env = "CML_APP_INSTALLATION_ID", value_name = "ID", help_heading = "GitHub")]
    pub(crate) app_installation_id: Option<u64>,
    /// Git forge, as in CML; only `github` is supported
    #[arg(long, global = true, env = "CML_DRIVER", value_name = "NAME", hide = true)]
    pub(crate) driver: Option<String>,
    /// Log level: error, warn, info, debug or trace [default: warn; info for the daemon]
    #[arg(long, global = true, env = "CML_LOG", value_name = "LEVEL")]
    pub(crate) log: Option<String>,
    /// Print errors only (overrides --log)
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Print the result as one JSON object on stdout
    #[arg(long, global = true)]
    pub(crate) json: bool,
}
