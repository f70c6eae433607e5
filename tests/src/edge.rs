//! Inputs of the harness from its environment: the clock and environment variables.

use jiff::Timestamp;

/// Returns the current time.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "the edge of the harness: the front stamps what it records")]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Returns a variable of this test process; empty when it is not set.
#[must_use]
#[allow(
    clippy::disallowed_methods,
    reason = "the edge of the harness: tests run with the PATH and cargo of their caller"
)]
pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}
