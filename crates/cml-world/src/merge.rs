//! Merging of two lines of commits: their common ancestor, their changes, and conflicts.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::objects::{Git, Tree};

/// A file's content before and after.
pub(crate) type Change<'a> = (Option<&'a Vec<u8>>, Option<&'a Vec<u8>>);

impl Git {
    /// Returns the newest commit that both have; `None` when their histories have nothing in common.
    fn merge_base(&self, one: &str, other: &str) -> Option<String> {
        let theirs = self.history(other);
        let shared = self.history(one).into_iter().filter(|commit| theirs.contains(commit));
        shared.max_by_key(|name| self.history(name).len()).map(str::to_owned)
    }

    /// Returns whether the two have a common ancestor.
    pub(crate) fn are_related(&self, one: &str, other: &str) -> bool {
        self.merge_base(one, other).is_some()
    }

    /// Returns the commits that `head` has and `base` has not, oldest first.
    pub(crate) fn commits_between(&self, base: &str, head: &str) -> Vec<String> {
        let known = self.history(base);
        let new = self.history(head).into_iter().filter(|commit| !known.contains(commit));
        let mut new: Vec<&str> = new.collect();
        // A parent has fewer ancestors than its child; times may be equal.
        new.sort_by_key(|name| self.history(name).len());
        new.into_iter().map(str::to_owned).collect()
    }

    /// Returns the files that `head` changes since it left `base`.
    pub(crate) fn changes(&self, base: &str, head: &str) -> Vec<Change<'_>> {
        let start = self.merge_base(base, head);
        let old = start.as_deref().and_then(|commit| self.tree_of(commit));
        let new = self.tree_of(head);
        let paths: BTreeSet<&String> = old.into_iter().chain(new).flat_map(Tree::keys).collect();
        let at = |tree: Option<&Tree>, path: &String| tree.and_then(|tree| tree.get(path)).cloned();
        let changed = paths.into_iter().map(|path| (at(old, path), at(new, path)));
        let blob = |entry: Option<(String, String)>| entry.and_then(|(_, sha)| self.blob(&sha));
        changed.filter(|(old, new)| old != new).map(|(old, new)| (blob(old), blob(new))).collect()
    }

    /// Returns `base` with the changes of `head`; `None` when both changed one file.
    pub(crate) fn merged(&self, base: &str, head: &str) -> Option<Tree> {
        let start = self.merge_base(base, head)?;
        combined(self.tree_of(&start)?, self.tree_of(base)?, self.tree_of(head)?)
    }

    /// Rebases the commits of `head` on `base`, one by one, and returns the new tip, or `None` on a conflict.
    pub(crate) fn rebased(&mut self, base: &str, head: &str, at: Timestamp) -> Option<String> {
        let mut tip = base.to_owned();
        for name in self.commits_between(base, head) {
            let commit = self.commit(&name)?;
            // A merge has no changes of its own.
            let [parent] = commit.parents.as_slice() else { continue };
            let message = commit.message.clone();
            let tree = combined(self.tree_of(parent)?, self.tree_of(&tip)?, self.tree_of(&name)?)?;
            let tree = self.add_tree(tree);
            tip = self.add_commit(tree, vec![tip], message, at);
        }
        Some(tip)
    }
}

/// Returns `ours` with the changes of `theirs` since `start`; `None` when both changed one file differently.
fn combined(start: &Tree, ours: &Tree, theirs: &Tree) -> Option<Tree> {
    let mut made = ours.clone();
    for path in start.keys().chain(theirs.keys()) {
        let (old, our, their) = (start.get(path), ours.get(path), theirs.get(path));
        if old == their || our == their {
            continue;
        }
        if our != old {
            return None;
        }
        match their {
            Some(entry) => made.insert(path.clone(), entry.clone()),
            None => made.remove(path),
        };
    }
    Some(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        files
            .iter()
            .map(|(path, blob)| ((*path).to_owned(), ("100644".to_owned(), (*blob).to_owned())))
            .collect()
    }

    #[test]
    fn changes_of_both_sides_come_together_and_contradictions_do_not() {
        let start = tree(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let ours = tree(&[("a", "2"), ("b", "1"), ("c", "1")]);
        let theirs = tree(&[("a", "1"), ("b", "2"), ("d", "1")]);
        assert_eq!(combined(&start, &ours, &theirs), Some(tree(&[("a", "2"), ("b", "2"), ("d", "1")])));
        assert_eq!(combined(&start, &ours, &tree(&[("a", "3")])), None);
        assert_eq!(combined(&start, &ours, &ours), Some(ours.clone()), "the same change twice is one change");
    }
}
