//! Money without floats.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// US dollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Usd(pub Decimal);

/// US dollars per hour of one running instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UsdPerHour(pub Decimal);

/// US dollars per GiB of storage that exists for a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UsdPerGibMonth(pub Decimal);

impl UsdPerHour {
    /// What that many seconds cost at this price.
    #[must_use]
    pub fn for_seconds(&self, seconds: u64) -> Usd {
        Usd(self.0 * Decimal::from(seconds) / Decimal::from(3600))
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "${}", self.0.round_dp(4).normalize())
    }
}

impl fmt::Display for UsdPerHour {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "${}/h", self.0.round_dp(4).normalize())
    }
}

impl fmt::Display for UsdPerGibMonth {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "${}/GiB-month", self.0.round_dp(4).normalize())
    }
}
