//! What a user wants: specs, as checked types.
//!
//! What may not happen here: I/O, and any decision. Reading `cml.yaml` into these types is not there yet.

mod hours;
mod spec;

pub use hours::{BadHours, WarmHours};
pub use spec::{Allow, Budget, Forks, Idle, Reruns, Spec, Warm};
