//! The metrics of one file.

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;

use crate::error::{Fault, Problem, ReadError};
use crate::format::{Format, decode};
use crate::number::Number;
use crate::tree::Node;
use crate::{json, separated, toml_text, yaml};

/// More values in one file are data, not metrics.
pub(crate) const METRICS_MAX: usize = 10_000;

/// Value of a metric.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// A number, NaN and infinity among them.
    Number(Number),
    /// True or false.
    Bool(bool),
    /// Any other text.
    Text(String),
    /// An explicit null.
    Null,
}

impl Value {
    /// Returns the value of a cell of a CSV file; `None` when it is blank.
    pub(crate) fn of_cell(cell: &str) -> Option<Self> {
        match cell.trim() {
            "" => None,
            "NA" | "N/A" | "None" | "null" => Some(Self::Null),
            "true" | "True" | "TRUE" => Some(Self::Bool(true)),
            "false" | "False" | "FALSE" => Some(Self::Bool(false)),
            text => Some(Number::parse(text).map_or_else(|| Self::Text(text.to_owned()), Self::Number)),
        }
    }

    /// Returns the number, if it is one.
    #[must_use]
    pub fn as_number(&self) -> Option<&Number> {
        if let Self::Number(number) = self { Some(number) } else { None }
    }

    /// Returns whether both are equal: numbers by their value, not by their spelling.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(this), Self::Number(other)) => this.same(other),
            (Self::Bool(this), Self::Bool(other)) => this == other,
            (Self::Text(this), Self::Text(other)) => this == other,
            (Self::Null, Self::Null) => true,
            _ => false,
        }
    }
}

/// Its spelling in the file.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => f.write_str(number.as_written()),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Text(text) => f.write_str(text),
            Self::Null => f.write_str("null"),
        }
    }
}

/// A name and its value.
#[derive(Clone, Debug)]
pub struct Metric {
    /// Dotted name (`train.loss`), with the positions in lists as numbers (`layers.0.acc`).
    pub name: String,
    /// Its value.
    pub value: Value,
}

/// The metrics of one file, in its order.
#[derive(Clone, Debug)]
pub struct MetricsFile {
    /// The path as it was given.
    pub path: String,
    /// Its metrics; all names are distinct.
    pub metrics: Vec<Metric>,
}

impl MetricsFile {
    /// Reads a file: its format by the path's extension, else by its first lines (see [`Format`]).
    ///
    /// # Errors
    /// When the file is empty, not UTF-8, not of its extension's format, or too large for metrics.
    pub fn read(path: &str, bytes: &[u8]) -> Result<Self, ReadError> {
        let leaves = decode(bytes)
            .and_then(|text| match Format::of_path(path) {
                Some(format) => leaves(format, text),
                None => Format::sniff(text, leaves),
            })
            .map_err(|fault| fault.in_file(path))?;
        let metrics = leaves.into_iter().map(|(name, value)| Metric { name, value }).collect();
        Ok(Self { path: path.to_owned(), metrics })
    }

    /// Returns the value under a dotted name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.metrics.iter().find(|metric| metric.name == name).map(|metric| &metric.value)
    }
}

fn leaves(format: Format, text: &str) -> Result<Vec<(String, Value)>, Fault> {
    format.check_length(text)?;
    let node = match format {
        Format::Json => json::parse(text, 1)?,
        Format::Yaml => yaml::parse(text)?,
        Format::Toml => toml_text::parse(text)?,
        Format::Csv | Format::Tsv => return separated::metrics(format, text),
        Format::JsonLines => {
            let rows = json::lines(text)?.into_iter().map(|node| named(node, METRICS_MAX));
            return last_of_each(rows.collect::<Result<Vec<_>, _>>()?.into_iter().flatten());
        }
    };
    named(node, METRICS_MAX)
}

fn named(node: Node, limit: usize) -> Result<Vec<(String, Value)>, Fault> {
    if let Node::Scalar(value, line) = &node {
        return Err(Fault::on_line(*line, Problem::NoName(value.to_string())));
    }
    Ok(node.flatten(limit)?.into_iter().map(|(name, value, _)| (name, value)).collect())
}

/// Returns the last value of each name in a training log. The last row would not do: some loggers (Lightning's) write
/// training and validation into separate rows and leave the other cells blank.
pub(crate) fn last_of_each(
    cells: impl Iterator<Item = (String, Value)>,
) -> Result<Vec<(String, Value)>, Fault> {
    let mut last: Vec<(String, Value)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (name, value) in cells {
        match places.get(&name) {
            Some(place) if !matches!(value, Value::Null) => last[*place].1 = value,
            Some(_) => {}
            None if last.len() >= METRICS_MAX => return Err(Problem::TooMany.into()),
            None => {
                places.insert(name.clone(), last.len());
                last.push((name, value));
            }
        }
    }
    Ok(last)
}
