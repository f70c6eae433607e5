//! The planner. [`plan()`] takes everything that is known and returns what to do now. A new observation follows every plan, so a
//! lost webhook, a stolen runner or a machine that was made by hand only change the next input.
//!
//! Read [`plan()`] from top to bottom and you know what the product does.
//!
//! What may not happen here: any I/O, a clock, randomness, async. Same input, same plan.

mod budget;
mod demand;
mod display;
mod idle_timeout;
mod input;
pub mod labels;
mod placement;
mod plan;
mod supply;
mod termination;
mod wait_reason;
mod wakeup;
mod warm;

pub use budget::{Account, Balance, Spending, day_of};
pub use demand::is_refused;
pub use idle_timeout::auto_idle_timeout;
pub use input::{Job, JobId, JobState, LaunchRecord, PlanningInput, Refusal, RefusalKind, RunnerStatus};
pub use labels::spec_for;
pub use placement::same_quota;
pub use plan::{Action, Plan, Waiting, all_waiting, has_reruns, plan};
pub use supply::UNSEEN_GRACE;
pub use termination::TerminationReason;
pub use wait_reason::{PolicyRule, WaitReason};
