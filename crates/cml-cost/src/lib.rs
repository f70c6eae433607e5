//! The cost of machines and its attribution: the ledger as a table, reports, advice.
//!
//! The journal is the source of truth. The [`Ledger`] is built from journals record by record, so that queries are
//! cheap; it can be deleted and rebuilt. Its money is in whole billionths of a US dollar: sums are the same in any
//! order.
//!
//! Not allowed here: decisions, calls to a cloud or to GitHub, a clock.

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
