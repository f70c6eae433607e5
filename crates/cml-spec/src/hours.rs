//! Hours of the week in a time zone: `Mon-Fri 08:00-19:00 Europe/Berlin`.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Hours on some days, by the clocks of a time zone.
#[derive(Clone, Debug, PartialEq)]
pub struct WarmHours {
    text: String,
    days: Vec<Weekday>,
    from: Time,
    /// `None` is the end of the day.
    until: Option<Time>,
    zone: TimeZone,
}

/// Error: the text contains no hours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} names no hours ({why}): write days, hours and a time zone, such as \"Mon-Fri 08:00-19:00 Europe/Berlin\""
)]
pub struct BadHours {
    text: String,
    why: &'static str,
}

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

impl WarmHours {
    /// Returns whether they include a time. Hours over midnight belong to the day on which they begin; an hour that a
    /// clock change skips does not exist, and one that it repeats counts twice.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        let here = at.to_zoned_datetime(self.zone.clone());
        let time = here.time();
        let today = self.days.contains(&here.weekday());
        let yesterday = self.days.contains(&here.weekday().previous());
        match self.until {
            None => today && time >= self.from,
            Some(until) if self.from < until => today && time >= self.from && time < until,
            Some(until) => (today && time >= self.from) || (yesterday && time < until),
        }
    }

    /// Returns when this changes next, within a week and a day, to the minute; `None` when it never does.
    #[must_use]
    pub fn next_change(&self, after: Timestamp) -> Option<Timestamp> {
        let now = self.contains(after);
        let step = SignedDuration::from_mins(1);
        let mut at = Timestamp::from_second(after.as_second().div_euclid(60) * 60).ok()?;
        for _ in 0..8 * 24 * 60 {
            at = at.checked_add(step).ok()?;
            if self.contains(at) != now {
                return Some(at);
            }
        }
        None
    }
}

impl fmt::Display for WarmHours {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl FromStr for WarmHours {
    type Err = BadHours;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = |why| BadHours { text: text.to_owned(), why };
        let words: Vec<&str> = text.split_whitespace().collect();
        let [days, hours, zone] = words.as_slice() else { return Err(bad("three words are expected")) };
        let (from, until) =
            hours.split_once('-').ok_or_else(|| bad("the hours need a beginning and an end"))?;
        let zone = TimeZone::get(zone).map_err(|_| bad("the time zone is not known"))?;
        let parsed = Self {
            text: text.to_owned(),
            days: read_days(days).ok_or_else(|| bad("the days are Mon, Tue, Wed, Thu, Fri, Sat, Sun"))?,
            from: read_time(from).ok_or_else(|| bad("the beginning is no time"))?,
            until: match until {
                "24:00" => None,
                until => Some(read_time(until).ok_or_else(|| bad("the end is no time"))?),
            },
            zone,
        };
        if parsed.until == Some(parsed.from) { Err(bad("they begin and end at once")) } else { Ok(parsed) }
    }
}

/// Parses `Mon-Fri`, `Sat,Sun`, `daily`.
fn read_days(text: &str) -> Option<Vec<Weekday>> {
    let text = text.to_ascii_lowercase();
    if text == "daily" {
        return Some(DAYS.iter().map(|(_, day)| *day).collect());
    }
    let index = |name: &str| DAYS.iter().position(|(known, _)| *known == name);
    let mut days = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (index(first)?, index(last)?);
        let length = (last + DAYS.len() - first) % DAYS.len();
        days.extend((0..=length).map(|step| DAYS[(first + step) % DAYS.len()].1));
    }
    Some(days)
}

fn read_time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute): (i8, i8) = (hour.parse().ok()?, minute.parse().ok()?);
    Time::new(hour, minute, 0, 0).ok()
}

impl Serialize for WarmHours {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WarmHours {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(text: &str) -> WarmHours {
        text.parse().expect(text)
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect(text)
    }

    #[test]
    fn office_hours_follow_the_clocks_of_the_place() {
        let office = hours("Mon-Fri 08:00-19:00 Europe/Berlin");
        // Winter: one hour ahead of UTC. Summer: two.
        assert!(office.contains(at("2026-01-05T07:00:00Z")) && !office.contains(at("2026-01-05T06:59:59Z")));
        assert!(office.contains(at("2026-07-06T06:00:00Z")) && !office.contains(at("2026-07-06T17:00:00Z")));
        assert!(!office.contains(at("2026-01-04T10:00:00Z")), "a Sunday");
    }

    #[test]
    fn hours_over_midnight_belong_to_the_day_on_which_they_begin() {
        let night = hours("Fri 22:00-06:00 UTC");
        assert!(night.contains(at("2026-01-09T23:00:00Z")) && night.contains(at("2026-01-10T05:59:00Z")));
        assert!(!night.contains(at("2026-01-09T05:00:00Z")) && !night.contains(at("2026-01-10T22:30:00Z")));
        assert!(hours("daily 00:00-24:00 UTC").contains(at("2026-01-10T23:59:59Z")));
    }

    #[test]
    fn days_wrap_around_the_week() {
        let weekend = hours("Sat-Mon 00:00-24:00 UTC");
        assert!(
            weekend.contains(at("2026-01-12T12:00:00Z")) && !weekend.contains(at("2026-01-13T12:00:00Z"))
        );
    }

    #[test]
    fn the_next_change_is_found() {
        let office = hours("Mon-Fri 08:00-19:00 UTC");
        assert_eq!(office.next_change(at("2026-01-09T18:59:30Z")), Some(at("2026-01-09T19:00:00Z")));
        assert_eq!(office.next_change(at("2026-01-09T19:00:00Z")), Some(at("2026-01-12T08:00:00Z")));
    }

    #[test]
    fn what_is_no_hours_says_what_is() {
        for (text, why) in [
            ("08:00-19:00", "three words"),
            ("Mon-Foo 08:00-19:00 UTC", "the days are"),
            ("Mon 08:00-25:00 UTC", "the end is no time"),
            ("Mon 08:00-08:00 UTC", "begin and end at once"),
            ("Mon 08:00-09:00 Mars/Base", "time zone is not known"),
        ] {
            let error = text.parse::<WarmHours>().expect_err(text).to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
