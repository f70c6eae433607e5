//! The decision. [`plan()`] looks at everything that is known and says what to do now; whoever carries it out looks again
//! afterwards, so a lost webhook, a stolen runner or a machine made by hand only change what is observed next time.
//!
//! Read [`plan()`] from top to bottom and you know what the product does.
//!
//! What may not happen here: any I/O, a clock, randomness, async. Same input, same plan.

mod budget;
mod demand;
mod gaps;
pub mod labels;
mod observed;
mod placement;
mod plan;
mod print;
mod refuse;
mod retire;
mod supply;
mod timers;
mod warm;

pub use budget::{Account, Balance, Spending, day_of};
pub use demand::is_refused;
pub use gaps::auto_idle_timeout;
pub use labels::spec_for;
pub use observed::{Job, JobId, JobState, KnownRunner, LaunchRecord, Observed, Refusal, RefusalKind};
pub use placement::same_quota;
pub use plan::{Action, Plan, Waiting, has_reruns, held, plan};
pub use refuse::{Rule, Why};
pub use retire::Cause;
pub use supply::UNSEEN_GRACE;
