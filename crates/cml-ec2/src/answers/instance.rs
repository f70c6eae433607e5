//! Texts of EC2 about one machine.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cml_cloud::{Deadline, LaunchId, tag};
use jiff::Timestamp;

/// Returns true for `i-` and 8 or 17 hexadecimal digits. A truncated answer of AWS has contained `i-` alone.
#[must_use]
pub fn is_id(id: &str) -> bool {
    id.strip_prefix("i-").is_some_and(|rest| {
        [8, 17].contains(&rest.len()) && rest.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
    })
}

/// Contents of this program's tags; `None` for missing or unparseable ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tags {
    /// The launch that it belongs to.
    pub launch: Option<LaunchId>,
    /// The pool's name.
    pub spec: Option<String>,
    /// The time after which the machine must not exist.
    pub deadline: Option<Deadline>,
    /// The GitHub scope that it works for.
    pub owner: Option<String>,
    /// The controller that made it and may end it.
    pub controller: Option<String>,
    /// The runner's name at GitHub.
    pub runner: Option<String>,
}

impl Tags {
    /// Parses them, given a lookup of values by key.
    #[must_use]
    pub fn of<'a>(value: impl Fn(&str) -> Option<&'a str>) -> Self {
        let text = |key: &str| value(key).map(str::to_owned);
        Self {
            launch: value(tag::LAUNCH).and_then(|id| id.parse().ok()),
            spec: text(tag::SPEC),
            deadline: value(tag::DEADLINE).and_then(|at| at.parse().ok()),
            owner: text(tag::OWNER),
            controller: text(tag::CONTROLLER),
            runner: text(tag::RUNNER),
        }
    }
}

/// Returns the time in EC2's reason of a state transition: `User initiated (2026-11-24 09:25:58 GMT)`. Documented by
/// example only: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Instance.html>
#[must_use]
pub fn transition_time(reason: &str) -> Option<Timestamp> {
    let (_, rest) = reason.split_once('(')?;
    let (date, time) = rest.split_once(')')?.0.strip_suffix(" GMT")?.split_once(' ')?;
    format!("{date}T{time}Z").parse().ok()
}

/// Decodes console output, which is base64; invalid output is empty.
#[must_use]
pub fn console(encoded: &str) -> String {
    let encoded: String = encoded.split_whitespace().collect();
    String::from_utf8_lossy(&STANDARD.decode(encoded).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_instance_is_read_from_the_words_of_ec2() {
        let at = transition_time("User initiated (2026-11-24 09:25:58 GMT)").expect("a time");
        assert_eq!(at.to_string(), "2026-11-24T09:25:58Z");
        assert_eq!(transition_time("Server.SpotInstanceTermination"), None);
        assert_eq!(transition_time("User initiated"), None);
    }

    #[test]
    fn only_whole_instance_ids_are_taken() {
        assert!(is_id("i-0123456789abcdef0") && is_id("i-01234567"));
        for bad in ["i-", "i-0123", "", "*", "i-0123456789abcdeg0", "i-0123456789ABCDEF0"] {
            assert!(!is_id(bad), "{bad}");
        }
    }

    #[test]
    fn a_tag_that_is_not_understood_is_none() {
        let of = |launch: &'static str, deadline: &'static str| {
            Tags::of(|key| match key {
                tag::LAUNCH => Some(launch),
                tag::DEADLINE => Some(deadline),
                tag::OWNER => Some("acme/vision"),
                _ => None,
            })
        };
        let tags = of("01kdwntvg00000000000000007", "2026-11-24T09:25:58Z");
        assert_eq!(tags.launch.map(|id| id.to_string()).as_deref(), Some("01kdwntvg00000000000000007"));
        assert_eq!(tags.deadline.map(|at| at.to_string()).as_deref(), Some("2026-11-24T09:25:58Z"));
        assert_eq!((tags.owner.as_deref(), tags.spec), (Some("acme/vision"), None));
        let tags = of("mine", "soon");
        assert_eq!((tags.launch, tags.deadline), (None, None));
    }

    #[test]
    fn a_console_comes_in_lines_of_base64() {
        assert_eq!(console("Ym9v\r\ndCAK\n"), "boot \n");
        assert_eq!((console(""), console("no base64!")), (String::new(), String::new()));
    }
}
