//! The cost of one machine, and the jobs and pools that it is charged to.

use std::fmt;

use cml_cloud::{LaunchId, Offer, Usd};
use cml_planner::JobId;
use jiff::Timestamp;
use rust_decimal::Decimal;

use crate::billing::{BillableUsage, EndReason, TimeRange};

/// Cost category of a part of a machine's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CostCategory {
    /// From the purchase until the runner is online.
    Boot,
    /// A job; `None` when the job is unknown.
    Work(Option<JobId>),
    /// Online, without a job.
    Idle,
    /// Time without any use.
    Waste(Waste),
}

/// Cause of waste.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Waste {
    /// Its runner never came online.
    NeverRegistered,
    /// The cloud interrupted the machine while this job ran on it.
    Interrupted(Option<JobId>),
    /// The deadline ended the machine while this job ran on it.
    Capped(Option<JobId>),
    /// The machine was stopped from outside: only its disk is billed.
    Stopped,
    /// The difference between a shorter life and the minimum of one minute.
    Minimum,
}

impl CostCategory {
    /// Returns the job that was run or lost.
    #[must_use]
    pub fn job(self) -> Option<JobId> {
        match self {
            Self::Work(job) | Self::Waste(Waste::Interrupted(job) | Waste::Capped(job)) => job,
            Self::Boot | Self::Idle | Self::Waste(_) => None,
        }
    }
}

impl fmt::Display for Waste {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::NeverRegistered => "never registered",
            Self::Interrupted(_) => "interrupted",
            Self::Capped(_) => "cut by its deadline",
            Self::Stopped => "stopped",
            Self::Minimum => "minimum minute",
        })
    }
}

/// A machine that has ended or still exists, with its bill divided.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerEntry {
    /// The launch.
    pub launch: LaunchId,
    /// Name of its pool.
    pub spec: String,
    /// The job that it was bought for.
    pub job: Option<JobId>,
    /// The offer that was bought.
    pub offer: Offer,
    /// Time of the purchase.
    pub from: Timestamp,
    /// Time of the end; now, while it exists.
    pub to: Timestamp,
    /// The bill.
    pub cost: Usd,
    /// The cloud did not report its start or its end: the times are those of the observations.
    pub estimated: bool,
    /// The usage that it is billed by.
    pub usage: BillableUsage,
    /// The cloud has reported how its price changed; else the price is the one assumed at the purchase.
    pub is_priced_by_history: bool,
    /// The divided bill: consecutive segments that together are all that is billed.
    pub segments: Vec<CostSegment>,
}

/// A segment of a machine's life and bill.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CostSegment {
    /// Its category.
    pub category: CostCategory,
    /// Its span.
    pub span: TimeRange,
    /// Cost of the machine.
    pub machine: Usd,
    /// Cost of its disk.
    pub disk: Usd,
}

impl CostSegment {
    /// Returns the sum of both.
    #[must_use]
    pub fn cost(&self) -> Usd {
        Usd(self.machine.0 + self.disk.0)
    }
}

/// Divides a bill into segments, each from the start of one activity to the start of the next: each second costs what
/// that second is billed.
pub(crate) fn split(
    tenure: &BillableUsage,
    to: Timestamp,
    doing: &[(Timestamp, CostCategory)],
) -> Vec<CostSegment> {
    let whole = tenure.whole();
    let mut parts: Vec<CostSegment> = Vec::new();
    let mut push = |share: CostCategory, span: TimeRange| {
        if span.from >= span.to {
            return;
        }
        let (machine, disk) = (tenure.machine(span), tenure.disk(span));
        match parts.last_mut() {
            Some(last) if last.category == share => {
                last.span.to = span.to;
                last.machine.0 += machine.0;
                last.disk.0 += disk.0;
            }
            _ => parts.push(CostSegment { category: share, span, machine, disk }),
        }
    };
    let to = to.clamp(whole.from, whole.to);
    let mut since = whole.from;
    for (number, (_, share)) in doing.iter().enumerate() {
        let next = doing.get(number + 1).map_or(to, |(next, _)| (*next).clamp(since, to));
        push(*share, TimeRange { from: since, to: next });
        since = next;
    }
    push(CostCategory::Waste(Waste::Minimum), TimeRange { from: since, to: whole.to });
    parts
}

/// Returns the sum of the billed amounts.
pub(crate) fn sum(parts: &[CostSegment]) -> Usd {
    Usd(parts.iter().map(|part| part.cost().0).sum::<Decimal>())
}

/// Returns the category of a machine's last activity, given how the machine ended.
pub(crate) fn final_category(share: CostCategory, end: EndReason, was_due: bool) -> CostCategory {
    match (share, end) {
        (CostCategory::Work(job), EndReason::TakenBack) => CostCategory::Waste(Waste::Interrupted(job)),
        (CostCategory::Work(job), EndReason::Ours) if was_due => CostCategory::Waste(Waste::Capped(job)),
        _ => share,
    }
}
