//! Checks of metrics against requirements and a baseline.

use std::collections::HashSet;

use crate::compare::{Judgement, Row, compare, pairs};
use crate::direction::{Direction, Directions};
use crate::error::{list, quoted};
use crate::number::{DIGITS_MAX, Number};
use crate::report::{CheckReport, Finding, Outcome};
use crate::requirement::Requirement;
use crate::tolerance::Tolerance;
use crate::value::{MetricsFile, Value};

/// Significant digits of values in messages.
const DIGITS: usize = 5;
/// Limit on the suggestions for an unknown name.
const NEAR_MAX: usize = 5;
/// Least similarity of a suggestion, by Jaro and Winkler, from 0 to 1.
const NEAR_MIN: f64 = 0.75;

/// Metrics to compare with.
#[derive(Clone, Copy, Debug)]
pub struct Baseline<'a> {
    /// Its display name, such as `main`.
    pub title: &'a str,
    /// Its metrics.
    pub files: &'a [MetricsFile],
    /// Whether metrics may not be worse, beyond a tolerance; `None`: it is only shown next to the requirements.
    pub no_worse: Option<Tolerance>,
}

/// A requirement that cannot be judged, because its metric is not identified.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// No file has this path.
    #[error("`{requirement}`: there is no file {}; known: {}", quoted(.path), list(.there))]
    UnknownFile {
        /// The requirement.
        requirement: String,
        /// The path in it.
        path: String,
        /// The paths of the existing files.
        there: Vec<String>,
    },
    /// No metric has this name.
    #[error("`{requirement}`: there is no metric {}{}", quoted(.name), hint(.near, .there))]
    UnknownMetric {
        /// The requirement.
        requirement: String,
        /// The name in it.
        name: String,
        /// Similar names, the most similar first.
        near: Vec<String>,
        /// All names.
        there: Vec<String>,
    },
    /// Several files have this metric.
    #[error("`{requirement}`: {} all have `{name}`; put one of them in front, as in `{}:{name}`", list(.paths), .paths.first().map_or("", String::as_str))]
    Ambiguous {
        /// The requirement.
        requirement: String,
        /// The name in it.
        name: String,
        /// The files' paths.
        paths: Vec<String>,
    },
}

fn hint(near: &[String], there: &[String]) -> String {
    if near.is_empty() {
        return format!("; known: {}", list(there));
    }
    format!("; did you mean {}?", near.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(" or "))
}

/// Checks metrics against requirements and a baseline.
///
/// With a baseline, every metric is judged that is on both sides and has a direction; the others are listed as not
/// judged. NaN satisfies no requirement, and neither does text.
///
/// # Errors
/// When a requirement names a metric or file that does not exist, or a metric that is in several files.
pub fn check(
    files: &[MetricsFile],
    requirements: &[Requirement],
    baseline: Option<Baseline<'_>>,
    directions: &Directions,
) -> Result<CheckReport, CheckError> {
    let mut findings = Vec::new();
    for requirement in requirements {
        let (file, value) = find(files, requirement)?;
        findings.push(required(requirement, file, value, files, baseline));
    }
    if let Some(Baseline { title, files: old, no_worse: Some(tolerance) }) = baseline {
        let rule = format!("no worse than {title}");
        for file in compare(Some(old), files, directions).files {
            for row in file.metrics {
                let (outcome, why) = no_worse(&row, tolerance, title);
                let (path, metric, why) = (file.path.clone(), row.name, cml_text::line(&why).into_owned());
                findings.push(Finding { rule: rule.clone(), path, metric, outcome, why });
            }
        }
    }
    Ok(CheckReport { findings })
}

fn find<'a>(
    files: &'a [MetricsFile],
    requirement: &Requirement,
) -> Result<(&'a MetricsFile, &'a Value), CheckError> {
    let is_meant = |file: &&MetricsFile| requirement.path.as_ref().is_none_or(|path| *path == file.path);
    let meant: Vec<&MetricsFile> = files.iter().filter(is_meant).collect();
    if let (Some(path), []) = (&requirement.path, meant.as_slice()) {
        return Err(CheckError::UnknownFile {
            requirement: requirement.to_string(),
            path: path.clone(),
            there: files.iter().map(|file| file.path.clone()).collect(),
        });
    }
    let name = &requirement.name;
    let having: Vec<_> = meant.iter().filter_map(|file| Some((*file, file.get(name)?))).collect();
    match having.as_slice() {
        [found] => Ok(*found),
        [] => {
            let there = meant.iter().flat_map(|file| &file.metrics).map(|metric| metric.name.clone());
            let mut there: Vec<String> = there.collect();
            let mut seen = HashSet::new();
            there.retain(|name| seen.insert(name.clone()));
            let (requirement, near) = (requirement.to_string(), near(name, &there));
            Err(CheckError::UnknownMetric { requirement, name: name.clone(), near, there })
        }
        several => Err(CheckError::Ambiguous {
            requirement: requirement.to_string(),
            name: name.clone(),
            paths: several.iter().map(|(file, _)| file.path.clone()).collect(),
        }),
    }
}

/// Returns names similar to one, or of which it is the last part.
fn near(name: &str, there: &[String]) -> Vec<String> {
    let folded = name.to_lowercase();
    let likeness = |other: &str| {
        let other = other.to_lowercase();
        let last = other.rsplit('.').next().unwrap_or_default();
        strsim::jaro_winkler(&folded, &other).max(strsim::jaro_winkler(&folded, last))
    };
    let mut near: Vec<(f64, &String)> = there.iter().map(|other| (likeness(other), other)).collect();
    near.retain(|(likeness, _)| *likeness >= NEAR_MIN);
    near.sort_by(|(this, _), (other, _)| other.total_cmp(this));
    near.into_iter().take(NEAR_MAX).map(|(_, name)| name.clone()).collect()
}

fn required(
    requirement: &Requirement,
    file: &MetricsFile,
    value: &Value,
    files: &[MetricsFile],
    baseline: Option<Baseline<'_>>,
) -> Finding {
    let Requirement { name, operator, limit, .. } = requirement;
    let holds = value.as_number().is_some_and(|number| {
        // Integers beyond 53 bits are compared by their difference, which is exact.
        let value = number.value();
        if value.is_finite() && limit.value().is_finite() {
            operator.holds(number.minus(limit), 0.0)
        } else {
            operator.holds(value, limit.value())
        }
    });
    let was = baseline.and_then(|baseline| {
        let mut pairs = pairs(baseline.files, files).into_iter();
        let (_, old, _) = pairs.find(|(path, _, _)| *path == file.path)?;
        Some(format!(" ({} has {})", baseline.title, plain(old?.get(name)?, limit)))
    });
    let no_number = if value.as_number().is_some() { "" } else { ", which is no number" };
    let why = format!(
        "{name} is {}{no_number}, required {operator} {}{}",
        plain(value, limit),
        limit.as_written(),
        was.unwrap_or_default()
    );
    let why = cml_text::line(&why).into_owned();
    let outcome = if holds { Outcome::Passed } else { Outcome::Failed };
    Finding { rule: requirement.to_string(), path: file.path.clone(), metric: name.clone(), outcome, why }
}

/// Formats a value for a sentence, with enough digits to distinguish it from another one.
fn plain(value: &Value, other: &Number) -> String {
    let Value::Number(number) = value else {
        return value.to_string();
    };
    if number.same(other) {
        return number.shown(DIGITS);
    }
    (DIGITS..=DIGITS_MAX)
        .map(|digits| number.shown(digits))
        .find(|text| Number::parse(text).is_none_or(|shown| !shown.same(other)))
        .unwrap_or_else(|| number.as_written().to_owned())
}

fn no_worse(row: &Row, tolerance: Tolerance, title: &str) -> (Outcome, String) {
    let name = &row.name;
    let (old, new) = match (&row.old, &row.new) {
        (Some(old), Some(new)) => (old, new),
        (Some(_), None) => return (Outcome::NotJudged, format!("{name} is in {title} alone")),
        _ => return (Outcome::NotJudged, format!("{name} is not in {title}")),
    };
    let Some(direction) = row.direction else {
        return (Outcome::NotJudged, format!("whether more of {name} is better is not known"));
    };
    let (old_number, new_number) = match (old.as_number(), new.as_number()) {
        (None, None) => return (Outcome::NotJudged, format!("{name} is no number")),
        (Some(old), Some(new)) if !new.value().is_nan() => (old, new),
        (_, Some(new)) if !new.value().is_nan() => {
            return (Outcome::Passed, format!("{name} is {}, {title} has {old}", new.shown(DIGITS)));
        }
        _ => return (Outcome::Failed, format!("{name} is {new}, {title} has {old}: no number any more")),
    };
    let is = format!("{name} is {}, {title} has {}", plain(new, old_number), plain(old, new_number));
    if row.judgement != Some(Judgement::Worse) {
        return (Outcome::Passed, is);
    }
    let allowed = tolerance.of(old_number.value());
    if allowed == 0.0 {
        return (Outcome::Failed, format!("{is}: worse"));
    }
    let lost = match direction {
        Direction::Higher => old_number.minus(new_number),
        Direction::Lower => new_number.minus(old_number),
    };
    // 0.91 - 0.9 is a little more than 0.01: such noise does not violate a tolerance.
    let noise = old_number.value().abs() * 4.0 * f64::EPSILON;
    if lost.is_finite() && lost <= allowed + noise {
        return (Outcome::Passed, format!("{is}: worse, within the tolerance of {tolerance}"));
    }
    (Outcome::Failed, format!("{is}: worse by more than the tolerance of {tolerance}"))
}
