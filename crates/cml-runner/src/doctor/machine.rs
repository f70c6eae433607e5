//! Checks of this machine: its state directory, and the needs of a local runner.

use std::path::Path;

use super::checks::Checks;
use crate::args::State;
use crate::context;

/// Programs that the script of a machine calls, and an image always has.
const PROGRAMS: [&str; 4] = ["bash", "curl", "sha256sum", "tar"];

pub(super) fn look(state: &State, has_local: bool) -> Checks {
    let mut checks = Checks::default();
    let dir = state.state_dir.clone().unwrap_or_else(context::default_state_dir);
    match writable(&dir) {
        Ok(()) => checks.ok("state directory", dir.display().to_string()),
        Err(error) => checks.fail(
            "state directory",
            format!("{} cannot be written: {error}", dir.display()),
            "name another one with --state-dir, or let this user write there: without it no launch is written down",
        ),
    }
    if has_local {
        let missing: Vec<&str> = PROGRAMS.into_iter().filter(|program| !is_there(program)).collect();
        if missing.is_empty() {
            checks.ok("programs", PROGRAMS.join(", "));
        } else {
            checks.fail(
                "programs",
                format!("{} is missing", missing.join(", ")),
                "install it: runners on this machine need it",
            );
        }
    }
    checks
}

/// Returns whether files can be created there. A missing directory is created by the first launch, so the nearest
/// existing one is checked.
fn writable(dir: &Path) -> std::io::Result<()> {
    let existing = dir.ancestors().find(|dir| dir.exists()).unwrap_or(dir);
    tempfile::NamedTempFile::new_in(existing).map(drop)
}

fn is_there(program: &str) -> bool {
    let path = context::env("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}
