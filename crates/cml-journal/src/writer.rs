//! Who writes a journal, and whether it still lives: each process holds a file's lock for as long as it does, and the kernel gives
//! it back when the process dies, however it dies.
//!
//! So a lease needs no clock and no renewal. It says nothing of processes on other machines; SQLite's files are for one machine
//! anyway (<https://www.sqlite.org/wal.html>).

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// This process's own mark beside a journal; removed when it is done.
pub(crate) struct Writer {
    pub(crate) name: String,
    path: PathBuf,
    _lock: File,
}

impl Writer {
    /// Makes the mark of this name. None where it cannot be made or locked.
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

/// Whether the writer of this name lives. What cannot be looked at counts as living.
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

/// Where a mark is; none for what is no name of ours.
fn mark(journal: &Path, name: &str) -> Option<PathBuf> {
    let is_ours = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    // By whatever name a process has opened it: a mark that is looked for elsewhere would seem dead.
    let real = std::fs::canonicalize(journal);
    let mut path = real.unwrap_or_else(|_| journal.to_owned()).into_os_string();
    path.push(format!(".writer-{name}"));
    is_ours.then(|| path.into())
}
