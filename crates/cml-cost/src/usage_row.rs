//! One row of the ledger: a span of one machine's time, on one day, with one owner.

use cml_cloud::{Market, Usd};
use cml_journal::{CostCategory, Waste};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

/// Billionths of a US dollar. Integers have the same sum in any order, and a million rows are off by less than a tenth
/// of a cent.
pub(crate) type Nanos = i64;

/// Number of a name in an [`Interner`](crate::Interner).
pub type Symbol = u32;

/// Kind of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// From the purchase to the runner being online.
    Boot = 0,
    /// A job.
    Work = 1,
    /// Online, without a job.
    Idle = 2,
    /// Its runner never came online.
    NeverRegistered = 3,
    /// The cloud interrupted the machine while a job ran on it.
    Interrupted = 4,
    /// The deadline ended the machine while a job ran on it.
    Capped = 5,
    /// The machine was stopped from outside.
    Stopped = 6,
    /// The difference between a shorter life and the minimum of one minute.
    Minimum = 7,
}

impl Kind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Boot,
        Self::Work,
        Self::Idle,
        Self::NeverRegistered,
        Self::Interrupted,
        Self::Capped,
        Self::Stopped,
        Self::Minimum,
    ];

    pub(crate) fn of(share: CostCategory) -> Self {
        match share {
            CostCategory::Boot => Self::Boot,
            CostCategory::Work(_) => Self::Work,
            CostCategory::Idle => Self::Idle,
            CostCategory::Waste(Waste::NeverRegistered) => Self::NeverRegistered,
            CostCategory::Waste(Waste::Interrupted(_)) => Self::Interrupted,
            CostCategory::Waste(Waste::Capped(_)) => Self::Capped,
            CostCategory::Waste(Waste::Stopped) => Self::Stopped,
            CostCategory::Waste(Waste::Minimum) => Self::Minimum,
        }
    }

    pub(crate) fn numbered(number: i64) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// Returns its description.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::Work => "work",
            Self::Idle => "idle",
            Self::NeverRegistered => "never registered",
            Self::Interrupted => "interrupted",
            Self::Capped => "cut by the deadline",
            Self::Stopped => "stopped",
            Self::Minimum => "minimum minute",
        }
    }

    /// Returns the column of a report that it belongs to.
    #[must_use]
    pub fn class(self) -> Class {
        match self {
            Self::Boot => Class::Boot,
            Self::Work => Class::Work,
            Self::Idle => Class::Idle,
            _ => Class::Waste,
        }
    }
}

/// The columns of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Jobs.
    Work,
    /// Machines that are booting.
    Boot,
    /// Machines without a job.
    Idle,
    /// Waste.
    Waste,
}

impl Class {
    /// All columns, in their order.
    pub const ALL: [Self; 4] = [Self::Work, Self::Boot, Self::Idle, Self::Waste];

    /// Returns its description.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Boot => "boot",
            Self::Idle => "idle",
            Self::Waste => "waste",
        }
    }
}

/// One row of the ledger. Names are interned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UsageRow {
    /// Seconds since 1970, within one day of UTC.
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) kind: Kind,
    /// Whether it is the first row of its machine; machines are counted by it.
    pub(crate) begins_machine: bool,
    /// Whether it is the first row of its job on this machine; jobs are counted by it.
    pub(crate) begins_job: bool,
    /// Whether its times or prices are not the cloud's own.
    pub(crate) is_estimate: bool,
    pub(crate) market: Market,
    pub(crate) spec: Symbol,
    pub(crate) instance_type: Symbol,
    pub(crate) region: Symbol,
    pub(crate) zone: Symbol,
    /// GitHub's id; 0 for none.
    pub(crate) job: i64,
    pub(crate) repository: Symbol,
    pub(crate) workflow: Symbol,
    pub(crate) branch: Symbol,
    pub(crate) actor: Symbol,
    pub(crate) machine: Nanos,
    pub(crate) disk: Nanos,
}

impl UsageRow {
    pub(crate) fn cost(&self) -> Nanos {
        self.machine.saturating_add(self.disk)
    }

    pub(crate) fn seconds(&self) -> i64 {
        self.to.saturating_sub(self.from)
    }
}

/// Converts to the nearest billionth; saturates.
pub(crate) fn nanos(usd: Usd) -> Nanos {
    usd.0.saturating_mul(Decimal::from(1_000_000_000)).round().to_i64().unwrap_or(i64::MAX)
}

/// Converts a sum of many.
pub(crate) fn usd(nanos: i128) -> Usd {
    Usd(Decimal::try_from_i128_with_scale(nanos, 9).unwrap_or(Decimal::MAX).normalize())
}
