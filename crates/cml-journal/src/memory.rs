//! A journal that lives only as long as its process: for plans that are not executed.

use jiff::Timestamp;

use crate::event::Event;
use crate::sqlite::{JournalError, Record};
use crate::{Journal, SeqNo};

/// Records in memory, of one process.
#[derive(Clone, Debug, Default)]
pub struct MemoryJournal {
    lines: Vec<Record>,
}

impl Journal for MemoryJournal {
    fn append(&mut self, seen: SeqNo, at: Timestamp, events: &[Event]) -> Result<SeqNo, JournalError> {
        let mut number = self.lines.last().map_or(0, |line| line.seq);
        if number != seen {
            return Err(JournalError::Conflict { seen, last: number });
        }
        for event in events {
            number += 1;
            self.lines.push(Record { seq: number, at, event: event.clone() });
        }
        Ok(number)
    }

    fn writer(&mut self) -> Option<String> {
        None
    }

    fn may_act(&self, _writer: &str) -> bool {
        true
    }

    fn read_after(&self, seen: SeqNo) -> Result<Vec<Record>, JournalError> {
        Ok(self.lines.iter().filter(|line| line.seq > seen).cloned().collect())
    }
}
