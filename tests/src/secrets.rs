//! Canaries: values that must never appear outside the one place that needs them.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::processes;

/// The GitHub token of the tests: easy to find, like a real one in form.
pub const TOKEN: &str = "ghp_canary4TheTokenThatNobodyMaySee00000";
/// The secret half of the AWS key of the tests.
pub const AWS_SECRET: &str = "canaryAwsSecretKeyThatNobodyMaySee/0000000";

/// Fails when one of the secrets is in the text.
///
/// # Panics
/// When it is; the message contains the place, not the secret.
pub fn assert_no_secret(place: &str, text: &str, secrets: &[String]) {
    for (index, secret) in secrets.iter().enumerate() {
        assert!(!secret.is_empty(), "an empty canary proves nothing");
        assert!(!text.contains(secret.as_str()), "secret number {index} is seen in {place}");
    }
}

/// Returns where a secret is in a command line of any process; empty when nowhere.
#[must_use]
pub fn seen_in_command_lines(secrets: &[String]) -> Vec<String> {
    processes::all()
        .into_iter()
        .filter(|process| {
            process.arguments.iter().any(|argument| secrets.iter().any(|secret| argument.contains(secret)))
        })
        .map(|process| process.arguments.first().cloned().unwrap_or_default())
        .collect()
}

/// Returns files below `dir` that others may read and that contain a secret.
///
/// A directory that others may not enter hides what is in it.
#[must_use]
pub fn seen_in_open_files(dir: &Path, secrets: &[String]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(path) = todo.pop() {
        let Ok(meta) = path.symlink_metadata() else { continue };
        let mode = meta.permissions().mode();
        if meta.is_dir() && mode & 0o011 != 0 {
            let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
            todo.extend(entries.map(|entry| entry.path()));
        } else if meta.is_file() && mode & 0o044 != 0 {
            let text = std::fs::read(&path).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            if secrets.iter().any(|secret| text.contains(secret.as_str())) {
                found.push(path);
            }
        }
    }
    found
}
