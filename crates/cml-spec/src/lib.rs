//! What a user wants: `cml.yaml` as checked types. Errors name what is wrong, where, and what would be right.
//!
//! What may not happen here: I/O (the text comes from the caller), and any decision.

pub mod duration;
mod file;
mod hours;
mod spec;

pub use file::{BadFile, CloudName, Config, Runners, read};
pub use hours::{BadHours, WarmHours};
pub use spec::{Allow, Budget, Forks, Idle, Reruns, Spec, Warm};
