//! Kinds of YAML blocks and their validation: a workflow or a part of one, a `cml.yaml` or a part of one.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_yaml::{Mapping, Value};

use super::page::{Block, Directive};

/// Kind of a block.
#[derive(Debug)]
pub enum Kind {
    /// A workflow; parts are completed.
    Workflow(Value),
    /// The text of a `cml.yaml`; parts are completed.
    Config(String),
    /// Neither, according to its directive.
    Other,
}

/// Keys of a `cml.yaml`.
const OF_CONFIG: [&str; 4] = ["github", "reports", "runners", "budgets"];
/// Keys of a workflow or one of its jobs that may be alone in a page.
const OF_WORKFLOW: [&str; 12] = [
    "name",
    "on",
    "permissions",
    "env",
    "concurrency",
    "defaults",
    "steps",
    "runs-on",
    "needs",
    "container",
    "timeout-minutes",
    "if",
];
/// A spec for a file about another subject.
const SOME_SPEC: &str = "runners:\n  some: { labels: [some], cloud: local, max: 1 }\n";

/// Returns the kind of a block.
///
/// # Errors
/// When it is not YAML, or of no known kind.
pub fn kind(block: &Block) -> Result<Kind, String> {
    let value: Value = serde_yaml::from_str(&block.text).map_err(|error| format!("no YAML: {error}"))?;
    match &block.directive {
        Some(Directive::Other(_)) => return Ok(Kind::Other),
        Some(Directive::Spec) => return Ok(Kind::Config(whole_spec(&block.text, &value))),
        _ => {}
    }
    let steps_alone =
        |steps: &Value| Kind::Workflow(job(&Mapping::from_iter([("steps".into(), steps.clone())])));
    let Value::Mapping(all) = &value else {
        return if is_steps(&value) { Ok(steps_alone(&value)) } else { Err(unknown()) };
    };
    let keys: Vec<&str> = all.keys().filter_map(Value::as_str).collect();
    let only = |known: &[&str]| keys.iter().all(|key| known.contains(key));
    if all.contains_key("jobs") {
        Ok(Kind::Workflow(value))
    } else if only(&OF_CONFIG) {
        let is_whole = all.contains_key("runners") || all.contains_key("reports");
        let rest = if is_whole { "" } else { SOME_SPEC };
        Ok(Kind::Config(format!("{}{rest}", block.text)))
    } else if all.values().all(|job| job.get("runs-on").is_some() || job.get("uses").is_some()) {
        Ok(Kind::Workflow(Mapping::from_iter([("jobs".into(), value)]).into()))
    } else if only(&OF_WORKFLOW) {
        Ok(Kind::Workflow(job(all)))
    } else {
        Err(unknown())
    }
}

fn unknown() -> String {
    "neither a workflow nor a cml.yaml, nor a part of one: say what it is by a directive (CONTRIBUTING.md)"
        .to_owned()
}

fn is_steps(value: &Value) -> bool {
    let is_step = |step: &Value| step.get("uses").is_some() || step.get("run").is_some();
    value.as_sequence().is_some_and(|steps| !steps.is_empty() && steps.iter().all(is_step))
}

/// Returns a workflow with this one job.
fn job(keys: &Mapping) -> Value {
    let mut job = keys.clone();
    job.entry("runs-on".into()).or_insert_with(|| "ubuntu-latest".into());
    job.entry("steps".into()).or_insert_with(|| Value::Sequence(Vec::new()));
    let jobs = Mapping::from_iter([("some".into(), Value::Mapping(job))]);
    Mapping::from_iter([("jobs".into(), Value::Mapping(jobs))]).into()
}

/// Returns a file with a spec of these keys and the required ones.
fn whole_spec(text: &str, value: &Value) -> String {
    let has = |key: &str| value.get(key).is_some();
    let mut lines: String = text.lines().map(|line| format!("    {line}\n")).collect();
    for (missing, line) in [
        (!has("labels"), "labels: [some]"),
        (!has("cloud"), "cloud: aws"),
        (!has("max"), "max: 1"),
        (!has("cloud") && !has("needs") && !has("instance_types"), "instance_types: [g5.xlarge]"),
    ] {
        if missing {
            lines.push_str(&format!("    {line}\n"));
        }
    }
    format!("runners:\n  some:\n{lines}")
}

/// Returns the error of `cml-runner validate` for this text; `None` when it is valid.
///
/// # Panics
/// When the program cannot be run.
#[must_use]
pub fn invalid(bin: &Path, text: &str) -> Option<String> {
    let mut child = Command::new(bin.join("cml-runner"))
        .args(["validate", "--json", "-"])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it listens");
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (!output.status.success()).then_some(said)
}
