//! Parsing of the shipped tables: comment lines that begin with `#`, then a line of column names, then rows. No field
//! is quoted.

use jiff::civil::Date;

/// Returns the rows, each a list of fields.
pub(crate) fn rows(text: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    lines(text).skip(1).map(|line| line.split(',').collect())
}

/// Returns the names of the columns.
pub(crate) fn columns(text: &'static str) -> Vec<&'static str> {
    lines(text).next().unwrap_or_default().split(',').collect()
}

/// Returns the date of a table that has one for all its rows.
pub(crate) fn as_of(text: &str) -> Date {
    let date = text.lines().find_map(|line| line.strip_prefix("# as-of: "));
    // A test parses the date of every shipped table.
    date.and_then(|date| date.trim().parse().ok()).unwrap_or(Date::ZERO)
}

fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().filter(|line| !line.starts_with('#') && !line.is_empty())
}
