//! A private SQLite file: readable by its owner only, shared by processes, with an up-to-date schema.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

/// How long one process waits for another process's write.
const BUSY: Duration = Duration::from_secs(5);

/// Error: the store of prices cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full. Existing data is intact, and nothing of this write was stored.
    #[error("{}: the disk is full; make room, nothing was lost", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// Another process holds the file's lock.
    #[error("{}: another process has been writing for more than {} s; is one stopped or hung?", path.display(), BUSY.as_secs())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a later version of this program.
    #[error("{}: written by a later cml-runner (schema {found}, this one knows {known}); update cml-runner", path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The version known to this program.
        known: i64,
    },
    /// Any other error of the file.
    #[error("{}: {cause}", path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// The cause.
        cause: String,
    },
}

/// Opens a file and creates it as needed.
pub(super) fn open(path: &Path, migrations: &[&str]) -> Result<Connection, StoreError> {
    let failed = |error: rusqlite::Error| told(path, &error);
    // Created before SQLite would, readable by its owner only; the side files take the same permissions.
    private(path).map_err(|error| other(path, &error))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    // With the rollback journal, SQLite's default: a daily write gains nothing from a write-ahead log, and a process
    // that dies during a write leaves nothing behind that the next one does not roll back.
    connection.busy_timeout(BUSY).map_err(failed)?;
    migrate(path, &mut connection, migrations)?;
    Ok(connection)
}

/// Creates the file where there is none. An existing file is not opened: closing it again would release the locks that
/// this process may hold on it.
/// <https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_>
fn private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    if let Some(dir) = path.parent() {
        cml_cloud::private::make_directory(dir)?;
    }
    match std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Applies the missing migrations, one process at a time; an up-to-date file is only read.
fn migrate(path: &Path, connection: &mut Connection, migrations: &[&str]) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| told(path, &error);
    let known = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
    if version(connection).map_err(failed)? == known {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let found = version(&transaction).map_err(failed)?;
    if found > known {
        return Err(StoreError::TooNew { path: path.to_owned(), found, known });
    }
    for step in migrations.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(step).map_err(failed)?;
    }
    transaction.pragma_update(None, "user_version", known).map_err(failed)?;
    transaction.commit().map_err(failed)
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

pub(super) fn told(path: &Path, error: &rusqlite::Error) -> StoreError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full { path },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy { path },
        _ => StoreError::Other { path, cause: error.to_string() },
    }
}

pub(super) fn other(path: &Path, cause: &impl Display) -> StoreError {
    StoreError::Other { path: path.to_owned(), cause: cause.to_string() }
}
