//! The journal: what was decided and learned, in the order in which it happened, never changed afterwards.
//!
//! All state is a fold of it ([`State`]), the ledger too: a process that was killed reads it and knows what it knew. An
//! intent is on the disk before the call that it announces is made.
//!
//! What may not happen here: decisions, and anything said to a cloud or to GitHub. Times come from the caller.

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

/// A place in the journal: the number of the last line that was seen; 0 before the first.
pub type SeqNo = i64;

/// Where events are kept. Small, so that several daemons may share a server one day.
pub trait Journal {
    /// Appends events, all or none, and returns once they are durable. Fails with [`JournalError::Conflict`] when another
    /// process has appended since `seen`: then what was decided rests on what is not true any more.
    ///
    /// # Errors
    /// [`JournalError`]; then nothing was appended.
    fn append(&mut self, seen: SeqNo, at: Timestamp, events: &[Event]) -> Result<SeqNo, JournalError>;

    /// What this process is called in the intents that it writes; none where nobody could say whether it lives.
    fn writer(&mut self) -> Option<String>;

    /// Whether the writer of this name may still act on its intents. Not sure means that it may.
    fn may_act(&self, writer: &str) -> bool;

    /// The lines after `seen`, oldest first.
    ///
    /// # Errors
    /// [`JournalError`].
    fn read_after(&self, seen: SeqNo) -> Result<Vec<Record>, JournalError>;
}
