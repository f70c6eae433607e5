//! Why a launch failed, for people and for branching.

use cml_bootstrap::BootstrapError;
use cml_cloud::{CloudError, ErrorKind};
use cml_github::{GitHubError, GitHubErrorKind};
use cml_journal::JournalError;
use jiff::SignedDuration;

use crate::clock::describe_skew;

/// A launch failed; nothing of it is left but what `left_behind` names.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Failure {
    /// Why.
    #[source]
    pub reason: Reason,
    /// What could not be removed, each with what ends it. Empty nearly always.
    pub left_behind: Vec<String>,
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        Self { reason: reason.or_interrupted(), left_behind: Vec::new() }
    }
}

/// The reasons a launch can fail for.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// Every offer was refused; one error per region and market that was tried.
    #[error("no machine could be bought: {}", summary(.0))]
    NoCapacity(Vec<CloudError>),
    /// The cloud failed in another way.
    #[error("{0}")]
    Cloud(CloudError),
    /// GitHub failed.
    #[error("{0}")]
    GitHub(GitHubError),
    /// The journal could not be written: without it nothing is bought.
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
        /// How long we waited.
        waited_seconds: u64,
        /// What the machine said last, or that it said nothing.
        last_words: String,
    },
    /// The machine ended before its runner came online.
    #[error("the machine ended before its runner came online ({ended}); its last words: {last_words}")]
    MachineEnded {
        /// The cloud's reason.
        ended: String,
        /// What the machine said last.
        last_words: String,
    },
    /// A deadline by this clock would be wrong.
    #[error("this machine's clock is {}: nothing is launched by it", describe_skew(*ahead))]
    Clock {
        /// How far it is ahead of GitHub's.
        ahead: SignedDuration,
    },
    /// A signal asked us to stop.
    #[error("interrupted by a signal")]
    Interrupted,
}

impl Reason {
    /// A wait at GitHub that a signal has cut short is an interrupt, wherever it was.
    pub(crate) fn or_interrupted(self) -> Self {
        match self {
            Self::GitHub(error) if error.kind == GitHubErrorKind::Interrupted => Self::Interrupted,
            other => other,
        }
    }

    /// The worst kind among the refusals, for exit codes: quota says more than capacity. Regions that failed otherwise say
    /// nothing of either.
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

    /// Why nothing was bought, by what every region and market said.
    pub(crate) fn none_bought(errors: Vec<CloudError>) -> Self {
        if errors.is_empty() || errors.iter().any(is_refusal) {
            return Self::NoCapacity(errors);
        }
        let all = summary(errors.get(1..).unwrap_or_default());
        match errors.into_iter().next() {
            // The first region is the one that was wanted most: its kind and hint are what is acted upon.
            Some(first) if !all.is_empty() => {
                Self::Cloud(CloudError { cause: format!("{}; {all}", first.cause), ..first })
            }
            Some(first) => Self::Cloud(first),
            None => Self::NoCapacity(Vec::new()),
        }
    }
}

/// There is no machine there now; another answer would be about the account or the request.
fn is_refusal(error: &CloudError) -> bool {
    matches!(error.kind, ErrorKind::Capacity | ErrorKind::Quota | ErrorKind::Throttled)
}

fn summary(errors: &[CloudError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
