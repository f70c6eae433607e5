//! The query of a report.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

/// Criterion that a report groups by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupBy {
    /// Jobs of a run.
    Job,
    /// Workflows by name.
    Workflow,
    /// Branches.
    Branch,
    /// Repositories.
    Repo,
    /// Actors that started the run.
    Actor,
    /// Pools of `cml.yaml`.
    Spec,
    /// Instance types.
    Type,
    /// Zones.
    Zone,
    /// Spot and on-demand.
    Market,
    /// Days in UTC.
    Day,
}

impl GroupBy {
    /// All criteria.
    pub const ALL: [Self; 10] = [
        Self::Job,
        Self::Workflow,
        Self::Branch,
        Self::Repo,
        Self::Actor,
        Self::Spec,
        Self::Type,
        Self::Zone,
        Self::Market,
        Self::Day,
    ];

    /// Returns its name on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Workflow => "workflow",
            Self::Branch => "branch",
            Self::Repo => "repo",
            Self::Actor => "actor",
            Self::Spec => "spec",
            Self::Type => "type",
            Self::Zone => "zone",
            Self::Market => "market",
            Self::Day => "day",
        }
    }

    /// Returns true for criteria of jobs. Boot, idle time and waste belong to pools; under these criteria they have
    /// rows of their own.
    #[must_use]
    pub fn is_of_jobs(self) -> bool {
        matches!(self, Self::Job | Self::Workflow | Self::Branch | Self::Repo | Self::Actor)
    }
}

impl fmt::Display for GroupBy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.word())
    }
}

/// A window of whole days in UTC, as AWS bills them; up to now where the last one is today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The first day.
    pub first: Date,
    /// The day after the last.
    pub after: Date,
}

/// Error: the window could not be parsed.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is {what}; such as {example}")]
pub struct BadWindow {
    text: String,
    what: &'static str,
    example: &'static str,
}

/// A calendar month, `2026-11`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Month(Date);

impl FromStr for Month {
    type Err = BadWindow;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadWindow { text: text.to_owned(), what: "no month", example: "2026-11" };
        let (year, month) = text.split_once('-').ok_or_else(bad)?;
        let (year, month) = (year.parse().map_err(|_| bad())?, month.parse().map_err(|_| bad())?);
        Date::new(year, month, 1).map(Self).map_err(|_| bad())
    }
}

impl Window {
    /// Returns the last days up to and including today: `30d`, `2 weeks`.
    #[must_use]
    pub fn since(length: SignedDuration, now: Timestamp) -> Self {
        let today = day_of(now);
        let days = (length.as_secs() + 86_399).div_euclid(86_400).clamp(1, 36_500);
        let first = today.checked_sub((days - 1).days()).unwrap_or(today);
        Self { first, after: today.tomorrow().unwrap_or(today) }
    }

    /// Returns the window of a calendar month.
    #[must_use]
    pub fn month(Month(first): Month) -> Self {
        Self { first, after: first.checked_add(1.month()).unwrap_or(first) }
    }

    /// Returns its first second, since 1970.
    #[must_use]
    pub fn begins(&self) -> i64 {
        second(self.first)
    }

    /// Returns the first second after it.
    #[must_use]
    pub fn ends(&self) -> i64 {
        second(self.after)
    }

    /// Returns its days, oldest first.
    pub fn days(&self) -> impl Iterator<Item = Date> + use<> {
        let after = self.after;
        self.first.series(1.day()).take_while(move |day| *day < after)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.after.yesterday().unwrap_or(self.after);
        if last == self.first {
            return write!(out, "{last}");
        }
        write!(out, "{} to {last}", self.first)
    }
}

fn day_of(at: Timestamp) -> Date {
    at.to_zoned_datetime(TimeZone::UTC).date()
}

/// Returns the day with this number since 1970.
pub(crate) fn day_numbered(number: i64) -> Date {
    date(1970, 1, 1).checked_add(number.days()).unwrap_or(Date::MAX)
}

fn second(day: Date) -> i64 {
    day.to_zoned_datetime(TimeZone::UTC).map_or(i64::MAX, |begin| begin.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn days_are_counted_with_today() {
        let now = at("2026-03-01T00:00:05Z");
        let shown = |length: i64| Window::since(SignedDuration::from_secs(length), now).to_string();
        assert_eq!(shown(86_400), "2026-03-01");
        assert_eq!(shown(3600), "2026-03-01");
        assert_eq!(shown(2 * 86_400), "2026-02-28 to 2026-03-01");
    }

    #[test]
    fn months_end_where_they_end() {
        let shown = |text: &str| Window::month(text.parse().expect("a month")).to_string();
        assert_eq!(shown("2028-02"), "2028-02-01 to 2028-02-29");
        assert_eq!(shown("2026-12"), "2026-12-01 to 2026-12-31");
        for bad in ["2026", "2026-13", "11-2026-1", "last"] {
            let error = bad.parse::<Month>().expect_err("is no month").to_string();
            assert!(error.contains("such as 2026-11"), "{error}");
        }
    }
}
