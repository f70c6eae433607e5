//! Git objects and references of a repository, without a clone.
//! <https://docs.github.com/en/rest/git>

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::error::{GitHubError, refused};
use crate::names::{reference, segment};
use crate::runners::GitHub;
use crate::transport::{self, RequestContext};

const PERMISSION: &str = "contents";

/// One entry of a tree to create.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TreeEntry {
    /// Path below the root.
    pub path: String,
    /// `100644`, `100755` (executable) or `120000` (symbolic link).
    pub mode: String,
    /// Always `blob`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The blob; `None` removes the path.
    pub sha: Option<String>,
}

impl TreeEntry {
    /// Creates an entry for a plain file.
    #[must_use]
    pub fn file(path: String, sha: String) -> Self {
        Self { path, mode: "100644".to_owned(), kind: "blob", sha: Some(sha) }
    }
}

/// A reference and the commit that it points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// `refs/heads/main`.
    pub name: String,
    /// The commit's hash.
    pub sha: String,
}

/// Contents of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitRecord {
    /// Its tree.
    pub tree: String,
    /// Time of its creation.
    pub at: Timestamp,
}

#[derive(Deserialize)]
struct Named {
    sha: String,
}

#[derive(Deserialize)]
struct ReferenceWire {
    #[serde(rename = "ref")]
    name: String,
    object: Named,
}

#[derive(Deserialize)]
struct CommitWire {
    tree: Named,
    committer: DatedWire,
}

#[derive(Deserialize)]
struct DatedWire {
    date: Timestamp,
}

#[derive(Deserialize)]
struct TreeWire {
    tree: Vec<EntryWire>,
}

#[derive(Deserialize)]
struct EntryWire {
    path: String,
    #[serde(rename = "type")]
    kind: String,
    sha: String,
}

impl From<ReferenceWire> for Reference {
    fn from(wire: ReferenceWire) -> Self {
        Self { name: wire.name, sha: wire.object.sha }
    }
}

impl GitHub {
    /// Stores bytes and returns the blob's hash.
    ///
    /// # Errors
    /// As GitHub answers; it takes 100 MB at most.
    pub async fn create_blob(&self, bytes: &[u8]) -> Result<String, GitHubError> {
        let call = self.about_objects("storing a file in").with_body_timeout(bytes.len());
        let body = json!({"content": STANDARD.encode(bytes), "encoding": "base64"});
        let path = self.repository_path("/git/blobs")?;
        transport::post_idempotent(self.client().await?, &path, &body, &call).await.map(|it: Named| it.sha)
    }

    /// Creates a tree, alone or based on another one, and returns its hash.
    ///
    /// # Errors
    /// As GitHub answers.
    pub async fn create_tree(
        &self,
        base: Option<&str>,
        entries: &[TreeEntry],
    ) -> Result<String, GitHubError> {
        let call = self.about_objects("making a tree in");
        let mut body = json!({"tree": entries});
        if let Some(base) = base {
            body["base_tree"] = base.into();
        }
        let path = self.repository_path("/git/trees")?;
        transport::post_idempotent(self.client().await?, &path, &body, &call).await.map(|it: Named| it.sha)
    }

    /// Returns paths and blobs of a tree, all levels.
    ///
    /// # Errors
    /// As GitHub answers.
    pub async fn tree(&self, sha: &str) -> Result<Vec<(String, String)>, GitHubError> {
        let call = self.about_objects("reading a tree of");
        let path = self.repository_path(&format!("/git/trees/{}?recursive=1", segment(sha)))?;
        let tree: TreeWire = transport::get(self.client().await?, &path, &call).await?;
        let blobs = tree.tree.into_iter().filter(|entry| entry.kind == "blob");
        Ok(blobs.map(|entry| (entry.path, entry.sha)).collect())
    }

    /// Creates a commit and returns its hash. It is unreachable until a reference points to it.
    ///
    /// # Errors
    /// As GitHub answers.
    pub async fn create_commit(
        &self,
        message: &str,
        tree: &str,
        parents: &[String],
        author: Option<(&str, &str)>,
    ) -> Result<String, GitHubError> {
        let call = self.about_objects("making a commit in");
        let mut body = json!({"message": message, "tree": tree, "parents": parents});
        if let Some((name, email)) = author {
            body["author"] = json!({"name": name, "email": email});
        }
        let path = self.repository_path("/git/commits")?;
        transport::post_idempotent(self.client().await?, &path, &body, &call).await.map(|it: Named| it.sha)
    }

    /// Returns a commit; `None` when it does not exist.
    ///
    /// # Errors
    /// As GitHub answers.
    pub async fn commit(&self, sha: &str) -> Result<Option<CommitRecord>, GitHubError> {
        let call = self.about_objects("reading a commit of");
        let path = self.repository_path(&format!("/git/commits/{}", segment(sha)))?;
        let found: Option<CommitWire> = transport::find(self.client().await?, &path, &call).await?;
        Ok(found.map(|it| CommitRecord { tree: it.tree.sha, at: it.committer.date }))
    }

    /// Returns the commit that a reference (`refs/heads/main`) points to; `None` when it does not exist.
    ///
    /// # Errors
    /// As GitHub answers.
    pub async fn reference(&self, name: &str) -> Result<Option<String>, GitHubError> {
        let call = self.about_objects("looking at a reference of");
        let path = self.repository_path(&format!("/git/ref/{}", reference(bare(name))))?;
        let found: Option<ReferenceWire> = transport::find(self.client().await?, &path, &call).await?;
        // GitHub has been seen to answer with a longer name with this prefix.
        Ok(found.filter(|it| it.name == name).map(|it| it.object.sha))
    }

    /// Returns all references with this prefix.
    ///
    /// # Errors
    /// As GitHub answers.
    pub async fn references(&self, prefix: &str) -> Result<Vec<Reference>, GitHubError> {
        let call = self.about_objects("listing references of");
        let base = self.repository_path(&format!("/git/matching-refs/{}", reference(bare(prefix))))?;
        let client = self.client().await?;
        let mut all: Vec<Reference> = Vec::new();
        let mut query = String::new();
        loop {
            let answer = transport::get_if_none_match(client, &format!("{base}{query}"), None, &call).await?;
            // GitHub documents no pages for this list; in case there are any, the header has the next one.
            let next = answer.header("link").and_then(next_query);
            let page: Vec<ReferenceWire> = answer.read(&call)?;
            all.extend(page.into_iter().map(Reference::from));
            match next {
                Some(next) if next != query => query = next,
                _ => return Ok(all),
            }
        }
    }

    /// Creates a reference; returns false when one of this name exists.
    ///
    /// # Errors
    /// As GitHub answers.
    pub async fn create_reference(&self, name: &str, sha: &str) -> Result<bool, GitHubError> {
        let call = self.about_objects("making a reference in");
        let path = self.repository_path("/git/refs")?;
        let made: Result<ReferenceWire, _> =
            transport::post(self.client().await?, &path, Some(&json!({"ref": name, "sha": sha})), &call)
                .await;
        match made {
            Ok(_) => Ok(true),
            Err(error) if error.cause.contains("already exists") => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Moves a reference forward; returns false when its commit is not an ancestor of this one any more: another job
    /// was faster.
    ///
    /// # Errors
    /// As GitHub answers.
    pub async fn advance_reference(&self, name: &str, sha: &str) -> Result<bool, GitHubError> {
        let call = self.about_objects("moving a reference of");
        let path = self.repository_path(&format!("/git/refs/{}", reference(bare(name))))?;
        let body = json!({"sha": sha, "force": false});
        let answer = transport::patch(self.client().await?, &path, &body, &call).await?;
        if answer.status == 422 && String::from_utf8_lossy(&answer.body).contains("fast forward") {
            return Ok(false);
        }
        answer.read::<ReferenceWire>(&call).map(|_| true)
    }

    /// Deletes a reference; one that does not exist any more is no error.
    ///
    /// # Errors
    /// As GitHub answers.
    pub async fn delete_reference(&self, name: &str) -> Result<(), GitHubError> {
        let call = self.about_objects("removing a reference of");
        let path = self.repository_path(&format!("/git/refs/{}", reference(bare(name))))?;
        let answer = transport::delete(self.client().await?, &path, &call).await?;
        let gone = answer.status == 422 && String::from_utf8_lossy(&answer.body).contains("does not exist");
        if (200..300).contains(&answer.status) || answer.status == 404 || gone {
            return Ok(());
        }
        Err(refused(&call, &answer))
    }

    fn about_objects(&self, doing: &str) -> RequestContext<'_> {
        self.writing(doing, PERMISSION)
    }
}

/// Returns `?page=2` of `<https://…?page=2>; rel="next"`: relative to the API's base, because octocrab drops the
/// credentials elsewhere.
fn next_query(link: &str) -> Option<String> {
    let next = link.split(',').find(|part| part.contains("rel=\"next\""))?;
    let url = next.split_once('<')?.1.split_once('>')?.0;
    Some(format!("?{}", url.split_once('?')?.1))
}

/// Returns the name as in the API's paths: `heads/main` for `refs/heads/main`.
fn bare(name: &str) -> &str {
    name.strip_prefix("refs/").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_where_github_says() {
        let link = "<https://api.github.com/x?page=1>; rel=\"prev\", <https://api.github.com/x?per_page=30&page=3>; rel=\"next\"";
        assert_eq!(next_query(link).as_deref(), Some("?per_page=30&page=3"));
        assert_eq!(next_query("<https://api.github.com/x?page=1>; rel=\"last\""), None);
    }
}
