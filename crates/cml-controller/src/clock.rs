//! Checks this machine's clock: a deadline by a wrong one ends machines at work, or lets them live for days.

use jiff::{SignedDuration, Timestamp};

use crate::forge::Forge;

/// The clock, which the caller reads.
pub type Clock<'a> = &'a (dyn Fn() -> Timestamp + Sync);

/// A smaller difference does no harm: it is within the planner's grace times, and an answer takes its time too.
pub const CLOCK_MAX: SignedDuration = SignedDuration::from_mins(5);

/// Returns how far the clock is ahead of GitHub's (negative: behind it) when that is more than [`CLOCK_MAX`]; none while GitHub
/// has not answered.
pub fn wrong_clock<F: Forge>(forge: &F, wall: Timestamp) -> Option<SignedDuration> {
    forge.time().map(|time| time.ahead(wall)).filter(|ahead| ahead.abs() > CLOCK_MAX)
}

/// Returns `172800 s ahead of GitHub's`.
#[must_use]
pub fn describe_skew(ahead: SignedDuration) -> String {
    let side = if ahead.is_negative() { "behind" } else { "ahead of" };
    format!("{} s {side} GitHub's", ahead.abs().as_secs())
}
