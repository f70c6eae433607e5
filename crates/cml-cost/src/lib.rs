//! What machines cost, and whose money it was: the ledger as a table, reports, advice.
//!
//! The journal is the truth. The [`Ledger`] is made from journals line by line, so that asking it is cheap; it can be thrown away
//! and made again. Money is in whole billionths of a US dollar there: sums are the same in any order.
//!
//! What may not happen here: decisions, calls to a cloud or to GitHub, a clock.

mod advise;
mod compare;
mod export;
mod format;
mod html;
mod interner;
mod ledger;
mod query;
mod reconstruct;
mod report;
mod split;
mod text;
mod usage_row;
mod verify;

pub use advise::{Advice, advice_text, advise};
pub use compare::{Comparison, HostedBill};
pub use export::{csv, json};
pub use html::{Site, html};
pub use interner::Interner;
pub use ledger::{JobTitle, Ledger, LedgerError};
pub use query::{BadWindow, GroupBy, Month, Window};
pub use reconstruct::{Assumed, PastJob, Reconstructed, reconstruct};
pub use report::{DaySpend, Query, Report, Row, Running, Totals, report};
pub use text::{markdown, remarks, table};
pub use usage_row::{Class, Kind, Symbol};
pub use verify::{BadBill, Bill, Pair, read_cur, verify, verify_text};
