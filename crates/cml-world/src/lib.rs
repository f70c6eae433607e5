//! The simulated world, in two halves: a GitHub over loopback HTTP with a small runner program that takes its jobs, and
//! [`fleet`], a whole world in virtual time in which the real controller runs.
//!
//! `cml-runner demo` and every test that needs a GitHub use the first. It keeps state as GitHub does (runners, runs,
//! jobs, comments, checks, git objects, an App), answers in GitHub's shapes, and fails on request. With the feature
//! `contract` every exchange can be validated against GitHub's own OpenAPI description.
//!
//! Nothing here listens on any address except the one it is given, and nothing here calls the real GitHub.

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
