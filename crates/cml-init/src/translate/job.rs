//! A job of a workflow, as lines and as a tree.

use super::changes::Changes;
use super::edits::{Edits, indent};
use super::words::{self, Command, IMAGES, Kind, PACKAGE, SETUP};
use crate::yaml::Node;

/// A job.
pub(crate) struct Job<'a> {
    pub(crate) name: &'a str,
    /// The line of its name.
    pub(crate) line: usize,
    pub(crate) body: &'a Node,
    pub(crate) steps: Vec<Step<'a>>,
}

/// A step.
pub(crate) struct Step<'a> {
    pub(crate) node: &'a Node,
    /// Whether it begins with `- ` on a separate line.
    pub(crate) is_block: bool,
    /// The line after its last one.
    pub(crate) end: usize,
    /// CML's commands and their lines.
    pub(crate) commands: Vec<(usize, Command)>,
    /// Lines that install CML.
    pub(crate) installs: Vec<usize>,
    /// The lines of `run`.
    run: Vec<(usize, String)>,
}

impl Step<'_> {
    /// Returns the lines of a command: continuation lines after a backslash, and those that begin with a flag.
    pub(crate) fn run_from(&self, line: usize) -> Vec<(usize, String)> {
        let mut lines: Vec<(usize, String)> = Vec::new();
        for (index, text) in self.run.iter().filter(|(index, _)| *index >= line) {
            let goes_on = lines.last().is_none_or(|(_, last)| last.trim_end().ends_with('\\'))
                || text.trim_start().starts_with("--");
            if !goes_on {
                break;
            }
            lines.push((*index, text.clone()));
        }
        lines
    }

    pub(crate) fn uses(&self, action: &str) -> bool {
        self.node
            .get("uses")
            .and_then(Node::text)
            .is_some_and(|text| text == action || text.starts_with(&format!("{action}@")))
    }
}

/// Returns the jobs of a workflow.
pub(crate) fn all<'a>(root: &'a Node, jobs: &'a Node, edits: &Edits) -> Vec<Job<'a>> {
    let jobs_line = root.entry("jobs").map_or(0, |(key, _)| key.line);
    let later = root.pairs().iter().map(|(key, _)| key.line).filter(|line| *line > jobs_line).min();
    let end = later.unwrap_or(edits.count());
    let starts: Vec<usize> = jobs.pairs().iter().map(|(key, _)| key.line).chain([end]).collect();
    let each = jobs.pairs().iter().zip(&starts[1..]);
    each.filter_map(|((name, body), end)| {
        let steps = steps(body, *end, edits);
        Some(Job { name: name.text()?, line: name.line, body, steps })
    })
    .collect()
}

/// Returns the end of an entry's lines: the line where the next key of the same mapping begins.
pub(crate) fn end_of(parent: &Node, key: &Node, end: usize) -> usize {
    parent.pairs().iter().map(|(other, _)| other.line).filter(|line| *line > key.line).min().unwrap_or(end)
}

fn steps<'a>(body: &'a Node, end: usize, edits: &Edits) -> Vec<Step<'a>> {
    let Some((key, list)) = body.entry("steps") else { return Vec::new() };
    let end = end_of(body, key, end);
    let starts: Vec<usize> = list.items().iter().map(|step| step.line).chain([end]).collect();
    let each = list.items().iter().zip(&starts[1..]);
    each.map(|(node, end)| {
        let mut step = Step {
            node,
            is_block: node.line > key.line && edits.line(node.line).trim_start().starts_with("- "),
            end: *end,
            commands: Vec::new(),
            installs: Vec::new(),
            run: Vec::new(),
        };
        if let Some((key, _)) = node.entry("run") {
            for line in key.line..end_of(node, key, *end) {
                let text = edits.line(line);
                step.run.push((line, text.to_owned()));
                step.commands.extend(words::commands(text).into_iter().map(|command| (line, command)));
                if text.contains(PACKAGE) && !text.trim_start().starts_with('#') {
                    step.installs.push(line);
                }
            }
        }
        step
    })
    .collect()
}

impl Job<'_> {
    /// Returns whether its keys are on separate lines.
    pub(crate) fn is_block(&self) -> bool {
        self.body.line > self.line && self.steps.iter().all(|step| step.is_block)
    }

    pub(crate) fn commands(&self) -> impl Iterator<Item = Kind> {
        self.steps.iter().flat_map(|step| step.commands.iter().map(|(_, command)| command.kind))
    }

    /// Returns the image of its container, and the line.
    pub(crate) fn image(&self) -> Option<(&str, usize)> {
        let container = self.body.get("container")?;
        let node = container.get("image").unwrap_or(container);
        node.text().map(|image| (image, node.line))
    }

    pub(crate) fn uses_cml(&self) -> bool {
        let image = self.image().is_some_and(|(image, _)| IMAGES.iter().any(|name| image.contains(name)));
        let step =
            |step: &Step<'_>| !step.commands.is_empty() || !step.installs.is_empty() || step.uses(SETUP);
        image || self.steps.iter().any(step)
    }

    /// Inserts the lines for a new key above its steps.
    pub(crate) fn add(&self, lines: &[String], edits: &mut Edits) -> bool {
        let Some((key, _)) = self.body.entry("steps") else { return false };
        let blanks = " ".repeat(indent(edits.line(key.line)));
        let lines: Vec<String> = lines.iter().map(|line| format!("{blanks}{line}")).collect();
        edits.insert_above(key.line, &lines);
        true
    }

    /// Returns its timeout in minutes, if it is a number.
    pub(crate) fn minutes(&self) -> Option<u64> {
        self.body.get("timeout-minutes")?.text()?.parse().ok()
    }

    /// Sets its timeout.
    pub(crate) fn timeout(&self, launches: bool, served: bool, edits: &mut Edits, changes: &mut Changes) {
        if self.body.get("timeout-minutes").is_some() {
            return;
        }
        let minutes = if launches && !served { 30 } else { 360 };
        if self.add(&[format!("timeout-minutes: {minutes}")], edits) {
            let why = if launches && !served {
                "a launch takes minutes; without it GitHub waits 6 hours"
            } else {
                "6 hours are what GitHub takes without it: a training that takes longer needs more, and --max-lifetime (12h) above it"
            };
            changes.done(self.line, format!("job {}: timeout-minutes: {minutes}", self.name), why);
        }
    }
}
