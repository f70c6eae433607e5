//! Comparison of two sets of metrics files.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use crate::direction::{Direction, Directions};
use crate::value::{MetricsFile, Value};

/// Change of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// Same value.
    Unchanged,
    /// Not in the old file.
    New,
    /// Not in the new file.
    Removed,
    /// Another value; both are finite numbers.
    Moved {
        /// New less old.
        absolute: f64,
        /// The same as a fraction of the old value's size (0.01 is 1 %); `None` where the old one is 0.
        relative: Option<f64>,
    },
    /// Another value without a difference: text, NaN, infinity.
    Replaced,
}

/// Whether a change is an improvement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// It changed in its direction.
    Better,
    /// It changed against its direction, or became NaN.
    Worse,
}

/// One metric on both sides.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The dotted name.
    pub name: String,
    /// The old value.
    pub old: Option<Value>,
    /// The new value.
    pub new: Option<Value>,
    /// Its change; `None` where there is nothing to compare with.
    pub change: Option<Change>,
    /// The direction in which it improves, where that is known.
    pub direction: Option<Direction>,
    /// Whether the change is an improvement, where that can be judged.
    pub judgement: Option<Judgement>,
}

/// The metrics of one file on both sides.
#[derive(Clone, Debug, Serialize)]
pub struct FileComparison {
    /// Its path; the new one if they differ.
    pub path: String,
    /// Its metrics in the order of the new file, then those that were removed.
    pub metrics: Vec<Row>,
}

/// Numbers of metrics by change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Judged better.
    pub better: usize,
    /// Judged worse.
    pub worse: usize,
    /// Changed, without a judgement.
    pub changed: usize,
    /// The same.
    pub unchanged: usize,
    /// New ones.
    pub new: usize,
    /// Removed ones.
    pub removed: usize,
}

/// Comparison of two sets of metrics files. Its JSON is made for programs.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Whether there was anything to compare with.
    pub compared: bool,
    /// Numbers of metrics by change.
    pub summary: Summary,
    /// File by file.
    pub files: Vec<FileComparison>,
}

/// Compares by path and dotted name. One file on each side is compared whatever the paths are. Without an old side the
/// metrics are only listed.
#[must_use]
pub fn compare(old: Option<&[MetricsFile]>, new: &[MetricsFile], directions: &Directions) -> Comparison {
    let files: Vec<_> = pairs(old.unwrap_or_default(), new)
        .into_iter()
        .map(|(path, old_file, new_file)| FileComparison {
            path: path.to_owned(),
            metrics: rows(old_file, new_file, old.is_some(), directions),
        })
        .collect();
    let mut summary = Summary::default();
    for row in files.iter().flat_map(|file| &file.metrics) {
        match (row.change, row.judgement) {
            (None, _) => {}
            (_, Some(Judgement::Better)) => summary.better += 1,
            (_, Some(Judgement::Worse)) => summary.worse += 1,
            (Some(Change::Unchanged), _) => summary.unchanged += 1,
            (Some(Change::New), _) => summary.new += 1,
            (Some(Change::Removed), _) => summary.removed += 1,
            (Some(Change::Moved { .. } | Change::Replaced), None) => summary.changed += 1,
        }
    }
    Comparison { compared: old.is_some(), summary, files }
}

type Pair<'a> = (&'a str, Option<&'a MetricsFile>, Option<&'a MetricsFile>);

/// Returns the pairs of files to compare.
pub(crate) fn pairs<'a>(old: &'a [MetricsFile], new: &'a [MetricsFile]) -> Vec<Pair<'a>> {
    if let ([old], [new]) = (old, new) {
        return vec![(&new.path, Some(old), Some(new))];
    }
    let named = |files: &'a [MetricsFile], path: &str| files.iter().find(|file| file.path == path);
    let mut pairs: Vec<Pair<'a>> =
        new.iter().map(|file| (file.path.as_str(), named(old, &file.path), Some(file))).collect();
    let gone = old.iter().filter(|file| named(new, &file.path).is_none());
    pairs.extend(gone.map(|file| (file.path.as_str(), Some(file), None)));
    pairs
}

fn rows(
    old: Option<&MetricsFile>,
    new: Option<&MetricsFile>,
    compared: bool,
    directions: &Directions,
) -> Vec<Row> {
    let metrics = |file: Option<&'_ MetricsFile>| file.map(|file| file.metrics.clone()).unwrap_or_default();
    let (old, new) = (metrics(old), metrics(new));
    let names: HashSet<String> = new.iter().map(|metric| metric.name.clone()).collect();
    let mut was: HashMap<String, Value> =
        old.iter().map(|metric| (metric.name.clone(), metric.value.clone())).collect();
    let row = |name: String, old: Option<Value>, new: Option<Value>| {
        let direction = directions.of(&name);
        let change = if compared { change(old.as_ref(), new.as_ref()) } else { None };
        let judgement = match (&old, &new, direction) {
            (Some(old), Some(new), Some(direction)) => judge(old, new, direction),
            _ => None,
        };
        Row { name, old, new, change, direction, judgement }
    };
    let mut rows: Vec<Row> = Vec::with_capacity(new.len());
    for metric in new {
        let old = was.remove(&metric.name);
        rows.push(row(metric.name, old, Some(metric.value)));
    }
    let gone = old.into_iter().filter(|metric| !names.contains(&metric.name));
    rows.extend(gone.map(|metric| row(metric.name, Some(metric.value), None)));
    rows
}

fn change(old: Option<&Value>, new: Option<&Value>) -> Option<Change> {
    Some(match (old, new) {
        (None, None) => return None,
        (None, Some(_)) => Change::New,
        (Some(_), None) => Change::Removed,
        (Some(old), Some(new)) if old.same(new) => Change::Unchanged,
        (Some(Value::Number(old)), Some(Value::Number(new))) => {
            let absolute = new.minus(old);
            let relative = Some(absolute / old.value().abs()).filter(|relative| relative.is_finite());
            if absolute.is_finite() { Change::Moved { absolute, relative } } else { Change::Replaced }
        }
        _ => Change::Replaced,
    })
}

/// Judges a change. NaN is worse than any number, and so is a value that is no longer a number: a training that
/// diverged is no success.
fn judge(old: &Value, new: &Value, direction: Direction) -> Option<Judgement> {
    let real = |value: &Value| value.as_number().filter(|number| !number.value().is_nan()).cloned();
    let better = match (real(old), real(new)) {
        (Some(old), Some(new)) if old.same(&new) => return None,
        (Some(old), Some(new)) => match direction {
            Direction::Higher => old.value() < new.value() || new.minus(&old) > 0.0,
            Direction::Lower => new.value() < old.value() || old.minus(&new) > 0.0,
        },
        (Some(_), None) => false,
        (None, Some(_)) => true,
        (None, None) => return None,
    };
    Some(if better { Judgement::Better } else { Judgement::Worse })
}
