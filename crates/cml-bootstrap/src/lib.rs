//! Renders `templates/bootstrap.sh` into the user data that turns a machine into a runner.
//!
//! One script serves every machine: cloud-init runs it as root, the local provider runs it as whoever started it.
//! Every value goes in quoted for the shell: the template's syntax leaves no other way (see `quote`).
//!
//! What may not happen here: anything but text. No clock, no network, no file but the template compiled in.

mod error;
mod quote;
mod size;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cml_cloud::{Deadline, LaunchId, UserData};
use jiff::SignedDuration;
use minijinja::context;
use secrecy::{ExposeSecret, SecretString};

pub use error::BootstrapError;
pub use size::MAX_BYTES;

const TEMPLATE: &str = include_str!("../../../templates/bootstrap.sh");
const REDACTED: &str = "<redacted>";

/// How the runner becomes known to GitHub.
#[derive(Clone, Debug)]
pub enum Registration {
    /// A single-use JIT configuration: one job.
    Jit {
        /// The blob, base64 as GitHub gives it.
        encoded: SecretString,
    },
    /// A registration token (valid for 1 h), for a runner that takes many jobs until it has been idle.
    Token {
        /// The repository, organization or enterprise, as `config.sh --url` wants it.
        url: String,
        /// The token.
        token: SecretString,
        /// Labels beside the runner's own.
        labels: Vec<String>,
        /// Runner group; none: the default one.
        group: Option<String>,
    },
}

/// The runner's own software.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerPackage {
    /// Where the `.tar.gz` is.
    pub url: String,
    /// Its SHA-256 in hexadecimal, where known: then nothing else is unpacked.
    pub sha256: Option<String>,
}

/// All that the script needs to know.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    /// The decision behind the machine.
    pub launch: LaunchId,
    /// The runner's name at GitHub.
    pub runner_name: String,
    /// How the runner becomes known to GitHub.
    pub registration: Registration,
    /// The runner's own software.
    pub package: RunnerPackage,
    /// When the machine powers itself off, whatever it does.
    pub deadline: Deadline,
    /// From the script's start to the runner listening for jobs; then the machine powers itself off.
    pub boot_timeout: SignedDuration,
    /// From the last job (or the first listening) to powering off; none: never.
    pub idle_timeout: Option<SignedDuration>,
    /// The user's own script, run as root before the runner starts (locally as the user).
    pub startup_script: Option<Vec<u8>>,
    /// A public key that may log in.
    pub ssh_authorized_key: Option<String>,
}

/// Renders the user data: plain where that fits into [`MAX_BYTES`], else gzip, which cloud-init and the local
/// provider unpack.
///
/// # Errors
/// [`BootstrapError::TooLarge`] with all sizes; [`BootstrapError::NulByte`] for a value that no shell can hold.
pub fn render(bootstrap: &Bootstrap) -> Result<UserData, BootstrapError> {
    let secret = match &bootstrap.registration {
        Registration::Jit { encoded } => encoded.expose_secret(),
        Registration::Token { token, .. } => token.expose_secret(),
    };
    let script = text(bootstrap, secret)?;
    let startup_script = bootstrap.startup_script.as_deref().unwrap_or_default();
    size::fit(script, startup_script).map(UserData::new)
}

/// The script as [`render`] makes it, with `<redacted>` in place of the secret and never packed: for people.
///
/// # Errors
/// As [`render`], but for the size.
pub fn preview(bootstrap: &Bootstrap) -> Result<String, BootstrapError> {
    text(bootstrap, REDACTED)
}

fn text(bootstrap: &Bootstrap, secret: &str) -> Result<String, BootstrapError> {
    let (kind, url, labels, group) = match &bootstrap.registration {
        Registration::Jit { .. } => ("jit", "", String::new(), None),
        Registration::Token { url, labels, group, .. } => {
            ("token", url.as_str(), labels.join(","), group.as_deref())
        }
    };
    let deadline = bootstrap.deadline.epoch_seconds();
    let values = context! {
        launch => bootstrap.launch.to_string(),
        runner_name => bootstrap.runner_name.as_str(),
        deadline => deadline,
        lifetime => deadline.saturating_sub(bootstrap.launch.made_at().as_second()).max(0),
        boot_timeout => bootstrap.boot_timeout.as_secs(),
        idle_timeout => bootstrap.idle_timeout.map_or_else(|| "never".to_owned(), |idle| idle.as_secs().to_string()),
        package_url => bootstrap.package.url.as_str(),
        package_sha256 => bootstrap.package.sha256.as_deref().unwrap_or_default().to_ascii_lowercase(),
        registration_kind => kind,
        registration => secret,
        runner_url => url,
        runner_labels => labels,
        runner_group => group.unwrap_or_default(),
        ssh_authorized_key => bootstrap.ssh_authorized_key.as_deref().unwrap_or_default(),
        startup_script => STANDARD.encode(bootstrap.startup_script.as_deref().unwrap_or_default()),
    };
    quote::render(TEMPLATE, &values)
}
