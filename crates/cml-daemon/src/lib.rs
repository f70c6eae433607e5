//! The state of a long-running controller: webhooks come in, and health, metrics, an API and a page go out.
//!
//! Nothing is decided here and nothing is asked of a cloud. What is shown is what the controller has told last; what is
//! heard is durable before it is acknowledged.

mod access;
mod api;
mod bodies;
mod cost;
mod door;
mod ingest;
mod metrics;
mod page;
mod policy;
mod server;
mod status;

pub use access::{Access, PublicUrl, ShortToken};
pub use door::Limits;
pub use ingest::{IngestError, WebhookIngest, WebhookJob};
pub use metrics::{Counters, text as metrics};
pub use server::{AppState, serve};
pub use status::{JobRow, Pool, RunnerRow, Segment, StatusSnapshot};
