//! All calls to GitHub: its location, the authentication, the runners registered there, and what is written to a
//! repository: comments, checks, files, pull requests.
//!
//! The transport and the App's tokens are octocrab's; the models, the paging, the errors and the retry policy are this
//! crate's own, because a repeated POST registers a second runner.
//!
//! Not allowed here: decisions, calls to a cloud, reading the environment or the clock.

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
