//! The journal: facts and decisions in the order in which they happened, never changed afterwards.
//!
//! All state is a fold of it ([`State`]), the ledger too: a process that restarts after a kill reads it and recovers
//! its state. An intent is on the disk before the call that it announces is made.
//!
//! Not allowed here: decisions, and calls to a cloud or to GitHub. Times are passed in by the caller.

mod arrivals;
mod billing;
mod event;
mod inbox;
mod launch_state;
mod ledger;
mod memory;
mod spent;
mod sqlite;
mod state;
mod writer;

pub use billing::{BillableUsage, EndReason, TimeRange};
pub use event::{Event, JobFacts};
pub use inbox::{Delivery, Inbox};
pub use launch_state::LaunchView;
pub use ledger::{CostCategory, CostSegment, LedgerEntry, Waste};
pub use memory::MemoryJournal;
pub use sqlite::{FileIdentity, JournalError, Record, SqliteJournal, open_database};
pub use state::State;

use jiff::Timestamp;

/// A position in the journal: the number of the last record that was read; 0 before the first.
pub type SeqNo = i64;

/// Storage of events. A small interface, so that several daemons may share a server one day.
pub trait Journal {
    /// Appends events, all or none, and returns once they are durable. Fails with [`JournalError::Conflict`] when
    /// another process has appended since `seen`: the decision would then rest on outdated state.
    ///
    /// # Errors
    /// [`JournalError`]; then nothing was appended.
    fn append(&mut self, seen: SeqNo, at: Timestamp, events: &[Event]) -> Result<SeqNo, JournalError>;

    /// Returns the name of this process in the intents that it writes; `None` where no other process could determine
    /// whether it is alive.
    fn writer(&mut self) -> Option<String>;

    /// Returns whether the writer of this name may still act on its intents. When uncertain, it may.
    fn may_act(&self, writer: &str) -> bool;

    /// Returns the records after `seen`, oldest first.
    ///
    /// # Errors
    /// [`JournalError`].
    fn read_after(&self, seen: SeqNo) -> Result<Vec<Record>, JournalError>;
}
