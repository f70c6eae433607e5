//! Proposed files and their differences from existing ones. All are written, or none.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use similar::TextDiff;

use crate::folder::{Folder, Read};

/// A proposed file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proposed {
    /// Its path in the repository.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// State of a proposed file relative to the existing one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum State {
    /// The file does not exist.
    New,
    /// The file exists with the same text.
    Same,
    /// The file exists with another text.
    Differs {
        /// The unified diff from the existing to the proposed text.
        diff: String,
    },
}

/// A proposed file and its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WrittenFile {
    /// The file.
    #[serde(flatten)]
    pub file: Proposed,
    /// Its state relative to the existing file.
    #[serde(flatten)]
    pub state: State,
}

/// Error: a file cannot be written.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {why}")]
pub struct Unwritable {
    /// Its path.
    pub path: String,
    /// Reason.
    pub why: String,
    /// What the user needs to do.
    pub help: String,
}

/// Returns where the text is moved that `write` replaces.
pub(crate) fn before(path: &str) -> String {
    format!("{path}.before")
}

/// Compares proposed files with existing ones.
///
/// # Errors
/// [`Unwritable`] where something that is not text has the path of a file.
pub fn place(folder: &Folder, files: Vec<Proposed>) -> Result<Vec<WrittenFile>, Unwritable> {
    files
        .into_iter()
        .map(|file| {
            target(folder, &file.path)?;
            let state = match folder.read(&file.path) {
                Read::Absent => State::New,
                Read::Text(there) if there == file.text => State::Same,
                Read::Text(there) => State::Differs { diff: diff(&file.path, &there, &file.text) },
                Read::Not(why) => return Err(in_the_way(&file.path, why)),
            };
            Ok(WrittenFile { file, state })
        })
        .collect()
}

fn in_the_way(path: &str, why: String) -> Unwritable {
    Unwritable {
        path: path.to_owned(),
        why,
        help: "move it away, or use --dry-run to see the proposed text".to_owned(),
    }
}

/// Returns the unified diff of two texts.
pub(crate) fn diff(path: &str, there: &str, proposed: &str) -> String {
    let diff = TextDiff::from_lines(there, proposed);
    diff.unified_diff().context_radius(3).header(path, &format!("{path} (proposed)")).to_string()
}

/// Writes new files, and with `over` those that differ: the old text is moved to `FILE.before`. Returns the paths
/// written.
///
/// # Errors
/// [`Unwritable`] when one of them cannot be written; then none has been, unless the disk failed in between.
pub fn write(folder: &Folder, files: &[WrittenFile], over: bool) -> Result<Vec<String>, Unwritable> {
    let mut ready = Vec::new();
    for WrittenFile { file, state } in files {
        let target = target(folder, &file.path)?;
        match state {
            State::Same => {}
            State::New => ready.push((target, &file.text, None, &file.path)),
            State::Differs { .. } if over => {
                ready.push((target, &file.text, Some(kept(folder, &file.path)?), &file.path));
            }
            State::Differs { .. } => {
                return Err(Unwritable {
                    path: file.path.clone(),
                    why: "is there with another text".to_owned(),
                    help: "--force writes over it and keeps that text".to_owned(),
                });
            }
        }
    }
    // Every file is written to a temporary path before any is moved to its place.
    let mut beside = Vec::new();
    for (target, text, _, path) in &ready {
        match write_beside(target, text) {
            Ok(temporary) => beside.push(temporary),
            Err(error) => {
                for temporary in beside {
                    drop(fs::remove_file(temporary));
                }
                return Err(Unwritable {
                    path: (*path).clone(),
                    why: format!("cannot be written: {error}"),
                    help:
                        "is the directory yours to write, and is there room on the disk? Nothing was changed"
                            .to_owned(),
                });
            }
        }
    }
    let mut written = Vec::new();
    for ((target, _, kept, path), temporary) in ready.into_iter().zip(beside) {
        let put = kept
            .map_or(Ok(()), |kept| fs::copy(&target, kept).map(drop))
            .and_then(|()| fs::rename(&temporary, &target));
        put.map_err(|error| Unwritable {
            path: path.clone(),
            why: format!("cannot be written: {error}"),
            help: format!("the text is in {}", temporary.display()),
        })?;
        written.push(path.clone());
    }
    Ok(written)
}

/// Returns where the old text is moved: never over an older one.
fn kept(folder: &Folder, path: &str) -> Result<PathBuf, Unwritable> {
    let name = before(path);
    let target = target(folder, &name)?;
    match folder.read(&name) {
        Read::Absent => Ok(target),
        Read::Text(older) if matches!(folder.read(path), Read::Text(there) if there == older) => Ok(target),
        _ => Err(Unwritable {
            path: name,
            why:
                "is there already, and would be lost: it is where --force keeps the text that it writes over"
                    .to_owned(),
            help: "move it away, or remove it".to_owned(),
        }),
    }
}

fn write_beside(target: &Path, text: &str) -> std::io::Result<PathBuf> {
    let directory = target.parent().unwrap_or(target);
    fs::create_dir_all(directory)?;
    let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let temporary = directory.join(format!(".{name}.new"));
    // Left over from a run that was killed; if it is a link, the link itself is removed.
    drop(fs::remove_file(&temporary));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&temporary)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .inspect_err(|_| drop(fs::remove_file(&temporary)))?;
    Ok(temporary)
}

/// Returns the path of a file, if neither it nor a directory above it leads out of the repository.
fn target(folder: &Folder, path: &str) -> Result<PathBuf, Unwritable> {
    let mut target = folder.root().to_owned();
    for part in Path::new(path) {
        target.push(part);
        let Ok(kind) = fs::symlink_metadata(&target) else { continue };
        if kind.is_symlink() {
            return Err(in_the_way(
                path,
                format!("{} is a symbolic link: it is not written through", target.display()),
            ));
        }
        let is_last = target.ends_with(path);
        if !is_last && !kind.is_dir() {
            return Err(in_the_way(path, format!("{} is no directory", target.display())));
        }
    }
    Ok(target)
}
