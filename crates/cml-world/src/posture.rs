//! Security settings of the simulated GitHub around its runners.

use std::collections::BTreeMap;

use jiff::SignedDuration;

/// Security settings. The default is the safe configuration.
#[derive(Clone, Debug)]
pub struct Posture {
    /// Whether the webhook is switched on.
    pub hook_is_active: bool,
    /// Events of the webhook.
    pub hook_events: Vec<String>,
    /// `json` or `form`.
    pub hook_content_type: String,
    /// Whose workflows wait for an approval, in a public repository.
    pub fork_approval: String,
    /// Permissions of workflows from forks, in a private repository.
    pub forks: ForkRights,
    /// Whether public repositories may use the runners of groups.
    pub groups_are_public: bool,
    /// The scopes of classic tokens, by token: `repo, workflow`.
    pub classic_scopes: BTreeMap<String, String>,
    /// When tokens expire, by token: `2026-12-01 10:00:00 UTC`.
    pub expirations: BTreeMap<String, String>,
    /// A token required for the download of the runner's package, as some servers require one.
    pub download_token: Option<String>,
    /// How far GitHub's clock is ahead of this machine's.
    pub clock_ahead: SignedDuration,
}

impl Default for Posture {
    fn default() -> Self {
        Self {
            hook_is_active: true,
            hook_events: vec!["workflow_job".to_owned()],
            hook_content_type: "json".to_owned(),
            fork_approval: "all_external_contributors".to_owned(),
            forks: ForkRights::default(),
            groups_are_public: false,
            classic_scopes: BTreeMap::new(),
            expirations: BTreeMap::new(),
            download_token: None,
            clock_ahead: SignedDuration::ZERO,
        }
    }
}

/// Permissions of workflows of pull requests from forks.
#[derive(Clone, Copy, Debug, Default)]
pub struct ForkRights {
    /// They run.
    pub run: bool,
    /// They get a token with write permission.
    pub write_tokens: bool,
    /// They get secrets.
    pub secrets: bool,
}
