//! Parser for the part of a workflow file that the simulated GitHub can run.
//!
//! Anything that it cannot run is an error that names the job and the step; nothing is ignored silently.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_yaml::Value;

/// A parsed workflow file.
#[derive(Clone, Debug)]
pub(crate) struct Workflow {
    pub(crate) name: String,
    pub(crate) event: String,
    pub(crate) jobs: Vec<JobSpec>,
}

/// One job of it.
#[derive(Clone, Debug)]
pub(crate) struct JobSpec {
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) labels: Vec<String>,
    pub(crate) needs: Vec<String>,
    /// The workflow's variables and the job's own.
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) steps: Vec<StepSpec>,
}

/// One `run:` step of it.
#[derive(Clone, Debug)]
pub(crate) struct StepSpec {
    pub(crate) name: String,
    pub(crate) script: String,
    /// `sh` or `bash`.
    pub(crate) shell: String,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) working_directory: Option<String>,
}

/// Reason why a workflow cannot be queued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkflowError {
    /// It is not YAML, or not a workflow.
    #[error("not a workflow: {0}")]
    Syntax(#[from] serde_yaml::Error),
    /// The workflow does not run on this event.
    #[error("the workflow is not for `{0}`")]
    Event(String),
    /// A job uses something that this GitHub does not support.
    #[error("job `{job}`: {problem}")]
    Job {
        /// The job's key.
        job: String,
        /// What is wrong, and what would be accepted.
        problem: String,
    },
    /// A step uses something that this GitHub does not support.
    #[error("job `{job}`, step {step}: {problem}")]
    Step {
        /// The job's key.
        job: String,
        /// The step's number, from 1, and its name when it has one.
        step: String,
        /// What is wrong, and what would be accepted.
        problem: String,
    },
}

#[derive(Deserialize)]
struct RawWorkflow {
    name: Option<String>,
    #[serde(default)]
    on: Value,
    #[serde(default)]
    env: BTreeMap<String, Value>,
    jobs: serde_yaml::Mapping,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawJob {
    name: Option<String>,
    runs_on: Value,
    #[serde(default)]
    needs: Value,
    #[serde(default)]
    env: BTreeMap<String, Value>,
    steps: Vec<Value>,
    // Keys that limit or allow, and have no effect here.
    #[serde(rename = "permissions")]
    _permissions: Option<Value>,
    #[serde(rename = "timeout-minutes")]
    _timeout: Option<Value>,
    #[serde(rename = "concurrency")]
    _concurrency: Option<Value>,
    #[serde(rename = "outputs")]
    _outputs: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawStep {
    name: Option<String>,
    uses: Option<String>,
    run: Option<String>,
    shell: Option<String>,
    #[serde(default)]
    env: BTreeMap<String, Value>,
    working_directory: Option<String>,
    #[serde(rename = "id")]
    _id: Option<String>,
    #[serde(rename = "with")]
    _with: Option<Value>,
}

impl Workflow {
    /// Parses a workflow file.
    pub(crate) fn read(yaml: &str) -> Result<Self, WorkflowError> {
        let raw: RawWorkflow = serde_yaml::from_str(yaml)?;
        let mut jobs = Vec::new();
        for (key, value) in raw.jobs {
            let key = key.as_str().unwrap_or_default().to_owned();
            jobs.push(job(key, value, &raw.env)?);
        }
        let workflow =
            Self { name: raw.name.unwrap_or_else(|| "workflow".to_owned()), event: event(&raw.on), jobs };
        workflow.check_needs()?;
        Ok(workflow)
    }

    pub(super) fn check_needs(&self) -> Result<(), WorkflowError> {
        // Each round takes the jobs whose needs were taken before: the rest needs itself, or an unknown job.
        let mut left: Vec<&JobSpec> = self.jobs.iter().collect();
        let mut done: Vec<&str> = Vec::new();
        while !left.is_empty() {
            let (ready, rest): (Vec<_>, Vec<_>) =
                left.into_iter().partition(|job| job.needs.iter().all(|need| done.contains(&need.as_str())));
            if ready.is_empty() {
                let job = rest[0];
                let unknown =
                    job.needs.iter().find(|need| !self.jobs.iter().any(|other| other.key == **need));
                let problem = match unknown {
                    Some(unknown) => format!("it needs `{unknown}`, which is no job of this workflow"),
                    None => "its `needs` lead back to itself".to_owned(),
                };
                return Err(WorkflowError::Job { job: job.key.clone(), problem });
            }
            done.extend(ready.iter().map(|job| job.key.as_str()));
            left = rest;
        }
        Ok(())
    }
}

fn event(on: &Value) -> String {
    events(on).into_iter().next().unwrap_or_else(|| "push".to_owned())
}

/// Returns the events that a workflow runs on.
pub(super) fn events(on: &Value) -> Vec<String> {
    match on {
        Value::Mapping(events) => events.keys().filter_map(Value::as_str).map(str::to_owned).collect(),
        on => words(on).unwrap_or_default(),
    }
}

fn job(key: String, value: Value, workflow_env: &BTreeMap<String, Value>) -> Result<JobSpec, WorkflowError> {
    let problem = |problem: String| WorkflowError::Job { job: key.clone(), problem };
    let raw: RawJob = serde_yaml::from_value(value).map_err(|error| problem(error.to_string()))?;
    let labels = labels(&raw.runs_on).map_err(&problem)?;
    let needs = words(&raw.needs).ok_or_else(|| problem("`needs` is a job or a list of jobs".to_owned()))?;
    let mut env = variables(workflow_env).map_err(&problem)?;
    env.extend(variables(&raw.env).map_err(&problem)?);
    let mut steps = Vec::new();
    for (index, value) in raw.steps.into_iter().enumerate() {
        steps.extend(step(&key, index + 1, value)?);
    }
    Ok(JobSpec { name: raw.name.unwrap_or_else(|| key.clone()), key, labels, needs, env, steps })
}

pub(super) fn labels(runs_on: &Value) -> Result<Vec<String>, String> {
    let value = match runs_on {
        Value::Mapping(map) => map.get("labels").unwrap_or(&Value::Null),
        other => other,
    };
    // A group alone requires no label.
    let names_group = matches!(runs_on, Value::Mapping(map) if map.contains_key("group"));
    let labels = words(value).unwrap_or_default();
    if (labels.is_empty() && !names_group) || labels.iter().any(|label| label.contains("${{")) {
        return Err(
            "`runs-on` is a label, a list of labels, {labels: ...} or {group: ...}, without expressions"
                .to_owned(),
        );
    }
    Ok(labels)
}

pub(super) fn words(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Null => Some(Vec::new()),
        Value::String(word) => Some(vec![word.clone()]),
        Value::Sequence(words) => words.iter().map(|word| word.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

fn variables(raw: &BTreeMap<String, Value>) -> Result<BTreeMap<String, String>, String> {
    raw.iter()
        .map(|(name, value)| {
            let good = name.chars().enumerate().all(|(index, letter)| {
                letter == '_' || letter.is_ascii_alphabetic() || (index > 0 && letter.is_ascii_digit())
            });
            if name.is_empty() || !good {
                return Err(format!("`{name}` is no name for a variable"));
            }
            let text = match value {
                Value::String(text) if text.contains("${{") => {
                    return Err(format!(
                        "the variable `{name}` has an expression, which is not understood here"
                    ));
                }
                Value::String(text) => text.clone(),
                Value::Bool(flag) => flag.to_string(),
                Value::Number(number) => number.to_string(),
                Value::Null => String::new(),
                _ => return Err(format!("the variable `{name}` is no text")),
            };
            Ok((name.clone(), text))
        })
        .collect()
}

/// Parses one step; `None` when there is nothing to run, as for a checkout of the (empty) repository.
fn step(job: &str, number: usize, value: Value) -> Result<Option<StepSpec>, WorkflowError> {
    let name = value.get("name").and_then(Value::as_str).map(|name| format!(" ({name})")).unwrap_or_default();
    let problem = |problem: String| WorkflowError::Step {
        job: job.to_owned(),
        step: format!("{number}{name}"),
        problem,
    };
    let raw: RawStep = serde_yaml::from_value(value).map_err(|error| problem(error.to_string()))?;
    let script = match (raw.uses, raw.run) {
        (Some(uses), None) if uses.starts_with("actions/checkout") => return Ok(None),
        (Some(uses), None) => return Err(problem(format!("`uses: {uses}` cannot be run here; use `run:`"))),
        (None, Some(run)) => run,
        _ => return Err(problem("a step has either `run:` or `uses:`".to_owned())),
    };
    if script.contains("${{") {
        return Err(problem(
            "expressions are not understood here; use variables such as $GITHUB_SHA".to_owned(),
        ));
    }
    let shell = raw.shell.unwrap_or_else(|| "sh".to_owned());
    if !matches!(shell.as_str(), "sh" | "bash") {
        return Err(problem(format!("`shell: {shell}` is not understood here; use sh or bash")));
    }
    let env = variables(&raw.env).map_err(&problem)?;
    let first = script.lines().next().unwrap_or_default();
    let name = raw.name.unwrap_or_else(|| format!("Run {first}"));
    Ok(Some(StepSpec { name, script, shell, env, working_directory: raw.working_directory }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workflow_is_read_with_its_labels_needs_and_variables() {
        let yaml = "
name: train
on: {push: {branches: [main]}}
env: {A: 1, B: two}
jobs:
  one: {runs-on: gpu, steps: [{uses: actions/checkout@v4}, {run: echo}]}
  two:
    needs: one
    runs-on: {labels: [self-hosted, cml], group: big}
    env: {B: three}
    steps: [{name: Say, run: 'echo $B', shell: bash, env: {C: true}}]
";
        let workflow = Workflow::read(yaml).expect("it is good");
        assert_eq!((workflow.name.as_str(), workflow.event.as_str()), ("train", "push"));
        let [one, two] = workflow.jobs.as_slice() else { panic!("two jobs") };
        assert_eq!((one.labels.as_slice(), one.steps.len()), (&["gpu".to_owned()][..], 1));
        assert_eq!((two.labels.len(), two.needs.as_slice()), (2, &["one".to_owned()][..]));
        assert_eq!((two.env["A"].as_str(), two.env["B"].as_str()), ("1", "three"));
        assert_eq!((two.steps[0].shell.as_str(), two.steps[0].env["C"].as_str()), ("bash", "true"));
    }

    #[test]
    fn what_cannot_be_run_is_an_error_that_names_job_and_step() {
        let job = |body: &str| format!("on: push\njobs:\n  train: {{runs-on: a, {body}}}\n");
        for (yaml, words) in [
            (
                job("steps: [{run: a}, {uses: docker/build@v1}]"),
                "job `train`, step 2: `uses: docker/build@v1`",
            ),
            (job("steps: [{name: Say, run: 'echo ${{ x }}'}]"), "job `train`, step 1 (Say): expressions"),
            (job("steps: [{run: a, shell: pwsh}]"), "`shell: pwsh`"),
            (job("steps: [{run: a, if: failure()}]"), "unknown field `if`"),
            (job("strategy: {}, steps: []"), "unknown field `strategy`"),
            (job("needs: other, steps: []"), "it needs `other`"),
            (job("needs: train, steps: []"), "lead back"),
            (job("steps: [{run: a, env: {'A B': c}}]"), "`A B` is no name"),
            ("jobs: {a: {runs-on: [], steps: []}}".to_owned(), "`runs-on` is"),
            ("jobs: 3".to_owned(), "not a workflow"),
        ] {
            let error = Workflow::read(&yaml).expect_err(words).to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
