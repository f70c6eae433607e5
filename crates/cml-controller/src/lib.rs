//! The controller: the control loop, the reconciler, the executor, and the steps of a launch, each with an undo.
//!
//! [`Controller`] is the daemon's loop. [`launch()`] launches one machine, [`stop()`] terminates one, [`reap()`] terminates machines
//! that are past their deadline or that have no runner. Only idempotent calls are retried inside a step; every outcome is an
//! [`Event`] or a result.
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
