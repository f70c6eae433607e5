//! The user's configuration: `cml.yaml` as checked types. Errors contain the problem, its place, and the correction.
//!
//! Not allowed here: I/O (the text is passed in by the caller), and any decision.

mod budget;
pub mod checks;
pub mod duration;
mod fields;
mod file;
mod hours;
mod needs;
mod problem;
mod reports;
mod runners;
mod setup;
mod spec;
mod tree;
mod users;

pub use budget::{Budget, Limits, Period, Whose};
pub use file::{AuthConfig, CloudName, Config, GitHubConfig, Market, Runners, read, read_reports};
pub use hours::{BadHours, WarmHours};
pub use problem::{BadFile, Place, Problem, nearest};
pub use reports::{ReportPlace, ReportsConfig};
pub use setup::{Cache, Proxy, Setup, authorized_keys, is_package_name, of_one_line};
pub use spec::{Allow, Forks, Idle, Reruns, Spec, Warm};
pub use users::is_user_name;

/// Returns the JSON Schema (2020-12) of a `cml.yaml`, for editors.
#[must_use]
pub fn schema() -> &'static str {
    include_str!("../../../templates/cml.schema.json")
}

/// Returns the keys of a pool.
#[must_use]
pub fn spec_keys() -> &'static [&'static str] {
    runners::KEYS
}
