//! Detection of the command that runs the training.

use serde::Serialize;

use crate::dvc::Dvc;
use crate::folder::{Folder, Skipped};

/// The command that runs the training, and the evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Training {
    /// Kind of command.
    pub way: Way,
    /// The file that shows it.
    pub file: Option<String>,
}

/// Kinds of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// `dvc repro`.
    Dvc,
    /// `make train`.
    Make,
    /// A Python script.
    Python,
    /// An R script.
    R,
    /// A Julia script.
    Julia,
    /// A shell script.
    Shell,
    /// A notebook, run from start to end.
    Notebook,
    /// Unknown.
    Unknown,
}

/// Scripts that train, by their names.
const SCRIPTS: [(&str, Way); 8] = [
    ("train.py", Way::Python),
    ("train.sh", Way::Shell),
    ("train.R", Way::R),
    ("train.r", Way::R),
    ("train.jl", Way::Julia),
    ("training.py", Way::Python),
    ("main.py", Way::Python),
    ("train.ipynb", Way::Notebook),
];

pub(crate) fn look(
    folder: &Folder,
    files: &[String],
    dvc: Option<&Dvc>,
    skipped: &mut Vec<Skipped>,
) -> Training {
    let by = |way, file: &str| Training { way, file: Some(file.to_owned()) };
    if dvc.is_some_and(|dvc| dvc.pipeline) {
        return by(Way::Dvc, "dvc.yaml");
    }
    for name in ["Makefile", "makefile", "GNUmakefile"] {
        let text = folder.text(name, skipped).unwrap_or_default();
        if text.lines().any(|line| line.starts_with("train:") || line.starts_with("train :")) {
            return by(Way::Make, name);
        }
    }
    let files = || files.iter().filter(|path| needs_no_quoting(path));
    for (name, way) in SCRIPTS {
        // Files are sorted from the root down: the highest is used.
        if let Some(path) = files().find(|path| path.rsplit('/').next() == Some(name)) {
            return by(way, path);
        }
    }
    let mut notebooks = files().filter(|path| path.ends_with(".ipynb"));
    match (notebooks.next(), notebooks.next()) {
        (Some(only), None) => by(Way::Notebook, only),
        _ => Training { way: Way::Unknown, file: None },
    }
}

/// Returns whether shells and YAML read it as one plain word.
fn needs_no_quoting(path: &str) -> bool {
    path.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c)) && !path.starts_with(['-', '/'])
}
