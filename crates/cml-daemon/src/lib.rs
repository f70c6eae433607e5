//! The face of a long-running controller: webhooks come in, and health, metrics, an API and a page go out.
//!
//! Nothing is decided here and nothing is asked of a cloud. What is shown is what the controller has told last; what is
//! heard is durable before it is acknowledged.

mod access;
mod api;
mod board;
mod bodies;
mod cost;
mod door;
mod intake;
mod metrics;
mod page;
mod policy;
mod server;

pub use access::{Access, PublicUrl, ShortToken};
pub use board::{Board, JobRow, Pool, RunnerRow, Segment};
pub use door::Limits;
pub use intake::{Heard, Intake, NotKept};
pub use metrics::{Counters, text as metrics};
pub use server::{Face, serve};
