//! EC2's bill for one machine.
//!
//! - Per second, with a minimum of one minute from each start: <https://aws.amazon.com/ec2/pricing/on-demand/>.
//! - Spot at the price of each moment, free when EC2 interrupts it in its first hour:
//!   <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/billing-for-interrupted-spot-instances.html>.
//! - While stopped, only its disk: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Stop_Start.html>.
//! - The disk per second while it exists, with a minimum of one minute, by the length of the calendar month:
//!   <https://aws.amazon.com/ebs/pricing/>.

use cml_cloud::{Disk, Market, Usd, UsdPerHour};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// Minimum billed time: one minute.
const AT_LEAST: SignedDuration = SignedDuration::from_secs(60);
/// A spot machine that EC2 interrupts before this time costs nothing.
const FREE_WHEN_TAKEN_WITHIN: SignedDuration = SignedDuration::from_hours(1);

/// Which side ended a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The machine powered itself off, or the controller ended it.
    Ours,
    /// The cloud interrupted it.
    TakenBack,
}

/// A span of time; empty when `to` is not after `from`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// Start, inclusive.
    pub from: Timestamp,
    /// End, exclusive.
    pub to: Timestamp,
}

impl TimeRange {
    fn seconds(self) -> u64 {
        u64::try_from(self.to.as_second() - self.from.as_second()).unwrap_or(0)
    }

    fn within(self, window: Self) -> Self {
        Self { from: self.from.max(window.from), to: self.to.min(window.to) }
    }

    /// Returns the part that is billed.
    fn billed(self) -> Self {
        let least = self.from.checked_add(AT_LEAST).unwrap_or(Timestamp::MAX);
        Self { from: self.from, to: self.to.max(least) }
    }
}

/// Everything that EC2 bills a machine by.
#[derive(Clone, Debug, PartialEq)]
pub struct BillableUsage {
    /// The market in which it was bought.
    pub market: Market,
    /// Price changes, the oldest first; the first of them also holds from the start of its life. Without any, the cost
    /// is unknown and counts as zero.
    pub prices: Vec<(Timestamp, UsdPerHour)>,
    /// The spans in which it ran: one, unless it was stopped and started again.
    pub runs: Vec<TimeRange>,
    /// Which side ended it.
    pub end: EndReason,
    /// Its disk, and the span in which the disk exists.
    pub disk: Option<(Disk, TimeRange)>,
}

impl BillableUsage {
    /// Returns the span that covers everything that is billed.
    #[must_use]
    pub fn whole(&self) -> TimeRange {
        let spans = self.runs.iter().copied().chain(self.disk.map(|(_, span)| span)).map(TimeRange::billed);
        let whole =
            spans.reduce(|one, other| TimeRange { from: one.from.min(other.from), to: one.to.max(other.to) });
        whole.unwrap_or(TimeRange { from: Timestamp::UNIX_EPOCH, to: Timestamp::UNIX_EPOCH })
    }

    /// Returns the whole bill.
    #[must_use]
    pub fn cost(&self) -> Usd {
        Usd(self.machine(self.whole()).0 + self.disk(self.whole()).0)
    }

    /// Returns the cost of the machine itself within a window.
    #[must_use]
    pub fn machine(&self, window: TimeRange) -> Usd {
        let last = self.runs.len().saturating_sub(1);
        let cost = |(number, run): (usize, &TimeRange)| {
            let is_free = number == last && self.is_free(*run);
            if is_free { Decimal::ZERO } else { self.run(*run, window) }
        };
        Usd(self.runs.iter().enumerate().map(cost).sum())
    }

    fn is_free(&self, run: TimeRange) -> bool {
        self.market == Market::Spot
            && self.end == EndReason::TakenBack
            && run.to.duration_since(run.from) < FREE_WHEN_TAKEN_WITHIN
    }

    fn run(&self, run: TimeRange, window: TimeRange) -> Decimal {
        // What is billed beyond its life is billed at the last price of its life.
        let in_force = self.prices.iter().take_while(|(since, _)| *since < run.to).count();
        let held = in_force.max(1).min(self.prices.len());
        let mut sum = Decimal::ZERO;
        for (number, (since, price)) in self.prices.iter().take(held).enumerate() {
            let begins = if number == 0 { Timestamp::MIN } else { *since };
            let ends = if number + 1 < held { self.prices[number + 1].0 } else { Timestamp::MAX };
            let part = run.billed().within(TimeRange { from: begins, to: ends }).within(window);
            sum += price.for_seconds(part.seconds()).0;
        }
        sum
    }

    /// Returns the cost of its disk within a window.
    #[must_use]
    pub fn disk(&self, window: TimeRange) -> Usd {
        let Some((disk, span)) = self.disk else { return Usd(Decimal::ZERO) };
        let mut left = span.billed().within(window);
        let mut sum = Decimal::ZERO;
        while left.from < left.to {
            let Some(month) = month_of(left.from) else { break };
            let part = left.within(month);
            let month_price = disk.price.0 * Decimal::from(disk.gib);
            sum += month_price * Decimal::from(part.seconds()) / Decimal::from(month.seconds());
            left.from = month.to;
        }
        Usd(sum)
    }
}

/// Returns the calendar month (UTC) that contains a moment.
fn month_of(at: Timestamp) -> Option<TimeRange> {
    let first = at.to_zoned_datetime(TimeZone::UTC).date().first_of_month();
    let begin = first.to_zoned_datetime(TimeZone::UTC).ok()?;
    let end = first.checked_add(1.month()).ok()?.to_zoned_datetime(TimeZone::UTC).ok()?;
    Some(TimeRange { from: begin.timestamp(), to: end.timestamp() })
}
