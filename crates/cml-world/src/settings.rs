//! Settings of a simulated GitHub.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::posture::Posture;

/// Settings of the simulated GitHub. Every field has a default that suits a test.
#[derive(Clone)]
pub struct SimSettings {
    /// The token that may do everything. Callers choose it, so that two simulations never share one.
    pub token: String,
    /// Further tokens, with what they may do.
    pub tokens: Vec<TokenGrant>,
    /// Owner of the one repository, and the one organization.
    pub owner: String,
    /// Name of the one repository.
    pub repo: String,
    /// The one enterprise.
    pub enterprise: String,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whether only signed-in people see the repository.
    pub private: bool,
    /// Branches that take changes from pull requests only, and pull requests with a review only. There are no reviewers
    /// here.
    pub protected: Vec<String>,
    /// Whether auto-merge may be enabled for pull requests.
    pub auto_merge: bool,
    /// A GitHub App that is installed on the repository.
    pub app: Option<SimApp>,
    /// Where `workflow_job` events are sent.
    pub webhook: Option<Webhook>,
    /// Configuration around its runners.
    pub posture: Posture,
    /// Names of runner groups in addition to `Default`, whose ids follow 1.
    pub runner_groups: Vec<String>,
    /// Requests that a token may make in an hour; an answer from the cache (304) is free.
    pub rate_limit: u32,
    /// How long a runner without a connection still counts as online.
    pub offline_after: Duration,
    /// Time for a runner to accept a job before another may have it. GitHub: 60 s.
    pub accept_within: Duration,
    /// Time for which a running job may stay without a request of its runner before it fails. GitHub: about 10 min.
    pub lost_after: Duration,
    /// Longest time that a runner's request for a job stays open.
    pub poll: Duration,
}

impl Default for SimSettings {
    fn default() -> Self {
        Self {
            token: "sim-token".to_owned(),
            tokens: Vec::new(),
            owner: "acme".to_owned(),
            repo: "vision".to_owned(),
            enterprise: "acme-inc".to_owned(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            private: false,
            protected: Vec::new(),
            auto_merge: false,
            app: None,
            webhook: None,
            posture: Posture::default(),
            runner_groups: Vec::new(),
            rate_limit: 5000,
            offline_after: Duration::from_secs(5),
            accept_within: Duration::from_secs(5),
            lost_after: Duration::from_secs(60),
            poll: Duration::from_secs(10),
        }
    }
}

impl fmt::Debug for SimSettings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("SimSettings")
            .field("repository", &format_args!("{}/{}", self.owner, self.repo))
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

/// Permissions of a token: names as GitHub's Apps have them (`administration`, `actions`, `checks`, …), to `read` or
/// `write`.
pub type Permissions = BTreeMap<String, String>;

/// One token and its rights. One that begins with `ghp_` or `github_pat_` is a person's, and as on GitHub no person may
/// write check runs.
#[derive(Clone)]
pub struct TokenGrant {
    /// The token.
    pub token: String,
    /// The login that it belongs to.
    pub login: String,
    /// Its permissions; none means everything.
    pub permissions: Option<Permissions>,
}

/// A GitHub App. Its signature on a JWT is not checked, its claims are.
#[derive(Clone, Debug)]
pub struct SimApp {
    /// The App's id, which is the issuer of its JWT.
    pub id: u64,
    /// Its installation on the repository and its organization.
    pub installation_id: u64,
    /// Permissions of its installation tokens.
    pub permissions: Permissions,
}

/// Where `workflow_job` events are sent.
#[derive(Clone)]
pub struct Webhook {
    /// An `http://` address.
    pub url: String,
    /// The secret behind `X-Hub-Signature-256`.
    pub secret: String,
}
