//! Knowledge about EC2 that needs no call: regions, types and sizes, drivers, quotas; and the parsing of AWS's answers.
//!
//! Separate from `cml-aws`, so that crates that only parse compile without the AWS SDK.

pub mod answers;
pub mod drivers;
pub mod images;
mod needs;
pub mod quotas;
pub mod regions;
pub mod sizes;

pub use needs::{Choice, choices, served};
pub use regions::region;

/// Default: 35 GiB for a root disk, unless the image needs more.
pub const DEFAULT_DISK_GIB: u32 = 35;
/// Default: us-east-1, when neither you nor the AWS configuration names a region.
pub const LAST_REGION: &str = "us-east-1";
