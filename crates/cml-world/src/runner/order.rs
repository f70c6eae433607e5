//! Job messages for a runner, as lines of words: values are base64, so that a value never spans lines.

use std::collections::BTreeMap;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::actions::Job;
use crate::world::World;

/// Returns the lines of a job: `name`, `repo`, `env NAME VALUE`, and for each step, by its number from 0, `step`,
/// `step-env`.
/// A value that may be empty ends its line.
pub(crate) fn order(world: &World, job: u64) -> String {
    let Some(job) = world.jobs.get(&job) else { return String::new() };
    let mut lines = String::new();
    let mut line = |words: &str, value: &str| {
        let _ = writeln!(lines, "{words} {}", STANDARD.encode(value));
    };
    line("name", &job.spec.name);
    line("repo", &world.settings.repo);
    let mut env = job.spec.env.clone();
    env.extend(context(world, job));
    for (name, value) in &env {
        line(&format!("env {name}"), value);
    }
    for (index, step) in job.spec.steps.iter().enumerate() {
        line(&format!("step {index} {}", step.shell), &step.script);
        line(&format!("step-name {index}"), &step.name);
        if let Some(directory) = &step.working_directory {
            line(&format!("step-in {index}"), directory);
        }
        for (name, value) in &step.env {
            line(&format!("step-env {index} {name}"), value);
        }
    }
    lines
}

/// Returns the variables that GitHub sets.
fn context(world: &World, job: &Job) -> BTreeMap<String, String> {
    let run = world.runs.get(&job.run);
    let origin = run.map(|run| &run.origin);
    let text = |value: Option<String>| value.unwrap_or_default();
    let pairs = [
        ("CI", "true".to_owned()),
        ("GITHUB_ACTIONS", "true".to_owned()),
        ("GITHUB_ACTOR", text(origin.map(|it| it.actor.clone()))),
        ("GITHUB_API_URL", world.api()),
        ("GITHUB_EVENT_NAME", text(run.map(|run| run.workflow.event.clone()))),
        ("GITHUB_JOB", job.spec.key.clone()),
        ("GITHUB_REF", text(origin.map(|it| it.reference.clone()))),
        ("GITHUB_REF_NAME", text(origin.map(|it| short(&it.reference).to_owned()))),
        ("GITHUB_REPOSITORY", world.full_name()),
        ("GITHUB_REPOSITORY_OWNER", world.settings.owner.clone()),
        ("GITHUB_RUN_ATTEMPT", job.attempt.to_string()),
        ("GITHUB_RUN_ID", job.run.to_string()),
        ("GITHUB_RUN_NUMBER", text(run.map(|run| run.number.to_string()))),
        ("GITHUB_SERVER_URL", world.web.clone()),
        ("GITHUB_SHA", text(origin.map(|it| it.sha.clone()))),
        ("GITHUB_WORKFLOW", text(run.map(|run| run.workflow.name.clone()))),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Returns a reference without its kind: `main` of `refs/heads/main`, `1/merge` of `refs/pull/1/merge`.
fn short(reference: &str) -> &str {
    let kinds = ["refs/heads/", "refs/tags/", "refs/pull/"];
    kinds.iter().find_map(|kind| reference.strip_prefix(kind)).unwrap_or(reference)
}
