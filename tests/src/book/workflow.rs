//! Validation of a workflow as far as this project can: its shape, the commands of its steps, the actions it uses.

use std::fs;

use serde_yaml::Value;

use super::root;

/// Our own action, as workflows name it.
const OURS: &str = "cml-runner/cml-runner";

/// Returns the scripts of a workflow's steps, with expressions as `1`.
#[must_use]
pub fn scripts(workflow: &Value) -> Vec<String> {
    steps(workflow).filter_map(|step| step["run"].as_str()).map(without_expressions).collect()
}

fn steps(workflow: &Value) -> impl Iterator<Item = &Value> {
    let jobs = workflow["jobs"].as_mapping().into_iter().flat_map(|jobs| jobs.values());
    jobs.flat_map(|job| job["steps"].as_sequence().into_iter().flatten())
}

/// Returns what is wrong with a workflow.
#[must_use]
pub fn wrong(workflow: &Value, text: &str) -> Vec<String> {
    let mut wrong: Vec<String> = unbalanced(text).into_iter().collect();
    let jobs = workflow["jobs"].as_mapping();
    for (name, job) in jobs.into_iter().flatten() {
        if job.get("uses").is_none() && (job.get("runs-on").is_none() || job.get("steps").is_none()) {
            wrong.push(format!("the job {name:?} has no runs-on or no steps"));
        }
    }
    for step in steps(workflow) {
        match (step["uses"].as_str(), step["run"].as_str()) {
            (Some(action), None) => wrong.extend(used(action, &step["with"])),
            (None, Some(_)) => {}
            _ => wrong.push(format!("a step has either `uses` or `run`: {step:?}")),
        }
    }
    wrong
}

/// Checks that expressions open and close alternately.
fn unbalanced(text: &str) -> Option<String> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("${{") {
        let Some((inside, behind)) = after.split_once("}}") else {
            return Some("an expression does not end".to_owned());
        };
        if inside.contains("${{") || inside.contains('\n') {
            return Some(format!("an expression does not end: {inside}"));
        }
        rest = behind;
    }
    None
}

fn without_expressions(script: &str) -> String {
    let mut plain = String::new();
    let mut rest = script;
    while let Some((before, after)) = rest.split_once("${{") {
        plain.push_str(before);
        plain.push('1');
        rest = after.split_once("}}").map_or("", |(_, behind)| behind);
    }
    plain + rest
}

/// Returns what is wrong with the use of an action.
fn used(action: &str, with: &Value) -> Vec<String> {
    if action.starts_with("./") {
        return Vec::new();
    }
    let Some((name, version)) = action.split_once('@') else {
        return vec![format!("{action} is not pinned: name a tag")];
    };
    let is_tag = version
        .strip_prefix('v')
        .is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit()));
    let is_commit = version.len() == 40 && version.chars().all(|letter| letter.is_ascii_hexdigit());
    let mut wrong = Vec::new();
    if !is_tag && !is_commit {
        wrong.push(format!("{action} is pinned neither to a tag nor to a commit"));
    }
    if name == OURS {
        let known = inputs();
        let given = with.as_mapping().into_iter().flat_map(|with| with.keys()).filter_map(Value::as_str);
        wrong.extend(
            given
                .filter(|input| known.as_ref().is_some_and(|known| !known.iter().any(|it| it == input)))
                .map(|input| format!("{OURS} has no input {input}")),
        );
    }
    wrong
}

/// Returns the inputs of our own action, if it exists.
fn inputs() -> Option<Vec<String>> {
    let text = fs::read_to_string(root().join("action.yml")).ok()?;
    let action: Value = serde_yaml::from_str(&text).expect("action.yml is YAML");
    let inputs = action["inputs"].as_mapping().expect("action.yml has inputs");
    Some(inputs.keys().filter_map(Value::as_str).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<String> {
        wrong(&serde_yaml::from_str(text).expect("YAML"), text)
    }

    #[test]
    fn what_is_wrong_with_a_workflow_is_told() {
        let job = |step: &str| format!("jobs: {{ a: {{ runs-on: x, steps: [{step}] }} }}");
        assert_eq!(of(&job("{ uses: actions/checkout@v4 }")), [""; 0]);
        assert_eq!(of(&job("{ uses: actions/checkout }")), ["actions/checkout is not pinned: name a tag"]);
        assert_eq!(of(&job("{ uses: a/b@main }")), ["a/b@main is pinned neither to a tag nor to a commit"]);
        assert_eq!(of("jobs: { a: { steps: [] } }").len(), 1);
        assert_eq!(of(&job("{ run: 'echo ${{ a }' }")), ["an expression does not end"]);
    }

    #[test]
    fn expressions_stand_as_one_word() {
        assert_eq!(without_expressions("cml ci --x=\"${{ a.b }}\" ${{ c }}"), "cml ci --x=\"1\" 1");
    }
}
