//! Translation of a workflow from CML to cml-runner, edited by line, so that every comment and blank of the rest is
//! kept.

mod aws;
mod changes;
mod edits;
mod job;
mod launch;
mod permissions;
mod setup;
mod words;

use serde::Serialize;

use crate::yaml::{self, Node};
use changes::Changes;
use edits::Edits;
use job::Job;

pub(crate) use words::says_cml;

/// A translated workflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Translation {
    /// The text.
    pub text: String,
    /// Changes and remarks, in the order of the lines.
    pub changes: Vec<Change>,
    /// Whether it launches machines on AWS.
    pub launches: bool,
    /// The region of the role that replaces keys.
    pub role_in: Option<String>,
    /// Whether its machines have GPUs.
    pub gpu: bool,
}

impl Translation {
    /// Returns true when a line is different.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        self.changes.iter().any(|change| change.done)
    }
}

/// One change, or one remark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The line of the original, counted from 1; `None`: the whole file.
    pub line: Option<usize>,
    /// True: the line was changed. False: it was kept, and the user should read the remark or do something by hand.
    pub done: bool,
    /// What was changed or kept.
    pub what: String,
    /// Reason.
    pub why: String,
}

/// Error: the file cannot be translated.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The file is not YAML.
    #[error("{0}")]
    NotYaml(String),
    /// It has no jobs.
    #[error("it is no workflow: it has no `jobs:` with jobs below it")]
    NotAWorkflow,
    /// The workflow uses a cloud that is not supported.
    #[error("line {line}: `--cloud {cloud}`: machines of {cloud} are not served, only aws and local are")]
    Cloud {
        /// The line, counted from 1.
        line: usize,
        /// The cloud.
        cloud: String,
    },
    /// The edits conflict with each other.
    #[error("it is written in a way that cannot be edited by line")]
    NotEditable,
}

impl Refused {
    /// Returns what the user should do.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::NotYaml(_) => "repair it first: GitHub does not run it either",
            Self::NotAWorkflow => "name a file of .github/workflows",
            Self::Cloud { .. } => {
                "move that job to AWS (--cloud aws and a type such as m+t4) or to a machine of your own (`cml-runner init --cloud local`), or keep CML for it; \
                 the reports of CML's commands work anywhere: docs/from-cml.md"
            }
            Self::NotEditable => "docs/from-cml.md says command by command what to change",
        }
    }
}

/// Translates a workflow; `version` is the version of the action.
///
/// # Errors
/// [`Refused`] when it cannot be done.
pub fn translate(text: &str, version: &str) -> Result<Translation, Refused> {
    let root = yaml::parse(text).map_err(Refused::NotYaml)?;
    let jobs_node = root.get("jobs").filter(|jobs| !jobs.pairs().is_empty()).ok_or(Refused::NotAWorkflow)?;
    let mut edits = Edits::new(text);
    let mut changes = Changes::default();
    let jobs = job::all(&root, jobs_node, &edits);
    for job in &jobs {
        launch::refuse_other_clouds(job, &root)?;
    }
    let launches = launch::all(&jobs);
    let action = format!("cml-runner/cml-runner@v{version}");
    for job in &jobs {
        let served = launches.iter().any(|launch| launch.serves(job));
        let concerned = job.uses_cml() || served;
        if !concerned {
            continue;
        }
        if !job.is_block() {
            changes.left(
                job.line,
                "the job is written in one line and was left",
                "edit it by hand: docs/from-cml.md",
            );
            continue;
        }
        setup::commands(job, &action, &mut edits, &mut changes);
        setup::container(job, &mut changes);
        let launches_here = launches.iter().any(|launch| launch.job.line == job.line);
        let became_role =
            launches.iter().filter(|launch| launch.job.line == job.line).fold(false, |became, launch| {
                launch.tell(&mut changes);
                aws::role(launch, &root, &mut edits, &mut changes) || became
            });
        job.timeout(launches_here, served, &mut edits, &mut changes);
        permissions::grant(job, &root, became_role, &mut edits, &mut changes);
        if !launches_here {
            aws::keys_of_data(job, &mut changes);
        }
    }
    for launch in &launches {
        launch.own_label(&jobs, &mut edits, &mut changes);
        launch.lifetime(&jobs, &mut edits, &mut changes);
    }
    aws::keys_of_all(&root, !launches.is_empty(), &mut changes);
    let translated = edits.apply();
    same_jobs(&translated, &jobs)?;
    Ok(Translation {
        changes: changes.sorted(),
        launches: launches.iter().any(launch::Launch::is_on_aws),
        role_in: launches.iter().find(|_| translated.contains(aws::ROLE)).map(launch::Launch::region),
        gpu: launches.iter().any(launch::Launch::wants_gpu),
        text: translated,
    })
}

/// Validates the result of the edits: it must be YAML with the same jobs and no fewer steps.
fn same_jobs(text: &str, before: &[Job<'_>]) -> Result<(), Refused> {
    let root = yaml::parse(text).map_err(|_| Refused::NotEditable)?;
    let jobs: &[(Node, Node)] = root.get("jobs").map(Node::pairs).unwrap_or_default();
    let fits = |(job, (name, body)): (&Job<'_>, &(Node, Node))| {
        let steps = body.get("steps").map(Node::items).unwrap_or_default().len();
        name.text() == Some(job.name) && steps >= job.steps.len()
    };
    if jobs.len() == before.len() && before.iter().zip(jobs).all(fits) {
        return Ok(());
    }
    Err(Refused::NotEditable)
}
