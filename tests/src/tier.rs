//! Which tests run. Everyday ones run everywhere, in minutes. With `CML_TESTS=full`, as in CI, all run, and none may be skipped for
//! want of anything. A test is left to the full run when it boots a machine, runs whole workflows, builds or installs the program
//! anew, or takes more than ten seconds.

use crate::edge::variable;
use crate::venv::tell;

/// Whether all tests run.
#[must_use]
pub fn is_full() -> bool {
    variable("CML_TESTS") == "full"
}

/// True when this test is left to the full run; it has been said then.
#[must_use]
pub fn is_left_to_full(name: &str) -> bool {
    if !is_full() {
        tell(&format!("left to CML_TESTS=full: {name}"));
    }
    !is_full()
}

/// Says that a test cannot run here.
///
/// # Panics
/// In the full run, which skips nothing.
pub fn skip(name: &str, why: &str) {
    assert!(!is_full(), "{name} cannot run: {why}");
    tell(&format!("SKIPPED {name}: {why}"));
}
