//! A price, and where it comes from.

use std::borrow::Cow;
use std::fmt;

use cml_cloud::UsdPerHour;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// A price and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote<P = UsdPerHour> {
    /// The price.
    pub price: P,
    /// What it rests on.
    pub source: Source,
}

/// What a price rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A shipped table of this date says so.
    Listed {
        /// The table's date.
        as_of: Date,
    },
    /// AWS said so.
    Fetched {
        /// When it was asked last.
        at: Timestamp,
    },
    /// Nobody said so; it is the best that can be said.
    Estimated {
        /// What stands for the price: `the us-east-1 price`.
        why: Cow<'static, str>,
    },
}

impl Source {
    /// True for a figure that nobody has stated.
    #[must_use]
    pub fn is_estimate(&self) -> bool {
        matches!(self, Self::Estimated { .. })
    }

    pub(crate) const fn estimated(why: &'static str) -> Self {
        Self::Estimated { why: Cow::Borrowed(why) }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listed { as_of } => write!(out, "shipped table of {as_of}"),
            Self::Fetched { at } => write!(out, "AWS, asked {}", at.strftime("%Y-%m-%d %H:%M UTC")),
            Self::Estimated { why } => write!(out, "estimate: {why}"),
        }
    }
}
