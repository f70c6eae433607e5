//! EC2 behind the `Cloud` trait; the only crate that compiles the AWS SDK.
//!
//! Credentials, endpoint and region come from the SDK's normal chain, so `AWS_ENDPOINT_URL` alone points all of it at
//! an emulator. One launch is one launch template and one `CreateFleet` of type `instant` over types and zones, with a
//! client token of this program; see docs/decisions/0003-launch-templates-per-launch.md.
//!
//! Not allowed here: deciding whether to launch, and calls to GitHub. The SDK's own retry is off: it would hide from
//! the caller how often AWS was called.

mod bucket;
mod cache;
mod clients;
mod clock;
mod cloud;
mod console;
mod cost_explorer;
mod disks;
mod errors;
mod fleet;
mod images;
pub mod inspect;
mod instances;
mod interruptions;
mod network;
mod offers;
mod pages;
mod prices;
mod pricing_api;
mod signed;
mod snapshots;
mod template;
#[cfg(test)]
mod test_server;
mod unsold;

pub use bucket::{Bucket, BucketError};
pub use clients::AwsSettings;
pub use cloud::{AwsCloud, SHOWS_WITHIN};
