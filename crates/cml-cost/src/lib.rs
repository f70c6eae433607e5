//! What machines cost, and whose money it was: the ledger as a table, reports, advice.
//!
//! The journal is the truth. The [`Ledger`] is made from journals line by line, so that asking it is cheap; it can be thrown away
//! and made again. Money is in whole billionths of a US dollar there: sums are the same in any order.
//!
//! What may not happen here: decisions, calls to a cloud or to GitHub, a clock.

mod compare;
mod cut;
mod html;
mod ledger;
mod names;
mod piece;
mod query;
mod report;
mod words;

pub use compare::{Comparison, HostedBill};
pub use html::{Site, html};
pub use ledger::{JobTitle, Ledger, LedgerError};
pub use names::Names;
pub use piece::{Class, Kind, NameId};
pub use query::{BadWindow, By, Month, Window};
pub use report::{DaySpend, Query, Report, Row, Running, Tally, report};
