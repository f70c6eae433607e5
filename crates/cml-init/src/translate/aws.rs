//! Long-lived AWS keys: a launching job gets a role instead; keys for data are kept and reported.

use super::changes::Changes;
use super::edits::{Edits, indent};
use super::job::{Job, end_of};
use super::launch::Launch;
use super::setup::is_flow;
use crate::yaml::Node;

const ACTION: &str = "aws-actions/configure-aws-credentials";
const KEYS: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
const WHY: &str = "the job becomes a role at AWS for an hour (OpenID Connect): no keys are stored that can leak. The role: `cml-runner init --print cloudformation`; \
                   its name: `gh variable set CML_AWS_ROLE`";
pub(crate) const ROLE: &str = "role-to-assume: ${{ vars.CML_AWS_ROLE }}";

/// Removes keys from a launching job; true when it gets a role.
pub(crate) fn role(launch: &Launch<'_>, root: &Node, edits: &mut Edits, changes: &mut Changes) -> bool {
    if !launch.is_on_aws() {
        return false;
    }
    let job = launch.job;
    if let Some(step) = job.steps.iter().find(|step| step.uses(ACTION)) {
        return step.node.get("with").is_some_and(|with| {
            role_of_action(with, edits, changes) || with.get("role-to-assume").is_some()
        });
    }
    let mut took = false;
    for (parent, end) in [(launch.step.node, launch.step.end), (job.body, launch.step.end)] {
        took |= take_keys(parent, end, edits, changes);
    }
    let everywhere = root.get("env").is_some_and(|env| KEYS.iter().any(|key| env.get(key).is_some()));
    if !took && !everywhere {
        changes.left(
            launch.step.node.line,
            "no AWS credentials are seen in this job",
            "the launch asks the SDK's own chain for them",
        );
        return false;
    }
    let blanks = " ".repeat(indent(edits.line(launch.step.node.line)));
    let lines = [
        format!("{blanks}- uses: {ACTION}@v4"),
        format!("{blanks}  with:"),
        format!("{blanks}    {ROLE}"),
        format!("{blanks}    aws-region: {}", launch.region()),
    ];
    edits.insert_above(launch.step.node.line, &lines);
    changes.done(
        launch.step.node.line,
        format!("job {}: a step `uses: {ACTION}@v4` before the launch", job.name),
        WHY,
    );
    true
}

/// Deletes keys from an `env:` whose entries are on separate lines.
fn take_keys(parent: &Node, end: usize, edits: &mut Edits, changes: &mut Changes) -> bool {
    let Some((key, env)) = parent.entry("env") else { return false };
    let keys: Vec<&(Node, Node)> =
        env.pairs().iter().filter(|(name, _)| name.text().is_some_and(|name| KEYS.contains(&name))).collect();
    if keys.is_empty() {
        return false;
    }
    let each_has_its_line = keys.iter().all(|(name, value)| {
        name.line > key.line && value.line == name.line && end_of(env, name, end) > name.line
    });
    let is_all = keys.len() == env.pairs().len();
    if is_flow(env, key) || !each_has_its_line || (is_all && key.line == parent.line) {
        changes.left(
            key.line,
            "AWS keys were left in `env`",
            "remove them by hand: the step before becomes a role",
        );
        return true;
    }
    for (name, _) in &keys {
        edits.delete(name.line);
    }
    if is_all {
        edits.delete(key.line);
    }
    let names: Vec<&str> = keys.iter().filter_map(|(name, _)| name.text()).collect();
    changes.done(
        key.line,
        format!("env: {} are gone", names.join(", ")),
        "long-lived keys of a launching job: a role takes their place",
    );
    true
}

/// Replaces the keys that AWS's own action takes with a role.
fn role_of_action(with: &Node, edits: &mut Edits, changes: &mut Changes) -> bool {
    let inputs = ["aws-access-key-id", "aws-secret-access-key", "aws-session-token"];
    let keys: Vec<&Node> = with
        .pairs()
        .iter()
        .map(|(name, _)| name)
        .filter(|name| name.text().is_some_and(|name| inputs.contains(&name)))
        .collect();
    let Some(first) = keys.first() else { return false };
    let lines: std::collections::BTreeSet<usize> = with.pairs().iter().map(|(name, _)| name.line).collect();
    if lines.len() != with.pairs().len() {
        changes.left(first.line, "AWS keys were left", format!("in their place by hand: {ROLE}"));
        return true;
    }
    let blanks = " ".repeat(indent(edits.line(first.line)));
    if with.get("role-to-assume").is_some() {
        edits.delete(first.line);
    } else {
        edits.replace(first.line, format!("{blanks}{ROLE}"));
    }
    for key in &keys[1..] {
        edits.delete(key.line);
    }
    changes.done(first.line, format!("AWS keys → {ROLE}"), WHY);
    true
}

/// Reports keys of a job that trains. They are for its data, and not always AWS's: they are kept.
pub(crate) fn keys_of_data(job: &Job<'_>, changes: &mut Changes) {
    let nodes = job.steps.iter().map(|step| step.node).chain([job.body]);
    let env = nodes
        .filter_map(|node| node.get("env"))
        .find_map(|env| env.pairs().iter().find(|(name, _)| name.text() == Some(KEYS[0])));
    if let Some((key, _)) = env {
        changes.left(
            key.line,
            format!("job {}: its AWS keys stay", job.name),
            format!(
                "they are for its data, which may be at another provider of S3. On AWS a role is better: `{ACTION}` with a role of the data's, and id-token: write"
            ),
        );
    }
}

/// Reports keys that every job sees.
pub(crate) fn keys_of_all(root: &Node, has_launch: bool, changes: &mut Changes) {
    let env =
        root.get("env").and_then(|env| env.pairs().iter().find(|(name, _)| name.text() == Some(KEYS[0])));
    if let Some((key, _)) = env {
        let why = if has_launch {
            "the launch does not need them any more: remove them if the other jobs do not"
        } else {
            "where they are for data on AWS, a role is better"
        };
        changes.left(key.line, "AWS keys for all jobs stay", why);
    }
}
