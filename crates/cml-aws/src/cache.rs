//! Cache of AWS's answers. Nothing in it is required; all of it saves calls.

use std::path::PathBuf;

use cml_cloud::private;
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::clock::now;

/// Maximum size of a cached answer, bytes: the types of a region have some megabytes.
const LARGEST_BYTES: u64 = 64 << 20;

/// Files in a directory, one per request.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    dir: Option<PathBuf>,
    /// Endpoint that answered: an emulator's answers are never used as AWS's.
    origin: String,
}

#[derive(Serialize, Deserialize)]
struct Kept<T> {
    fetched_at: Timestamp,
    value: T,
}

impl Cache {
    pub(crate) fn new(dir: Option<PathBuf>, endpoint: Option<&str>) -> Self {
        Self { dir, origin: endpoint.unwrap_or("aws").to_owned() }
    }

    fn file(&self, question: &str) -> Option<PathBuf> {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '.' { c } else { '_' };
        let name: String = format!("{}-{question}", self.origin).chars().map(plain).collect();
        Some(self.dir.as_ref()?.join(format!("ec2-{name}.json")))
    }

    /// Returns the cached answer, if it is younger than this. An unreadable file counts as missing, and so does one
    /// that other users could have written: it names the image that is booted.
    pub(crate) fn read<T: DeserializeOwned>(
        &self,
        question: &str,
        younger_than: SignedDuration,
    ) -> Option<T> {
        let bytes = private::read_own(&self.file(question)?, LARGEST_BYTES)?;
        let kept: Kept<T> = serde_json::from_slice(&bytes).ok()?;
        let age = now().duration_since(kept.fetched_at);
        (!age.is_negative() && age < younger_than).then_some(kept.value)
    }

    /// Stores an answer; a cache that cannot be written only costs a call next time.
    pub(crate) fn write<T: Serialize>(&self, question: &str, value: T) {
        let Some(file) = self.file(question) else { return };
        let kept = serde_json::to_vec(&Kept { fetched_at: now(), value });
        if let Err(error) = kept.map_err(Into::into).and_then(|bytes| private::write_own(&file, &bytes)) {
            tracing::debug!(%error, file = %file.display(), "an answer of AWS could not be kept");
        }
    }

    /// Deletes an answer that has proved wrong.
    pub(crate) fn forget(&self, question: &str) {
        if let Some(file) = self.file(question) {
            let _ = std::fs::remove_file(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_kept_until_it_is_old_or_forgotten() {
        let dir = tempfile::tempdir().expect("a directory");
        let cache = Cache::new(Some(dir.path().to_owned()), Some("http://127.0.0.1:1"));
        cache.write("image", "ami-1");
        let read = |age| cache.read::<String>("image", SignedDuration::from_secs(age));
        assert_eq!(read(60).as_deref(), Some("ami-1"));
        assert_eq!(read(0), None);
        let elsewhere = Cache::new(Some(dir.path().to_owned()), None);
        assert_eq!(elsewhere.read::<String>("image", SignedDuration::from_secs(60)), None);
        let file = cache.file("image").expect("a file");
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o622);
        std::fs::set_permissions(&file, open).expect("is changed");
        assert_eq!(read(60), None, "others could have written it");
        cache.write("image", "ami-2");
        assert_eq!(read(60).as_deref(), Some("ami-2"));
        cache.forget("image");
        assert_eq!(read(60), None);
    }
}
