//! Records of a journal, one a line: `cost` reads journals of others.

use std::path::Path;

use cml_cost::{GroupBy, Ledger, Query, Window, report};
use cml_journal::{Event, Journal, Record, SqliteJournal, State};
use cml_prices::Book;
use jiff::{SignedDuration, Timestamp};

/// Limit on the lines that are read; more of them exercise no other code.
const LINES_MAX: usize = 200;

pub(crate) fn journal(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines: Vec<Record> = Vec::new();
    for (number, line) in (1..).zip(text.lines().take(LINES_MAX)) {
        // `TIME EVENT`; without a time, an hour after the one before.
        let (at, event) = match line.split_once(' ').map(|(at, rest)| (at.parse::<Timestamp>(), rest)) {
            Some((Ok(at), rest)) => (at, rest),
            _ => (Timestamp::UNIX_EPOCH + SignedDuration::from_hours(number), line),
        };
        if let Ok(event) = serde_json::from_str::<Event>(event) {
            let again = serde_json::to_string(&event).unwrap_or_else(|error| panic!("{event:?}: {error}"));
            assert_eq!(serde_json::from_str::<Event>(&again).ok(), Some(event.clone()), "{again}");
            lines.push(Record { seq: number, at, event });
        }
    }
    let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365 * 60);
    let mut state = State::of(&lines);
    let _ = (state.launches(), state.running(now), state.spent(now), state.gaps_seconds(), state.refusals());
    if !state.take_ledger().is_empty() || !state.running(now).is_empty() {
        in_a_file(&lines, now);
    }
}

/// Writes the same lines to a real journal, and reports its cost.
fn in_a_file(lines: &[Record], now: Timestamp) {
    let Ok(dir) = tempfile::tempdir() else { return };
    let file = dir.path().join("journal.db");
    let Ok(mut journal) = SqliteJournal::open(&file) else { return };
    for (seen, line) in (0..).zip(lines) {
        assert!(journal.append(seen, line.at, std::slice::from_ref(&line.event)).is_ok(), "{line:?}");
    }
    drop(journal);
    let book = Book::shipped();
    let Ok(mut ledger) = Ledger::open(Path::new(&dir.path().join("ledger.db"))) else { return };
    let Ok(()) = ledger.take_in(&file, now, &book) else { return };
    for by in [GroupBy::Repo, GroupBy::Spec] {
        let window = Window::since(SignedDuration::from_hours(24 * 30), now);
        if let Ok(report) = report(&mut ledger, Query { window, by, top: 5 }, now, &book) {
            let _ = (cml_cost::table(&report), cml_cost::markdown(&report), cml_cost::json(&report));
        }
    }
}
