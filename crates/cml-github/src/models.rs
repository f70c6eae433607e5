//! GitHub's objects, as far as they are needed. Every field that GitHub may omit may be missing here.

use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

use crate::lists::Page;

/// A runner to register for one job.
#[derive(Clone, Debug)]
pub struct JitRequest {
    /// Its name, unique in the scope without regard to case.
    pub name: String,
    /// Its labels, 1 to 100.
    pub labels: Vec<String>,
    /// The runner group.
    pub group: RunnerGroup,
    /// Folder for jobs below the runner's; `None`: `_work`.
    pub work_folder: Option<String>,
}

/// A runner group of an organization or an enterprise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunnerGroup {
    /// By GitHub's id; 1 is the default group, and the only one of a repository.
    Id(u64),
    /// By its name, without regard to case.
    Named(String),
}

/// A runner registered just in time.
#[derive(Clone, Debug)]
pub struct JitRunner {
    /// GitHub's id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// The configuration that the machine needs. Secret: it contains a private key.
    pub encoded: SecretString,
}

/// A runner as GitHub lists it.
///
/// `busy: false` and offline are no proof of idleness: GitHub has shown busy runners as both.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "RunnerWire")]
pub struct Runner {
    /// GitHub's id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Whether it is connected.
    pub online: bool,
    /// Whether it runs a job.
    pub busy: bool,
    /// Its labels, the system's own (`self-hosted`, `Linux`, `X64`) included.
    pub labels: Vec<String>,
}

#[derive(Deserialize)]
struct RunnerWire {
    id: u64,
    name: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    busy: bool,
    #[serde(default)]
    labels: Vec<Label>,
}

#[derive(Deserialize)]
struct Label {
    name: String,
}

impl From<RunnerWire> for Runner {
    fn from(wire: RunnerWire) -> Self {
        Self {
            id: wire.id,
            name: wire.name,
            online: wire.status == "online",
            busy: wire.busy,
            labels: wire.labels.into_iter().map(|label| label.name).collect(),
        }
    }
}

/// One runner package that GitHub offers.
#[derive(Clone, Debug, Deserialize)]
pub struct RunnerDownload {
    /// `linux`, `osx`, `win`.
    pub os: String,
    /// `x64`, `arm64`, `arm`.
    pub architecture: String,
    /// Its address.
    pub download_url: String,
    /// Its file name.
    pub filename: String,
    /// Its SHA-256 in hexadecimal; GitHub does not promise it.
    #[serde(default)]
    pub sha256_checksum: Option<String>,
    /// A short-lived bearer token that the download needs; GitHub returns one only where it is needed.
    #[serde(default, deserialize_with = "secret")]
    pub temp_download_token: Option<SecretString>,
}

/// Deserializes a secret; an empty one is `None`.
fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SecretString>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    Ok(text.filter(|text| !text.is_empty()).map(SecretString::from))
}

/// Result of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It existed and is removed.
    Removed,
    /// It did not exist.
    AlreadyGone,
    /// It runs a job; GitHub keeps it.
    Busy,
}

impl Page for RunnerPage {
    type Item = Runner;
    type Key = u64;

    fn total(&self) -> Option<u64> {
        Some(self.total_count)
    }

    fn items(&self) -> &[Runner] {
        &self.runners
    }

    fn key(runner: &Runner) -> u64 {
        runner.id
    }
}

#[derive(Deserialize)]
pub(crate) struct RunnerPage {
    pub(crate) total_count: u64,
    pub(crate) runners: Vec<Runner>,
}

#[derive(Deserialize)]
pub(crate) struct JitAnswer {
    pub(crate) runner: Registered,
    pub(crate) encoded_jit_config: String,
}

/// The needed fields of a runner that was just registered.
#[derive(Deserialize)]
pub(crate) struct Registered {
    pub(crate) id: u64,
}

#[derive(Deserialize)]
pub(crate) struct TokenAnswer {
    pub(crate) token: String,
}

#[derive(Deserialize)]
pub(crate) struct InstallationAnswer {
    pub(crate) id: u64,
}
