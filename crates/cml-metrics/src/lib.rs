//! Metrics of machine learning: read as people and DVC write them, compared, judged, and rendered for a pull request.
//!
//! Files come in as bytes with a path that only serves their format and messages ([`MetricsFile::read`],
//! [`Table::read`]); values and Markdown go out ([`compare`], [`check`]).
//!
//! Forbidden here: anything except text. No file, no git, no network, no environment. And no panic for any bytes: they
//! come from pull requests of strangers, so rendered text must not break out of its cell either.

mod check;
mod compare;
mod defaults;
mod direction;
mod error;
mod format;
mod json;
mod lines;
mod number;
mod render;
mod report;
mod requirement;
mod separated;
mod table;
mod tolerance;
mod toml_text;
mod tree;
mod value;
mod yaml;

pub use check::{Baseline, CheckError, check};
pub use compare::{Change, Comparison, FileComparison, Judgement, Row, Summary, compare};
pub use direction::{Direction, Directions};
pub use error::{Location, Problem, ReadError};
pub use format::Format;
pub use number::Number;
pub use render::MarkdownOptions;
pub use report::{CheckReport, Finding, Outcome};
pub use requirement::{Operator, ParseError, Requirement};
pub use table::{Table, TableError};
pub use tolerance::{Tolerance, ToleranceError};
pub use value::{Metric, MetricsFile, Value};
