//! A step with `uses: cml-runner/cml-runner@…`: action.yml parsed and run as Actions does.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use crate::paths;
use crate::runner::{Ran, Runner};

/// Returns the parsed file.
///
/// # Panics
/// When it is not YAML.
#[must_use]
pub fn action() -> Value {
    let text = std::fs::read_to_string(paths::tests_dir().join("../action.yml")).expect("action.yml");
    serde_yaml::from_str(&text).expect("YAML")
}

/// Returns the one step of the action.
///
/// # Panics
/// When it has another number of steps.
#[must_use]
pub fn step(action: &Value) -> Value {
    let steps = action["runs"]["steps"].as_array().expect("steps");
    assert_eq!(steps.len(), 1, "{steps:#?}");
    steps[0].clone()
}

/// Returns `X` of `${{ inputs.X }}`.
#[must_use]
pub fn input_of(value: &str) -> Option<&str> {
    value.strip_prefix("${{ inputs.")?.strip_suffix(" }}")
}

/// Returns the program `act`, which runs workflows without GitHub; installed once.
#[must_use]
pub fn act() -> PathBuf {
    crate::venv::made("seed-act", "seed/requirements-test.txt").join("bin/act")
}

/// A job on a runner, with a server of releases.
pub struct Job {
    /// User of the job.
    pub user: Runner,
}

impl Job {
    /// Creates a job of this user.
    ///
    /// # Panics
    /// When its directories cannot be made.
    #[must_use]
    pub fn new(user: Runner, releases: &str) -> Self {
        let at = |below: &str| user.home().join(below).display().to_string();
        let top = paths::tests_dir().parent().expect("in the workspace").display().to_string();
        let places = [
            ("RUNNER_ENVIRONMENT", "github-hosted".to_owned()),
            ("RUNNER_TEMP", at("temp")),
            ("RUNNER_TOOL_CACHE", at("tools")),
            ("GITHUB_PATH", at("path")),
            ("GITHUB_OUTPUT", at("output")),
            ("GITHUB_STEP_SUMMARY", at("summary")),
            ("GITHUB_ACTION_PATH", top),
            ("CML_RUNNER_RELEASES", releases.to_owned()),
        ];
        for directory in ["temp", "tools"] {
            std::fs::create_dir_all(user.home().join(directory)).expect("a directory");
        }
        let user = places.into_iter().fold(user, |user, (name, value)| user.with(name, &value));
        Self { user }
    }

    /// Runs the action with these inputs.
    ///
    /// # Panics
    /// When action.yml does not have one of them.
    pub async fn uses(self, with: &[(&str, &str)]) -> (Self, Ran) {
        let action = action();
        let inputs = action["inputs"].as_object().expect("inputs");
        for (name, _) in with {
            assert!(inputs.contains_key(*name), "action.yml has no input {name}");
        }
        let given: BTreeMap<&str, &str> = with.iter().copied().collect();
        let step = step(&action);
        let mut user = self.user;
        for (name, value) in step["env"].as_object().expect("an environment") {
            let value = value.as_str().expect("text");
            let value = match input_of(value) {
                Some(input) => {
                    given.get(input).copied().or(inputs[input]["default"].as_str()).unwrap_or_default()
                }
                None => WORKFLOW_TOKEN,
            };
            user = user.with(name, value);
        }
        let run = step["run"].as_str().expect("a script");
        let ran = user.run_program("bash", &["--noprofile", "--norc", "-eo", "pipefail", "-c", run]).await;
        (Self { user }, ran)
    }

    /// Returns the content that the step wrote to one of Actions' files.
    #[must_use]
    pub fn told(&self, file: &str) -> String {
        std::fs::read_to_string(self.user.home().join(file)).unwrap_or_default()
    }
}

/// Parses a file such as `GITHUB_OUTPUT` as Actions does: `NAME=VALUE`, or `NAME<<END`, lines, `END`.
/// <https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands#multiline-strings>
///
/// # Panics
/// When a line is neither, or an end is missing.
#[must_use]
pub fn named_values(text: &str) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let is_of_many_lines = line.find("<<").is_some_and(|at| !line[..at].contains('='));
        let (name, value) = if is_of_many_lines {
            let (name, end) = line.split_once("<<").expect("an end");
            let mut value = Vec::new();
            loop {
                match lines.next().unwrap_or_else(|| panic!("{name} has no {end}: {text}")) {
                    line if line == end => break,
                    line => value.push(line),
                }
            }
            (name, value.join("\n"))
        } else {
            let (name, value) =
                line.split_once('=').unwrap_or_else(|| panic!("{line:?} names nothing: {text}"));
            (name, value.to_owned())
        };
        values.insert(name.to_owned(), value);
    }
    values
}

/// The value of `github.token`.
pub const WORKFLOW_TOKEN: &str = crate::desk::WORKFLOW_TOKEN;
