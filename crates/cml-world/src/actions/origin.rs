//! Origin of a run: its commit, the repository of its code, and the login that caused it.

/// Origin of a run. For a pull request a job sees the merge, and the run belongs to the head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// `GITHUB_SHA`
    pub(crate) sha: String,
    /// `GITHUB_REF`
    pub(crate) reference: String,
    pub(crate) head_sha: String,
    pub(crate) head_branch: String,
    pub(crate) head_repository: HeadRepository,
    /// The login that caused the event. It stays the same when another login starts a later attempt.
    pub(crate) actor: String,
}

/// The repository whose branch the code is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HeadRepository {
    /// The repository itself.
    Own,
    /// A fork, `owner/name`.
    Fork(String),
    /// A fork that had this name until it was deleted.
    DeletedFork(String),
}

impl HeadRepository {
    /// Returns the repository of this name, seen from this repository.
    pub(crate) fn named(name: &str, repository: &str) -> Self {
        if name.eq_ignore_ascii_case(repository) { Self::Own } else { Self::Fork(name.to_owned()) }
    }

    /// Returns the login of a fork's owner, which stays known when the fork is deleted; `None` where it is no fork.
    pub(crate) fn fork_owner(&self) -> Option<&str> {
        match self {
            Self::Own => None,
            Self::Fork(name) | Self::DeletedFork(name) => Some(owner_of(name)),
        }
    }

    /// Marks a fork as deleted.
    pub(crate) fn forget(&mut self, fork: &str) {
        if *self == Self::Fork(fork.to_owned()) {
            *self = Self::DeletedFork(fork.to_owned());
        }
    }
}

/// Returns the owner in `owner/name`.
pub(crate) fn owner_of(repository: &str) -> &str {
    repository.split_once('/').map_or(repository, |(owner, _)| owner)
}
