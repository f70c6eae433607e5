//! Mergeability of a pull request, and the commit that a merge makes.

use serde_json::json;

use super::pulls::Pull;
use super::refs;
use crate::http::{Reply, Request};
use crate::world::World;

/// State of a pull request relative to its base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mergeability {
    /// It is a draft.
    Draft,
    /// Both sides changed the same file.
    Dirty,
    /// The base requires a review, and there are no reviewers here.
    Blocked,
    Clean,
}

impl Mergeability {
    /// Returns the value of `mergeable_state`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Dirty => "dirty",
            Self::Blocked => "blocked",
            Self::Clean => "clean",
        }
    }
}

/// Returns the mergeability of an open pull request.
pub(crate) fn mergeability(world: &World, pull: &Pull) -> Mergeability {
    let base = world.git.branch(&pull.base);
    if base.and_then(|base| world.git.merged(base, &pull.head_sha)).is_none() {
        Mergeability::Dirty
    } else if pull.draft {
        Mergeability::Draft
    } else if world.is_protected(&format!("refs/heads/{}", pull.base)) {
        Mergeability::Blocked
    } else {
        Mergeability::Clean
    }
}

/// `PUT /repos/{owner}/{repo}/pulls/{number}/merge`
pub(crate) fn merge(world: &mut World, number: u64, request: &Request) -> Result<Reply, Reply> {
    let body = request.json()?;
    let pull = world.pulls.get(&number).ok_or_else(Reply::not_found)?;
    let unmergeable = || Reply::error(405, "Pull Request is not mergeable");
    if !pull.open {
        return Err(unmergeable());
    }
    if body["sha"].as_str().is_some_and(|sha| sha != pull.head_sha) {
        return Err(Reply::error(409, "Head branch was modified. Review and try the merge again."));
    }
    match mergeability(world, pull) {
        Mergeability::Draft => return Err(Reply::error(405, "Pull Request is still a draft")),
        Mergeability::Dirty => return Err(unmergeable()),
        Mergeability::Blocked => {
            let message = "At least 1 approving review is required by reviewers with write access.";
            return Err(Reply::error(405, message));
        }
        Mergeability::Clean => {}
    }
    let (base, head) = (format!("refs/heads/{}", pull.base), pull.head_sha.clone());
    let old = world.git.reference(&base).cloned().ok_or_else(unmergeable)?;
    let merge_title = format!(
        "Merge pull request #{number} from {}",
        pull.label(&world.settings.owner).replacen(':', "/", 1)
    );
    let squash_title = format!("{} (#{number})", pull.title);
    let message = |title: &str, text: &str| {
        let title = body["commit_title"].as_str().unwrap_or(title);
        format!("{title}\n\n{}", body["commit_message"].as_str().unwrap_or(text)).trim_end().to_owned()
    };
    let method = body["merge_method"].as_str().unwrap_or("merge");
    let (parents, message) = match method {
        "merge" => (vec![old.clone(), head.clone()], message(&merge_title, &pull.title)),
        "squash" => (vec![old.clone()], message(&squash_title, "")),
        "rebase" => (Vec::new(), String::new()),
        _ => return Err(Reply::invalid("PullRequest", "merge_method", "invalid")),
    };
    let commit = if method == "rebase" {
        world.git.rebased(&old, &head, request.at).ok_or_else(unmergeable)?
    } else {
        let tree = world.git.merged(&old, &head).ok_or_else(unmergeable)?;
        let tree = world.git.add_tree(tree);
        world.git.add_commit(tree, parents, message, request.at)
    };
    refs::move_reference(world, &base, Some(&commit), request.at);
    let pull = world.pulls.get_mut(&number).ok_or_else(Reply::not_found)?;
    pull.close(request.at);
    pull.merged = Some((request.at, commit.clone()));
    Ok(Reply::json(
        200,
        &json!({"sha": commit, "merged": true, "message": "Pull Request successfully merged"}),
    ))
}
