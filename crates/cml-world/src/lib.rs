//! The simulated world, in two halves: a GitHub over loopback HTTP with a small runner program that takes its jobs, and
//! [`fleet`], a whole world in virtual time in which the real controller lives.
//!
//! `cml-runner demo` and every test that needs a GitHub talk to the first. It keeps state as GitHub does (runners, runs,
//! jobs, comments, checks, git objects, an App), answers in GitHub's shapes, and can be told to fail. With the feature
//! `contract` every exchange can be held against GitHub's own OpenAPI description.
//!
//! Nothing here listens on anything but the address it is given, and nothing here asks the real GitHub.

mod actions;
mod api;
mod clock;
#[cfg(feature = "contract")]
pub mod contract;
mod exchange;
pub mod fleet;
mod http;
mod merge;
mod objects;
mod posture;
mod runner;
mod server;
mod settings;
mod shift;
mod sim;
mod views;
mod web;
mod webhook;
mod world;

pub use actions::verbatim::Verbatim;
pub use actions::workflow::WorkflowError;
pub use exchange::{Exchange, Fault, FaultKind};
pub use posture::{ForkRights, Posture};
pub use settings::{Permissions, SimApp, SimSettings, TokenGrant, Webhook};
pub use shift::{ListChange, Shift};
pub use sim::SimGitHub;
pub use views::{
    CheckRunView, CommentOn, CommentView, JobView, PullView, RunId, RunView, RunnerView, StepView,
};
