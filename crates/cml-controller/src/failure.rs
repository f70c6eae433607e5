//! Why a launch failed: messages for people, reasons to branch on.

use cml_bootstrap::BootstrapError;
use cml_cloud::{CloudError, ErrorKind};
use cml_github::{GitHubError, GitHubErrorKind};
use cml_journal::JournalError;
use jiff::SignedDuration;

use crate::clock::describe_skew;

/// A failed launch. Only what `left_behind` names is left of it.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Failure {
    /// Why.
    #[source]
    pub reason: Reason,
    /// What could not be removed, each with what ends it; nearly always empty.
    pub left_behind: Vec<String>,
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        Self { reason: reason.or_interrupted(), left_behind: Vec::new() }
    }
}

/// Why a launch failed.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// Every offer was refused; one error per region and market that was tried.
    #[error("no machine could be bought: {}", summary(.0))]
    NoCapacity(Vec<CloudError>),
    /// Another error of the cloud.
    #[error("{0}")]
    Cloud(CloudError),
    /// An error of GitHub.
    #[error("{0}")]
    GitHub(GitHubError),
    /// The journal could not be written: without it nothing is launched.
    #[error("{0}")]
    Journal(JournalError),
    /// The user data could not be made.
    #[error("{0}")]
    Bootstrap(BootstrapError),
    /// GitHub offers no runner for this machine.
    #[error("GitHub lists no runner package for linux-{0}")]
    NoPackage(String),
    /// The name belongs to another runner.
    #[error("the runner name {name} is already in use")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// The runner never came online.
    #[error(
        "the runner did not come online within {waited_seconds} s; the machine's last words: {last_words}"
    )]
    NotOnline {
        /// How long the launch waited.
        waited_seconds: u64,
        /// The machine's last words, or that its console is empty.
        last_words: String,
    },
    /// The machine ended before its runner came online.
    #[error("the machine ended before its runner came online ({ended}); its last words: {last_words}")]
    MachineEnded {
        /// The cloud's reason.
        ended: String,
        /// The machine's last words.
        last_words: String,
    },
    /// A deadline by this clock would be wrong.
    #[error("this machine's clock is {}: nothing is launched by it", describe_skew(*ahead))]
    Clock {
        /// How far it is ahead of GitHub's.
        ahead: SignedDuration,
    },
    /// A signal asked the process to stop.
    #[error("interrupted by a signal")]
    Interrupted,
}

impl Reason {
    /// Turns a wait for GitHub that a signal has ended into [`Self::Interrupted`].
    pub(crate) fn or_interrupted(self) -> Self {
        match self {
            Self::GitHub(error) if error.kind == GitHubErrorKind::Interrupted => Self::Interrupted,
            other => other,
        }
    }

    /// Returns whether all refusals were quotas, for exit codes: a quota is more specific than missing capacity. Regions that
    /// failed otherwise do not count.
    #[must_use]
    pub fn refused_by_quota(&self) -> bool {
        match self {
            Self::NoCapacity(errors) => {
                let mut refusals = errors.iter().filter(|error| is_refusal(error)).peekable();
                refusals.peek().is_some() && refusals.all(|error| error.kind == ErrorKind::Quota)
            }
            _ => false,
        }
    }

    /// Returns why nothing was launched, from the errors of every region and market.
    pub(crate) fn none_bought(errors: Vec<CloudError>) -> Self {
        if errors.is_empty() || errors.iter().any(is_refusal) {
            return Self::NoCapacity(errors);
        }
        let all = summary(errors.get(1..).unwrap_or_default());
        match errors.into_iter().next() {
            // The first region is the preferred one: its kind and hint are the ones to act upon.
            Some(first) if !all.is_empty() => {
                Self::Cloud(CloudError { cause: format!("{}; {all}", first.cause), ..first })
            }
            Some(first) => Self::Cloud(first),
            None => Self::NoCapacity(Vec::new()),
        }
    }
}

/// Returns true for errors that mean no machine now; others are about the account or the request.
fn is_refusal(error: &CloudError) -> bool {
    matches!(error.kind, ErrorKind::Capacity | ErrorKind::Quota | ErrorKind::Throttled)
}

fn summary(errors: &[CloudError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
