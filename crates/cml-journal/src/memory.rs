//! A journal that is forgotten with its process: for plans that nobody carries out.

use jiff::Timestamp;

use crate::event::Event;
use crate::sqlite::{JournalError, Line};
use crate::{Journal, Seen};

/// Lines in memory, of one process.
#[derive(Clone, Debug, Default)]
pub struct MemoryJournal {
    lines: Vec<Line>,
}

impl Journal for MemoryJournal {
    fn append(&mut self, seen: Seen, at: Timestamp, events: &[Event]) -> Result<Seen, JournalError> {
        let mut number = self.lines.last().map_or(0, |line| line.number);
        if number != seen {
            return Err(JournalError::Overtaken { seen, last: number });
        }
        for event in events {
            number += 1;
            self.lines.push(Line { number, at, event: event.clone() });
        }
        Ok(number)
    }

    fn writer(&mut self) -> Option<String> {
        None
    }

    fn may_act(&self, _writer: &str) -> bool {
        true
    }

    fn after(&self, seen: Seen) -> Result<Vec<Line>, JournalError> {
        Ok(self.lines.iter().filter(|line| line.number > seen).cloned().collect())
    }
}
