//! The edge at which the clock is read: prices and caches have ages, and credentials and signatures expire.
#![allow(clippy::disallowed_methods, reason = "this crate's only look at the clock")]

use std::time::SystemTime;

use jiff::Timestamp;

/// Returns the time now.
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// Returns the time now, in the SDK's type.
pub(crate) fn wall_clock() -> SystemTime {
    SystemTime::now()
}
