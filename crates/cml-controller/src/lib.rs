//! Carries decisions out: step by step, each step with an undo.
//!
//! [`launch()`] obtains one machine for one decision, [`stop()`] ends one, [`reap()`] ends what has no right to live.
//! Nothing is retried inside a step except what is idempotent; every outcome is told through [`Event`]s and results.
//!
//! What may not happen here: reading arguments, environment or clock settings, and printing.

mod clock;
mod control_loop;
mod derive_events;
mod event;
mod executor;
mod failure;
mod forge;
mod jobs;
mod launch;
mod launch_plan;
mod mailbox;
mod observe;
mod offer_cache;
mod readiness;
mod reap;
pub mod reconcile;
mod steps;
mod stop;
mod undo_log;

pub use clock::{CLOCK_MAX, Clock, describe_skew, wrong_clock};
pub use control_loop::{Controller, ReconcileReport, STOP_WITHIN, Settings};
pub use event::Event;
pub use executor::MachineTemplates;
pub use failure::{Failure, Reason};
pub use forge::{Forge, JobList};
pub use jobs::{JobTable, from_github};
pub use launch::{LAUNCH, Launch, Outcome, launch};
pub use launch_plan::{LaunchPlan, MachineTemplate, Reuse, RunnerMode, RunnerPackageSource};
pub use mailbox::{DesiredState, Mailbox};
pub use reap::{ReapReason, ReapReport, reap, reap_reason};
pub use stop::{StopError, Stopped, Target, stop};
