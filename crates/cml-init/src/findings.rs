//! Findings about a repository: facts only, without conclusions.

use serde::Serialize;

use crate::code::{self, Language};
use crate::dvc::{self, Dvc};
use crate::folder::{Folder, Skipped};
use crate::git::{self, Git};
use crate::others::{self, Use};
use crate::training::{self, Training};

/// Findings about a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// Facts from git.
    pub git: Git,
    /// Its languages.
    pub languages: Vec<Language>,
    /// Command that runs the training.
    pub training: Training,
    /// Use of DVC.
    pub dvc: Option<Dvc>,
    /// Why a GPU is likely to be useful; `None` without evidence.
    pub gpu: Option<String>,
    /// Metrics files in git that a report can show.
    pub metrics: Vec<String>,
    /// Existing workflows.
    pub workflows: Vec<String>,
    /// Tools that provide runners or reports now.
    pub uses: Vec<Use>,
    /// Files that could not be read.
    pub skipped: Vec<Skipped>,
}

/// Examines a repository. A file that cannot be read is skipped and reported.
#[must_use]
pub fn look(folder: &Folder) -> Findings {
    let mut skipped = Vec::new();
    let files = folder.files();
    let dvc = dvc::look(folder, &mut skipped);
    let training = training::look(folder, &files, dvc.as_ref(), &mut skipped);
    let workflows = others::workflows(folder);
    let uses = others::look(folder, &files, &workflows, &mut skipped);
    let metrics = ["metrics.json", "metrics.yaml", "metrics.csv", "results/metrics.json"];
    Findings {
        git: git::look(folder, &mut skipped),
        languages: code::languages(folder, &files, &mut skipped),
        training,
        dvc,
        gpu: code::gpu(folder, &mut skipped),
        metrics: metrics
            .into_iter()
            .filter(|path| files.iter().any(|file| file == path))
            .map(str::to_owned)
            .collect(),
        workflows,
        uses,
        skipped,
    }
}
