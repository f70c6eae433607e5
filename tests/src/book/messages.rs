//! Messages that a page explains: a quoted message must be one of the program.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use super::root;

/// Placeholder for the variable parts of a message.
const ANYTHING: char = '…';
/// Least length of a part that is checked: a shorter one proves nothing.
const TELLING: usize = 6;

/// Returns the messages that the first columns of a page's tables quote.
#[must_use]
pub fn named(page: &str) -> Vec<String> {
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let first = rows.filter_map(|row| row.trim_start_matches("| ").split(" | ").next());
    first.flat_map(quoted).collect()
}

/// Returns the texts in backticks; two backticks enclose a text with single ones.
fn quoted(cell: &str) -> Vec<String> {
    if let Some(inside) = cell.strip_prefix("`` ").and_then(|rest| rest.strip_suffix(" ``")) {
        return vec![inside.to_owned()];
    }
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Returns the message, when one of its parts is nowhere in the sources.
#[must_use]
pub fn unknown(message: &str) -> Option<String> {
    let parts = message.split([ANYTHING, '"']).map(str::trim).filter(|part| part.len() >= TELLING);
    let lost: Vec<&str> = parts.filter(|part| !sources().contains(part)).collect();
    (!lost.is_empty()).then(|| format!("{message:?}: nobody says {lost:?}"))
}

/// Returns all texts that the program and its machines may print.
fn sources() -> &'static str {
    static SOURCES: OnceLock<String> = OnceLock::new();
    SOURCES.get_or_init(|| {
        let mut text = String::new();
        for directory in ["crates", "templates/machine"] {
            add(&root().join(directory), &mut text);
        }
        text
    })
}

fn add(directory: &Path, text: &mut String) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_source = path.extension().is_some_and(|ending| ending == "rs" || ending == "sh");
        if path.is_dir() {
            add(&path, text);
        } else if is_source {
            text.push_str(&in_one_line(&fs::read_to_string(&path).expect("a source")));
        }
    }
}

/// Returns Rust's string literals with line continuations or braces, as they are printed.
fn in_one_line(source: &str) -> String {
    let mut text = String::new();
    for line in source.lines() {
        match line.strip_suffix('\\') {
            Some(begun) => text.push_str(if text.ends_with('\n') { begun } else { begun.trim_start() }),
            None if !text.ends_with('\n') => {
                text.push_str(line.trim_start());
                text.push('\n');
            }
            None => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text.replace("}}", "}")
}
