//! The edge where the clock is read: prices and caches have ages, and credentials and signatures expire.
#![allow(clippy::disallowed_methods, reason = "this crate's only look at the clock")]

use std::time::SystemTime;

use jiff::Timestamp;

/// The time now.
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// The time now, as the SDK has it.
pub(crate) fn wall_clock() -> SystemTime {
    SystemTime::now()
}
