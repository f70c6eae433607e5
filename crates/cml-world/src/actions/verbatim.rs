//! Workflow files that run unmodified, by a program of the caller. Only the parts that decide which jobs run, where and
//! when are read here: the event, the jobs, their labels, their `needs` and their matrix.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_yaml::{Mapping, Value};

use super::origin::{HeadRepository, Origin, owner_of};
use super::workflow::{JobSpec, StepSpec, Workflow, WorkflowError, events, labels, words};

/// A workflow file, the event that starts it, and the program that runs the file's jobs.
#[derive(Clone)]
pub struct Verbatim {
    /// The file's text.
    pub yaml: String,
    /// `push`, `pull_request`, …: one of the events that the file runs on.
    pub event: String,
    /// GitHub's payload of the event. A pull request's head and the login that caused the event are read from it.
    pub payload: serde_json::Value,
    /// The job's `GITHUB_SHA`.
    pub sha: String,
    /// The job's `GITHUB_REF`.
    pub reference: String,
    /// Program that runs one job on its runner, in the runner's workspace. In addition to the variables that GitHub
    /// sets it receives `CML_EXECUTE_WORKFLOW` and `CML_EXECUTE_EVENT` (the texts), `CML_EXECUTE_JOB` (the job's key in
    /// the file) and `CML_EXECUTE_MATRIX` (a line `key:value` for each key of the matrix). Its output is the job's log,
    /// its exit code the result; `SIGTERM` cancels.
    pub executor: PathBuf,
    /// Additional variables for it.
    pub env: BTreeMap<String, String>,
}

impl std::fmt::Debug for Verbatim {
    /// Omits the variables: there are secrets among them.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Verbatim")
            .field("event", &self.event)
            .field("sha", &self.sha)
            .field("reference", &self.reference)
            .field("executor", &self.executor)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct RawWorkflow {
    name: Option<String>,
    #[serde(default)]
    on: Value,
    jobs: Mapping,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawJob {
    name: Option<String>,
    runs_on: Value,
    #[serde(default)]
    needs: Value,
    #[serde(default)]
    strategy: RawStrategy,
}

#[derive(Default, Deserialize)]
struct RawStrategy {
    #[serde(default)]
    matrix: Mapping,
}

/// One job of a matrix: its keys and values, in the file's order.
type Combination = Vec<(String, String)>;

impl Verbatim {
    /// Returns the origin of the run in this repository (`owner/name`).
    pub(crate) fn origin(&self, repository: &str) -> Origin {
        let head = &self.payload["pull_request"]["head"];
        let branch = self.reference.trim_start_matches("refs/heads/");
        Origin {
            sha: self.sha.clone(),
            reference: self.reference.clone(),
            head_sha: head["sha"].as_str().unwrap_or(&self.sha).to_owned(),
            head_branch: head["ref"].as_str().unwrap_or(branch).to_owned(),
            head_repository: head_repository(head, repository),
            actor: self.payload["sender"]["login"].as_str().unwrap_or(owner_of(repository)).to_owned(),
        }
    }

    /// Returns the jobs, each with one step: the executor.
    pub(crate) fn workflow(&self) -> Result<Workflow, WorkflowError> {
        let raw: RawWorkflow = serde_yaml::from_str(&self.yaml)?;
        if !events(&raw.on).contains(&self.event) {
            return Err(WorkflowError::Event(self.event.clone()));
        }
        let mut read = Vec::new();
        for (key, value) in raw.jobs {
            let key = key.as_str().unwrap_or_default().to_owned();
            let problem = |problem: String| WorkflowError::Job { job: key.clone(), problem };
            let job: RawJob = serde_yaml::from_value(value).map_err(|error| problem(error.to_string()))?;
            let labels = labels(&job.runs_on).map_err(&problem)?;
            let needs =
                words(&job.needs).ok_or_else(|| problem("`needs` is a job or a list of jobs".to_owned()))?;
            let combinations = combinations(&job.strategy.matrix).map_err(&problem)?;
            let name = job.name.unwrap_or_else(|| key.clone());
            read.push((key, name, labels, needs, combinations));
        }
        let mut jobs = Vec::new();
        for (key, name, labels, needs, combinations) in &read {
            // A job that needs a matrix needs every job of it; an unknown need is kept, so that it is reported.
            let needed = needs.iter().flat_map(|need| match read.iter().find(|other| other.0 == *need) {
                Some(other) => other.4.iter().map(|one| titled(need, one)).collect(),
                None => vec![need.clone()],
            });
            let needs: Vec<String> = needed.collect();
            jobs.extend(combinations.iter().map(|one| JobSpec {
                key: titled(key, one),
                name: titled(name, one),
                labels: labels.clone(),
                needs: needs.clone(),
                env: BTreeMap::new(),
                steps: vec![self.step(key, one)],
            }));
        }
        let name = raw.name.unwrap_or_else(|| "workflow".to_owned());
        let workflow = Workflow { name, event: self.event.clone(), jobs };
        workflow.check_needs()?;
        Ok(workflow)
    }

    fn step(&self, job: &str, combination: &Combination) -> StepSpec {
        let lines: Vec<String> = combination.iter().map(|(key, value)| format!("{key}:{value}")).collect();
        let mut env = self.env.clone();
        for (name, value) in [
            ("EXECUTOR", self.executor.display().to_string()),
            ("WORKFLOW", self.yaml.clone()),
            ("EVENT", self.payload.to_string()),
            ("JOB", job.to_owned()),
            ("MATRIX", lines.join("\n")),
        ] {
            env.insert(format!("CML_EXECUTE_{name}"), value);
        }
        StepSpec {
            name: "Run the job".to_owned(),
            script: "exec \"$CML_EXECUTE_EXECUTOR\"".to_owned(),
            shell: "sh".to_owned(),
            env,
            working_directory: None,
        }
    }
}

/// Returns the repository of a pull request's head. GitHub always names a repository, or sends `null` once it is
/// deleted; a payload without that key is abbreviated, and means the repository's own.
fn head_repository(head: &serde_json::Value, repository: &str) -> HeadRepository {
    match head.get("repo") {
        None => HeadRepository::Own,
        Some(repo) => match repo["full_name"].as_str() {
            Some(name) => HeadRepository::named(name, repository),
            None => {
                HeadRepository::DeletedFork(head["user"]["login"].as_str().unwrap_or_default().to_owned())
            }
        },
    }
}

/// Returns `build (3.9, linux)`, as GitHub names the jobs of a matrix.
fn titled(name: &str, combination: &Combination) -> String {
    let values: Vec<&str> = combination.iter().map(|(_, value)| value.as_str()).collect();
    if values.is_empty() { name.to_owned() } else { format!("{name} ({})", values.join(", ")) }
}

/// Returns every combination of the matrix's values; one empty combination without a matrix.
fn combinations(matrix: &Mapping) -> Result<Vec<Combination>, String> {
    let mut all = vec![Combination::new()];
    for (key, values) in matrix {
        let (Some(key), Some(values)) = (key.as_str(), values.as_sequence()) else {
            return Err("a matrix has lists of values, without expressions".to_owned());
        };
        if matches!(key, "include" | "exclude") {
            return Err(format!("`{key}` of a matrix is not understood here"));
        }
        let texts = values.iter().map(|value| match value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            Value::Bool(flag) => Ok(flag.to_string()),
            _ => Err(format!("the matrix's `{key}` has a value that is no text, number or boolean")),
        });
        let texts = texts.collect::<Result<Vec<String>, String>>()?;
        let with = |one: &Combination, text: &String| {
            let mut one = one.clone();
            one.push((key.to_owned(), text.clone()));
            one
        };
        all = all.iter().flat_map(|one| texts.iter().map(|text| with(one, text))).collect();
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verbatim(yaml: &str) -> Verbatim {
        Verbatim {
            yaml: yaml.to_owned(),
            event: "push".to_owned(),
            payload: serde_json::json!({"after": "a1"}),
            sha: "a1".to_owned(),
            reference: "refs/heads/more/data".to_owned(),
            executor: "/bin/true".into(),
            env: BTreeMap::from([("SECRET".to_owned(), "s".to_owned())]),
        }
    }

    #[test]
    fn each_combination_of_a_matrix_is_a_job_and_whoever_needs_the_job_needs_them_all() {
        let yaml = "
name: test
on: [pull_request, push]
jobs:
  build:
    runs-on: ubuntu-latest
    container: docker://python
    strategy: {matrix: {python: [3.9, '3.10'], os: [linux]}}
    steps: [{uses: anything@v1, if: always()}]
  report: {runs-on: [gpu, big], needs: build, steps: [{run: 'echo ${{ github.sha }}'}]}
";
        let verbatim = verbatim(yaml);
        let workflow = verbatim.workflow().expect("it is good");
        let [first, second, report] = workflow.jobs.as_slice() else { panic!("three jobs") };
        assert_eq!(
            (first.name.as_str(), second.name.as_str()),
            ("build (3.9, linux)", "build (3.10, linux)")
        );
        assert_eq!(report.needs, [first.key.clone(), second.key.clone()]);
        let env = &second.steps[0].env;
        assert_eq!(env["CML_EXECUTE_JOB"], "build");
        assert_eq!(env["CML_EXECUTE_MATRIX"], "python:3.10\nos:linux");
        assert_eq!((env["CML_EXECUTE_WORKFLOW"].as_str(), env["SECRET"].as_str()), (yaml, "s"));
        assert_eq!(verbatim.origin("acme/vision").head_branch, "more/data");
        assert!(!format!("{verbatim:?}").contains("SECRET"));
    }

    #[test]
    fn a_pull_request_runs_on_the_merge_and_belongs_to_its_head() {
        let payload = serde_json::json!({"pull_request": {"head": {"sha": "b2", "ref": "change"}}});
        let reference = "refs/pull/1/merge".to_owned();
        let origin = Verbatim { payload, reference, ..verbatim("") }.origin("acme/vision");
        assert_eq!((origin.sha.as_str(), origin.head_sha.as_str()), ("a1", "b2"));
        assert_eq!(origin.head_branch, "change");
        assert_eq!((origin.head_repository, origin.actor.as_str()), (HeadRepository::Own, "acme"));
    }

    #[test]
    fn a_payload_says_whose_the_head_is_and_who_is_behind_the_event() {
        let of = |repo: serde_json::Value| {
            let head = serde_json::json!({"repo": repo, "user": {"login": "mallory"}});
            let payload = serde_json::json!({"pull_request": {"head": head}, "sender": {"login": "eve"}});
            Verbatim { payload, ..verbatim("") }.origin("acme/vision")
        };
        let named = |name: &str| of(serde_json::json!({"full_name": name})).head_repository;
        assert_eq!(named("Acme/Vision"), HeadRepository::Own);
        assert_eq!(named("mallory/vision"), HeadRepository::Fork("mallory/vision".to_owned()));
        let deleted = of(serde_json::Value::Null);
        assert_eq!(deleted.head_repository, HeadRepository::DeletedFork("mallory".to_owned()));
        assert_eq!(deleted.actor, "eve");
    }

    #[test]
    fn what_decides_who_runs_and_is_not_understood_is_an_error() {
        for (yaml, words) in [
            ("on: [release]\njobs: {}", "the workflow is not for `push`"),
            ("on: push\njobs: {a: {runs-on: x, needs: b}}", "it needs `b`"),
            ("on: push\njobs: {a: {runs-on: x, strategy: {matrix: {include: [{b: c}]}}}}", "`include`"),
            ("on: push\njobs: {a: {runs-on: x, strategy: {matrix: {b: '${{ c }}'}}}}", "lists of values"),
        ] {
            let error = verbatim(yaml).workflow().expect_err(words).to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
