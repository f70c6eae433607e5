//! `cml.yaml`: text in, checked specs out.

use std::collections::BTreeMap;

use cml_cloud::{SpotPolicy, Usd};
use jiff::SignedDuration;
use serde::Deserialize;

use crate::duration;
use crate::hours::WarmHours;
use crate::spec::{Allow, Budget, Forks, Idle, Reruns, Spec, Warm};

/// What a file asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Its specs, in the order of their names.
    pub runners: Vec<Runners>,
}

/// A spec with what its machines are made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Runners {
    /// The spec.
    pub spec: Spec,
    /// Where its machines come from.
    pub cloud: CloudName,
    /// Regions in order of preference.
    pub regions: Vec<String>,
    /// Instance types, or CML's sizes.
    pub instance_types: Vec<String>,
    /// Image alias or id.
    pub image: Option<String>,
    /// Root disk, GiB.
    pub disk_gib: u32,
}

/// A cloud by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CloudName {
    /// Amazon EC2.
    Aws,
    /// The machine that runs the daemon.
    Local,
}

/// The text is no `cml.yaml`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}{}: {what}", place(*.line))]
pub struct BadFile {
    /// The file.
    pub file: String,
    /// Line and column, from 1, where they are known.
    pub line: Option<(usize, usize)>,
    /// What is wrong, and what would be right.
    pub what: String,
}

fn place(line: Option<(usize, usize)>) -> String {
    line.map_or_else(String::new, |(line, column)| format!(":{line}:{column}"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileWire {
    runners: BTreeMap<String, RunnersWire>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RunnersWire {
    labels: Vec<String>,
    #[serde(default)]
    group: Option<String>,
    cloud: CloudName,
    #[serde(default)]
    regions: Vec<String>,
    #[serde(default)]
    instance_types: Vec<String>,
    #[serde(default)]
    image: Option<String>,
    #[serde(default)]
    disk: Option<String>,
    #[serde(default)]
    spot: SpotWire,
    max: u32,
    #[serde(default)]
    min: u32,
    #[serde(default)]
    warm: Option<WarmWire>,
    #[serde(default)]
    idle_timeout: Option<String>,
    #[serde(default)]
    max_lifetime: Option<String>,
    #[serde(default)]
    boot_timeout: Option<String>,
    #[serde(default)]
    budget: Option<BudgetWire>,
    #[serde(default)]
    allow: AllowWire,
    #[serde(default)]
    reruns: RerunsWire,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SpotWire {
    Only,
    #[default]
    Prefer,
    Never,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WarmWire {
    count: u32,
    #[serde(default)]
    hours: Option<WarmHours>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BudgetWire {
    day: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct AllowWire {
    #[serde(default)]
    events: Vec<String>,
    #[serde(default)]
    forks: ForksWire,
    #[serde(default)]
    actors: Vec<String>,
    #[serde(default)]
    repositories: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ForksWire {
    #[default]
    Never,
    Always,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RerunsWire {
    max: u32,
    last_on_demand: bool,
}

impl Default for RerunsWire {
    fn default() -> Self {
        Self { max: 2, last_on_demand: true }
    }
}

/// What a cold start costs before anything is learned, as seconds of the machine's price.
const COLD_START: SignedDuration = SignedDuration::from_mins(3);
/// The longest that `idle_timeout: auto` keeps an idle machine.
const AUTO_IDLE_MAX: SignedDuration = SignedDuration::from_mins(30);
/// Root disk where none is named, GiB.
const DISK_GIB: u32 = 35;

/// Reads a file's text; `name` is what its errors call it.
///
/// # Errors
/// [`BadFile`] for the first thing that is wrong.
pub fn read(name: &str, text: &str) -> Result<Config, BadFile> {
    let wire: FileWire = serde_yaml::from_str(text).map_err(|error| BadFile {
        file: name.to_owned(),
        line: error.location().map(|at| (at.line(), at.column())),
        what: error.to_string(),
    })?;
    let bad = |spec: &str, what: String| BadFile {
        file: name.to_owned(),
        line: None,
        what: format!("runners.{spec}.{what}"),
    };
    if wire.runners.is_empty() {
        return Err(BadFile { file: name.to_owned(), line: None, what: "runners: names no spec".to_owned() });
    }
    let runners: Result<Vec<Runners>, BadFile> = wire
        .runners
        .into_iter()
        .map(|(key, wire)| runners(&key, wire).map_err(|what| bad(&key, what)))
        .collect();
    Ok(Config { runners: runners? })
}

fn runners(name: &str, wire: RunnersWire) -> Result<Runners, String> {
    if wire.labels.is_empty() {
        return Err("labels: names none, so no job could ever be served".to_owned());
    }
    if wire.min > wire.max {
        return Err(format!("min: {} is more than max, which is {}", wire.min, wire.max));
    }
    let time = |key: &str, text: Option<&String>, otherwise: SignedDuration| {
        text.map_or(Ok(otherwise), |text| duration::parse(text).map_err(|error| format!("{key}: {error}")))
    };
    let idle = match wire.idle_timeout.as_deref() {
        Some("never") => Idle::Never,
        Some("auto") => Idle::Auto { cold_start: COLD_START, max: AUTO_IDLE_MAX },
        Some(_) | None => {
            Idle::After(time("idle_timeout", wire.idle_timeout.as_ref(), SignedDuration::from_mins(5))?)
        }
    };
    let spec = Spec {
        name: name.to_owned(),
        labels: wire.labels,
        group: wire.group,
        spot: match wire.spot {
            SpotWire::Only => SpotPolicy::Only,
            SpotWire::Prefer => SpotPolicy::Prefer,
            SpotWire::Never => SpotPolicy::Never,
        },
        max: wire.max,
        min: wire.min,
        warm: wire.warm.map(|warm| Warm { count: warm.count, hours: warm.hours }).into_iter().collect(),
        idle,
        max_lifetime: time("max_lifetime", wire.max_lifetime.as_ref(), SignedDuration::from_hours(12))?,
        boot_timeout: time("boot_timeout", wire.boot_timeout.as_ref(), SignedDuration::from_mins(10))?,
        budget: wire.budget.map(|budget| usd(&budget.day)).transpose()?.map(|per_day| Budget { per_day }),
        allow: Allow {
            events: wire.allow.events,
            forks: match wire.allow.forks {
                ForksWire::Never => Forks::Never,
                ForksWire::Always => Forks::Always,
            },
            actors: wire.allow.actors,
            repositories: wire.allow.repositories,
        },
        reruns: Reruns { max: wire.reruns.max, last_on_demand: wire.reruns.last_on_demand },
    };
    Ok(Runners {
        spec,
        cloud: wire.cloud,
        regions: wire.regions,
        instance_types: wire.instance_types,
        image: wire.image,
        disk_gib: wire.disk.as_deref().map_or(Ok(DISK_GIB), gib)?,
    })
}

/// `60 USD`.
fn usd(text: &str) -> Result<Usd, String> {
    let amount = text.trim().strip_suffix("USD").and_then(|amount| amount.trim().parse().ok()).map(Usd);
    amount
        .filter(|usd| usd.0.is_sign_positive())
        .ok_or_else(|| format!("budget.day: {text:?} is no amount of money: write it as \"60 USD\""))
}

/// `100GiB`.
fn gib(text: &str) -> Result<u32, String> {
    let size = text.trim().strip_suffix("GiB").and_then(|size| size.trim().parse().ok());
    size.filter(|size| (8..=16_384).contains(size))
        .ok_or_else(|| format!("disk: {text:?} is no size: write it as \"100GiB\", from 8GiB to 16384GiB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "
runners:
  gpu:
    labels: [cml, gpu]
    cloud: aws
    regions: [us-east-1, us-west-2]
    instance_types: [g5.xlarge, g6.xlarge]
    spot: prefer
    disk: 100GiB
    image: ubuntu-24.04
    max: 8
    warm: { count: 1, hours: \"Mon-Fri 08:00-19:00 Europe/Berlin\" }
    idle_timeout: 5m
    max_lifetime: 12h
    budget: { day: 60 USD }
    allow: { events: [push, pull_request], forks: never }
";

    fn error(text: &str) -> String {
        read("cml.yaml", text).expect_err(text).to_string()
    }

    #[test]
    fn a_whole_file_is_read() {
        let config = read("cml.yaml", WHOLE).expect("is right");
        let gpu = &config.runners[0];
        assert_eq!((gpu.spec.name.as_str(), gpu.spec.max, gpu.disk_gib), ("gpu", 8, 100));
        assert_eq!(gpu.spec.budget.expect("has one").per_day.to_string(), "$60");
        assert_eq!(gpu.spec.idle, Idle::After(SignedDuration::from_mins(5)));
        assert_eq!(gpu.spec.allow.forks, Forks::Never);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let unknown =
            error("runners:\n  gpu:\n    labels: [gpu]\n    cloud: aws\n    max: 1\n    idel_timeout: 5m\n");
        assert!(unknown.starts_with("cml.yaml:") && unknown.contains("idel_timeout"), "{unknown}");
        assert!(unknown.contains("idle_timeout"), "{unknown}");
        for (key, value, told) in [
            ("labels", "[]", "runners.gpu.labels: names none"),
            ("min", "3", "min: 3 is more than max, which is 1"),
            ("budget", "{ day: 60 EUR }", "write it as \"60 USD\""),
            ("disk", "100GB", "write it as \"100GiB\""),
            ("max_lifetime", "soon", "runners.gpu.max_lifetime"),
            ("warm", "{ count: 1, hours: always }", "names no hours"),
        ] {
            let mut lines = vec![("labels", "[gpu]"), ("cloud", "aws"), ("max", "1")];
            lines.retain(|(known, _)| *known != key);
            lines.push((key, value));
            let body: String = lines.iter().map(|(key, value)| format!("    {key}: {value}\n")).collect();
            let text = error(&format!("runners:\n  gpu:\n{body}"));
            assert!(text.contains(told), "{text}");
        }
        assert!(error("runners: {}").contains("names no spec"));
        assert!(error("runners: [").starts_with("cml.yaml:"));
    }
}
