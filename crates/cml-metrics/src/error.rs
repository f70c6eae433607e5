//! Errors of reading a file.

use std::fmt;

use crate::format::{Format, VALUES_MAX};
use crate::tree::{DEPTH_MAX, NAME_MAX};
use crate::value::METRICS_MAX;

/// Limit on the characters of a parser's message.
const WHY_CHARS: usize = 300;

/// A position in a text, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// Line.
    pub line: usize,
    /// Column in characters, if the format has one.
    pub column: Option<usize>,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.column {
            Some(column) => write!(f, "{}:{column}", self.line),
            None => write!(f, "{}", self.line),
        }
    }
}

/// Error: a file could not be read, with the position.
#[derive(Debug, thiserror::Error)]
#[error("{path}{}: {problem}", at.map(|at| format!(":{at}")).unwrap_or_default())]
pub struct ReadError {
    /// The file's path as it was given.
    pub path: String,
    /// Position in it, if known.
    pub at: Option<Location>,
    /// What is wrong.
    pub problem: Problem,
}

/// Problem with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Empty, or only white space.
    #[error("the file is empty; did what writes it end early?")]
    Empty,
    /// UTF-16, as PowerShell's `>` writes it.
    #[error("the file is UTF-16; write it as UTF-8 (in PowerShell: `… | Out-File -Encoding utf8`)")]
    Utf16,
    /// Some other encoding, or not text at all.
    #[error("this is not UTF-8 text; write the file as UTF-8")]
    NotUtf8,
    /// The format's own rules are broken.
    #[error("not {format}: {why}")]
    Syntax {
        /// The format it was read as.
        format: Format,
        /// Its parser's message.
        why: String,
    },
    /// A key or dotted name occurs twice, and it is unknown which one counts.
    #[error("{} is there twice; rename one of them", quoted(.0))]
    Duplicate(String),
    /// Maps are nested too deeply.
    #[error("maps and lists are nested more than {DEPTH_MAX} levels deep; write the metrics flatter")]
    TooDeep,
    /// More values than any table shows.
    #[error(
        "there are more than {METRICS_MAX} values; this looks like data: plot it, or write the final values alone"
    )]
    TooMany,
    /// Longer than the limit.
    #[error(
        "the file is longer than {most_mib} MiB, which is the most that is read of {format}: write fewer rows or columns"
    )]
    TooLong {
        /// The format it was read as.
        format: Format,
        /// The limit, MiB.
        most_mib: usize,
    },
    /// More values than the limit.
    #[error(
        "there are more than {VALUES_MAX} values, which is the most that is read: write fewer rows or columns"
    )]
    TooManyCells,
    /// A name of this length is data as well.
    #[error("a name is longer than {NAME_MAX} bytes; shorten the keys")]
    LongName,
    /// Aliases (`*name`) that expand to too much.
    #[error("its aliases (`*name`) multiply into too much; write the values out")]
    Aliases,
    /// A value without a name.
    #[error("there is nothing but {} without a name; write `{{\"accuracy\": 0.9}}`, in JSON for one", quoted(.0))]
    NoName(String),
    /// Rows were expected, and there are none.
    #[error(
        "there are no rows: a table is CSV or TSV with a header, JSON lines, or JSON with a list of objects ([{{\"epoch\": 1, \"loss\": 0.3}}, …])"
    )]
    NoRows,
    /// There are several lists of rows.
    #[error("there are several lists of rows; choose one of {}", list(.0))]
    SeveralLists(Vec<String>),
    /// The requested list of rows does not exist.
    #[error("there is no list of rows {}; known: {}", quoted(.asked), list(.there))]
    NoList {
        /// The requested name.
        asked: String,
        /// The existing lists.
        there: Vec<String>,
    },
}

/// Returns a name for a message. It may be untrusted: control characters are escaped, and its length is limited.
pub(crate) fn quoted(name: &str) -> String {
    const CHARACTERS_MAX: usize = 100;
    let cut: String = name.chars().take(CHARACTERS_MAX).collect();
    let more = if cut.len() < name.len() { "…" } else { "" };
    format!("`{}{more}`", cml_text::line(&cut))
}

/// Returns names for a message.
pub(crate) fn list(names: &[String]) -> String {
    const SHOWN: usize = 20;
    if names.is_empty() {
        return "none".to_owned();
    }
    let mut text = names.iter().take(SHOWN).map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

/// A problem before the file's path is known.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) at: Option<Location>,
    pub(crate) problem: Problem,
}

impl Fault {
    pub(crate) fn on_line(line: usize, problem: Problem) -> Self {
        Self { at: Some(Location { line, column: None }), problem }
    }

    pub(crate) fn syntax(format: Format, at: Option<Location>, why: impl Into<String>) -> Self {
        // Parsers repeat their input, which may be as long as the file.
        let why = why.into().chars().take(WHY_CHARS).collect();
        Self { at, problem: Problem::Syntax { format, why } }
    }

    pub(crate) fn in_file(self, path: &str) -> ReadError {
        ReadError { path: path.to_owned(), at: self.at, problem: self.problem }
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self { at: None, problem }
    }
}
