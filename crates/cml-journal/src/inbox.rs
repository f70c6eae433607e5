//! Deliveries from GitHub, kept before they are acknowledged: GitHub does not redeliver by itself. They have a file of
//! their own, so that a burst of webhooks never waits for the journal, nor the journal for them.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior};

use crate::sqlite::{FileIdentity, JournalError, journal_error, open};

const MIGRATIONS: &[&str] = &[
    "CREATE TABLE letters (
    id TEXT PRIMARY KEY,
    at_seconds INTEGER NOT NULL,
    text TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX letters_by_time ON letters (at_seconds)",
    // The delivery id is not signed, so deliveries are also recognized by the digest of the signed bytes.
    "ALTER TABLE letters ADD COLUMN digest TEXT;
CREATE UNIQUE INDEX letters_by_digest ON letters (digest)",
];

/// One delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// GitHub's id of the delivery: the same when it is redelivered.
    pub id: String,
    /// Digest of the received bytes: the same when they are sent again under another id.
    pub digest: String,
    /// Time of arrival.
    pub at: Timestamp,
    /// The body.
    pub text: String,
}

/// Deliveries in a file.
pub struct Inbox {
    path: PathBuf,
    connection: Connection,
    file: FileIdentity,
}

impl Inbox {
    /// Opens the file and creates it as needed. Only its owner can read it.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let connection = open(path, MIGRATIONS)?;
        let inbox = Self { path: path.to_owned(), connection, file: FileIdentity::of(path) };
        // Detects another program's tables now, not with the first delivery.
        inbox
            .connection
            .prepare("SELECT id, digest, at_seconds, text FROM letters")
            .map_err(|error| journal_error(path, &error))?;
        Ok(inbox)
    }

    /// Renames an unusable file and its side files to a name that contains the time, and returns that name.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn set_aside(path: &Path, now: Timestamp) -> std::io::Result<PathBuf> {
        let with = |end: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(end);
            PathBuf::from(name)
        };
        let end = format!(".corrupt-{}", now.strftime("%Y%m%dT%H%M%SZ"));
        for side in ["-wal", "-shm"] {
            match std::fs::rename(with(side), with(&format!("{end}{side}"))) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        std::fs::rename(path, with(&end))?;
        Ok(with(&end))
    }

    /// Stores deliveries, all or none, and returns once they are durable. The result holds for each whether it is new:
    /// a delivery whose id or bytes are already known is not.
    ///
    /// # Errors
    /// [`JournalError`]; then none is kept.
    pub fn insert(&mut self, letters: &[Delivery]) -> Result<Vec<bool>, JournalError> {
        let path = self.path.clone();
        let failed = |error: rusqlite::Error| journal_error(&path, &error);
        self.file.check(&path)?;
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let new = {
            let mut insert = transaction
                .prepare_cached(
                    "INSERT OR IGNORE INTO letters (id, digest, at_seconds, text) VALUES (?1, ?2, ?3, ?4)",
                )
                .map_err(failed)?;
            let kept = letters.iter().map(|letter| {
                let row = (&letter.id, &letter.digest, letter.at.as_second(), &letter.text);
                Ok(insert.execute(row).map_err(failed)? > 0)
            });
            kept.collect::<Result<Vec<bool>, JournalError>>()?
        };
        transaction.commit().map_err(failed)?;
        Ok(new)
    }

    /// Returns the deliveries that arrived at this time or later, the oldest first.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn received_since(&self, at: Timestamp) -> Result<Vec<Delivery>, JournalError> {
        let failed = |error: rusqlite::Error| journal_error(&self.path, &error);
        let mut select = self
            .connection
            .prepare_cached(
                "SELECT id, coalesce(digest, ''), at_seconds, text FROM letters WHERE at_seconds >= ?1 ORDER BY at_seconds",
            )
            .map_err(failed)?;
        let rows = select
            .query_map([at.as_second()], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?, row.get(3)?))
            })
            .map_err(failed)?;
        rows.map(|row| {
            let (id, digest, second, text) = row.map_err(failed)?;
            let bad = |error: jiff::Error| JournalError::Damaged {
                path: self.path.clone(),
                cause: format!("the time of a delivery is none: {error}"),
            };
            Ok(Delivery { id, digest, at: Timestamp::from_second(second).map_err(bad)?, text })
        })
        .collect()
    }

    /// Deletes deliveries that arrived before this time, so that the file's size follows the traffic, not its age.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn prune(&mut self, before: Timestamp) -> Result<usize, JournalError> {
        let path = self.path.clone();
        self.connection
            .execute("DELETE FROM letters WHERE at_seconds < ?1", [before.as_second()])
            .map_err(|error| journal_error(&path, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(id: &str, second: i64) -> Delivery {
        let at = Timestamp::from_second(second).expect("in range");
        Delivery {
            id: id.to_owned(),
            digest: format!("digest of {id}"),
            at,
            text: format!("the words of {id}"),
        }
    }

    #[test]
    fn the_same_bytes_under_another_id_came_before_and_old_files_learn_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("inbox.db");
        drop(open(&path, &MIGRATIONS[..1]).expect("a file of an earlier version"));
        let mut inbox = Inbox::open(&path).expect("opens");
        assert_eq!(inbox.insert(&[letter("a", 10)]).expect("is kept"), [true]);
        let again = Delivery { id: "z".to_owned(), ..letter("a", 20) };
        assert_eq!(inbox.insert(&[again, letter("b", 20)]).expect("is kept"), [false, true]);
    }

    #[test]
    fn a_file_that_is_no_inbox_says_so_and_can_be_set_aside() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("inbox.db");
        let other = |sql: &str| {
            let connection = Connection::open(&path).expect("opens");
            connection.execute_batch(sql).expect("is written");
        };
        let kinds: [&dyn Fn(); 4] = [
            &|| std::fs::write(&path, [7_u8; 5000]).expect("is written"),
            &|| other("CREATE TABLE letters (x TEXT)"),
            &|| other("CREATE TABLE other (x TEXT); PRAGMA user_version = 2"),
            &|| other("PRAGMA user_version = 99"),
        ];
        for (number, damage) in kinds.iter().enumerate() {
            damage();
            let error = Inbox::open(&path).map(|_| ()).expect_err("is damaged");
            assert!(error.is_of_content(), "{number}: {error}");
            let now = Timestamp::from_second(i64::try_from(number).expect("small")).expect("in range");
            let aside = Inbox::set_aside(&path, now).expect("is renamed");
            assert!(aside.exists() && !path.exists(), "{}", aside.display());
            drop(Inbox::open(&path).expect("a new one"));
            std::fs::remove_file(&path).expect("is removed");
        }
    }

    #[test]
    fn a_letter_is_not_kept_in_a_file_that_was_removed() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("inbox.db");
        let mut inbox = Inbox::open(&path).expect("opens");
        std::fs::remove_file(&path).expect("is removed");
        let error = inbox.insert(&[letter("a", 10)]).expect_err("would be lost");
        assert!(matches!(error, JournalError::Replaced { .. }), "{error}");
    }

    #[test]
    fn a_letter_is_kept_once_and_found_after_a_restart() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("inbox.db");
        let mut inbox = Inbox::open(&path).expect("opens");
        let kept = inbox.insert(&[letter("a", 10), letter("b", 20), letter("a", 30)]).expect("is kept");
        assert_eq!(kept, [true, true, false]);
        drop(inbox);
        let mut inbox = Inbox::open(&path).expect("opens");
        assert_eq!(inbox.insert(&[letter("b", 40)]).expect("is kept"), [false]);
        let since = |inbox: &Inbox, second| {
            inbox.received_since(Timestamp::from_second(second).expect("in range")).expect("reads")
        };
        assert_eq!(since(&inbox, 0), [letter("a", 10), letter("b", 20)]);
        assert_eq!(since(&inbox, 11), [letter("b", 20)]);
        assert_eq!(inbox.prune(Timestamp::from_second(20).expect("in range")).expect("forgets"), 1);
        assert_eq!(since(&inbox, 0), [letter("b", 20)]);
    }

    #[test]
    fn a_full_disk_keeps_none_of_a_batch() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut inbox = Inbox::open(&dir.path().join("inbox.db")).expect("opens");
        inbox.connection.pragma_update(None, "max_page_count", 8).expect("a small disk");
        let many: Vec<Delivery> = (0..1000).map(|number| letter(&format!("{number}"), number)).collect();
        let error = inbox.insert(&many).expect_err("no room");
        assert!(matches!(error, JournalError::Full { .. }), "{error}");
        assert!(inbox.received_since(Timestamp::UNIX_EPOCH).expect("reads").is_empty());
    }
}
