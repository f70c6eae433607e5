//! The commit, pull request or issue that a report is posted to.

use std::str::FromStr;

use cml_github::{CommentTarget, GitHub, GitHubErrorKind};

use crate::ci::Ci;
use crate::error::ReportError;

/// A target as given by the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The event's pull request, else the first open one of the commit, else the commit.
    Auto,
    /// The same, but never the commit.
    Pull,
    /// The commit that the run is about.
    Commit,
    /// The given one.
    Given(CommentTarget),
}

impl FromStr for Target {
    type Err = ReportError;

    fn from_str(text: &str) -> Result<Self, ReportError> {
        let unknown = || ReportError::BadTarget(text.to_owned());
        let (kind, name) = match text.split_once('/') {
            Some((kind, name)) => (kind, Some(name)),
            None => (text, None),
        };
        let number = || name.and_then(|name| name.parse().ok()).ok_or_else(unknown);
        Ok(match (kind.to_ascii_lowercase().as_str(), name) {
            ("auto", None) => Self::Auto,
            ("pr", None) => Self::Pull,
            ("commit", None) => Self::Commit,
            ("pr", Some(_)) => Self::Given(CommentTarget::Pull(number()?)),
            ("issue", Some(_)) => Self::Given(CommentTarget::Issue(number()?)),
            ("commit", Some(sha)) if is_revision(sha) => Self::Given(CommentTarget::Commit(sha.to_owned())),
            _ => return Err(unknown()),
        })
    }
}

/// Returns true for a hash, or the name of a branch or a tag; none of its characters needs escaping in a path.
fn is_revision(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c))
}

impl Target {
    /// Resolves the target.
    ///
    /// # Errors
    /// When there is none, or as GitHub answers.
    pub async fn find(&self, ci: &Ci, github: &GitHub) -> Result<CommentTarget, ReportError> {
        if let Self::Given(target) = self {
            return Ok(target.clone());
        }
        if *self != Self::Commit
            && let Some(number) = ci.pull
        {
            return Ok(CommentTarget::Pull(number));
        }
        let sha = ci.head_sha.clone().ok_or(ReportError::NoCommit)?;
        if *self == Self::Commit {
            return Ok(CommentTarget::Commit(sha));
        }
        let pulls = match github.pulls_of_commit(&sha).await {
            Ok(pulls) => pulls,
            // A token that may comment on commits need not be allowed to read pull requests.
            Err(error)
                if *self == Self::Auto
                    && matches!(
                        error.kind,
                        GitHubErrorKind::Forbidden | GitHubErrorKind::NotFound | GitHubErrorKind::Invalid
                    ) =>
            {
                tracing::warn!("{error}: the report goes to the commit");
                Vec::new()
            }
            Err(error) => return Err(error.into()),
        };
        match (pulls.iter().find(|pull| pull.state == "open"), self) {
            (Some(pull), _) => Ok(CommentTarget::Pull(pull.number)),
            (None, Self::Pull) => Err(ReportError::NoPull(sha)),
            (None, _) => Ok(CommentTarget::Commit(sha)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_without_regard_to_case() {
        let read = |text: &str| text.parse::<Target>().expect(text);
        assert_eq!(read("AUTO"), Target::Auto);
        assert_eq!(read("pr"), Target::Pull);
        assert_eq!(read("PR/9"), Target::Given(CommentTarget::Pull(9)));
        assert_eq!(read("issue/12"), Target::Given(CommentTarget::Issue(12)));
        assert_eq!(read("commit/3f2A"), Target::Given(CommentTarget::Commit("3f2A".to_owned())));
    }

    #[test]
    fn what_is_no_target_is_named_with_those_that_are() {
        for text in
            ["", "issue", "pr/", "pr/x", "issue/-1", "foo/9", "commit/", "commit/a/b", "commit/a b", "pr/9/1"]
        {
            let error = text.parse::<Target>().expect_err(text).to_string();
            assert!(error.contains(&format!("\"{text}\"")) && error.contains("pr/NUMBER"), "{error}");
        }
    }
}
