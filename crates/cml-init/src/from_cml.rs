//! Selection of the workflow to translate.

use std::fs;
use std::path::Path;

use crate::findings::Findings;
use crate::folder::{Folder, Read};
use crate::others::Tool;

/// Reasons why no workflow can be selected.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoWorkflow {
    /// No workflow uses CML.
    #[error("no workflow in .github/workflows uses CML")]
    None,
    /// Several workflows use CML.
    #[error("several workflows use CML: {}", .0.join(", "))]
    Several(Vec<String>),
    /// The file is not in the workflows' directory.
    #[error("{0} is not in the repository")]
    Elsewhere(String),
    /// The file cannot be read.
    #[error("{path}: {why}")]
    Unreadable {
        /// The file.
        path: String,
        /// Reason.
        why: String,
    },
}

impl NoWorkflow {
    /// Returns what the user should do.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::None => "name the file: --from-cml FILE; or leave --from-cml out to get a new workflow",
            Self::Several(_) => "say which: --from-cml FILE, one after the other",
            Self::Elsewhere(_) => {
                "name a file of the repository, or its directory first: cml-runner init DIR --from-cml FILE"
            }
            Self::Unreadable { .. } => "name a workflow: --from-cml .github/workflows/FILE",
        }
    }
}

/// Returns the path and the text of the named workflow, or of the only one that uses CML.
///
/// # Errors
/// [`NoWorkflow`] with the reason.
pub fn workflow(
    folder: &Folder,
    findings: &Findings,
    named: Option<&Path>,
) -> Result<(String, String), NoWorkflow> {
    let path = match named {
        Some(named) => in_repository(folder, named)?,
        None => {
            let mut paths: Vec<String> = findings
                .uses
                .iter()
                .filter(|one| one.tool == Tool::Cml)
                .map(|one| one.file.clone())
                .collect();
            match paths.len() {
                0 => return Err(NoWorkflow::None),
                1 => paths.remove(0),
                _ => return Err(NoWorkflow::Several(paths)),
            }
        }
    };
    match folder.read(&path) {
        Read::Text(text) => Ok((path, text)),
        Read::Absent => Err(NoWorkflow::Unreadable { path, why: "is not there".to_owned() }),
        Read::Not(why) => Err(NoWorkflow::Unreadable { path, why }),
    }
}

/// Resolves a path as typed, from the current directory or from the repository's root.
fn in_repository(folder: &Folder, named: &Path) -> Result<String, NoWorkflow> {
    let shown = || named.display().to_string();
    let found = [named.to_owned(), folder.root().join(named)]
        .into_iter()
        .find_map(|path| fs::canonicalize(path).ok());
    let Some(found) = found else {
        return Err(NoWorkflow::Unreadable { path: shown(), why: "is not there".to_owned() });
    };
    let inside = found.strip_prefix(folder.root()).ok().and_then(Path::to_str);
    inside.map(str::to_owned).ok_or_else(|| NoWorkflow::Elsewhere(shown()))
}
