//! The journal in one SQLite file. <https://www.sqlite.org/wal.html>

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::event::Event;
use crate::writer::{self, Writer};
use crate::{Journal, SeqNo};

/// Maximum length of the cause of an unreadable record, in characters.
const CAUSE_CHARS: usize = 300;
/// How long one process waits for another process's write.
const BUSY: Duration = Duration::from_secs(5);
/// Steps from one version of the schema to the next; the version is the number of steps taken.
const MIGRATIONS: &[&str] = &["CREATE TABLE lines (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    event TEXT NOT NULL
) STRICT"];

/// One record of the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its sequence number, from 1, increasing.
    pub seq: i64,
    /// Time of the write, by the writer's clock.
    pub at: Timestamp,
    /// The event.
    pub event: Event,
}

/// Error: the journal cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another process has appended since: read, and plan again.
    #[error("another process has written to the journal since line {seen} (it is at {last}): look again")]
    Conflict {
        /// The sequence number that the caller had read.
        seen: SeqNo,
        /// The last sequence number now.
        last: SeqNo,
    },
    /// The disk is full. Existing records are intact, and nothing of this append was written.
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
    /// A record could not be parsed.
    #[error("{}: line {number} is not understood ({cause}); was it written by a later cml-runner?", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The record's sequence number.
        number: i64,
        /// The cause.
        cause: String,
    },
    /// The file is damaged, or is not a file of this program.
    #[error("{}: damaged, or no file of cml-runner: {cause}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// SQLite's message.
        cause: String,
    },
    /// The file that was opened is no longer the one at its path.
    #[error("{}: removed or replaced while it was in use; what is written now would be lost: restart the daemon", path.display())]
    Replaced {
        /// The file.
        path: PathBuf,
    },
    /// Any other error, with SQLite's message.
    #[error("{}: {cause}", path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// SQLite's message.
        cause: String,
    },
}

impl JournalError {
    /// Returns true when the file itself is at fault: a new file at its path would work.
    #[must_use]
    pub fn is_of_content(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::TooNew { .. } | Self::Line { .. })
    }
}

/// Identity of the file at a path. A removed file can be written to for as long as it is open, and all of it is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileIdentity(Option<(u64, u64)>);

impl FileIdentity {
    /// Returns the identity of the file that is at this path now.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self(std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino())))
    }

    /// Fails when another file, or none, is at the path now.
    ///
    /// # Errors
    /// [`JournalError::Replaced`].
    pub fn check(&self, path: &Path) -> Result<(), JournalError> {
        if self.0.is_some() && Self::of(path) == *self {
            return Ok(());
        }
        Err(JournalError::Replaced { path: path.to_owned() })
    }
}

/// A journal in a file that several processes may have open.
pub struct SqliteJournal {
    path: PathBuf,
    connection: Connection,
    file: FileIdentity,
    writer: Option<Writer>,
}

impl SqliteJournal {
    /// Opens the file, creates it and updates its schema as needed. Only its owner can read it.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let connection = open(path, MIGRATIONS)?;
        Ok(Self { path: path.to_owned(), connection, file: FileIdentity::of(path), writer: None })
    }

    /// Opens an existing file for reading only: no file is created, and no schema is updated.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open_to_read(path: &Path) -> Result<Self, JournalError> {
        let failed = |error: rusqlite::Error| journal_error(path, &error);
        let file = FileIdentity::of(path);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(BUSY).map_err(failed)?;
        Ok(Self { path: path.to_owned(), connection, file, writer: None })
    }

    /// Returns the last records, the newest first.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn latest(&self, most: u32) -> Result<Vec<Record>, JournalError> {
        self.read("SELECT number, at, event FROM lines ORDER BY number DESC LIMIT ?1", [most])
    }

    /// Returns at most `most` of the records after `seen`, oldest first.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn read_some_after(&self, seen: SeqNo, most: u32) -> Result<Vec<Record>, JournalError> {
        let select = "SELECT number, at, event FROM lines WHERE number > ?1 ORDER BY number LIMIT ?2";
        self.read(select, (seen, most))
    }

    /// Returns the sequence number of the last record; 0 when there is none.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn last(&self) -> Result<SeqNo, JournalError> {
        let last = "SELECT coalesce(max(number), 0) FROM lines";
        self.connection
            .query_row(last, [], |row| row.get(0))
            .map_err(|error| journal_error(&self.path, &error))
    }

    fn read(&self, select: &str, parameters: impl rusqlite::Params) -> Result<Vec<Record>, JournalError> {
        let failed = |error: rusqlite::Error| journal_error(&self.path, &error);
        let mut select = self.connection.prepare_cached(select).map_err(failed)?;
        let rows = select
            .query_map(parameters, |row| {
                Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
            })
            .map_err(failed)?;
        rows.map(|row| {
            let (number, at, text): (i64, String, String) = row.map_err(failed)?;
            // Parsers quote what they cannot parse, which may be as long as the record.
            let bad = |cause: String| JournalError::Line {
                path: self.path.clone(),
                number,
                cause: cause.chars().take(CAUSE_CHARS).collect(),
            };
            let at = at.parse().map_err(|error: jiff::Error| bad(error.to_string()))?;
            let event = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
            Ok(Record { seq: number, at, event })
        })
        .collect()
    }
}

/// Opens a file of this program that holds tables other than a journal, such as those derived from journals.
///
/// # Errors
/// [`JournalError`].
pub fn open_database(path: &Path, migrations: &[&str]) -> Result<Connection, JournalError> {
    open(path, migrations)
}

/// Opens a file of this program: durable with every commit, readable by its owner only, with an up-to-date schema.
pub(crate) fn open(path: &Path, migrations: &[&str]) -> Result<Connection, JournalError> {
    let failed = |error: rusqlite::Error| journal_error(path, &error);
    // Created before SQLite would, readable by its owner only; the side files take the same permissions.
    make_private(path)
        .map_err(|error| JournalError::Other { path: path.to_owned(), cause: error.to_string() })?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    write_ahead(&connection).map_err(failed)?;
    // Every commit is on the disk before it returns: intents must be.
    connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    migrate(path, &mut connection, migrations)?;
    Ok(connection)
}

/// Puts the file into WAL mode. Where another process does the same at this moment, SQLite returns busy at once,
/// without the time-out that it applies elsewhere: two processes that wait for each other here would wait for ever.
/// <https://www.sqlite.org/c3ref/busy_handler.html>
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    const PAUSE: Duration = Duration::from_millis(10);
    let mut left = BUSY;
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if is_busy(&error) && !left.is_zero() => {
                std::thread::sleep(PAUSE);
                left = left.saturating_sub(PAUSE);
            }
            done => return done,
        }
    }
}

/// Creates the file where there is none. An existing file is not opened: closing it again would release the locks that
/// this process may hold on it.
/// <https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_>
fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    if let Some(dir) = path.parent() {
        cml_cloud::private::make_directory(dir)?;
    }
    match std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Applies the missing migrations, one process at a time.
fn migrate(path: &Path, connection: &mut Connection, migrations: &[&str]) -> Result<(), JournalError> {
    let failed = |error: rusqlite::Error| journal_error(path, &error);
    let known = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
    let version = |connection: &Connection| {
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)
    };
    // A reader writes nothing.
    if version(connection)? == known {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let found: i64 = version(&transaction)?;
    if found > known {
        return Err(JournalError::TooNew { path: path.to_owned(), found, known });
    }
    for step in migrations.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(step).map_err(failed)?;
    }
    transaction.pragma_update(None, "user_version", known).map_err(failed)?;
    transaction.commit().map_err(failed)
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

pub(crate) fn journal_error(path: &Path, error: &rusqlite::Error) -> JournalError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => JournalError::Full { path },
        _ if is_busy(error) => JournalError::Busy { path },
        // Without a code, the error is the type of a value; SQLite's general error is a missing table.
        None | Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown) => {
            JournalError::Damaged { path, cause: error.to_string() }
        }
        _ => JournalError::Other { path, cause: error.to_string() },
    }
}

impl Journal for SqliteJournal {
    fn append(&mut self, seen: SeqNo, at: Timestamp, events: &[Event]) -> Result<SeqNo, JournalError> {
        let path = self.path.clone();
        let failed = |error: rusqlite::Error| journal_error(&path, &error);
        self.file.check(&path)?;
        // Immediate: no other process writes between the check and the insertion.
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let mut last: SeqNo = transaction
            .query_row("SELECT coalesce(max(number), 0) FROM lines", [], |row| row.get(0))
            .map_err(failed)?;
        if last != seen {
            return Err(JournalError::Conflict { seen, last });
        }
        {
            let mut insert = transaction
                .prepare_cached("INSERT INTO lines (number, at, event) VALUES (?1, ?2, ?3)")
                .map_err(failed)?;
            for event in events {
                let text = serde_json::to_string(event)
                    .map_err(|error| JournalError::Other { path: path.clone(), cause: error.to_string() })?;
                last += 1;
                insert.execute((last, at.to_string(), text)).map_err(failed)?;
            }
        }
        transaction.commit().map_err(failed)?;
        Ok(last)
    }

    fn writer(&mut self) -> Option<String> {
        if self.writer.is_none() {
            // SQLite's own randomness: no other process has the name, also after a restart of the machine.
            let random =
                self.connection.query_row("SELECT lower(hex(randomblob(8)))", [], |row| row.get(0)).ok();
            self.writer = random.and_then(|name| Writer::begin(&self.path, name));
        }
        self.writer.as_ref().map(|writer| writer.name.clone())
    }

    fn may_act(&self, writer: &str) -> bool {
        self.writer.as_ref().is_some_and(|own| own.name == writer) || writer::lives(&self.path, writer)
    }

    fn read_after(&self, seen: SeqNo) -> Result<Vec<Record>, JournalError> {
        self.read("SELECT number, at, event FROM lines WHERE number > ?1 ORDER BY number", [seen])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cml_cloud::LaunchId;

    fn at() -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn came(number: u64) -> Event {
        Event::LaunchFailed {
            launch: LaunchId::new(ulid::Ulid::from_parts(1, u128::from(number))),
            why: "x".repeat(3000),
        }
    }

    #[test]
    fn a_full_disk_is_told_and_loses_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("journal.db");
        let mut journal = SqliteJournal::open(&path).expect("opens");
        journal.connection.pragma_update(None, "max_page_count", 12).expect("a small disk");
        let mut seen = 0;
        let error = loop {
            match journal.append(seen, at(), &[came(1), came(2)]) {
                Ok(last) => seen = last,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, JournalError::Full { .. }), "{error}");
        assert!(error.to_string().contains("make room, nothing was lost"));
        assert!(seen > 0);
        assert_eq!(journal.read_after(0).expect("reads").len(), usize::try_from(seen).expect("small"));
        journal.connection.pragma_update(None, "max_page_count", 1000).expect("room");
        assert_eq!(journal.append(seen, at(), &[came(3)]).expect("appends"), seen + 1);
    }

    #[test]
    fn a_journal_that_was_removed_or_replaced_takes_nothing_more() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("journal.db");
        let mut journal = SqliteJournal::open(&path).expect("opens");
        let seen = journal.append(0, at(), &[came(1)]).expect("appends");
        std::fs::rename(&path, dir.path().join("elsewhere.db")).expect("is moved");
        let error = journal.append(seen, at(), &[came(2)]).expect_err("has no name any more");
        assert!(matches!(error, JournalError::Replaced { .. }), "{error}");
        drop(SqliteJournal::open(&path).expect("another one"));
        let error = journal.append(seen, at(), &[came(2)]).expect_err("the name is another's");
        assert!(matches!(error, JournalError::Replaced { .. }), "{error}");
    }

    #[test]
    fn reading_makes_no_file_and_sees_what_the_writer_has_written() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("journal.db");
        assert!(SqliteJournal::open_to_read(&path).is_err());
        assert!(!path.exists());
        let mut writer = SqliteJournal::open(&path).expect("opens");
        let reader = SqliteJournal::open_to_read(&path).expect("is there");
        writer.append(0, at(), &[came(1)]).expect("appends");
        assert_eq!(reader.latest(10).expect("reads").len(), 1);
    }

    #[test]
    fn a_journal_of_a_later_version_is_not_touched() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("journal.db");
        let journal = SqliteJournal::open(&path).expect("opens");
        journal.connection.pragma_update(None, "user_version", 99).expect("writes");
        let error = SqliteJournal::open(&path).map(|_| ()).expect_err("is too new");
        assert!(error.to_string().contains("schema 99, this one knows 1"), "{error}");
    }

    #[test]
    fn a_line_that_is_not_understood_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("journal.db");
        let mut journal = SqliteJournal::open(&path).expect("opens");
        journal.append(0, at(), &[came(1)]).expect("appends");
        let insert =
            "INSERT INTO lines (at, event) VALUES ('1970-01-01T00:00:00Z', '{\"kind\":\"flew_away\"}')";
        journal.connection.execute(insert, []).expect("writes");
        let error = journal.read_after(0).expect_err("is not understood").to_string();
        assert!(error.contains("line 2 is not understood") && error.contains("flew_away"), "{error}");
    }
}
