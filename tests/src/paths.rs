//! Paths: this crate's own files, the target directory, the built binaries.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

use crate::edge::variable;

/// The directory of this crate.
#[must_use]
pub fn tests_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `<target>/<profile>`: the test program lies in its `deps`.
fn profile_dir() -> PathBuf {
    let exe = std::env::current_exe().expect("the test program has a path");
    let deps = exe.parent().expect("the test program lies in a directory");
    let profile = if deps.ends_with("deps") { deps.parent().expect("deps lies in a profile") } else { deps };
    profile.to_owned()
}

/// The target directory that this test program was built into.
#[must_use]
pub fn target_dir() -> PathBuf {
    profile_dir().parent().expect("a profile lies in the target directory").to_owned()
}

/// The built `cml-runner` of the same profile, built first when it is missing or older than its sources.
///
/// # Panics
/// When it cannot be built.
#[must_use]
pub fn cml_runner() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let exe = profile_dir().join("cml-runner");
        let built = exe.metadata().and_then(|meta| meta.modified()).ok();
        if built.is_none_or(|built| newest_source() > built) {
            build(&exe);
        }
        exe
    })
}

/// When a source of the binary was last changed.
fn newest_source() -> SystemTime {
    let root = tests_dir().parent().expect("this crate lies in the workspace");
    let crates = fs::read_dir(root.join("crates"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("src"));
    let mut newest = SystemTime::UNIX_EPOCH;
    let mut todo: Vec<PathBuf> = crates.chain([root.join("templates")]).collect();
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            todo.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        } else if let Ok(changed) = path.metadata().and_then(|meta| meta.modified()) {
            newest = newest.max(changed);
        }
    }
    newest
}

fn build(exe: &Path) {
    let cargo = variable("CARGO");
    let mut command = Command::new(if cargo.is_empty() { "cargo" } else { &cargo });
    command.args(["build", "--quiet", "-p", "cml-runner", "--target-dir"]).arg(target_dir());
    if exe.parent().is_some_and(|profile| profile.ends_with("release")) {
        command.arg("--release");
    }
    let status = command.current_dir(tests_dir()).status();
    assert!(
        status.as_ref().is_ok_and(std::process::ExitStatus::success) && exe.exists(),
        "{} is missing and `cargo build -p cml-runner` did not make it ({status:?})",
        exe.display()
    );
}
