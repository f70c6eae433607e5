//! The decision. [`plan()`] looks at everything that is known and says what to do now; whoever carries it out looks again
//! afterwards, so a lost webhook, a stolen runner or a machine made by hand only change what is observed next time.
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
