//! The process that writes a journal, and whether it is alive: each process holds a file's lock while it runs, and the
//! kernel releases the lock when the process dies, however it dies.
//!
//! So a lease needs no clock and no renewal. It does not cover processes on other machines; SQLite's files are for one
//! machine anyway (<https://www.sqlite.org/wal.html>).

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// This process's lock file in the journal's directory; removed when the process is done.
pub(crate) struct Writer {
    pub(crate) name: String,
    path: PathBuf,
    _lock: File,
}

impl Writer {
    /// Creates and locks the lock file of this name. `None` where that fails.
    pub(crate) fn begin(journal: &Path, name: String) -> Option<Self> {
        let path = mark(journal, &name)?;
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).ok()?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
        Some(Self { name, path, _lock: file })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.path));
    }
}

/// Returns whether the writer of this name is alive. A lock file that cannot be examined counts as alive.
pub(crate) fn lives(journal: &Path, name: &str) -> bool {
    let Some(path) = mark(journal, name) else { return true };
    match File::open(&path) {
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
        Ok(file) => {
            let is_free = flock(&file, FlockOperation::NonBlockingLockShared).is_ok();
            if is_free {
                drop(std::fs::remove_file(&path));
            }
            !is_free
        }
    }
}

/// Returns the path of a lock file; `None` for a name that this program cannot have chosen.
fn mark(journal: &Path, name: &str) -> Option<PathBuf> {
    let is_ours = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    // By the canonical path, whichever path a process has opened: a lock file searched for elsewhere would seem dead.
    let real = std::fs::canonicalize(journal);
    let mut path = real.unwrap_or_else(|_| journal.to_owned()).into_os_string();
    path.push(format!(".writer-{name}"));
    is_ours.then(|| path.into())
}
