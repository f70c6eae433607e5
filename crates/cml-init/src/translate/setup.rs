//! Installation of the commands: our action, in each job that uses them.

use super::changes::Changes;
use super::edits::{Edits, byte_of, indent};
use super::job::{Job, Step, end_of};
use super::words::{IMAGES, Kind, PACKAGE, SETUP};
use crate::yaml::{Kind as Yaml, Node};

/// Installs our commands on the job's PATH before the first of them is used.
pub(crate) fn commands(job: &Job<'_>, action: &str, edits: &mut Edits, changes: &mut Changes) {
    let mut is_set_up = job.steps.iter().any(|step| step.uses("cml-runner/cml-runner"));
    for step in &job.steps {
        if step.uses(SETUP) {
            is_set_up |= replace_setup(step, action, edits, changes);
        }
        for line in &step.installs {
            is_set_up |= replace_install(step, *line, action, edits, changes);
        }
        if step.commands.iter().any(|(_, command)| command.kind == Kind::Tensorboard) {
            changes.left(
                step.node.line,
                "cml tensorboard: fails here, too, and says so",
                "tensorboard.dev was shut down on 2024-01-01; plots in a report: cml-report plot",
            );
        }
    }
    let first = job.steps.iter().find(|step| !step.commands.is_empty());
    if let (false, Some(step)) = (is_set_up, first) {
        let blanks = " ".repeat(indent(edits.line(step.node.line)));
        edits.insert_above(step.node.line, &[format!("{blanks}- uses: {action}")]);
        changes.done(
            step.node.line,
            format!("job {}: a step `uses: {action}` before the first command of CML's", job.name),
            "it puts cml, cml-publish, cml-send-comment and the others on the PATH; nothing else brings ours to this job",
        );
    }
}

fn replace_setup(step: &Step<'_>, action: &str, edits: &mut Edits, changes: &mut Changes) -> bool {
    let Some((key, uses)) = step.node.entry("uses") else { return false };
    let was = uses.text().unwrap_or_default().to_owned();
    let line = edits.line(uses.line).to_owned();
    if uses.line != key.line || !line.contains(&was) {
        changes.left(
            uses.line,
            format!("`uses: {was}` was left"),
            format!("edit it by hand: uses: {action}"),
        );
        return true;
    }
    edits.replace(uses.line, line.replacen(&was, action, 1));
    changes.done(
        uses.line,
        format!("{was} → {action}"),
        "the same commands, from one static binary: no Node.js",
    );
    if let Some((key, with)) = step.node.entry("with") {
        drop_with(step, key, with, edits, changes);
    }
    true
}

/// Removes the inputs of CML's action, such as the version and ways of installing; ours takes none of them.
fn drop_with(step: &Step<'_>, key: &Node, with: &Node, edits: &mut Edits, changes: &mut Changes) {
    let names: Vec<&str> = with.pairs().iter().filter_map(|(name, _)| name.text()).collect();
    let is_on_lines_of_its_own = key.line != step.node.line
        && (with.line > key.line || edits.line(key.line).trim_end().ends_with(['}', '\r']));
    if !is_on_lines_of_its_own {
        changes.left(
            key.line,
            format!("with: {} was left", names.join(", ")),
            "remove it by hand: our action does not take it",
        );
        return;
    }
    edits.delete(key.line);
    for line in key.line + 1..end_of(step.node, key, step.end) {
        let text = edits.line(line).trim().to_owned();
        let is_inside = indent(edits.line(line)) > key.column;
        if is_inside && !text.is_empty() && !text.starts_with('#') {
            edits.delete(line);
        }
    }
    changes.done(
        key.line,
        format!("with: {} is gone", names.join(", ")),
        "the version that counts is that of the action itself; nothing is installed by npm",
    );
}

/// Replaces `npm install -g @dvcorg/cml`, which would put CML's own commands before ours.
fn replace_install(
    step: &Step<'_>,
    line: usize,
    action: &str,
    edits: &mut Edits,
    changes: &mut Changes,
) -> bool {
    let text = edits.line(line).to_owned();
    let key = step.node.entry("run").map(|(key, _)| key);
    let on_key = key.is_some_and(|key| key.line == line);
    let command = if on_key { text.split_once("run:").map_or("", |(_, rest)| rest) } else { text.as_str() };
    let packages: Vec<&str> = command.split_whitespace().filter(|word| !word.starts_with('-')).collect();
    let is_alone = packages.last().is_some_and(|last| last.starts_with(PACKAGE))
        && packages.iter().all(|word| {
            ["sudo", "npm", "install", "i", "yarn", "global", "add"].contains(word)
                || word.starts_with(PACKAGE)
        });
    let others_allow =
        step.node.pairs().iter().all(|(name, _)| matches!(name.text(), Some("run" | "name" | "if" | "id")));
    match key {
        Some(key) if is_alone && on_key && others_allow => {
            let at = byte_of(&text, key.column);
            edits.replace(line, format!("{}uses: {action}", text.get(..at).unwrap_or_default()));
            changes.done(
                line,
                format!("{} → {action}", command.trim()),
                "CML's npm package would stand before ours on the PATH",
            );
            true
        }
        Some(_) if is_alone && !on_key => {
            let blanks = indent(&text);
            edits.insert_at(line, blanks, "# ");
            changes.done(
                line,
                format!("`{}` is a comment now", command.trim()),
                "CML's npm package would stand before ours on the PATH",
            );
            // A step with only a comment is valid, too; our action is inserted later.
            false
        }
        _ => {
            changes.left(
                line,
                format!("`{PACKAGE}` is still installed"),
                "remove it by hand: it would stand before ours on the PATH",
            );
            false
        }
    }
}

/// Reports CML's images. They contain DVC and Python, which the job may need: they are kept.
pub(crate) fn container(job: &Job<'_>, changes: &mut Changes) {
    let Some((image, line)) = job.image() else { return };
    if IMAGES.iter().any(|name| image.contains(name)) {
        changes.left(
            line,
            format!("job {}: the container {image} stays", job.name),
            "its Python and its DVC are the job's; our action's commands stand before CML's inside it. An image of our own to build: packaging/Dockerfile. \
             A machine's GPU is seen in it with `options: --gpus all`",
        );
    }
}

/// Returns true if a mapping is written on one line.
pub(crate) fn is_flow(node: &Node, key: &Node) -> bool {
    node.line == key.line && matches!(node.kind, Yaml::Map(_) | Yaml::List(_))
}
