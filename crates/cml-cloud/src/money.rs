//! Money without floats.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// US dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Usd(pub Decimal);

/// US dollars per hour of one running instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UsdPerHour(pub Decimal);

impl UsdPerHour {
    /// What that many seconds cost at this price.
    #[must_use]
    pub fn for_seconds(&self, seconds: u64) -> Usd {
        Usd(self.0 * Decimal::from(seconds) / Decimal::from(3600))
    }
}

/// US dollars for one GiB of a disk that exists for one calendar month. AWS writes GB and means 2^30 bytes.
/// <https://aws.amazon.com/ebs/pricing/>
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UsdPerGibMonth(pub Decimal);

/// A disk that a machine is bought with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Its size, GiB.
    pub gib: u32,
    /// What it costs.
    pub price: UsdPerGibMonth,
}

impl Disk {
    /// What it costs an hour at the most: in the shortest of months.
    #[must_use]
    pub fn hourly_at_most(&self) -> UsdPerHour {
        UsdPerHour(self.price.0 * Decimal::from(self.gib) / Decimal::from(28 * 24))
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "${}", self.0.round_dp(4).normalize())
    }
}

impl fmt::Display for UsdPerGibMonth {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "${}/GiB-month", self.0.round_dp(4).normalize())
    }
}

impl fmt::Display for UsdPerHour {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "${}/h", self.0.round_dp(4).normalize())
    }
}
