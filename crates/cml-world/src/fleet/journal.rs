//! The journal of a simulated world: in memory, shared by all processes, written by one at a time.

use std::sync::{Arc, Mutex, PoisonError};

use cml_journal::{EndReason, Event, Journal, JournalError, Record, SeqNo};
use jiff::Timestamp;

use super::fault::Fault;
use super::fault_point::Life;
use super::mutant::Mutant;

/// Records that all processes see.
pub(crate) type Lines = Arc<Mutex<Vec<Record>>>;

/// The journal, as one life of a process has opened it.
pub(crate) struct SimJournal {
    pub(crate) lines: Lines,
    pub(crate) life: Life,
}

impl SimJournal {
    fn busy() -> JournalError {
        JournalError::Busy { path: "the journal".into() }
    }

    /// Returns the events that a mutated process writes instead.
    fn mutated(mutant: Option<Mutant>, events: &[Event]) -> Vec<Event> {
        let mut events = events.to_vec();
        match mutant {
            Some(Mutant::ForgetTheIntent) => {
                events.retain(|event| !matches!(event, Event::LaunchIntended { .. }));
            }
            Some(Mutant::BillTheFirstHour) => {
                for event in &mut events {
                    if let Event::InstanceGone { end, .. } = event {
                        *end = EndReason::Ours;
                    }
                }
            }
            _ => {}
        }
        events
    }
}

impl Journal for SimJournal {
    fn append(&mut self, seen: SeqNo, at: Timestamp, events: &[Event]) -> Result<SeqNo, JournalError> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut world = self.life.shared.now();
        let process = self.life.process;
        if world.fires(Fault::JournalBusy) {
            return Err(Self::busy());
        }
        let last = lines.last().map_or(0, |line| line.seq);
        if last != seen && !world.is(Mutant::GoOnOvertaken) {
            world.faults.meet(Fault::WrittenByAnother);
            return Err(JournalError::Conflict { seen, last });
        }
        // Killed before the line is on the disk, or right after.
        if world.fires(Fault::CrashAtWrite) {
            world.processes[process].dying = true;
            if world.chance.per_mille(500) {
                return Err(Self::busy());
            }
        }
        let events = Self::mutated(world.mutant, events);
        let mut number = last;
        for event in events {
            if let Event::LaunchIntended { launch, job, .. } = &event {
                world.meant.insert(*launch, *job);
                if job.is_none() {
                    world.faults.meet(Fault::Warm);
                }
            }
            world.note(|| format!("process {process} writes {event:?}"));
            number += 1;
            lines.push(Record { seq: number, at, event });
        }
        Ok(number)
    }

    fn writer(&mut self) -> Option<String> {
        Some(self.life.name.clone())
    }

    fn may_act(&self, writer: &str) -> bool {
        let world = self.life.shared.now();
        world.processes.iter().any(|process| process.life.as_deref() == Some(writer))
    }

    fn read_after(&self, seen: SeqNo) -> Result<Vec<Record>, JournalError> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let from = usize::try_from(seen).unwrap_or(0).min(lines.len());
        let mut world = self.life.shared.now();
        // Another process writes while this one reads: it does not see the last lines.
        let unseen = if world.processes.len() > 1 && world.fires(Fault::Overtaken) {
            usize::try_from(world.chance.between(1, 4)).unwrap_or(0)
        } else {
            0
        };
        let to = lines.len().saturating_sub(unseen).max(from);
        Ok(lines[from..to].to_vec())
    }
}
