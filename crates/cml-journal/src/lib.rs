//! The journal: what was decided and learned, in the order in which it happened, never changed afterwards.
//!
//! All state is a fold of it ([`State`]), the ledger too: a process that was killed reads it and knows what it knew. An
//! intent is on the disk before the call that it announces is made.
//!
//! What may not happen here: decisions, and anything said to a cloud or to GitHub. Times come from the caller.

mod arrivals;
mod bill;
mod event;
mod inbox;
mod ledger;
mod life;
mod memory;
mod spent;
mod sqlite;
mod state;
mod writer;

pub use bill::{End, Span, Tenure};
pub use event::{Event, JobFacts};
pub use inbox::{Inbox, Letter};
pub use ledger::{Entry, Part, Share, Waste};
pub use life::LifeView;
pub use memory::MemoryJournal;
pub use sqlite::{FileIdentity, JournalError, Line, SqliteJournal, open_table};
pub use state::State;

use jiff::Timestamp;

/// A place in the journal: the number of the last line that was seen; 0 before the first.
pub type Seen = i64;

/// Where events are kept. Small, so that several daemons may share a server one day.
pub trait Journal {
    /// Appends events, all or none, and returns once they are durable. Fails with [`JournalError::Overtaken`] when another
    /// process has appended since `seen`: then what was decided rests on what is not true any more.
    ///
    /// # Errors
    /// [`JournalError`]; then nothing was appended.
    fn append(&mut self, seen: Seen, at: Timestamp, events: &[Event]) -> Result<Seen, JournalError>;

    /// What this process is called in the intents that it writes; none where nobody could say whether it lives.
    fn writer(&mut self) -> Option<String>;

    /// Whether the writer of this name may still act on its intents. Not sure means that it may.
    fn may_act(&self, writer: &str) -> bool;

    /// The lines after `seen`, oldest first.
    ///
    /// # Errors
    /// [`JournalError`].
    fn after(&self, seen: Seen) -> Result<Vec<Line>, JournalError>;
}
