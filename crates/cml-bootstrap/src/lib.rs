//! Renders `templates/machine/` into the user data that turns a machine into a runner.
//!
//! One script serves every machine: cloud-init runs it as root, the local provider as the user that started it.
//! Every value is quoted for the shell when it is inserted: the template's syntax allows nothing else (see `quote`).
//!
//! Forbidden here: anything except text. No clock, no network, no file except the templates compiled in.

mod error;
mod multipart;
mod offers;
mod quote;
mod size;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cml_cloud::{Deadline, LaunchId, Offer, UserData};
use cml_spec::{Setup, is_package_name};
use jiff::SignedDuration;
use minijinja::context;
use secrecy::{ExposeSecret, SecretString};

pub use error::BootstrapError;
pub use size::MAX_BYTES;

/// The parts of the script, in order.
const TEMPLATE: &str = concat!(
    include_str!("../../../templates/machine/1-values.sh"),
    "\n",
    include_str!("../../../templates/machine/2-end.sh"),
    "\n",
    include_str!("../../../templates/machine/3-watch.sh"),
    "\n",
    include_str!("../../../templates/machine/4-machine.sh"),
    "\n",
    include_str!("../../../templates/machine/5-runner.sh"),
    "\n",
    include_str!("../../../templates/machine/6-main.sh"),
);
const REDACTED: &str = "<redacted>";
/// Values that may have several lines. All others must be one line, and are inserted into lines of `NAME=VALUE`.
const OF_MANY_LINES: &[&str] = &["offers", "ssh_authorized_key"];

/// How the runner registers at GitHub.
#[derive(Clone, Debug)]
pub enum Registration {
    /// A single-use JIT configuration: one job.
    Jit {
        /// The blob, base64 as GitHub returns it.
        encoded: SecretString,
    },
    /// A registration token (valid for 1 h), for a runner that takes many jobs until it has been idle.
    Token {
        /// The repository, organization or enterprise, in the form of `config.sh --url`.
        url: String,
        /// The token.
        token: SecretString,
        /// Labels in addition to the runner's own.
        labels: Vec<String>,
        /// Whether the runner adds its own labels: `self-hosted`, the system and the architecture.
        default_labels: bool,
        /// Runner group; `None`: the default one.
        group: Option<String>,
    },
}

/// The package of the runner program.
#[derive(Clone, Debug)]
pub struct RunnerPackage {
    /// Address of the `.tar.gz`.
    pub url: String,
    /// Its SHA-256 in hexadecimal, if known: then no other file is unpacked.
    pub sha256: Option<String>,
    /// A bearer token for the download, if GitHub returned one with the address. Secret.
    pub token: Option<SecretString>,
}

/// Machine on which the script will run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// The local provider runs the script unmodified.
    Local,
    /// cloud-init runs it from a multipart message.
    Cloud {
        /// Whether it is bought for its GPU: without a working one it must not take jobs.
        gpu: bool,
    },
}

/// All input of the script.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    /// Id of the launch.
    pub launch: LaunchId,
    /// The runner's name at GitHub.
    pub runner_name: String,
    /// How the runner registers at GitHub.
    pub registration: Registration,
    /// The package of the runner program.
    pub package: RunnerPackage,
    /// Time at which the machine powers itself off, whatever it does.
    pub deadline: Deadline,
    /// Longest time from the script's start to the runner listening for jobs; then the machine powers itself off.
    pub boot_timeout: SignedDuration,
    /// Time from the last job (or the first listening) to powering off; `None`: never.
    pub idle_timeout: Option<SignedDuration>,
    /// Machine on which the script runs.
    pub machine: Machine,
    /// Offers that it may be bought from, best first: a report on it can then show its cost.
    pub offers: Vec<Offer>,
    /// The user's own part.
    pub setup: Setup,
}

/// One part of the user data, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its content and when it runs.
    pub what: &'static str,
    /// Bytes before compression.
    pub bytes: usize,
}

/// Composition of the user data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// Its parts, in their order.
    pub parts: Vec<Part>,
    /// Bytes as they are sent, at most [`MAX_BYTES`].
    pub sent: usize,
    /// Whether they are compressed.
    pub packed: bool,
}

/// Renders the user data. For a cloud it is plain if that fits into [`MAX_BYTES`], else without comments and compressed
/// by gzip, which cloud-init unpacks; the local provider takes any size.
///
/// # Errors
/// [`BootstrapError::TooLarge`] with all sizes; [`BootstrapError::ControlCharacter`] for a value that is not one line;
/// [`BootstrapError::Package`] for a package whose name is none.
pub fn render(bootstrap: &Bootstrap) -> Result<UserData, BootstrapError> {
    let registration = match &bootstrap.registration {
        Registration::Jit { encoded } => encoded.expose_secret(),
        Registration::Token { token, .. } => token.expose_secret(),
    };
    let download = bootstrap.package.token.as_ref().map_or("", |token| token.expose_secret());
    let secrets = Secrets { registration, download };
    let mut answer = fitting(bootstrap, &secrets, offers::LINES_MAX);
    // Optional content is dropped for the required one.
    for fewer in [offers::LINES_MAX / 4, 0] {
        if matches!(answer, Err(BootstrapError::TooLarge { .. })) {
            answer = fitting(bootstrap, &secrets, fewer);
        }
    }
    answer
}

/// Values that only the machine may see.
struct Secrets<'a> {
    registration: &'a str,
    /// Empty if the download requires none.
    download: &'a str,
}

/// Renders with at most so many offers.
fn fitting(bootstrap: &Bootstrap, secrets: &Secrets<'_>, offers: usize) -> Result<UserData, BootstrapError> {
    let plain = text(bootstrap, secrets, TEMPLATE, offers)?;
    if bootstrap.machine == Machine::Local {
        return Ok(UserData::new(plain.into_bytes()));
    }
    let terse = text(bootstrap, secrets, &size::terse(TEMPLATE), offers)?;
    size::fit(&multipart::wrap(&plain), &multipart::wrap(&terse), &own_part(&bootstrap.setup))
        .map(UserData::new)
}

/// Renders the script as [`render`] does, with `<redacted>` instead of the secret and never compressed: for people.
///
/// # Errors
/// As [`render`], except for the size.
pub fn preview(bootstrap: &Bootstrap) -> Result<String, BootstrapError> {
    let script = text(bootstrap, &redacted(bootstrap), TEMPLATE, offers::LINES_MAX)?;
    Ok(match bootstrap.machine {
        Machine::Local => script,
        Machine::Cloud { .. } => multipart::wrap(&script),
    })
}

/// Returns the composition and size of the user data. A registration of the usual size replaces the secret.
///
/// # Errors
/// As [`render`].
pub fn explain(bootstrap: &Bootstrap) -> Result<Explained, BootstrapError> {
    let sent = render(bootstrap)?.expose().to_vec();
    let own = own_part(&bootstrap.setup).len();
    let script = text(bootstrap, &redacted(bootstrap), TEMPLATE, offers::LINES_MAX)?.len() - own;
    let mut parts = vec![Part {
        what: "the script, in the earliest stage of cloud-init that has a network (boothook); it goes on as a service",
        bytes: script,
    }];
    if own > 0 {
        parts.push(Part { what: "in it: your own scripts and certificates, gzip and base64", bytes: own });
    }
    if matches!(bootstrap.machine, Machine::Cloud { .. }) {
        parts.push(Part {
            what: "settings of cloud-init's own stages, which run beside it",
            bytes: multipart::SETTINGS.len(),
        });
    }
    Ok(Explained { parts, packed: size::is_packed(&sent), sent: sent.len() })
}

/// Returns placeholders for the secrets.
fn redacted(bootstrap: &Bootstrap) -> Secrets<'static> {
    let download = if bootstrap.package.token.is_some() { REDACTED } else { "" };
    Secrets { registration: REDACTED, download }
}

/// Returns the user's own part, as it is in the script.
fn own_part(setup: &Setup) -> String {
    let own = [
        setup.startup_script.as_deref(),
        setup.pre_job.as_deref(),
        setup.post_job.as_deref(),
        setup.on_interruption.as_deref(),
        setup.ca_certificates.as_deref().map(str::as_bytes),
    ];
    own.into_iter().flatten().map(packed).collect()
}

/// Compresses text before it is encoded in base64, in which gzip would no longer find repeated words.
fn packed(bytes: &[u8]) -> String {
    if bytes.is_empty() { String::new() } else { STANDARD.encode(size::gzip(bytes)) }
}

fn text(
    bootstrap: &Bootstrap,
    secrets: &Secrets<'_>,
    template: &str,
    offers: usize,
) -> Result<String, BootstrapError> {
    let (kind, url, labels, default_labels, group) = match &bootstrap.registration {
        Registration::Jit { .. } => ("jit", "", String::new(), true, None),
        Registration::Token { url, labels, default_labels, group, .. } => {
            ("token", url.as_str(), labels.join(","), *default_labels, group.as_deref())
        }
    };
    let setup = &bootstrap.setup;
    if let Some(bad) = setup.packages.iter().find(|name| !is_package_name(name)) {
        return Err(BootstrapError::Package(bad.clone()));
    }
    let deadline = bootstrap.deadline.epoch_seconds();
    let script = |bytes: Option<&[u8]>| bytes.map(packed).unwrap_or_default();
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
        package_token => secrets.download,
        registration => secrets.registration,
        runner_url => url,
        runner_labels => labels,
        own_labels => if default_labels { "yes" } else { "" },
        runner_group => group.unwrap_or_default(),
        gpu => if bootstrap.machine == (Machine::Cloud { gpu: true }) { "yes" } else { "" },
        offers => offers::lines(&bootstrap.offers, offers),
        metadata => if setup.metadata_open { "open" } else { "closed" },
        scratch => if setup.scratch { "auto" } else { "none" },
        cache => setup.cache.as_ref().map_or("", |cache| cache.path.as_str()),
        packages => setup.packages.join(" "),
        http_proxy => setup.proxy.http.as_deref().unwrap_or_default(),
        https_proxy => setup.proxy.https.as_deref().unwrap_or_default(),
        no_proxy => setup.proxy.not_for.as_deref().unwrap_or_default(),
        ca_certificates => script(setup.ca_certificates.as_deref().map(str::as_bytes)),
        startup_script => script(setup.startup_script.as_deref()),
        pre_job => script(setup.pre_job.as_deref()),
        post_job => script(setup.post_job.as_deref()),
        on_interruption => script(setup.on_interruption.as_deref()),
        ssh_authorized_key => setup.ssh_authorized_key.as_deref().unwrap_or_default(),
    };
    quote::render(template, &values, OF_MANY_LINES)
}
