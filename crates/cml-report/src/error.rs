//! Errors of posting a report.

use cml_github::GitHubError;

use crate::store::ArtifactError;

/// Reason why a report was not posted; each message contains what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The target is unknown.
    #[error(
        "unsupported comment target \"{0}\": use auto, pr, commit, commit/SHA, pr/NUMBER or issue/NUMBER"
    )]
    BadTarget(String),
    /// The target needs a commit, and none is known.
    #[error(
        "it is not known which commit the report is about: run inside a workflow or a git checkout, or say \
         --target commit/SHA, pr/NUMBER or issue/NUMBER"
    )]
    NoCommit,
    /// There is no pull request for the commit.
    #[error(
        "PR for commit sha \"{0}\" not found: open one, name it with --target pr/NUMBER, or use --target commit"
    )]
    NoPull(String),
    /// The report is empty.
    #[error("the report is empty: GitHub takes no comment without text")]
    Empty,
    /// The section's name would break the comment.
    #[error("--section {0:?}: a name is letters, digits, spaces, '.', '_' and '-'")]
    BadSection(String),
    /// The other sections leave no room.
    #[error(
        "the comment's other sections take all that GitHub allows ({limit} bytes): shorten them, or give this report a \
         comment of its own with --watermark-title"
    )]
    NoRoom {
        /// Maximum size of a comment, bytes.
        limit: usize,
    },
    /// Other jobs wrote at the same time, again and again.
    #[error(
        "the comment was changed by others {0} times while this section was written into it: run it again"
    )]
    Contended(u32),
    /// GitHub refused.
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    /// Any other error, with its own message.
    #[error("{0}")]
    Other(String),
    /// A file could not be stored.
    #[error(transparent)]
    Shelf(#[from] ArtifactError),
}
