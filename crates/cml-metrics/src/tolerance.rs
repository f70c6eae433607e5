//! Tolerances: how much worse than before is still acceptable.

use std::fmt;
use std::str::FromStr;

use crate::number::{DIGITS_MAX, Number, significant};

/// How much worse a metric may be: `0.001`, or `0.5%` of the old value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tolerance {
    /// In the metric's own unit.
    Absolute(f64),
    /// As a fraction of the old value's size: 0.005 is 0.5 %.
    Relative(f64),
}

impl Tolerance {
    /// No worse at all.
    pub const NONE: Self = Self::Absolute(0.0);

    /// Returns the tolerated loss from an old value, in its own unit.
    #[must_use]
    pub fn of(self, old: f64) -> f64 {
        match self {
            Self::Absolute(tolerance) => tolerance,
            Self::Relative(part) => part * old.abs(),
        }
    }
}

impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value| significant(value, DIGITS_MAX - 2);
        match self {
            Self::Absolute(tolerance) => f.write_str(&text(*tolerance)),
            Self::Relative(part) => write!(f, "{} %", text(part * 100.0)),
        }
    }
}

/// A tolerance that cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no tolerance: write `0.001`, or `0.5%` of the old value; it is finite and not negative")]
pub struct ToleranceError(pub String);

impl FromStr for Tolerance {
    type Err = ToleranceError;

    fn from_str(text: &str) -> Result<Self, ToleranceError> {
        let trimmed = text.trim();
        let (digits, relative) = match trimmed.strip_suffix('%') {
            Some(digits) => (digits.trim_end(), true),
            None => (trimmed, false),
        };
        match Number::parse(digits).map(|number| number.value()) {
            Some(value) if value.is_finite() && value >= 0.0 => {
                Ok(if relative { Self::Relative(value / 100.0) } else { Self::Absolute(value) })
            }
            _ => Err(ToleranceError(text.to_owned())),
        }
    }
}
