//! Carries decisions out: step by step, each step with an undo.
//!
//! [`launch()`] obtains one machine for one decision, [`stop()`] ends one, [`reap()`] ends what has no right to live.
//! Nothing is retried inside a step except what is idempotent; every outcome is told through [`Event`]s and results.
//!
//! What may not happen here: reading arguments, environment or clock settings, and printing.

mod ask;
mod carry;
mod clock;
mod drive;
mod event;
mod failure;
pub mod fleet;
mod forge;
mod jobs;
mod launch;
mod learn;
mod news;
mod order;
mod reap;
mod sale;
mod steps;
mod stop;
mod undo;
mod wait;

pub use carry::Recipes;
pub use clock::{CLOCK_MAX, Clock, by_how_much, wrong_clock};
pub use drive::{Controller, STOP_WITHIN, Settings, Told};
pub use event::Event;
pub use failure::{Failure, Reason};
pub use forge::{Forge, JobList};
pub use jobs::{JobTable, from_github};
pub use launch::{LAUNCH, Launch, Outcome, launch};
pub use news::{News, Wanted};
pub use order::{Lifetime, Order, Packages, Recipe, Reuse};
pub use reap::{Finding, ReapReport, reap, why_reap};
pub use stop::{StopError, Stopped, Target, stop};
