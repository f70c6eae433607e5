//! Carries decisions out: step by step, each step with an undo.
//!
//! [`launch()`] obtains one machine for one decision, [`stop()`] ends one, [`reap()`] ends what has no right to live.
//! Nothing is retried inside a step except what is idempotent; every outcome is told through [`Event`]s and results.
//!
//! What may not happen here: reading arguments, environment or clock settings, and printing.

mod event;
mod failure;
pub mod fleet;
mod launch;
mod order;
mod reap;
mod stop;
mod undo;
mod wait;

pub use event::Event;
pub use failure::{Failure, Reason};
pub use launch::{Launch, Outcome, launch};
pub use order::{Lifetime, Order, Packages, Reuse};
pub use reap::{Finding, ReapReport, reap, why_reap};
pub use stop::{StopError, Stopped, Target, stop};
