//! What machines cost, and whose money it was: the ledger as a table, reports, advice.
//!
//! The journal is the truth. The [`Ledger`] is made from journals line by line, so that asking it is cheap; it can be thrown away
//! and made again. Money is in whole billionths of a US dollar there: sums are the same in any order.
//!
//! What may not happen here: decisions, calls to a cloud or to GitHub, a clock.

mod advise;
mod compare;
mod cut;
mod data;
mod html;
mod ledger;
mod names;
mod piece;
mod query;
mod reconstruct;
mod report;
mod text;
mod verify;
mod words;

pub use advise::{Advice, advice_text, advise};
pub use compare::{Comparison, HostedBill};
pub use data::{csv, json};
pub use html::{Site, html};
pub use ledger::{JobTitle, Ledger, LedgerError};
pub use names::Names;
pub use piece::{Class, Kind, NameId};
pub use query::{BadWindow, By, Month, Window};
pub use reconstruct::{Assumed, PastJob, Reconstructed, reconstruct};
pub use report::{DaySpend, Query, Report, Row, Running, Tally, report};
pub use text::{markdown, remarks, table};
pub use verify::{BadBill, Bill, Pair, read_cur, verify, verify_text};
