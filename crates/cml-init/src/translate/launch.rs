//! A step that launches a machine. Its command stays: CML's flags are supported. Two things are added: a label that
//! only this run has, and a lifetime that covers the jobs.

use super::changes::Changes;
use super::edits::{Edits, byte_of, indent};
use super::job::{Job, Step};
use super::words::{Command, Kind, flag};
use super::{Refused, setup};
use crate::workflow::LABEL;
use crate::yaml::{Kind as Yaml, Node};

/// A command that launches.
pub(crate) struct Launch<'a> {
    pub(crate) job: &'a Job<'a>,
    pub(crate) step: &'a Step<'a>,
    line: usize,
    command: &'a Command,
    /// The text of the command's lines, joined.
    text: String,
    /// Its lines.
    lines: Vec<usize>,
    labels: Vec<String>,
}

/// Labels that every runner on Linux has.
const SYSTEM: [&str; 3] = ["self-hosted", "linux", "x64"];
/// CML's flags that have another meaning here, or none.
const FLAGS: [(&str, &str); 11] = [
    ("cloud-spot", "spot first, then on-demand; CML had spot or nothing: --spot only"),
    (
        "cloud-image",
        "an alias (ubuntu-22.04-gpu), ami-… or ssm:/path; anything else is an error, where CML took Ubuntu 18.04",
    ),
    ("cloud-ssh-private", "without effect: nothing logs in to the machine"),
    (
        "cloud-permission-set",
        "the instance profile of the job; without it the machine has no permission at AWS",
    ),
    ("cloud-aws-security-group", "needs no inbound rule any more"),
    ("docker-volumes", "without effect"),
    ("tpi-version", "without effect: no Terraform"),
    ("cml-version", "without effect: the machine gets no CML"),
    ("no-retry", "without effect: `launch` runs no workflow again"),
    ("destroy-delay", "without effect: the machine ends itself"),
    ("tf-resource", "without effect: no Terraform"),
];
/// The longest life of a machine, minutes: GitHub ends a run after 35 days.
const MINUTES_MAX: u64 = 35 * 24 * 60;
/// Longest sum of timeouts that 12 hours cover, less the boot.
const MINUTES_USUAL: u64 = 11 * 60;

/// Returns every launching command.
pub(crate) fn all<'a>(jobs: &'a [Job<'a>]) -> Vec<Launch<'a>> {
    let mut launches = Vec::new();
    for job in jobs {
        for step in &job.steps {
            for (line, command) in step.commands.iter().filter(|(_, command)| command.kind == Kind::Runner) {
                launches.push(Launch::read(job, step, *line, command));
            }
        }
    }
    launches
}

/// # Errors
/// When a job launches at a cloud that is not supported.
pub(crate) fn refuse_other_clouds(job: &Job<'_>, root: &Node) -> Result<(), Refused> {
    for step in &job.steps {
        for (line, command) in step.commands.iter().filter(|(_, command)| command.kind == Kind::Runner) {
            let launch = Launch::read(job, step, *line, command);
            let variable = [root, job.body, step.node]
                .into_iter()
                .rev()
                .find_map(|node| node.get("env")?.get("CML_RUNNER_CLOUD")?.text());
            let cloud = launch.flag("cloud").or(variable).unwrap_or_default().to_lowercase();
            if ["gcp", "azure", "kubernetes"].contains(&cloud.as_str()) {
                return Err(Refused::Cloud { line: line + 1, cloud });
            }
        }
    }
    Ok(())
}

impl<'a> Launch<'a> {
    fn read(job: &'a Job<'a>, step: &'a Step<'a>, line: usize, command: &'a Command) -> Self {
        let lines = step.run_from(line);
        let texts: Vec<&str> = lines.iter().map(|(_, text)| text.as_str()).collect();
        let text = texts.join(" \n");
        let mut launch = Self {
            job,
            step,
            line,
            command,
            text,
            lines: lines.iter().map(|(line, _)| *line).collect(),
            labels: Vec::new(),
        };
        let labels = launch.flag("labels").filter(|labels| !labels.is_empty()).unwrap_or("cml");
        launch.labels = labels.split(',').map(|label| label.trim().to_owned()).collect();
        launch
    }

    /// Returns the value of a flag.
    fn flag(&self, name: &str) -> Option<&str> {
        self.text.lines().find_map(|line| flag(line, name).map(|at| &line[at]))
    }

    pub(crate) fn is_on_aws(&self) -> bool {
        self.flag("cloud").is_some_and(|cloud| cloud.eq_ignore_ascii_case("aws"))
    }

    pub(crate) fn wants_gpu(&self) -> bool {
        let named = ["cloud-type", "type"].into_iter().filter_map(|name| self.flag(name));
        let has_gpu = |value: &str| value.contains('+') || value.starts_with(['g', 'p']);
        self.flag("cloud-gpu").or_else(|| self.flag("gpu")).is_some_and(|gpu| gpu != "nogpu")
            || named.into_iter().any(has_gpu)
    }

    /// Returns the region, by AWS's name; CML's own default where none is named.
    pub(crate) fn region(&self) -> String {
        let named = self
            .flag("cloud-region")
            .or_else(|| self.flag("region"))
            .filter(|name| !name.is_empty())
            .unwrap_or("us-west");
        if named.contains("${{") {
            return named.to_owned();
        }
        let without_zone = named.strip_suffix(|c: char| c.is_ascii_lowercase()).unwrap_or(named);
        crate::plan::region(named)
            .or_else(|| crate::plan::region(without_zone))
            .unwrap_or_else(|| "us-west-1".to_owned())
    }

    /// Reports differences of its flags.
    pub(crate) fn tell(&self, changes: &mut Changes) {
        changes.left(
            self.line,
            format!("`{}` stays", self.text_of_command()),
            "CML's flags are understood here (docs/reference.md, \"CML's flags\")",
        );
        if self.flag("cloud").is_none() {
            changes.left(
                self.line,
                "no --cloud",
                "the runner runs on this very machine, in the foreground, as in CML",
            );
        }
        for (name, why) in FLAGS {
            if self.flag(name).is_some() {
                changes.left(self.line, format!("--{name}"), why);
            }
        }
        let old = ["k80", "v100", "p2.", "p3."].iter().find(|name| {
            ["cloud-type", "type", "cloud-gpu"]
                .iter()
                .any(|flag| self.flag(flag).is_some_and(|value| value.contains(**name)))
        });
        if let Some(old) = old {
            changes.left(self.line, format!("machines with {old}"), "EC2 sells few or none of these any more: CML's sizes become T4, L4 or A10G here; better name --cloud-type m+t4");
        }
        let token = [self.step.node, self.job.body].into_iter().find_map(|node| {
            let env = node.get("env")?;
            env.get("REPO_TOKEN").or_else(|| env.get("repo_token"))
        });
        if let Some(token) = token
            && token
                .text()
                .is_some_and(|text| text.contains("secrets.GITHUB_TOKEN") || text.contains("github.token"))
        {
            changes.left(
                token.line,
                "the launch has the workflow's own token",
                "that can never register runners: a fine-grained token with \"Administration: read and write\", as secrets.REPO_TOKEN",
            );
        }
    }

    fn text_of_command(&self) -> String {
        let line = self.text.lines().next().unwrap_or_default();
        line.get(self.command.at.clone()).unwrap_or_default().to_owned()
    }

    /// Returns true when a job asks only for labels that this runner has.
    pub(crate) fn serves(&self, job: &Job<'_>) -> bool {
        let wanted = job.body.get("runs-on").map(Node::words).unwrap_or_default();
        let has = |label: &str| self.labels.iter().any(|own| own.eq_ignore_ascii_case(label));
        let is_system = |label: &str| SYSTEM.iter().any(|own| own.eq_ignore_ascii_case(label));
        let asks = wanted.iter().any(|label| has(label) || label.eq_ignore_ascii_case("self-hosted"));
        asks && wanted.iter().all(|label| has(label) || is_system(label))
    }

    /// Adds a label to the machine that only this run's jobs ask for.
    pub(crate) fn own_label(&self, jobs: &[Job<'_>], edits: &mut Edits, changes: &mut Changes) {
        let served: Vec<&Job<'_>> = jobs.iter().filter(|job| self.serves(job)).collect();
        if served.is_empty() || self.labels.iter().any(|label| label.contains("github.run_id")) {
            return;
        }
        if self.flag("reuse").is_some() || self.flag("reuse-idle").is_some() {
            changes.left(self.line, "the labels stay", "--reuse: runs share machines");
            return;
        }
        if !served.iter().all(|job| add_label(job, None)) {
            changes.left(
                self.line,
                "the labels stay",
                "`runs-on` is written in a way that cannot be edited by line; another run's job may take this machine",
            );
            return;
        }
        let label = format!(",{LABEL}");
        let place =
            self.lines.iter().find_map(|line| flag(edits.line(*line), "labels").map(|at| (*line, at)));
        match place {
            Some((line, at)) if !at.is_empty() => edits.insert_at(line, at.end, &label),
            _ => self.add_flag(&format!("--labels=\"cml{label}\""), edits),
        }
        changes.done(
            self.line,
            "the machine gets a label of this run",
            "no other run's job can take it. To repeat a run take \"Re-run all jobs\": the machine of the earlier attempt is gone",
        );
        for job in served {
            // Two launches may serve one job: one label is enough.
            let line = job.body.entry("runs-on").map_or(job.line, |(key, _)| key.line);
            if !edits.line(line).contains(LABEL) && add_label(job, Some(edits)) {
                changes.done(
                    line,
                    format!("job {}: runs-on asks for it", job.name),
                    "it waits for its own machine, and takes no other",
                );
            }
        }
    }

    /// Sets the lifetime of the machine to the timeouts of its jobs.
    pub(crate) fn lifetime(&self, jobs: &[Job<'_>], edits: &mut Edits, changes: &mut Changes) {
        let longest = jobs.iter().filter(|job| self.serves(job)).filter_map(Job::minutes).max().unwrap_or(0);
        if longest <= MINUTES_USUAL || self.flag("max-lifetime").is_some() || self.flag("cloud").is_none() {
            return;
        }
        let minutes = longest.saturating_add(60).min(MINUTES_MAX);
        self.add_flag(&format!("--max-lifetime={minutes}m"), edits);
        changes.done(
            self.line,
            format!("--max-lifetime={minutes}m"),
            "every machine has a deadline, 12 hours without this: its job may take longer",
        );
    }

    fn add_flag(&self, flag: &str, edits: &mut Edits) {
        edits.insert_at(self.line, self.command.at.end, &format!(" {flag}"));
    }
}

/// Adds the run's label to a job's `runs-on`; without edits only returns whether it could.
fn add_label(job: &Job<'_>, edits: Option<&mut Edits>) -> bool {
    let Some((key, value)) = job.body.entry("runs-on") else { return false };
    match &value.kind {
        Yaml::Text { plain: true, .. } if value.line == key.line => {
            if let (Some(edits), Some(text)) = (edits, value.text()) {
                let line = edits.line(value.line).to_owned();
                let at = byte_of(&line, value.column);
                edits.insert_at(value.line, at + text.len(), &format!(", \"{LABEL}\"]"));
                edits.insert_at(value.line, at, "[");
            }
            true
        }
        Yaml::List(items) if setup::is_flow(value, key) => {
            // On one line, where the last bracket is the list's: a comment may contain others.
            let Some(last) = items.last().filter(|last| last.line == key.line) else { return false };
            let Some(edits) = edits else { return true };
            let line = edits.line(key.line).to_owned();
            let from = byte_of(&line, last.column);
            let Some(at) = line.get(from..).and_then(|rest| rest.find(']')).map(|at| from + at) else {
                return false;
            };
            edits.insert_at(key.line, at, &format!(", \"{LABEL}\""));
            true
        }
        Yaml::List(items) => {
            let Some(last) = items.last() else { return false };
            if let Some(edits) = edits {
                let blanks = " ".repeat(indent(edits.line(last.line)));
                edits.insert_below(last.line, &[format!("{blanks}- \"{LABEL}\"")]);
            }
            true
        }
        _ => false,
    }
}
