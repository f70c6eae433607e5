//! JSON as Python writes it: with `NaN` and `Infinity`, every number as written, and no key twice.
//!
//! serde_json splits the text, one level at a time (`RawValue`), which keeps the text of every number and the position
//! of every value. Before that, NaN and infinity are replaced with zeros of the same length, and restored where they
//! are met.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::{Fault, Location, Problem};
use crate::format::{Format, VALUES_MAX};
use crate::lines::Lines;
use crate::number::Number;
use crate::tree::{DEPTH_MAX, Node};
use crate::value::Value;

/// Parses one JSON value that begins on the line `first_line` of its file.
pub(crate) fn parse(text: &str, first_line: usize) -> Result<Node, Fault> {
    let mut left = VALUES_MAX;
    some(text, first_line, &mut left)
}

/// Parses one value, with a limit on the values that are left for the file.
fn some(text: &str, first_line: usize, left: &mut usize) -> Result<Node, Fault> {
    let covered = cover(text);
    let source = Source::new(text, &covered, first_line);
    let root: &RawValue = serde_json::from_str(&covered).map_err(|error| source.fault(0, &error))?;
    source.node(root, 0, left)
}

/// Parses one JSON value a line; blank lines are ignored.
pub(crate) fn lines(text: &str) -> Result<Vec<Node>, Fault> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let mut left = VALUES_MAX;
    lines
        .map(|(index, line)| {
            some(line, index + 1, &mut left).map_err(|mut fault| {
                if let Problem::Syntax { format, .. } = &mut fault.problem {
                    *format = Format::JsonLines;
                }
                fault
            })
        })
        .collect()
}

/// Returns the text with zeros of the same length over NaN and infinity, wherever these are values.
fn cover(text: &str) -> Cow<'_, str> {
    const WORDS: [(&str, &str); 2] = [("NaN", "0.0"), ("Infinity", "0.000000")];
    let in_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '+');
    let mut covered = String::new();
    let mut copied = 0;
    let (mut in_string, mut escaped, mut before) = (false, false, ' ');
    for (at, c) in text.char_indices() {
        if at < copied {
            continue;
        }
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if c == '"' {
            in_string = true;
        } else if !in_word(before)
            && let Some((word, zeros)) = WORDS.into_iter().find(|(word, _)| text[at..].starts_with(word))
            && !text[at + word.len()..].starts_with(in_word)
        {
            covered.push_str(&text[copied..at]);
            covered.push_str(zeros);
            copied = at + word.len();
        }
        before = c;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    covered.push_str(&text[copied..]);
    Cow::Owned(covered)
}

struct Source<'a> {
    written: &'a str,
    covered: &'a str,
    first_line: usize,
    lines: Lines<'a>,
}

impl<'a> Source<'a> {
    fn new(written: &'a str, covered: &'a str, first_line: usize) -> Self {
        Self { written, covered, first_line, lines: Lines::new(written) }
    }

    /// Returns the offset of a part of the covered text.
    fn offset(&self, part: &str) -> usize {
        (part.as_ptr() as usize).saturating_sub(self.covered.as_ptr() as usize)
    }

    fn location(&self, offset: usize) -> Location {
        let location = self.lines.location(offset);
        Location { line: location.line + self.first_line - 1, ..location }
    }

    /// Returns serde_json's error for the part that begins at an offset.
    fn fault(&self, offset: usize, error: &serde_json::Error) -> Fault {
        let text = error.to_string();
        let why = text.rsplit_once(" at line ").map_or(text.as_str(), |(why, _)| why);
        let part = self.covered.get(offset..).unwrap_or_default();
        let line_start = match error.line().checked_sub(2) {
            None => 0,
            Some(newline) => part.match_indices('\n').nth(newline).map_or(part.len(), |(at, _)| at + 1),
        };
        let mut at = (offset + line_start + error.column().saturating_sub(1)).min(self.written.len());
        while !self.written.is_char_boundary(at) {
            at -= 1;
        }
        Fault::syntax(Format::Json, Some(self.location(at)), why)
    }

    fn node(&self, raw: &'a RawValue, depth: usize, left: &mut usize) -> Result<Node, Fault> {
        let text = raw.get();
        let offset = self.offset(text);
        if depth > DEPTH_MAX {
            return Err(Fault { at: Some(self.location(offset)), problem: Problem::TooDeep });
        }
        *left = left
            .checked_sub(1)
            .ok_or_else(|| Fault { at: Some(self.location(offset)), problem: Problem::TooManyCells })?;
        let fault = |error| self.fault(offset, &error);
        let line = self.lines.line(offset) + self.first_line - 1;
        Ok(match text.as_bytes().first() {
            Some(b'{') => {
                let Pairs(pairs) = serde_json::from_str(text).map_err(fault)?;
                let mut seen = HashSet::new();
                let mut nodes = Vec::with_capacity(pairs.len());
                for (key, raw) in pairs {
                    if !seen.insert(key.clone()) {
                        let at = Some(self.location(self.offset(raw.get())));
                        return Err(Fault { at, problem: Problem::Duplicate(key) });
                    }
                    nodes.push((key, self.node(raw, depth + 1, left)?));
                }
                Node::Map(nodes)
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text).map_err(fault)?;
                let nodes = items.into_iter().map(|raw| self.node(raw, depth + 1, left));
                Node::List(nodes.collect::<Result<_, _>>()?)
            }
            Some(b'"') => Node::Scalar(Value::Text(serde_json::from_str(text).map_err(fault)?), line),
            Some(b't') => Node::Scalar(Value::Bool(true), line),
            Some(b'f') => Node::Scalar(Value::Bool(false), line),
            Some(b'n') => Node::Scalar(Value::Null, line),
            _ => {
                let written = self.written.get(offset..offset + text.len()).unwrap_or(text);
                let number = Number::parse(written).ok_or_else(|| {
                    Fault::syntax(Format::Json, Some(self.location(offset)), "expected a value")
                })?;
                Node::Scalar(Value::Number(number), line)
            }
        })
    }
}

/// The pairs of an object in their order, including duplicates.
struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(pairs)
            }
        }
        deserializer.deserialize_map(Collect).map(Pairs)
    }
}
