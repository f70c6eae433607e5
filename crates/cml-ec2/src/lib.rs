//! What is known of EC2 without asking it: regions, types and sizes, drivers, quotas; and how AWS's answers are read.
//!
//! Apart from `cml-aws`, so that what only reads compiles without the AWS SDK.

pub mod answers;
pub mod drivers;
pub mod images;
mod needs;
pub mod quotas;
pub mod regions;
pub mod sizes;

pub use needs::{Choice, choices, served};
pub use regions::region;

/// Size of a root disk where you name none and the image needs no more, GiB.
pub const DEFAULT_DISK_GIB: u32 = 35;
/// The region when neither you nor the AWS configuration names one.
pub const LAST_REGION: &str = "us-east-1";
