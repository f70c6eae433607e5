//! Identifiers: one type per kind, so that they cannot be confused.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::types::Market;

/// Length of a launch id, in letters and digits.
const ID_LENGTH: usize = 26;

/// Id of a launch: one decision to obtain an instance.
///
/// It is the cloud's idempotency token, and is part of the instance's tags and of the runner's name. It is written in
/// lower case: GitHub compares runner names without regard to case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaunchId(Ulid);

impl LaunchId {
    /// Wraps an identifier created elsewhere: this crate has no randomness of its own.
    #[must_use]
    pub fn new(ulid: Ulid) -> Self {
        Self(ulid)
    }

    /// Returns the runner's default name: `cml-` and the launch id.
    #[must_use]
    pub fn runner_name(&self) -> String {
        format!("cml-{self}")
    }

    /// Returns the time of the decision: the time inside the ULID, to the millisecond.
    #[must_use]
    pub fn made_at(&self) -> Timestamp {
        let milliseconds = i64::try_from(self.0.timestamp_ms()).unwrap_or(i64::MAX);
        Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::MAX)
    }

    /// Returns the runner's name with the requested type, where it is a single one: then GitHub's record of its jobs
    /// alone is sufficient to compute the cost.
    #[must_use]
    pub fn runner_name_for(&self, instance_type: &str, market: Option<Market>) -> String {
        let market = match market {
            Some(Market::Spot) => "-spot",
            Some(Market::OnDemand) => "-od",
            None => "",
        };
        format!("cml-{self}-{instance_type}{market}")
    }

    /// Parses the launch id from a runner name made by [`LaunchId::runner_name`] or [`LaunchId::runner_name_for`].
    #[must_use]
    pub fn from_runner_name(name: &str) -> Option<Self> {
        let (id, rest) = name.strip_prefix("cml-")?.split_at_checked(ID_LENGTH)?;
        (rest.is_empty() || rest.starts_with('-')).then(|| id.parse().ok()).flatten()
    }

    /// Returns the instance type and the market in a name made by [`LaunchId::runner_name_for`].
    #[must_use]
    pub fn asked_for(name: &str) -> (Option<String>, Option<Market>) {
        let rest = name.strip_prefix("cml-").and_then(|name| name.get(ID_LENGTH + 1..)).unwrap_or_default();
        let (rest, market) = match rest.rsplit_once('-') {
            Some((rest, "spot")) => (rest, Some(Market::Spot)),
            Some((rest, "od")) => (rest, Some(Market::OnDemand)),
            _ => (rest, None),
        };
        (Some(rest.to_owned()).filter(|kind| kind.contains('.')), market)
    }
}

impl fmt::Display for LaunchId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0.to_string().to_ascii_lowercase())
    }
}

impl fmt::Debug for LaunchId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// Error: the text is not a launch id.
#[derive(Debug, thiserror::Error)]
#[error(
    "{text:?} is not a launch id: 26 letters and digits are expected, such as 01k9z3v6p4q8r2s5t7w0x1y2z3"
)]
pub struct BadLaunchId {
    text: String,
}

impl FromStr for LaunchId {
    type Err = BadLaunchId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ulid::from_string(&text.to_ascii_uppercase())
            .map(Self)
            .map_err(|_| BadLaunchId { text: text.to_owned() })
    }
}

impl Serialize for LaunchId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LaunchId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The cloud's id of the machine: `i-0abc…` on EC2, `local-<launch id>` here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstanceId(pub String);

impl fmt::Display for InstanceId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// The wall-clock time after which the instance must not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Deadline(pub Timestamp);

impl Deadline {
    /// Returns true once the instance must not exist any more.
    #[must_use]
    pub fn passed(&self, now: Timestamp) -> bool {
        now >= self.0
    }

    /// Returns the seconds since 1970-01-01 UTC, as the bootstrap script compares them.
    #[must_use]
    pub fn epoch_seconds(&self) -> i64 {
        self.0.as_second()
    }
}

impl fmt::Display for Deadline {
    /// Formats as RFC 3339 in UTC with whole seconds: the form of the `cml-runner:deadline` tag.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0.strftime("%Y-%m-%dT%H:%M:%SZ"))
    }
}

impl FromStr for Deadline {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launch_id_survives_its_runner_name() {
        let id = LaunchId::new(Ulid::from_parts(1_700_000_000_000, 42));
        assert_eq!(LaunchId::from_runner_name(&id.runner_name()), Some(id));
        let told = id.runner_name_for("g4dn.12xlarge", Some(Market::Spot));
        assert_eq!(LaunchId::from_runner_name(&told), Some(id));
        assert_eq!(LaunchId::asked_for(&told), (Some("g4dn.12xlarge".to_owned()), Some(Market::Spot)));
        let either = id.runner_name_for("u7inh-32tb.480xlarge", None);
        assert_eq!(LaunchId::asked_for(&either), (Some("u7inh-32tb.480xlarge".to_owned()), None));
        assert!(either.len() <= 64, "GitHub takes no longer name");
        assert_eq!(LaunchId::asked_for(&id.runner_name()), (None, None));
        assert_eq!(LaunchId::from_runner_name("somebody-else"), None);
        assert_eq!(LaunchId::from_runner_name("cml-01k9z3v6p4q8r2s5t7w0x1y2zé"), None);
        assert_eq!(LaunchId::from_runner_name(&format!("{}x", id.runner_name())), None);
    }

    #[test]
    fn a_deadline_survives_its_tag() {
        let deadline = Deadline(Timestamp::from_second(1_800_000_000).expect("in range"));
        assert_eq!(deadline.to_string().parse::<Deadline>().expect("parses"), deadline);
    }
}
