//! What every command understands.

use std::path::PathBuf;

use clap::Args;

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
    /// Say nothing on stderr but errors, whatever --log says
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Print one JSON object on stdout
    #[arg(long, global = true)]
    pub(crate) json: bool,
}
