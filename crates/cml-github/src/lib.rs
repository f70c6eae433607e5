//! Everything said to GitHub: where it is, who we are, the runners registered there, and
//! what a repository is told: comments, checks, files, pull requests.
//!
//! The transport and the App's tokens are octocrab's; the models, the paging, the errors and what may be repeated are
//! ours, because a repeated POST registers a second runner.
//!
//! What may not happen here: decisions, anything said to a cloud, reading the environment or the clock.

mod answers;
mod auth;
mod author;
mod checks;
mod comments;
mod deliveries;
mod error;
mod etag_cache;
mod groups;
pub mod inspect;
mod jobs;
mod lists;
mod location;
mod models;
mod names;
mod objects;
mod origin;
mod poll;
mod pulls;
mod rate_limiter;
mod repository;
mod reruns;
mod runners;
mod time;
mod transport;
mod webhook;

pub use answers::understood_as;
pub use auth::Auth;
pub use author::CommentAuthor;
pub use checks::{CHECK_TEXT_LIMIT, Check, CheckOutput, NewCheck};
pub use comments::{Comment, CommentTarget};
pub use error::{GitHubError, GitHubErrorKind};
pub use jobs::{JobRecord, RunRecord, TrackedJob};
pub use location::{BadLocation, Location, Scope};
pub use models::{JitRequest, JitRunner, Removal, Runner, RunnerDownload, RunnerGroup};
pub use objects::{CommitRecord, Reference, TreeEntry};
pub use origin::Origin;
pub use poll::Polled;
pub use pulls::{AutoMerge, MergeMethod, NewPull, Pull};
pub use runners::GitHub;
pub use time::GitHubTime;
pub use webhook::{BadBody, BadDelivery, ShortSecret, WebhookEvent, WebhookSecret, payload, read_delivery};
