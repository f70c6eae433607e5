//! The edge where the clock is read: prices and caches have ages.

use jiff::Timestamp;

/// The time now.
#[allow(
    clippy::disallowed_methods,
    reason = "this crate's one look at the clock: ages of caches and the start of a price history"
)]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
