//! A comparison as a Markdown table.

use cml_text::table_cell;

use crate::compare::{Change, Comparison, FileComparison, Judgement, Row};
use crate::number::{DIGITS_MAX, significant};
use crate::value::Value;

/// Significant digits of a change in percent.
const PERCENT_DIGITS: usize = 2;

/// Options of the table.
#[derive(Clone, Debug)]
pub struct MarkdownOptions {
    /// The title of the old values' column.
    pub old_title: String,
    /// The title of the new values' column.
    pub new_title: String,
    /// Significant digits of numbers that are not integers; 1 to 17. Two values that differ are shown with enough
    /// digits to distinguish them.
    pub precision: usize,
    /// Whether to omit unchanged metrics.
    pub only_changed: bool,
    /// With more rows than this, unchanged metrics are omitted, and then the rows beyond: the length of a comment is
    /// limited.
    pub rows_max: usize,
}

impl Default for MarkdownOptions {
    fn default() -> Self {
        Self {
            old_title: "base".to_owned(),
            new_title: "this".to_owned(),
            precision: 5,
            only_changed: false,
            rows_max: 200,
        }
    }
}

impl Comparison {
    /// Renders the table. Paths have a column if there are several files; without an old side only the values are
    /// shown.
    #[must_use]
    pub fn markdown(&self, options: &MarkdownOptions) -> String {
        let with_path = self.files.len() > 1;
        let rows = self.files.iter().flat_map(|file| file.metrics.iter().map(move |row| (file, row)));
        let mut rows: Vec<(&FileComparison, &Row)> = rows.collect();
        let all = rows.len();
        if options.only_changed || all > options.rows_max {
            rows.retain(|(_, row)| row.change != Some(Change::Unchanged));
        }
        let unchanged = all - rows.len();
        let beyond = rows.len().saturating_sub(options.rows_max.max(1));
        rows.truncate(options.rows_max.max(1));
        if rows.is_empty() {
            return match unchanged {
                0 => "There are no metrics.\n".to_owned(),
                1 => "The one metric has not changed.\n".to_owned(),
                unchanged => format!("None of {unchanged} metrics has changed.\n"),
            };
        }
        let note = match (unchanged, beyond) {
            (0, 0) => String::new(),
            (unchanged, 0) => format!("\nNot shown: {unchanged} without a change.\n"),
            (0, beyond) => format!("\nNot shown: {beyond} more.\n"),
            (unchanged, beyond) => format!("\nNot shown: {unchanged} without a change, and {beyond} more.\n"),
        };
        let lines: Vec<String> =
            rows.into_iter().map(|(file, row)| self.line(file, row, with_path, options)).collect();
        let (old_title, new_title) = (table_cell(&options.old_title), table_cell(&options.new_title));
        let mut columns = vec![("Metric", ":--")];
        if with_path {
            columns.insert(0, ("Path", ":--"));
        }
        if self.compared {
            columns.extend([(old_title.as_str(), "--:"), (new_title.as_str(), "--:"), ("Change", ":--")]);
        } else {
            columns.push((&new_title, "--:"));
        }
        let (titles, rules): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
        format!("{}{}{}{note}", table_line(&titles), table_line(&rules), lines.concat())
    }

    fn line(&self, file: &FileComparison, row: &Row, with_path: bool, options: &MarkdownOptions) -> String {
        let digits = digits(row, options.precision.clamp(1, DIGITS_MAX));
        let value =
            |value: &Option<Value>| value.as_ref().map_or("—".to_owned(), |value| shown(value, digits));
        let mut cells = Vec::new();
        if with_path {
            cells.push(table_cell(&file.path));
        }
        cells.push(table_cell(&row.name));
        if self.compared {
            cells.push(value(&row.old));
        }
        cells.push(value(&row.new));
        if self.compared {
            cells.push(change(row, options.precision));
        }
        table_line(&cells)
    }
}

/// Renders one line of a table; its cells are Markdown already.
pub(crate) fn table_line<T: AsRef<str>>(cells: &[T]) -> String {
    let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
    format!("| {} |\n", cells.join(" | "))
}

/// Renders a value as a cell.
pub(crate) fn shown(value: &Value, digits: usize) -> String {
    match value {
        Value::Number(number) => number.shown(digits),
        other => table_cell(&other.to_string()),
    }
}

/// Returns the number of digits: as configured, and more if both values would be shown the same.
fn digits(row: &Row, precision: usize) -> usize {
    let (Some(Value::Number(old)), Some(Value::Number(new))) = (&row.old, &row.new) else {
        return precision;
    };
    if old.same(new) {
        return precision;
    }
    (precision..DIGITS_MAX).find(|digits| old.shown(*digits) != new.shown(*digits)).unwrap_or(DIGITS_MAX)
}

fn change(row: &Row, precision: usize) -> String {
    let judged = match row.judgement {
        Some(Judgement::Better) => " ✅ better",
        Some(Judgement::Worse) => " ⚠️ worse",
        None => "",
    };
    match row.change {
        None => String::new(),
        Some(Change::Unchanged) => "no change".to_owned(),
        Some(Change::New) => "new".to_owned(),
        Some(Change::Removed) => "removed".to_owned(),
        Some(Change::Replaced) => format!("changed{judged}"),
        Some(Change::Moved { absolute, relative }) => {
            let arrow = if absolute > 0.0 { "▲" } else { "▼" };
            let percent = relative
                .map(|relative| format!(" ({} %)", signed(relative * 100.0, PERCENT_DIGITS)))
                .unwrap_or_default();
            format!("{arrow} {}{percent}{judged}", signed(absolute, precision))
        }
    }
}

fn signed(value: f64, digits: usize) -> String {
    let sign = if value > 0.0 { "+" } else { "" };
    format!("{sign}{}", significant(value, digits))
}
