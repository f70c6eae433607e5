//! Inspection of an account before anything is bought in it: identity, permissions, quotas, and whether a machine would
//! reach GitHub. All calls are read-only; nothing is created, changed or removed.

mod dry_launch;
mod identity;
mod image;
mod network;
mod permissions;
mod quotas;

pub use dry_launch::{DryLaunch, DryRun};
pub use identity::Identity;
pub use image::ImageFacts;
pub use network::{GroupFacts, NetworkFacts, SubnetFacts, WayOut};
pub use permissions::{DAEMON_ACTIONS, LAUNCH_ACTIONS, Needed, Permissions, Verdict};
pub use quotas::Quota;
