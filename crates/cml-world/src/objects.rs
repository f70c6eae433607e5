//! Git objects and references: enough of a repository to write files, commits and orphan references.
//!
//! A tree is kept flat: every path below it and its blob. Object names are hashes of content, as git's are, but not
//! git's own hashes: only the server computes them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::clock;

/// Path to mode and blob.
pub(crate) type Tree = BTreeMap<String, (String, String)>;

/// A commit.
pub(crate) struct Commit {
    pub(crate) tree: String,
    pub(crate) parents: Vec<String>,
    pub(crate) message: String,
    pub(crate) at: Timestamp,
}

/// The repository's objects.
pub(crate) struct Git {
    /// Time at which the repository was created.
    pub(crate) began: Timestamp,
    blobs: BTreeMap<String, Vec<u8>>,
    trees: BTreeMap<String, Tree>,
    commits: BTreeMap<String, Commit>,
    /// `refs/heads/main` to a commit.
    refs: BTreeMap<String, String>,
}

const MAIN: &str = "refs/heads/main";

fn name_of(kind: &str, content: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(kind);
    hash.update(content);
    let mut name = clock::hex(&hash.finalize());
    name.truncate(40);
    name
}

impl Git {
    /// Creates a repository with one commit on `main`.
    pub(crate) fn new(now: Timestamp) -> Self {
        let mut git = Self {
            began: now,
            blobs: BTreeMap::new(),
            trees: BTreeMap::new(),
            commits: BTreeMap::new(),
            refs: BTreeMap::new(),
        };
        let readme = git.add_blob(b"# A simulated repository\n".to_vec());
        let tree = git.add_tree(Tree::from([("README.md".to_owned(), ("100644".to_owned(), readme))]));
        let commit = git.add_commit(tree, Vec::new(), "Begin".to_owned(), now);
        git.refs.insert(MAIN.to_owned(), commit);
        git
    }

    pub(crate) fn add_blob(&mut self, content: Vec<u8>) -> String {
        let name = name_of("blob", &content);
        self.blobs.insert(name.clone(), content);
        name
    }

    pub(crate) fn add_tree(&mut self, tree: Tree) -> String {
        let name = name_of("tree", format!("{tree:?}").as_bytes());
        self.trees.insert(name.clone(), tree);
        name
    }

    pub(crate) fn add_commit(
        &mut self,
        tree: String,
        parents: Vec<String>,
        message: String,
        at: Timestamp,
    ) -> String {
        let name = name_of("commit", format!("{tree} {parents:?} {at} {message}").as_bytes());
        self.commits.insert(name.clone(), Commit { tree, parents, message, at });
        name
    }

    /// Adds a commit of a repository elsewhere, by its name there.
    pub(crate) fn know(&mut self, name: &str, parents: Vec<String>, at: Timestamp) {
        let tree = self.add_tree(Tree::new());
        let message = "A commit of a repository elsewhere".to_owned();
        self.commits.insert(name.to_owned(), Commit { tree, parents, message, at });
    }

    pub(crate) fn blob(&self, name: &str) -> Option<&Vec<u8>> {
        self.blobs.get(name)
    }

    pub(crate) fn tree(&self, name: &str) -> Option<&Tree> {
        self.trees.get(name)
    }

    pub(crate) fn commit(&self, name: &str) -> Option<&Commit> {
        self.commits.get(name)
    }

    pub(crate) fn tree_of(&self, commit: &str) -> Option<&Tree> {
        self.tree(&self.commit(commit)?.tree)
    }

    /// Returns a file's content in a commit.
    pub(crate) fn file(&self, commit: &str, path: &str) -> Option<&Vec<u8>> {
        self.blob(&self.tree_of(commit)?.get(path)?.1)
    }

    pub(crate) fn reference(&self, name: &str) -> Option<&String> {
        self.refs.get(name)
    }

    pub(crate) fn branch(&self, name: &str) -> Option<&String> {
        self.reference(&format!("refs/heads/{name}"))
    }

    pub(crate) fn references(&self) -> &BTreeMap<String, String> {
        &self.refs
    }

    pub(crate) fn set_reference(&mut self, name: &str, commit: String) {
        self.refs.insert(name.to_owned(), commit);
    }

    pub(crate) fn remove_reference(&mut self, name: &str) {
        self.refs.remove(name);
    }

    /// Returns whether an existing reference is where this one would need a folder, or the other way round.
    pub(crate) fn name_is_blocked(&self, name: &str) -> bool {
        let inside =
            |outer: &str, inner: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'));
        self.refs.keys().any(|other| inside(other, name) || inside(name, other))
    }

    /// Returns the newest commit of `main`.
    pub(crate) fn head(&self) -> String {
        self.refs.get(MAIN).cloned().unwrap_or_default()
    }

    /// Returns the commit that a hash, a branch or a reference names.
    pub(crate) fn resolve(&self, reference: &str) -> Option<String> {
        if self.commits.contains_key(reference) {
            return Some(reference.to_owned());
        }
        let names = [format!("refs/heads/{reference}"), format!("refs/{reference}"), reference.to_owned()];
        names.iter().find_map(|name| self.refs.get(name)).cloned()
    }

    /// Returns a commit and all its ancestors.
    pub(crate) fn history<'a>(&'a self, commit: &'a str) -> BTreeSet<&'a str> {
        let mut found = BTreeSet::new();
        let mut todo = vec![commit];
        while let Some(name) = todo.pop() {
            if found.insert(name) {
                let parents = self.commits.get(name).into_iter().flat_map(|one| &one.parents);
                todo.extend(parents.map(String::as_str));
            }
        }
        found
    }

    /// Returns whether `old` is `new` or one of its ancestors.
    pub(crate) fn leads_to(&self, old: &str, new: &str) -> bool {
        self.history(new).contains(old)
    }
}
