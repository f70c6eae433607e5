//! Tiers of tests. Everyday tests run everywhere, in minutes. With `CML_TESTS=full`, as in CI, all run, and none may be
//! skipped for a missing requirement. A test is left to the full run when it boots a machine, runs whole workflows,
//! builds or installs the program anew, or takes more than ten seconds.

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::edge::variable;
use crate::venv::tell;

/// Lock of the machine: a boot during a build exceeds its time limits, so builds run alone.
static MACHINE: RwLock<()> = RwLock::const_new(());

/// Waits for builds to end, and delays the next one. Not from within a runtime.
pub fn booting() -> RwLockReadGuard<'static, ()> {
    MACHINE.blocking_read()
}

/// Waits for boots and other builds to end, and delays the next ones.
pub async fn building() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().await
}

/// Whether all tests run.
#[must_use]
pub fn is_full() -> bool {
    variable("CML_TESTS") == "full"
}

/// Returns true, and prints it, when this test is left to the full run.
#[must_use]
pub fn is_left_to_full(name: &str) -> bool {
    if !is_full() {
        tell(&format!("left to CML_TESTS=full: {name}"));
    }
    !is_full()
}

/// Reports that a test cannot run here.
///
/// # Panics
/// In the full run, which skips nothing.
pub fn skip(name: &str, why: &str) {
    assert!(!is_full(), "{name} cannot run: {why}");
    tell(&format!("SKIPPED {name}: {why}"));
}
