//! A SQLite file of ours: readable by its owner only, shared by processes, brought up to date.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

/// How long one process waits for another that is writing.
const BUSY: Duration = Duration::from_secs(5);

/// The store of prices cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no room. Nothing that was there is lost, nothing of this was written.
    #[error("{}: the disk is full; make room, nothing was lost", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// Another process holds the file.
    #[error("{}: another process has been writing for more than {} s; is one stopped or hung?", path.display(), BUSY.as_secs())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// A later version of this program wrote it.
    #[error("{}: written by a later cml-runner (schema {found}, this one knows {known}); update cml-runner", path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// Anything else: what is wrong with the file.
    #[error("{}: {cause}", path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
}

/// Opens a file, making it as needed.
pub(super) fn open(path: &Path, migrations: &[&str]) -> Result<Connection, StoreError> {
    let failed = |error: rusqlite::Error| told(path, &error);
    // Made before SQLite does, with rights for nobody else; its side files take the same.
    private(path).map_err(|error| other(path, &error))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    // With the rollback journal, SQLite's default: what is written once a day gains nothing from a log, and with it a
    // process that dies while writing leaves nothing behind that the next one does not undo.
    connection.busy_timeout(BUSY).map_err(failed)?;
    migrate(path, &mut connection, migrations)?;
    Ok(connection)
}

/// Makes the file where there is none. One that is there is not opened: closing it again would take the locks away that
/// this process may hold on it. <https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_>
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

/// Takes the missing steps, one process at a time; a file that is up to date is only read.
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
