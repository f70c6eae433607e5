//! EC2's bill for one machine.
//!
//! - Per second, a minute at least from each start: <https://aws.amazon.com/ec2/pricing/on-demand/>.
//! - Spot at the price of each moment, free when EC2 takes it back in its first hour:
//!   <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/billing-for-interrupted-spot-instances.html>.
//! - Stopped, only its disk: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Stop_Start.html>.
//! - The disk per second while it exists, a minute at least, by the length of the calendar month:
//!   <https://aws.amazon.com/ebs/pricing/>.

use cml_cloud::{Disk, Market, Usd, UsdPerHour};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// A minute at least.
const AT_LEAST: SignedDuration = SignedDuration::from_secs(60);
/// A spot machine that EC2 takes back before this costs nothing.
const FREE_WHEN_TAKEN_WITHIN: SignedDuration = SignedDuration::from_hours(1);

/// Who ended a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// It powered itself off, or we ended it.
    Ours,
    /// The cloud took it back.
    TakenBack,
}

/// From one moment to another; nothing when they are the wrong way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// The first moment of it.
    pub from: Timestamp,
    /// The first moment after it.
    pub to: Timestamp,
}

impl TimeRange {
    fn seconds(self) -> u64 {
        u64::try_from(self.to.as_second() - self.from.as_second()).unwrap_or(0)
    }

    fn within(self, window: Self) -> Self {
        Self { from: self.from.max(window.from), to: self.to.min(window.to) }
    }

    /// What is billed of it.
    fn billed(self) -> Self {
        let least = self.from.checked_add(AT_LEAST).unwrap_or(Timestamp::MAX);
        Self { from: self.from, to: self.to.max(least) }
    }
}

/// What EC2 bills a machine by.
#[derive(Clone, Debug, PartialEq)]
pub struct BillableUsage {
    /// How it was bought.
    pub market: Market,
    /// The changes of its price, the oldest first; the first of them holds from its beginning on. Without any, what it costs is
    /// not known and counts as nothing.
    pub prices: Vec<(Timestamp, UsdPerHour)>,
    /// When it ran: once, unless it was stopped and started again.
    pub runs: Vec<TimeRange>,
    /// Who ended it.
    pub end: EndReason,
    /// Its disk, and while it exists.
    pub disk: Option<(Disk, TimeRange)>,
}

impl BillableUsage {
    /// Everything that is billed for.
    #[must_use]
    pub fn whole(&self) -> TimeRange {
        let spans = self.runs.iter().copied().chain(self.disk.map(|(_, span)| span)).map(TimeRange::billed);
        let whole =
            spans.reduce(|one, other| TimeRange { from: one.from.min(other.from), to: one.to.max(other.to) });
        whole.unwrap_or(TimeRange { from: Timestamp::UNIX_EPOCH, to: Timestamp::UNIX_EPOCH })
    }

    /// The whole bill.
    #[must_use]
    pub fn cost(&self) -> Usd {
        Usd(self.machine(self.whole()).0 + self.disk(self.whole()).0)
    }

    /// What the machine itself costs in a window.
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
        // What is billed beyond its life has the last price of its life.
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

    /// What its disk costs in a window.
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

/// The calendar month of a moment, UTC.
fn month_of(at: Timestamp) -> Option<TimeRange> {
    let first = at.to_zoned_datetime(TimeZone::UTC).date().first_of_month();
    let begin = first.to_zoned_datetime(TimeZone::UTC).ok()?;
    let end = first.checked_add(1.month()).ok()?.to_zoned_datetime(TimeZone::UTC).ok()?;
    Some(TimeRange { from: begin.timestamp(), to: end.timestamp() })
}
