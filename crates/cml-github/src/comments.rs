//! Comments on commits, pull requests and issues.
//! <https://docs.github.com/en/rest/issues/comments>, <https://docs.github.com/en/rest/commits/comments>

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use crate::error::{GitHubError, refused};
use crate::lists::{PER_PAGE, Page, Reader};
use crate::names::segment;
use crate::runners::GitHub;
use crate::transport::{self, RequestContext};

/// Target of a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommentTarget {
    /// A commit, by its hash.
    Commit(String),
    /// A pull request, by its number.
    Pull(u64),
    /// An issue, by its number.
    Issue(u64),
}

impl fmt::Display for CommentTarget {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commit(sha) => write!(out, "commit {sha}"),
            Self::Pull(number) => write!(out, "pull request {number}"),
            Self::Issue(number) => write!(out, "issue {number}"),
        }
    }
}

impl CommentTarget {
    /// Returns the API path of its comments. A pull request's are an issue's.
    fn list(&self) -> String {
        match self {
            Self::Commit(sha) => format!("/commits/{}/comments", segment(sha)),
            Self::Pull(number) | Self::Issue(number) => format!("/issues/{number}/comments"),
        }
    }

    fn one(&self, id: u64) -> String {
        match self {
            Self::Commit(_) => format!("/comments/{id}"),
            Self::Pull(_) | Self::Issue(_) => format!("/issues/comments/{id}"),
        }
    }

    fn permission(&self) -> &'static str {
        match self {
            Self::Commit(_) => "contents",
            Self::Pull(_) => "pull-requests",
            Self::Issue(_) => "issues",
        }
    }
}

/// A comment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Comment {
    /// GitHub's id; later ones are greater.
    pub id: u64,
    /// Its Markdown.
    #[serde(default)]
    pub body: String,
    /// Its address for people.
    #[serde(default)]
    pub html_url: String,
    #[serde(default)]
    author_association: String,
    #[serde(default)]
    user: Option<Author>,
    #[serde(default)]
    performed_via_github_app: Option<App>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct App {
    id: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Author {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    login: String,
}

impl Comment {
    /// Returns whether a member of the repository wrote it, or an App. Comments of outsiders are never treated as this
    /// program's.
    #[must_use]
    pub fn is_of_the_house(&self) -> bool {
        self.is_by_bot() || ["OWNER", "MEMBER", "COLLABORATOR"].contains(&self.author_association.as_str())
    }

    /// Returns whether an App wrote it, as with a workflow's `GITHUB_TOKEN`.
    #[must_use]
    pub fn is_by_bot(&self) -> bool {
        self.user.as_ref().is_some_and(|user| user.kind == "Bot")
    }

    /// Returns whether this person wrote it.
    #[must_use]
    pub fn is_by(&self, login: &str) -> bool {
        self.person().is_some_and(|person| person.eq_ignore_ascii_case(login))
    }

    /// Returns the id of the App that wrote it, where GitHub reports it.
    #[must_use]
    pub fn app(&self) -> Option<u64> {
        self.performed_via_github_app.as_ref().map(|app| app.id)
    }

    /// Returns the person who wrote it; `None` for an App.
    #[must_use]
    pub fn person(&self) -> Option<&str> {
        let user = self.user.as_ref().filter(|_| !self.is_by_bot())?;
        Some(user.login.as_str()).filter(|login| !login.is_empty())
    }
}

impl Page for Vec<Comment> {
    type Item = Comment;
    type Key = u64;

    fn total(&self) -> Option<u64> {
        None
    }

    fn items(&self) -> &[Comment] {
        self
    }

    fn key(comment: &Comment) -> u64 {
        comment.id
    }
}

impl GitHub {
    /// Returns all comments, oldest first.
    ///
    /// # Errors
    /// As GitHub answers.
    pub async fn comments(&self, on: &CommentTarget) -> Result<Vec<Comment>, GitHubError> {
        let call = self.about_comment("reading the comments of", on);
        let base = self.repository_path(&on.list())?;
        let client = self.client().await?;
        let call = &call;
        let page = |number: usize| {
            let path = format!("{base}?per_page={PER_PAGE}&page={number}");
            async move { transport::get::<Vec<Comment>>(client, &path, call).await.map(Arc::new) }
        };
        Reader::ANY.whole(call, page).await
    }

    /// Returns one comment; `None` when it does not exist (any more).
    ///
    /// # Errors
    /// As GitHub answers.
    pub async fn comment(&self, on: &CommentTarget, id: u64) -> Result<Option<Comment>, GitHubError> {
        let call = self.about_comment("reading a comment of", on);
        transport::find(self.client().await?, &self.repository_path(&on.one(id))?, &call).await
    }

    /// Creates a comment. Never repeated: after [`GitHubErrorKind::Transient`](crate::GitHubErrorKind::Transient) it
    /// may exist.
    ///
    /// # Errors
    /// As GitHub answers.
    pub async fn create_comment(&self, on: &CommentTarget, body: &str) -> Result<Comment, GitHubError> {
        let call = self.about_comment("writing a comment on", on);
        let path = self.repository_path(&on.list())?;
        transport::post(self.client().await?, &path, Some(&json!({"body": body})), &call).await
    }

    /// Replaces the text of a comment; returns `None` when it does not exist (any more).
    ///
    /// # Errors
    /// As GitHub answers.
    pub async fn update_comment(
        &self,
        on: &CommentTarget,
        id: u64,
        body: &str,
    ) -> Result<Option<Comment>, GitHubError> {
        let call = self.about_comment("changing a comment on", on);
        let path = self.repository_path(&on.one(id))?;
        let answer = transport::patch(self.client().await?, &path, &json!({"body": body}), &call).await?;
        if answer.status == 404 { Ok(None) } else { answer.read(&call).map(Some) }
    }

    /// Does the same without a retry, for callers that must read the comment again before another attempt.
    ///
    /// # Errors
    /// As GitHub answers; after [`GitHubErrorKind::Transient`](crate::GitHubErrorKind::Transient) it may be done.
    pub async fn update_comment_once(
        &self,
        on: &CommentTarget,
        id: u64,
        body: &str,
    ) -> Result<Option<Comment>, GitHubError> {
        let call = self.about_comment("changing a comment on", on);
        let path = self.repository_path(&on.one(id))?;
        let answer =
            transport::patch_once(self.client().await?, &path, &json!({"body": body}), &call).await?;
        if answer.status == 404 { Ok(None) } else { answer.read(&call).map(Some) }
    }

    /// Deletes a comment; one that does not exist any more is no error.
    ///
    /// # Errors
    /// As GitHub answers.
    pub async fn delete_comment(&self, on: &CommentTarget, id: u64) -> Result<(), GitHubError> {
        let call = self.about_comment("removing a comment on", on);
        let answer =
            transport::delete(self.client().await?, &self.repository_path(&on.one(id))?, &call).await?;
        match answer.status {
            200..300 | 404 => Ok(()),
            _ => Err(refused(&call, &answer)),
        }
    }

    fn about_comment(&self, doing: &str, on: &CommentTarget) -> RequestContext<'_> {
        self.writing(&format!("{doing} {on} of"), on.permission())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_write_is_not_of_the_house() {
        let comment = |association: &str, kind: &str| -> Comment {
            let json = json!({
                "id": 1, "body": "x", "html_url": "https://x", "created_at": "2026-11-25T10:00:00Z",
                "author_association": association, "user": {"type": kind},
            });
            serde_json::from_value(json).expect("a comment")
        };
        assert!(comment("MEMBER", "User").is_of_the_house());
        assert!(comment("NONE", "Bot").is_of_the_house());
        assert!(!comment("NONE", "User").is_of_the_house());
        assert!(!comment("CONTRIBUTOR", "User").is_of_the_house());
    }
}
