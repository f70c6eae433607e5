//! Edits of a text by line. Lines keep their numbers until all edits are applied.

use std::collections::{BTreeMap, BTreeSet};

pub(crate) struct Edits {
    /// Without line ends.
    lines: Vec<String>,
    newline: &'static str,
    ends_with_newline: bool,
    deleted: BTreeSet<usize>,
    before: BTreeMap<usize, Vec<String>>,
}

impl Edits {
    pub(crate) fn new(text: &str) -> Self {
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        Self {
            lines: text.split(newline).map(str::to_owned).collect(),
            newline,
            ends_with_newline: text.ends_with(newline),
            deleted: BTreeSet::new(),
            before: BTreeMap::new(),
        }
    }

    /// Returns a line with the edits so far; empty beyond the end.
    pub(crate) fn line(&self, index: usize) -> &str {
        self.lines.get(index).map(String::as_str).unwrap_or_default()
    }

    pub(crate) fn count(&self) -> usize {
        self.lines.len() - usize::from(self.ends_with_newline)
    }

    pub(crate) fn replace(&mut self, index: usize, text: String) {
        if let Some(line) = self.lines.get_mut(index) {
            *line = text;
        }
    }

    /// Inserts a text into a line, at a byte.
    pub(crate) fn insert_at(&mut self, index: usize, byte: usize, text: &str) {
        if let Some(line) = self.lines.get_mut(index)
            && line.is_char_boundary(byte)
        {
            line.insert_str(byte, text);
        }
    }

    pub(crate) fn delete(&mut self, index: usize) {
        self.deleted.insert(index);
    }

    /// Inserts lines above a line, and above the comments that belong to it.
    pub(crate) fn insert_above(&mut self, index: usize, new: &[String]) {
        let indent = indent(self.line(index));
        let is_its_comment = |line: &str| line.trim_start().starts_with('#') && self::indent(line) == indent;
        let mut at = index;
        while at > 0 && is_its_comment(self.line(at - 1)) {
            at -= 1;
        }
        self.before.entry(at).or_default().extend_from_slice(new);
    }

    /// Inserts lines directly above a line.
    pub(crate) fn insert_below(&mut self, index: usize, new: &[String]) {
        self.before.entry(index + 1).or_default().extend_from_slice(new);
    }

    pub(crate) fn apply(self) -> String {
        let mut lines: Vec<&str> = Vec::new();
        for (index, line) in self.lines.iter().enumerate() {
            if let Some(new) = self.before.get(&index) {
                lines.extend(new.iter().map(String::as_str));
            }
            if !self.deleted.contains(&index) {
                lines.push(line);
            }
        }
        // Below a last line without a line end.
        if let Some(new) = self.before.get(&self.lines.len()) {
            lines.extend(new.iter().map(String::as_str));
        }
        lines.join(self.newline)
    }
}

/// Returns the number of leading blanks.
pub(crate) fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// Returns the byte of a character's column.
pub(crate) fn byte_of(line: &str, column: usize) -> usize {
    line.char_indices().nth(column).map_or(line.len(), |(byte, _)| byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_edits_stays_as_it_is() {
        for text in ["", "\n", "a", "a\n", "a\r\nb\r\n", "a\n\n", "a\r\nb"] {
            assert_eq!(Edits::new(text).apply(), text, "{text:?}");
        }
    }

    #[test]
    fn lines_keep_their_numbers_and_new_ones_stand_above_comments() {
        let mut edits = Edits::new("a\r\n  # of b\r\n  b\r\nc\r\n");
        edits.insert_above(2, &["  x".to_owned()]);
        edits.delete(3);
        edits.insert_at(2, 3, "!");
        assert_eq!(edits.apply(), "a\r\n  x\r\n  # of b\r\n  b!\r\n");
    }
}
