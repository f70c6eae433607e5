//! Setup of a repository: its findings, and the files and steps with which its jobs get machines.
//!
//! [`look`] reads a directory and returns [`Findings`]; [`propose`] makes files and next steps of them; [`translate`]
//! rewrites a workflow of CML; [`place`] compares proposed files with existing ones, and [`write`] writes them.
//!
//! Forbidden here: network, environment, clock, printing, other programs. No content of a file may lead to a panic, to
//! a file outside the directory being read or written, or to a file being lost.

mod cml_yaml;
mod code;
mod dvc;
mod files;
mod findings;
mod folder;
mod from_cml;
mod git;
mod iam;
mod next;
mod others;
mod plan;
mod role;
mod steps;
mod summary;
mod training;
mod translate;
mod words;
mod workflow;
mod yaml;

pub use code::{Installer, Language, LanguageName, Needs};
pub use dvc::{Dvc, Remote};
pub use files::{Proposed, State, Unwritable, WrittenFile, place, write};
pub use findings::{Findings, look};
pub use folder::{BadFolder, Folder, Skipped};
pub use from_cml::{NoWorkflow, workflow as workflow_of_cml};
pub use git::{Git, Repository};
pub use iam::Document;
pub use next::{Step, next_steps, next_steps_of};
pub use others::{Tool, Use};
pub use plan::{BadOption, Cloud, InitOptions, Plan};
pub use summary::{Line, tell};
pub use training::{Training, Way};
pub use translate::{Change, Refused, Translation, translate};
pub use words::{changes_text, findings_text, steps_text};

/// The configuration's file.
pub const CONFIG: &str = "cml.yaml";
/// The workflow's file.
pub const WORKFLOW: &str = ".github/workflows/cml.yaml";

/// Returns the files that a plan proposes.
#[must_use]
pub fn propose(findings: &Findings, plan: &Plan) -> Vec<Proposed> {
    vec![
        Proposed { path: CONFIG.to_owned(), text: cml_yaml::write(plan) },
        Proposed { path: WORKFLOW.to_owned(), text: workflow::write(findings, plan) },
    ]
}
