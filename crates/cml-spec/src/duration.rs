//! Durations as people and CML write them. Pure.

use jiff::SignedDuration;

/// Error: the text is not a duration.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error(
    "{text:?} is not a length of time: write seconds (300), or numbers with units (90s, 5m, 1h 30m, \"1 day 2h\")"
)]
pub struct BadDuration {
    text: String,
}

/// Maximum of ten years: nothing here lasts longer, and times may be added without overflow.
const LONGEST_SECONDS: i64 = 10 * 366 * 86_400;

/// Parses a duration that must be positive, and shorter than ten years.
///
/// # Errors
/// [`BadDuration`].
pub fn parse(text: &str) -> Result<SignedDuration, BadDuration> {
    let bad = || BadDuration { text: text.to_owned() };
    let seconds = seconds(text).ok_or_else(bad)?;
    if (1..=LONGEST_SECONDS).contains(&seconds) { Ok(SignedDuration::from_secs(seconds)) } else { Err(bad()) }
}

/// Parses an idle timeout: `never`, `0` and `-1` mean none.
///
/// # Errors
/// [`BadDuration`].
pub fn parse_idle(text: &str) -> Result<Option<SignedDuration>, BadDuration> {
    match text.trim() {
        "never" | "0" | "-1" => Ok(None),
        text => parse(text).map(Some),
    }
}

fn seconds(text: &str) -> Option<i64> {
    let text = text.trim().to_ascii_lowercase();
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let mut rest = text.as_str();
    let mut total: i64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let number_ends = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest[..number_ends].parse().ok()?;
        rest = rest[number_ends..].trim_start();
        let unit_ends = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let unit = match &rest[..unit_ends] {
            "s" | "sec" | "secs" | "second" | "seconds" => 1,
            "m" | "min" | "mins" | "minute" | "minutes" => 60,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3600,
            "d" | "day" | "days" => 86_400,
            "w" | "week" | "weeks" => 604_800,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = rest[unit_ends..].trim_start_matches([' ', ',']);
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cmls_ways_to_write_a_time_are_understood() {
        for (text, seconds) in [
            ("300", 300),
            ("5min", 300),
            ("5 minutes", 300),
            ("1 day 2h", 93_600),
            ("1h, 30m", 5400),
            ("1h30m", 5400),
        ] {
            assert_eq!(parse(text), Ok(SignedDuration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn never_zero_and_minus_one_switch_the_idle_timeout_off() {
        for text in ["never", "0", "-1"] {
            assert_eq!(parse_idle(text), Ok(None));
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "soon", "5 parsecs", "-5", "h", "99999999999999999999", "9999999999999w"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
