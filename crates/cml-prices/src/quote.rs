//! A price and its source.

use std::borrow::Cow;
use std::fmt;

use cml_cloud::UsdPerHour;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// A price and its source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote<P = UsdPerHour> {
    /// The price.
    pub price: P,
    /// Its source.
    pub source: Source,
}

/// Source of a price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A shipped table of this date.
    Listed {
        /// The table's date.
        as_of: Date,
    },
    /// A response of AWS.
    Fetched {
        /// Time of the last query.
        at: Timestamp,
    },
    /// An estimate, in the absence of a source.
    Estimated {
        /// Basis of the estimate: `the us-east-1 price`.
        why: Cow<'static, str>,
    },
}

impl Source {
    /// Returns true for a figure without a source.
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
