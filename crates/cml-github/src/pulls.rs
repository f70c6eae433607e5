//! Pull requests. <https://docs.github.com/en/rest/pulls/pulls>

use serde::Deserialize;
use serde_json::json;

use crate::error::{GitHubError, GitHubErrorKind, refused};
use crate::lists::PER_PAGE;
use crate::location::Scope;
use crate::names::segment;
use crate::runners::{GitHub, escaped};
use crate::transport;

/// A pull request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Pull {
    /// Its number.
    pub number: u64,
    /// `open` or `closed`.
    #[serde(default)]
    pub state: String,
    /// Its address for people.
    #[serde(default)]
    pub html_url: String,
    /// Its id in the GraphQL API.
    #[serde(default)]
    pub node_id: String,
}

/// A pull request to open.
#[derive(Clone, Debug)]
pub struct NewPull<'a> {
    /// Its title.
    pub title: &'a str,
    /// Its text, in Markdown.
    pub body: &'a str,
    /// The branch with the change.
    pub head: &'a str,
    /// The branch to change.
    pub base: &'a str,
}

/// Result of enabling auto-merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AutoMerge {
    /// GitHub merges it once its checks and reviews allow.
    Enabled,
    /// GitHub reports that there is nothing to wait for; with its message.
    NothingToWaitFor(String),
}

/// GitHub's messages where a pull request has nothing to wait for: it can be merged already, or the repository or the
/// branch has no rules to wait for. CML uses the first three.
/// <https://github.com/iterative/cml/blob/main/src/drivers/github.js>,
/// <https://github.com/peter-evans/enable-pull-request-automerge/issues/1118>
const NOTHING_TO_WAIT_FOR: [&str; 4] = [
    "Pull request is in clean status",
    "Protected branch rules not configured for this branch",
    "Can't enable auto-merge for this pull request",
    "Auto merge is not allowed for this repository",
];

/// Merge method of a pull request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeMethod {
    /// A merge commit.
    Merge,
    /// Its commits, rebased.
    Rebase,
    /// One squashed commit.
    Squash,
}

impl MergeMethod {
    fn word(self) -> &'static str {
        match self {
            Self::Merge => "merge",
            Self::Rebase => "rebase",
            Self::Squash => "squash",
        }
    }
}

impl GitHub {
    /// Returns the pull requests that this commit belongs to, open ones first.
    ///
    /// # Errors
    /// As GitHub answers.
    pub async fn pulls_of_commit(&self, sha: &str) -> Result<Vec<Pull>, GitHubError> {
        let call = self.writing("looking for the pull requests of a commit of", "pull-requests");
        let path = self.repository_path(&format!("/commits/{}/pulls?per_page={PER_PAGE}", segment(sha)))?;
        let mut all: Vec<Pull> = transport::get(self.client().await?, &path, &call).await?;
        all.sort_by_key(|pull| pull.state != "open");
        Ok(all)
    }

    /// Returns the open pull request from one branch of this repository to another.
    ///
    /// # Errors
    /// As GitHub answers.
    pub async fn open_pull(&self, head: &str, base: &str) -> Result<Option<Pull>, GitHubError> {
        let call = self.writing("looking for pull requests of", "pull-requests");
        let owner = match &self.location().scope {
            Scope::Repository { owner, .. } => owner.as_str(),
            _ => "",
        };
        let head = escaped(&format!("{owner}:{head}"));
        let path = self.repository_path(&format!("/pulls?state=open&head={head}&base={}", escaped(base)))?;
        let all: Vec<Pull> = transport::get(self.client().await?, &path, &call).await?;
        Ok(all.into_iter().next())
    }

    /// Opens a pull request. Never repeated: after [`GitHubErrorKind::Transient`] it may be open.
    ///
    /// # Errors
    /// As GitHub answers.
    pub async fn create_pull(&self, pull: &NewPull<'_>) -> Result<Pull, GitHubError> {
        let mut call = self.writing("opening a pull request of", "pull-requests");
        call.hint = Some(
            "it takes `permissions: {contents: write, pull-requests: write}`, and \"Allow GitHub Actions to create and \
             approve pull requests\" in the repository's settings (Actions, General), or another token"
                .to_owned(),
        );
        let body = json!({"title": pull.title, "body": pull.body, "head": pull.head, "base": pull.base});
        transport::post(self.client().await?, &self.repository_path("/pulls")?, Some(&body), &call).await
    }

    /// Merges a pull request immediately.
    ///
    /// # Errors
    /// As GitHub answers; [`GitHubErrorKind::Invalid`] when it cannot be merged now.
    pub async fn merge_pull(&self, number: u64, method: MergeMethod) -> Result<(), GitHubError> {
        let call = self.writing("merging a pull request of", "contents");
        let path = self.repository_path(&format!("/pulls/{number}/merge"))?;
        let body = json!({"merge_method": method.word()});
        let answer = transport::put(self.client().await?, &path, &body, &call).await?;
        if (200..300).contains(&answer.status) { Ok(()) } else { Err(refused(&call, &answer)) }
    }

    /// Enables auto-merge: GitHub merges the pull request once its checks and reviews allow.
    /// <https://docs.github.com/en/graphql/reference/mutations#enablepullrequestautomerge>
    ///
    /// # Errors
    /// As GitHub answers, by the type of its GraphQL errors. None of them means that it may be merged immediately.
    pub async fn enable_auto_merge(
        &self,
        pull: &Pull,
        method: MergeMethod,
    ) -> Result<AutoMerge, GitHubError> {
        const MUTATION: &str = "mutation($id: ID!, $method: PullRequestMergeMethod!) { \
             enablePullRequestAutoMerge(input: {pullRequestId: $id, mergeMethod: $method}) { clientMutationId } }";
        let call = self.writing("having a pull request merged later in", "pull-requests");
        let body = json!({
            "query": MUTATION,
            "variables": {"id": pull.node_id, "method": method.word().to_uppercase()},
        });
        let answer: GraphQlAnswer =
            transport::post(&self.graphql_client().await?, "/graphql", Some(&body), &call).await?;
        match answer.errors.as_slice() {
            [] => Ok(AutoMerge::Enabled),
            errors if errors.iter().all(GraphQlError::is_nothing_to_wait_for) => {
                Ok(AutoMerge::NothingToWaitFor(words(errors)))
            }
            errors => Err(GitHubError {
                kind: errors.iter().map(GraphQlError::kind).next().unwrap_or(GitHubErrorKind::Invalid),
                doing: call.doing,
                cause: format!("GitHub answered: {}", words(errors)),
                hint: Some(
                    "the pull request stays open: merge it by hand once its checks have passed; auto-merge takes \
                     `permissions: {contents: write, pull-requests: write}`"
                        .to_owned(),
                ),
            }),
        }
    }
}

/// An answer of the GraphQL API: errors come in a 200.
#[derive(Deserialize)]
struct GraphQlAnswer {
    #[serde(default)]
    errors: Vec<GraphQlError>,
}

#[derive(Deserialize)]
struct GraphQlError {
    #[serde(default)]
    message: String,
    #[serde(default, rename = "type")]
    kind: String,
}

impl GraphQlError {
    fn is_nothing_to_wait_for(&self) -> bool {
        NOTHING_TO_WAIT_FOR.iter().any(|said| self.message.contains(said))
    }

    fn kind(&self) -> GitHubErrorKind {
        match self.kind.as_str() {
            "FORBIDDEN" | "INSUFFICIENT_SCOPES" => GitHubErrorKind::Forbidden,
            "NOT_FOUND" => GitHubErrorKind::NotFound,
            "RATE_LIMITED" => GitHubErrorKind::RateLimited { retry_at: None },
            "SERVICE_UNAVAILABLE" | "INTERNAL" => GitHubErrorKind::Transient,
            _ => GitHubErrorKind::Invalid,
        }
    }
}

fn words(errors: &[GraphQlError]) -> String {
    let said: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
    said.join("; ")
}
