//! How the simulated GitHub is set up around its runners: what somebody who looks before trusting finds there.

use std::collections::BTreeMap;

use jiff::SignedDuration;

/// How it is set up. The default is how it should be.
#[derive(Clone, Debug)]
pub struct Posture {
    /// Whether the webhook is switched on.
    pub hook_is_active: bool,
    /// What the webhook tells of.
    pub hook_events: Vec<String>,
    /// `json` or `form`.
    pub hook_content_type: String,
    /// Whose workflows wait for an approval, where the repository is public.
    pub fork_approval: String,
    /// What workflows of forks may do, where it is private.
    pub forks: ForkRights,
    /// Whether public repositories may use the runners of groups.
    pub groups_are_public: bool,
    /// The scopes of classic tokens, by token: `repo, workflow`.
    pub classic_scopes: BTreeMap<String, String>,
    /// When tokens expire, by token: `2026-12-01 10:00:00 UTC`.
    pub expirations: BTreeMap<String, String>,
    /// A token that the download of the runner's package takes, as some servers ask for.
    pub download_token: Option<String>,
    /// How much GitHub's clock is ahead of this machine's.
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

/// What workflows of pull requests from forks may do.
#[derive(Clone, Copy, Debug, Default)]
pub struct ForkRights {
    /// They run.
    pub run: bool,
    /// They get a token that may write.
    pub write_tokens: bool,
    /// They get secrets.
    pub secrets: bool,
}
