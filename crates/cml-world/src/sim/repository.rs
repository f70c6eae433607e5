//! The handle's methods for the repository: what tests prepare there, and what they find afterwards.

use std::collections::BTreeMap;

use super::SimGitHub;
use crate::api::pulls::Pull;
use crate::api::{comments, refs};
use crate::clock;
use crate::views::{CheckRunView, CommentView, PullView};

impl SimGitHub {
    /// Opens a pull request to `main` whose head is this commit, on a separate branch, and returns its number. `None`
    /// means the newest commit of `main`.
    pub fn open_pull(&self, head_sha: Option<&str>) -> u64 {
        let now = clock::now();
        let mut world = self.shared.lock();
        let number = world.next_number();
        let head = head_sha.map_or_else(|| world.git.head(), str::to_owned);
        let branch = format!("change-{number}");
        refs::move_reference(&mut world, &format!("refs/heads/{branch}"), Some(&head), now);
        let pull = Pull::new(number, (branch, head), "main", format!("Pull request {number}"), now);
        world.pulls.insert(number, pull);
        number
    }

    /// Points a reference (`refs/heads/main`) at a commit of a repository elsewhere, as a push does. Its files stay
    /// there.
    pub fn know_commit(&self, sha: &str, reference: &str) {
        let now = clock::now();
        let mut world = self.shared.lock();
        // A commit that exists already is not its own parent.
        let parents = world.git.reference(reference).filter(|old| *old != sha).cloned().into_iter().collect();
        world.git.know(sha, parents, now);
        refs::move_reference(&mut world, reference, Some(sha), now);
    }

    /// Closes a pull request without merging it. Has no effect on a closed one.
    pub fn close_pull(&self, number: u64) {
        if let Some(pull) = self.shared.lock().pulls.get_mut(&number).filter(|pull| pull.open) {
            pull.close(clock::now());
        }
    }

    /// Opens an issue and returns its number. Issues and pull requests are counted together.
    pub fn open_issue(&self) -> u64 {
        let mut world = self.shared.lock();
        let number = world.next_number();
        world.issues.insert(number);
        number
    }

    /// Commits these files on top of a branch, which is created from `main` if it does not exist, and returns the
    /// commit. Protection is not enforced here.
    pub fn commit_files(&self, files: &[(&str, &[u8])], branch: &str) -> String {
        let now = clock::now();
        let mut world = self.shared.lock();
        let parent = world.git.branch(branch).cloned().unwrap_or_else(|| world.git.head());
        let mut tree = world.git.tree_of(&parent).cloned().unwrap_or_default();
        for (path, content) in files {
            let blob = world.git.add_blob(content.to_vec());
            tree.insert((*path).to_owned(), ("100644".to_owned(), blob));
        }
        let tree = world.git.add_tree(tree);
        let commit = world.git.add_commit(tree, vec![parent], "Change files".to_owned(), now);
        refs::move_reference(&mut world, &format!("refs/heads/{branch}"), Some(&commit), now);
        commit
    }

    /// Comments on an issue or a pull request as a user, and returns the comment's address.
    pub fn say(&self, number: u64, body: &str) -> String {
        self.say_as("octocat", number, body)
    }

    /// Comments as a member of this name.
    pub fn say_as(&self, login: &str, number: u64, body: &str) -> String {
        let now = clock::now();
        let mut world = self.shared.lock();
        let id = world.next_id();
        let comment = comments::Comment {
            id,
            author: login.to_owned(),
            on: comments::On::Issue(number),
            body: body.to_owned(),
            created_at: now,
            updated_at: now,
        };
        let url = comments::view(&world, &comment).url;
        world.comments.insert(id, comment);
        url
    }

    /// Returns all comments on commits, issues and pull requests, oldest first.
    #[must_use]
    pub fn comments(&self) -> Vec<CommentView> {
        let world = self.shared.lock();
        world.comments.values().map(|comment| comments::view(&world, comment)).collect()
    }

    /// Returns all check runs, oldest first.
    #[must_use]
    pub fn check_runs(&self) -> Vec<CheckRunView> {
        self.shared.lock().checks.values().map(crate::api::checks::CheckRun::view).collect()
    }

    /// Returns all pull requests, oldest first.
    #[must_use]
    pub fn pulls(&self) -> Vec<PullView> {
        self.shared.lock().pulls.values().map(Pull::view).collect()
    }

    /// Returns the commit of a reference, by its whole name: `refs/heads/main`.
    #[must_use]
    pub fn reference(&self, name: &str) -> Option<String> {
        self.shared.lock().git.reference(name).cloned()
    }

    /// Returns all references, by their whole names, and their commits.
    #[must_use]
    pub fn references(&self) -> BTreeMap<String, String> {
        self.shared.lock().git.references().clone()
    }

    /// Returns a file's content in a commit, a branch or any other reference.
    #[must_use]
    pub fn file_at(&self, reference_or_sha: &str, path: &str) -> Option<Vec<u8>> {
        let world = self.shared.lock();
        world.git.file(&world.git.resolve(reference_or_sha)?, path).cloned()
    }
}
