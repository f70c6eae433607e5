//! Whether metrics are as good as they have to be.

use crate::compare::Judgement;
use crate::compare::{judge, pairs};
use crate::direction::{Direction, Directions};
use crate::error::list;
use crate::markdown::cell;
use crate::number::{DIGITS_MAX, Number};
use crate::render::table_line;
use crate::requirement::{Requirement, Tolerance};
use crate::value::{MetricsFile, Value};

/// Significant digits in what is said about a metric.
const DIGITS: usize = 5;
/// How many names like an unknown one are told.
const NEAR_MAX: usize = 5;
/// How like they have to be, by Jaro and Winkler, from 0 to 1.
const NEAR_MIN: f64 = 0.75;

/// What the metrics are compared with.
#[derive(Clone, Copy, Debug)]
pub struct Baseline<'a> {
    /// What people call it, as `main`.
    pub title: &'a str,
    /// Its metrics.
    pub files: &'a [MetricsFile],
    /// Whether metrics may not be worse, beyond a tolerance; none: it is only told beside the requirements.
    pub no_worse: Option<Tolerance>,
}

/// How a metric did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As good as it has to be.
    Passed,
    /// Not so.
    Failed,
    /// That could not be told.
    NotJudged,
}

/// One verdict.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The requirement as it is written, or `no worse than main`.
    pub rule: String,
    /// The file.
    pub path: String,
    /// The metric's dotted name.
    pub metric: String,
    /// How it did.
    pub outcome: Outcome,
    /// Why, in a sentence: `accuracy is 0.87, required >= 0.9 (main has 0.91)`.
    pub why: String,
}

/// All verdicts.
#[derive(Clone, Debug)]
pub struct CheckReport {
    /// Requirements in their order, then what was compared, in the order of the files.
    pub findings: Vec<Finding>,
}

/// A requirement that cannot be judged, for it is not known of what.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// No file has such a path.
    #[error("`{requirement}`: there is no file `{path}`; there are {}", list(.there))]
    UnknownFile {
        /// The requirement.
        requirement: String,
        /// The path in it.
        path: String,
        /// The paths of the files that are there.
        there: Vec<String>,
    },
    /// No metric has such a name.
    #[error("`{requirement}`: there is no metric `{name}`{}", hint(.near, .there))]
    UnknownMetric {
        /// The requirement.
        requirement: String,
        /// The name in it.
        name: String,
        /// Names that are much like it, the most alike first.
        near: Vec<String>,
        /// All names.
        there: Vec<String>,
    },
    /// Several files have it.
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
        return format!("; there are {}", list(there));
    }
    format!(
        "; did you mean {}?",
        near.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ")
    )
}

/// Judges metrics by requirements, and against a baseline.
///
/// Against a baseline, every metric is judged that is on both sides and has a direction; the others are listed as not
/// judged. NaN satisfies nothing, neither does text.
///
/// # Errors
/// When a requirement names a metric or file that is not there, or a metric that is in several files.
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
        for (path, old, new) in pairs(old, files) {
            let names = new.into_iter().flat_map(|file| &file.metrics).map(|metric| &metric.name);
            let gone = old.into_iter().flat_map(|file| &file.metrics).map(|metric| &metric.name);
            let gone = gone.filter(|name| new.is_none_or(|file| file.get(name).is_none()));
            for name in names.chain(gone) {
                let value = |file: Option<&'_ MetricsFile>| file.and_then(|file| file.get(name)).cloned();
                let sides = (value(old), value(new));
                let (outcome, why) = no_worse(name, sides, directions.of(name), tolerance, title);
                let (path, metric) = (path.to_owned(), name.clone());
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
            let there: Vec<String> = there.collect();
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

/// Names like one, or of which it is the last part.
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
    let outcome = if holds { Outcome::Passed } else { Outcome::Failed };
    Finding { rule: requirement.to_string(), path: file.path.clone(), metric: name.clone(), outcome, why }
}

/// A value for a sentence, with as many digits as tell it from another one.
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

fn no_worse(
    name: &str,
    sides: (Option<Value>, Option<Value>),
    direction: Option<Direction>,
    tolerance: Tolerance,
    title: &str,
) -> (Outcome, String) {
    let (old, new) = match sides {
        (Some(old), Some(new)) => (old, new),
        (Some(_), None) => return (Outcome::NotJudged, format!("{name} is in {title} alone")),
        _ => return (Outcome::NotJudged, format!("{name} is not in {title}")),
    };
    let Some(direction) = direction else {
        return (Outcome::NotJudged, format!("whether more of {name} is better is not known"));
    };
    if old.as_number().is_none() && new.as_number().is_none() {
        return (Outcome::NotJudged, format!("{name} is no number"));
    }
    let nan = Number::parse("NaN");
    let texts = match (old.as_number(), new.as_number().or(nan.as_ref())) {
        (Some(old_number), Some(new_number)) => (plain(&old, new_number), plain(&new, old_number)),
        _ => (old.to_string(), new.to_string()),
    };
    let is = format!("{name} is {}, {title} has {}", texts.1, texts.0);
    let is_nan = new.as_number().is_none_or(|number| number.value().is_nan());
    if is_nan {
        return (Outcome::Failed, is);
    }
    let lost = match (old.as_number(), new.as_number()) {
        (Some(old), Some(new)) => match direction {
            Direction::Higher => old.minus(new),
            Direction::Lower => new.minus(old),
        },
        _ => 0.0,
    };
    if judge(&old, &new, direction) != Some(Judgement::Worse) {
        return (Outcome::Passed, is);
    }
    let allowed = old.as_number().map_or(0.0, |old| tolerance.of(old.value()));
    // 0.91 - 0.9 is a little more than 0.01: a tolerance is not missed by such noise, but none is none.
    let noise = old.as_number().map_or(0.0, |old| old.value().abs() * 4.0 * f64::EPSILON);
    if allowed == 0.0 {
        return (Outcome::Failed, format!("{is}: worse"));
    }
    if lost <= allowed + noise {
        return (Outcome::Passed, format!("{is}: worse, within the tolerance of {tolerance}"));
    }
    (Outcome::Failed, format!("{is}: worse by more than the tolerance of {tolerance}"))
}

impl CheckReport {
    /// Whether nothing failed; what could not be judged did not fail.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.count(Outcome::Failed) == 0
    }

    /// How many have an outcome.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        self.findings.iter().filter(|finding| finding.outcome == outcome).count()
    }

    /// For a check run or a step's summary: what failed first.
    #[must_use]
    pub fn markdown(&self) -> String {
        let (failed, passed) = (self.count(Outcome::Failed), self.count(Outcome::Passed));
        let mut text = match (failed, passed) {
            (0, 0) => "⚠️ **Nothing could be judged.**\n".to_owned(),
            (0, passed) => format!("✅ **{} passed.**\n", checks(passed)),
            (failed, passed) => format!("❌ **{} failed**, {passed} passed.\n", checks(failed)),
        };
        let mut files: Vec<&str> = self.findings.iter().map(|finding| finding.path.as_str()).collect();
        files.sort_unstable();
        files.dedup();
        let with_path = files.len() > 1;
        let judged = self.findings.iter().filter(|finding| finding.outcome != Outcome::NotJudged);
        let mut judged: Vec<&Finding> = judged.collect();
        judged.sort_by_key(|finding| finding.outcome != Outcome::Failed);
        if !judged.is_empty() {
            text.push('\n');
            text.push_str(&lines(&judged, with_path));
        }
        let open: Vec<&Finding> =
            self.findings.iter().filter(|finding| finding.outcome == Outcome::NotJudged).collect();
        if !open.is_empty() {
            let table = lines(&open, with_path);
            text.push_str(&format!(
                "\n<details><summary>Not judged: {}</summary>\n\n{table}\n</details>\n",
                open.len()
            ));
        }
        text
    }
}

fn checks(count: usize) -> String {
    if count == 1 { "1 check".to_owned() } else { format!("{count} checks") }
}

fn lines(findings: &[&Finding], with_path: bool) -> String {
    let mut columns = vec![("Result", ":--"), ("Rule", ":--"), ("Why", ":--")];
    if with_path {
        columns.insert(1, ("Path", ":--"));
    }
    let (titles, rules): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let mut text = format!("{}{}", table_line(&titles), table_line(&rules));
    for finding in findings {
        let outcome = match finding.outcome {
            Outcome::Passed => "✅ passed",
            Outcome::Failed => "❌ failed",
            Outcome::NotJudged => "not judged",
        };
        let mut cells = vec![outcome.to_owned()];
        if with_path {
            cells.push(cell(&finding.path));
        }
        cells.extend([cell(&finding.rule), cell(&finding.why)]);
        text.push_str(&table_line(&cells));
    }
    text
}
