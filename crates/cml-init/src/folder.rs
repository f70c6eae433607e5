//! The only way to read a repository: plain files of limited size inside it.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Size limit of a file. None of the files that are read here is longer in practice.
const BYTES_MAX: u64 = 1024 * 1024;
/// Depth to which files are listed.
const DEPTH_MAX: usize = 4;
/// Number of entries that are examined, so that a data set of millions of files costs nothing.
const ENTRIES_MAX: usize = 20_000;
/// Directories that contain third-party files.
const NOT_OURS: [&str; 7] =
    ["node_modules", "venv", "env", "site-packages", "__pycache__", "target", "third_party"];

/// A file that could not be read, or was skipped on purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Its path in the repository.
    pub path: String,
    /// Reason.
    pub why: String,
}

/// Error: the directory cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {why}")]
pub struct BadFolder {
    /// The path as it was given.
    pub path: String,
    /// Reason.
    pub why: String,
}

/// A repository's directory.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
}

/// Result of reading a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Absent,
    Text(String),
    Not(String),
}

impl Folder {
    /// Opens a directory. Inside a git repository its root is opened: GitHub reads workflows from there only.
    ///
    /// # Errors
    /// [`BadFolder`] when there is no such directory.
    pub fn open(path: &Path) -> Result<Self, BadFolder> {
        let bad = |why: String| BadFolder { path: path.display().to_string(), why };
        let given = fs::canonicalize(path).map_err(|error| bad(format!("cannot be opened: {error}")))?;
        if !given.is_dir() {
            return Err(bad("is no directory".to_owned()));
        }
        let root = given.ancestors().find(|above| above.join(".git").exists()).unwrap_or(&given);
        Ok(Self { root: root.to_owned() })
    }

    /// Opens exactly this directory.
    pub(crate) fn exactly(path: &Path) -> Option<Self> {
        let root = fs::canonicalize(path).ok()?;
        root.is_dir().then_some(Self { root })
    }

    /// Returns its path, without symbolic links.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Reads one text file.
    pub(crate) fn read(&self, relative: &str) -> Read {
        let path = self.root.join(relative);
        if fs::symlink_metadata(&path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            return Read::Absent;
        }
        self.read_there(&path).unwrap_or_else(Read::Not)
    }

    fn read_there(&self, path: &Path) -> Result<Read, String> {
        let real = fs::canonicalize(path).map_err(|error| error.to_string())?;
        if !real.starts_with(&self.root) {
            return Err("is a symbolic link that leads out of the directory".to_owned());
        }
        let kind = fs::metadata(&real).map_err(|error| error.to_string())?;
        // A pipe or a device may block, or never end.
        if !kind.is_file() {
            return Err(if kind.is_dir() { "is a directory" } else { "is no plain file" }.to_owned());
        }
        let file = File::open(&real).map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        if bytes.len() as u64 > BYTES_MAX {
            return Err("is longer than 1 MiB".to_owned());
        }
        String::from_utf8(bytes).map(Read::Text).map_err(|_| "is no UTF-8 text".to_owned())
    }

    /// Reads one text file; one that cannot be read is added to `skipped`.
    pub(crate) fn text(&self, relative: &str, skipped: &mut Vec<Skipped>) -> Option<String> {
        match self.read(relative) {
            Read::Text(text) => Some(text),
            Read::Absent => None,
            Read::Not(why) => {
                if !skipped.iter().any(|one| one.path == relative) {
                    skipped.push(Skipped { path: relative.to_owned(), why });
                }
                None
            }
        }
    }

    /// Returns the names of the plain files of one directory.
    pub(crate) fn names(&self, relative: &str) -> Vec<String> {
        let Ok(real) = fs::canonicalize(self.root.join(relative)) else { return Vec::new() };
        if !real.starts_with(&self.root) {
            return Vec::new();
        }
        let entries = fs::read_dir(real).into_iter().flatten().flatten().take(ENTRIES_MAX);
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// Returns paths of plain files, from the root down, without hidden directories, links and third-party files.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut looked_at = 0;
        let mut todo = vec![(self.root.clone(), String::new(), 0)];
        while let Some((directory, prefix, depth)) = todo.pop() {
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                looked_at += 1;
                if looked_at > ENTRIES_MAX {
                    todo.clear();
                    break;
                }
                let Ok(name) = entry.file_name().into_string() else { continue };
                let Ok(kind) = entry.file_type() else { continue };
                let path = format!("{prefix}{name}");
                if kind.is_file() {
                    found.push(path);
                } else if kind.is_dir()
                    && depth < DEPTH_MAX
                    && !name.starts_with('.')
                    && !NOT_OURS.contains(&name.as_str())
                {
                    todo.push((entry.path(), format!("{path}/"), depth + 1));
                }
            }
        }
        // Files higher up are more likely to be the right ones.
        found.sort_by_key(|path| (path.matches('/').count(), path.clone()));
        found
    }
}
