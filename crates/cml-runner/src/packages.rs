//! Cache of GitHub's list of runner packages, for some hours, so that a launch needs one call less.

use std::path::{Path, PathBuf};

use cml_cloud::private;
use cml_github::{Location, RunnerDownload};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use url::Url;

/// The largest list that is read, bytes: GitHub names some twenty packages.
const LARGEST_BYTES: u64 = 1 << 20;
/// Address of GitHub's own packages, for github.com and its other products.
const RELEASES: &str = "https://github.com/actions/runner/releases/download/";

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

/// The cache: one file per GitHub and scope; `None` where caching is disabled.
pub(crate) struct PackageCache {
    file: Option<PathBuf>,
    /// The API's own address if it is on this machine: a GitHub of the tests.
    here: Option<Url>,
}

impl PackageCache {
    pub(crate) fn new(dir: Option<&Path>, location: &Location) -> Self {
        let key: String = format!("{}-{}", location.api, location.scope)
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        let is_here = location.api.scheme() == "http";
        Self {
            file: dir.map(|dir| dir.join(format!("runner-packages-{key}.json"))),
            here: is_here.then(|| location.api.clone()),
        }
    }

    /// Returns the cached list, if it is fresh; an unreadable one counts as missing, and so does one that other users
    /// could have written or GitHub would not have returned: a machine unpacks and runs it.
    pub(crate) fn read(&self, now: Timestamp) -> Option<Vec<RunnerDownload>> {
        let bytes = private::read_own(self.file.as_deref()?, LARGEST_BYTES)?;
        let kept: Kept = serde_json::from_slice(&bytes).ok()?;
        let age = now.duration_since(kept.fetched_at);
        if age.is_negative() || age >= KEEP || !kept.packages.iter().all(|package| self.is_githubs(package)) {
            return None;
        }
        let download = |it: Package| RunnerDownload {
            os: it.os,
            architecture: it.architecture,
            download_url: it.download_url,
            filename: it.filename,
            sha256_checksum: it.sha256_checksum,
            temp_download_token: None,
        };
        Some(kept.packages.into_iter().map(download).collect())
    }

    /// Returns whether GitHub could have named this package. An Enterprise Server may name others; those are requested
    /// each time.
    fn is_githubs(&self, package: &Package) -> bool {
        let Ok(url) = Url::parse(&package.download_url) else { return false };
        let is_hash = |hash: &String| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_of = |base: &Url| {
            url.scheme() == base.scheme() && url.host() == base.host() && url.port() == base.port()
        };
        package.sha256_checksum.as_ref().is_some_and(is_hash)
            // As the parser has normalized it: dots in a path, user names and the like are resolved by then.
            && (url.as_str().starts_with(RELEASES) || self.here.as_ref().is_some_and(is_of))
    }

    /// Caches GitHub's answer; a cache that cannot be written costs one call next time, no more.
    pub(crate) fn write(&self, packages: &[RunnerDownload], now: Timestamp) {
        let Some(file) = &self.file else { return };
        // A token is a secret and lives for minutes: the list is requested each time.
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
        let kept = serde_json::to_vec(&kept).map_err(Into::into);
        if let Err(error) = kept.and_then(|bytes| private::write_own(file, &bytes)) {
            tracing::debug!(%error, file = %file.display(), "the package list could not be kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(url: &str) -> RunnerDownload {
        RunnerDownload {
            os: "linux".to_owned(),
            architecture: "x64".to_owned(),
            download_url: url.to_owned(),
            filename: "actions-runner-linux-x64.tar.gz".to_owned(),
            sha256_checksum: Some("ab".repeat(32)),
            temp_download_token: None,
        }
    }

    fn cache(dir: &Path, repository: &str) -> PackageCache {
        let location = Location::find(Some(repository), &|_| None, None).expect("a repository");
        PackageCache::new(Some(dir), &location)
    }

    const RIGHT: &str = "https://github.com/actions/runner/releases/download/v2.330.0/actions-runner-linux-x64-2.330.0.tar.gz";

    #[test]
    fn a_kept_list_is_believed_while_it_is_ours_and_fresh() {
        let dir = tempfile::tempdir().expect("a directory");
        let cache = cache(dir.path(), "https://github.com/acme/vision");
        let then = Timestamp::UNIX_EPOCH;
        cache.write(&[package(RIGHT)], then);
        let kept = cache.read(then).expect("is kept");
        assert_eq!(kept.iter().map(|it| it.download_url.as_str()).collect::<Vec<_>>(), [RIGHT]);
        assert!(cache.read(then + SignedDuration::from_hours(6)).is_none(), "it is old");
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        std::fs::set_permissions(cache.file.as_ref().expect("a file"), open).expect("is changed");
        assert!(cache.read(then).is_none(), "others could have written it");
    }

    #[test]
    fn a_kept_address_that_github_could_not_have_named_is_not_believed() {
        let dir = tempfile::tempdir().expect("a directory");
        let cache = cache(dir.path(), "https://github.com/acme/vision");
        let then = Timestamp::UNIX_EPOCH;
        for url in [
            "http://127.0.0.1:5901/EVIL-RUNNER.tgz",
            "http://github.com/actions/runner/releases/download/v1/a.tar.gz",
            "https://github.com.evil.example/actions/runner/releases/download/v1/a.tar.gz",
            "https://github.com@evil.example/actions/runner/releases/download/v1/a.tar.gz",
            "https://github.com/mallory/runner/releases/download/v1/a.tar.gz",
            "https://github.com/actions/runner/releases/download/../../../../mallory/x/releases/download/v1/a",
            "https://github.com:444/actions/runner/releases/download/v1/a.tar.gz",
            "nothing",
        ] {
            cache.write(&[package(RIGHT), package(url)], then);
            assert!(cache.read(then).is_none(), "{url}");
        }
        cache.write(&[RunnerDownload { sha256_checksum: None, ..package(RIGHT) }], then);
        assert!(cache.read(then).is_none(), "without a hash anything could be unpacked");
    }

    #[test]
    fn a_github_of_this_machine_names_its_own_packages() {
        let dir = tempfile::tempdir().expect("a directory");
        let cache = cache(dir.path(), "http://127.0.0.1:5901/acme/vision");
        let then = Timestamp::UNIX_EPOCH;
        cache.write(&[package("http://127.0.0.1:5901/runner.tar.gz")], then);
        assert!(cache.read(then).is_some());
        cache.write(&[package("http://127.0.0.1:5902/runner.tar.gz")], then);
        assert!(cache.read(then).is_none());
    }

    #[test]
    fn without_a_directory_nothing_is_kept() {
        let location = Location::find(Some("https://github.com/acme/vision"), &|_| None, None).expect("one");
        let cache = PackageCache::new(None, &location);
        cache.write(&[package(RIGHT)], Timestamp::UNIX_EPOCH);
        assert!(cache.read(Timestamp::UNIX_EPOCH).is_none());
    }
}
