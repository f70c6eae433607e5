//! A pull request with files that a job has changed, made without a clone: no credentials are written to git's
//! configuration, and the checkout is not modified.

use cml_github::{AutoMerge, GitHub, GitHubError, GitHubErrorKind, MergeMethod, NewPull, Pull, TreeEntry};

/// One file that a job has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its path in the repository.
    pub path: String,
    /// `100644`, `100755` or `120000`.
    pub mode: String,
    /// Its content; `None`: it was removed.
    pub bytes: Option<Vec<u8>>,
}

/// The branch and the pull request to make.
#[derive(Clone, Debug)]
pub struct NewBranch<'a> {
    /// The new branch.
    pub branch: &'a str,
    /// The branch to change.
    pub base: &'a str,
    /// The commit that was checked out; it exists at GitHub.
    pub parent: &'a str,
    /// The commit's message.
    pub message: &'a str,
    /// The commit's author: name, address.
    pub author: Option<(&'a str, &'a str)>,
    /// The pull request's title.
    pub title: &'a str,
    /// Its text.
    pub body: &'a str,
    /// How to merge it once its checks allow; `None`: not at all.
    pub merge: Option<MergeMethod>,
}

/// A pull request that is open, or was merged at once.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Address of the pull request for people.
    pub url: String,
    /// Whether the branch existed already, with this pull request.
    pub was_there: bool,
    /// Whether it was merged at once: GitHub had nothing to wait for.
    pub merged: bool,
    /// Why it was not merged and will not be, though asked for: it stays open.
    pub not_merged: Option<GitHubError>,
}

/// Creates the branch and opens the pull request. A repeated run finds what exists.
///
/// # Errors
/// As GitHub answers; what was made by then stays, and is found by another run. A pull request that is open and could
/// not be merged is no error: see [`Opened::not_merged`].
pub async fn open(github: &GitHub, new: &NewBranch<'_>, changes: &[Change]) -> Result<Opened, GitHubError> {
    let reference = format!("refs/heads/{}", new.branch);
    let mut was_there = github.reference(&reference).await?.is_some();
    if !was_there {
        let commit = commit(github, new, changes).await?;
        was_there = !github.create_reference(&reference, &commit).await?;
    }
    let pull = match github.open_pull(new.branch, new.base).await? {
        Some(pull) => pull,
        None => {
            was_there = false;
            create(github, new).await?
        }
    };
    let merged = match new.merge {
        Some(method) => merge(github, &pull, method).await,
        None => Ok(false),
    };
    let (merged, not_merged) = match merged {
        Ok(merged) => (merged, None),
        Err(error) => (false, Some(error)),
    };
    Ok(Opened { url: pull.html_url, was_there, merged, not_merged })
}

async fn commit(github: &GitHub, new: &NewBranch<'_>, changes: &[Change]) -> Result<String, GitHubError> {
    let missing = || GitHubError {
        kind: GitHubErrorKind::NotFound,
        doing: format!("looking for the commit {}", new.parent),
        cause: "GitHub does not have it".to_owned(),
        hint: Some(
            "push it first: the pull request is made on top of the commit that is checked out".to_owned(),
        ),
    };
    let base = github.commit(new.parent).await?.ok_or_else(missing)?.tree;
    let mut entries = Vec::new();
    for change in changes {
        let sha = match &change.bytes {
            Some(bytes) => Some(github.create_blob(bytes).await?),
            None => None,
        };
        entries.push(TreeEntry { path: change.path.clone(), mode: change.mode.clone(), kind: "blob", sha });
    }
    let tree = github.create_tree(Some(&base), &entries).await?;
    github.create_commit(new.message, &tree, &[new.parent.to_owned()], new.author).await
}

/// Opens it; when GitHub's answer is lost, it is searched for before it is opened again.
async fn create(github: &GitHub, new: &NewBranch<'_>) -> Result<Pull, GitHubError> {
    let pull = NewPull { title: new.title, body: new.body, head: new.branch, base: new.base };
    match github.create_pull(&pull).await {
        Err(error) if error.kind == GitHubErrorKind::Transient => {
            match github.open_pull(new.branch, new.base).await? {
                Some(pull) => Ok(pull),
                None => github.create_pull(&pull).await,
            }
        }
        other => other,
    }
}

/// Enables auto-merge, or merges at once where GitHub reports that there is nothing to wait for; returns true when it
/// is merged. After any other answer it stays open: a merge before the checks was not asked for.
async fn merge(github: &GitHub, pull: &Pull, method: MergeMethod) -> Result<bool, GitHubError> {
    let said = match github.enable_auto_merge(pull, method).await? {
        AutoMerge::Enabled => return Ok(false),
        AutoMerge::NothingToWaitFor(said) => said,
    };
    match github.merge_pull(pull.number, method).await {
        Ok(()) => Ok(true),
        Err(mut error) => {
            error.cause = format!("{}; nor can it be merged later: {said}", error.cause);
            error.hint = Some(
                "the pull request stays open; to have it merged once its checks allow, allow auto-merge (Settings, General, \
                 Pull Requests) and protect the branch with required checks"
                    .to_owned(),
            );
            Err(error)
        }
    }
}
