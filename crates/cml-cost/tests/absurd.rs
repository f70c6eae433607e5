//! Journals that were tampered with: refused, or counted without an overflow.
#![allow(missing_docs)]

use cml_cost::{Ledger, LedgerError};
use cml_journal::{Event, Journal, JournalError, SqliteJournal};
use cml_prices::Book;
use jiff::Timestamp;

/// Creates a journal of these records, as an untrusted party may hand it over.
fn journal(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("journal.db");
    drop(SqliteJournal::open(&path).expect("is made"));
    let file = rusqlite::Connection::open(&path).expect("opens");
    for line in text.lines() {
        let (at, event) = line.split_once(' ').expect("a time and an event");
        file.execute("INSERT INTO lines (at, event) VALUES (?1, ?2)", [at, event]).expect("writes");
    }
    (dir, path)
}

fn corpus(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/journal").join(name);
    std::fs::read_to_string(path).expect("a journal of the corpus")
}

#[test]
fn a_price_that_is_none_is_refused_with_its_line() {
    for name in ["absurd_disk", "overflow"] {
        let (dir, path) = journal(&corpus(name));
        let mut ledger = Ledger::open(&dir.path().join("ledger.db")).expect("opens");
        let error = ledger.take_in(&path, Timestamp::UNIX_EPOCH, &Book::shipped()).expect_err(name);
        assert!(matches!(error, LedgerError::Journal(JournalError::Line { number: 2, .. })), "{error}");
        assert!(error.to_string().contains("is no price"), "{error}");
    }
}

#[test]
fn such_a_price_is_not_written_either() {
    let (_dir, path) = journal("");
    let mut journal = SqliteJournal::open(&path).expect("opens");
    let line =
        corpus("life").lines().nth(1).and_then(|line| line.split_once(' ')).expect("a line").1.to_owned();
    let mut event: Event = serde_json::from_str(&line).expect("an event");
    if let Event::LaunchIntended { price, .. } = &mut event {
        price.0 = rust_decimal::Decimal::MAX;
    }
    assert!(journal.append(0, Timestamp::UNIX_EPOCH, &[event]).is_err());
    assert!(journal.read_after(0).expect("reads").is_empty(), "what cannot be read was written");
}

#[test]
fn the_dearest_machine_of_all_times_is_counted_without_an_overflow() {
    let (dir, path) = journal(&corpus("dearest_for_ever"));
    let mut ledger = Ledger::open(&dir.path().join("ledger.db")).expect("opens");
    ledger.take_in(&path, Timestamp::UNIX_EPOCH, &Book::shipped()).expect("is counted");
}
