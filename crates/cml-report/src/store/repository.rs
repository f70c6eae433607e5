//! The repository as a store: files in commits that only a reference of their own points to, `refs/cml/runs/RUN`.
//!
//! They are on no branch and in no clone; only accounts that may read the repository see them; once the reference is
//! removed, they are garbage. There is one reference for each run: what several steps and jobs publish at once is a
//! chain of commits, each of which moves the reference forward, so that no published address is ever invalidated by
//! another job.

use std::collections::BTreeMap;
use std::time::Duration;

use cml_github::{GitHub, GitHubError, TreeEntry};
use jiff::Timestamp;

use super::{Artifact, ArtifactError, ArtifactStore, check_count, escaped};
use crate::ci::Ci;

/// Prefix of all references of this program.
pub const PRUNED_BELOW: &str = "refs/cml/";
/// Maximum number of attempts when other jobs are faster.
const ATTEMPTS: u32 = 20;
/// Base of the waits after that; each later wait is this multiplied by the number of the attempt.
const WAIT: Duration = Duration::from_millis(150);

/// The repository as a store.
#[derive(Debug)]
pub struct RepositoryStore<'a> {
    github: &'a GitHub,
    reference: String,
}

impl<'a> RepositoryStore<'a> {
    /// Creates the store of this run; outside of a run, of the commit.
    #[must_use]
    pub fn new(github: &'a GitHub, ci: &Ci) -> Self {
        let name = match (ci.run_id, &ci.head_sha) {
            (Some(run), _) => format!("runs/{run}"),
            (None, Some(sha)) => format!("commits/{sha}"),
            (None, None) => "commits/none".to_owned(),
        };
        Self { github, reference: format!("{PRUNED_BELOW}{name}") }
    }

    /// Adds one commit to the existing ones; returns `None` when another job was faster. `blobs` are those that were
    /// uploaded by earlier attempts.
    async fn attempt(
        &self,
        paths: &[String],
        assets: &[Artifact],
        blobs: &mut BTreeMap<String, String>,
    ) -> Result<Option<String>, GitHubError> {
        let tip = self.github.reference(&self.reference).await?;
        let mut base = None;
        let mut known: Vec<String> = Vec::new();
        if let Some(tip) = &tip
            && let Some(commit) = self.github.commit(tip).await?
        {
            known = self.github.tree(&commit.tree).await?.into_iter().map(|(path, _)| path).collect();
            base = Some(commit.tree);
        }
        let mut entries: Vec<TreeEntry> = Vec::new();
        for (path, asset) in paths.iter().zip(assets) {
            if !known.contains(path) && entries.iter().all(|entry| entry.path != *path) {
                let blob = match blobs.get(path) {
                    Some(blob) => blob.clone(),
                    None => self.github.create_blob(&asset.bytes).await?,
                };
                blobs.insert(path.clone(), blob.clone());
                entries.push(TreeEntry::file(path.clone(), blob));
            }
        }
        if let Some(tip) = &tip
            && entries.is_empty()
        {
            return Ok(Some(tip.clone()));
        }
        let tree = self.github.create_tree(base.as_deref(), &entries).await?;
        let parents: Vec<String> = tip.iter().cloned().collect();
        let commit = self.github.create_commit("Files of a report", &tree, &parents, None).await?;
        let done = match tip {
            Some(_) => self.github.advance_reference(&self.reference, &commit).await?,
            None => self.github.create_reference(&self.reference, &commit).await?,
        };
        Ok(done.then_some(commit))
    }
}

impl ArtifactStore for RepositoryStore<'_> {
    async fn upload(&self, assets: &[Artifact]) -> Result<Vec<String>, ArtifactError> {
        check_count(assets)?;
        if assets.is_empty() {
            return Ok(Vec::new());
        }
        let paths: Vec<String> = assets.iter().map(Artifact::path).collect();
        let mut blobs = BTreeMap::new();
        for attempt in 1..=ATTEMPTS {
            if let Some(commit) = self.attempt(&paths, assets, &mut blobs).await? {
                let location = self.github.location();
                let web = location.web.as_str().trim_end_matches('/');
                let url = |path: &String| {
                    format!("{web}/{}/blob/{commit}/{}?raw=true", location.scope, escaped(path))
                };
                return Ok(paths.iter().map(url).collect());
            }
            tracing::debug!(attempt, "another step published at the same moment: once more");
            // Uneven, so that two jobs do not collide again and again.
            let uneven = u32::from(paths[0].as_bytes()[0] % 7);
            tokio::time::sleep(WAIT * attempt + Duration::from_millis(40) * uneven).await;
        }
        Err(ArtifactError::Contended(self.reference.clone()))
    }
}

/// Result of pruning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// References that were removed, or would be.
    pub removed: Vec<String>,
    /// Number of references that were kept.
    pub kept: usize,
}

/// Removes references that were published before a time; GitHub then deletes the files in its own time.
///
/// # Errors
/// As GitHub answers; references removed by then stay removed.
pub async fn prune(github: &GitHub, before: Timestamp, dry_run: bool) -> Result<Pruned, GitHubError> {
    let mut pruned = Pruned::default();
    for reference in github.references(PRUNED_BELOW).await? {
        let old = match github.commit(&reference.sha).await? {
            Some(commit) => commit.at < before,
            None => false,
        };
        if !old {
            pruned.kept += 1;
            continue;
        }
        if !dry_run {
            github.delete_reference(&reference.name).await?;
        }
        pruned.removed.push(reference.name);
    }
    Ok(pruned)
}
