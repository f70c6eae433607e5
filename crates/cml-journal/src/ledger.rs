//! One machine's money, and whose it is.

use std::fmt;

use cml_cloud::{LaunchId, Offer, Usd};
use cml_planner::JobId;
use jiff::Timestamp;
use rust_decimal::Decimal;

use crate::billing::{BillableUsage, EndReason, TimeRange};

/// What a part of a machine's life was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CostCategory {
    /// From the purchase to the runner being online.
    Boot,
    /// A job; none when it is not known which.
    Work(Option<JobId>),
    /// Online, without a job.
    Idle,
    /// For nothing.
    Waste(Waste),
}

/// Why money was for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Waste {
    /// Its runner never came online.
    NeverRegistered,
    /// The cloud took the machine back while this job was on it.
    Interrupted(Option<JobId>),
    /// The deadline ended the machine while this job was on it.
    Capped(Option<JobId>),
    /// Somebody had stopped the machine: only its disk costs.
    Stopped,
    /// What a minute at least adds to a shorter life.
    Minimum,
}

impl CostCategory {
    /// The job that it was for or that was lost.
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

/// A machine that is gone, or lives, with its bill divided.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerEntry {
    /// The launch.
    pub launch: LaunchId,
    /// Its spec.
    pub spec: String,
    /// The job that it was bought for.
    pub job: Option<JobId>,
    /// What was bought.
    pub offer: Offer,
    /// When it was bought.
    pub from: Timestamp,
    /// When it was gone; now, when it lives.
    pub to: Timestamp,
    /// The bill.
    pub cost: Usd,
    /// The cloud did not say when it began or ended: the times are when we saw it.
    pub estimated: bool,
    /// What it is billed by.
    pub usage: BillableUsage,
    /// The cloud has told how its price changed; else the price is what was thought when it was bought.
    pub is_priced_by_history: bool,
    /// The bill, divided: one part after the other, and together all that is billed.
    pub segments: Vec<CostSegment>,
}

/// A part of a machine's life and bill.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CostSegment {
    /// What it was for.
    pub category: CostCategory,
    /// When.
    pub span: TimeRange,
    /// What the machine cost.
    pub machine: Usd,
    /// What its disk cost.
    pub disk: Usd,
}

impl CostSegment {
    /// Both together.
    #[must_use]
    pub fn cost(&self) -> Usd {
        Usd(self.machine.0 + self.disk.0)
    }
}

/// Divides a bill over what a machine did, from the beginning of each to that of the next: each second costs what that
/// second is billed.
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

/// The sum of what is billed.
pub(crate) fn sum(parts: &[CostSegment]) -> Usd {
    Usd(parts.iter().map(|part| part.cost().0).sum::<Decimal>())
}

/// What the last thing that a machine did amounts to, now that it is known how the machine ended.
pub(crate) fn final_category(share: CostCategory, end: EndReason, was_due: bool) -> CostCategory {
    match (share, end) {
        (CostCategory::Work(job), EndReason::TakenBack) => CostCategory::Waste(Waste::Interrupted(job)),
        (CostCategory::Work(job), EndReason::Ours) if was_due => CostCategory::Waste(Waste::Capped(job)),
        _ => share,
    }
}
