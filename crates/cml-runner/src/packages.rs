//! GitHub's list of runner packages, kept for some hours so that a launch needs one call less.

use std::path::PathBuf;

use cml_github::{Location, RunnerDownload};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Runner releases come every few weeks and the old one is accepted for 30 days more.
const KEEP: SignedDuration = SignedDuration::from_hours(6);

#[derive(Serialize, Deserialize)]
struct Kept {
    fetched_at: Timestamp,
    packages: Vec<Package>,
}

#[derive(Serialize, Deserialize)]
struct Package {
    os: String,
    architecture: String,
    download_url: String,
    filename: String,
    sha256_checksum: Option<String>,
}

/// One file per GitHub and scope.
pub(crate) struct PackageCache {
    file: PathBuf,
}

impl PackageCache {
    pub(crate) fn new(dir: &std::path::Path, location: &Location) -> Self {
        let key: String = format!("{}-{}", location.api, location.scope)
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        Self { file: dir.join(format!("runner-packages-{key}.json")) }
    }

    /// What was kept, if it is fresh; anything unreadable counts as nothing.
    pub(crate) fn read(&self, now: Timestamp) -> Option<Vec<RunnerDownload>> {
        let kept: Kept = serde_json::from_slice(&std::fs::read(&self.file).ok()?).ok()?;
        let age = now.duration_since(kept.fetched_at);
        (!age.is_negative() && age < KEEP).then(|| {
            let download = |it: Package| RunnerDownload {
                os: it.os,
                architecture: it.architecture,
                download_url: it.download_url,
                filename: it.filename,
                sha256_checksum: it.sha256_checksum,
                temp_download_token: None,
            };
            kept.packages.into_iter().map(download).collect()
        })
    }

    /// Keeps GitHub's answer; a cache that cannot be written costs one call next time, no more.
    pub(crate) fn write(&self, packages: &[RunnerDownload], now: Timestamp) {
        // A token is a secret and lives for minutes: the list is asked for each time.
        if packages.iter().any(|package| package.temp_download_token.is_some()) {
            return;
        }
        let package = |it: &RunnerDownload| Package {
            os: it.os.clone(),
            architecture: it.architecture.clone(),
            download_url: it.download_url.clone(),
            filename: it.filename.clone(),
            sha256_checksum: it.sha256_checksum.clone(),
        };
        let kept = Kept { fetched_at: now, packages: packages.iter().map(package).collect() };
        let write = || -> std::io::Result<()> {
            let dir = self.file.parent().unwrap_or(std::path::Path::new("."));
            std::fs::create_dir_all(dir)?;
            let partial = self.file.with_extension(format!("{}.partial", std::process::id()));
            std::fs::write(&partial, serde_json::to_vec(&kept)?)?;
            std::fs::rename(partial, &self.file)
        };
        if let Err(error) = write() {
            tracing::debug!(%error, file = %self.file.display(), "the package list could not be kept");
        }
    }
}
