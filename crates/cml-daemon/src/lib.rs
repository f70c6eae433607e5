//! HTTP server of a long-running controller: ingest of webhooks; health, metrics, an API and a page.
//!
//! No decisions are made here and no cloud is called. The shown state is the controller's last snapshot; deliveries are
//! durable before they are acknowledged.

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
