//! GitHub's shapes of a pull request: the short one of lists, and the full one.

use serde_json::{Value, json};

use super::merging::{self, Mergeability};
use super::pulls::Pull;
use super::shapes;
use crate::world::World;

/// Returns a pull request as an entry of a list.
pub(crate) fn simple(world: &World, pull: &Pull) -> Value {
    let number = pull.number;
    let api = format!("{}/pulls/{number}", world.repo_api());
    let issue = format!("{}/issues/{number}", world.repo_api());
    let web = format!("{}/pull/{number}", world.repo_web());
    let statuses = format!("{}/statuses/{}", world.repo_api(), pull.head_sha);
    let owner = shapes::user(world, &world.settings.owner);
    let fork_owner = pull.head_repository.fork_owner();
    let author = fork_owner.map_or_else(|| owner.clone(), |login| shapes::user(world, login));
    let association = if fork_owner.is_some() { "NONE" } else { "OWNER" };
    let head = json!({
        "label": pull.label(&world.settings.owner), "ref": pull.head, "sha": pull.head_sha, "user": author,
        "repo": shapes::full_head_repository(world, &pull.head_repository),
    });
    let base = json!({
        "label": format!("{}:{}", world.settings.owner, pull.base), "ref": pull.base,
        "sha": world.git.branch(&pull.base).map_or("", String::as_str), "user": owner,
        "repo": shapes::full_repository(world),
    });
    let href = |url: &str| json!({"href": url});
    let (comments, reviews) = (format!("{issue}/comments"), format!("{api}/comments"));
    let review_comment = format!("{}/pulls/comments{{/number}}", world.repo_api());
    let links = json!({
        "self": href(&api), "html": href(&web), "issue": href(&issue), "statuses": href(&statuses),
        "comments": href(&comments), "commits": href(&format!("{api}/commits")),
        "review_comments": href(&reviews), "review_comment": href(&review_comment),
    });
    let auto_merge = pull.auto_merge.as_ref().map(
        |method| json!({"enabled_by": owner, "merge_method": method, "commit_title": "", "commit_message": ""}),
    );
    json!({
        "id": number, "node_id": pull.node_id(), "number": number, "state": pull.state(), "locked": false,
        "title": pull.title, "body": pull.body, "user": author, "author_association": association,
        "draft": pull.draft, "auto_merge": auto_merge, "assignee": null, "assignees": [],
        "requested_reviewers": [], "requested_teams": [], "labels": [], "milestone": null,
        "merge_commit_sha": pull.merged.as_ref().map(|(_, commit)| commit),
        "created_at": shapes::time(pull.created_at), "updated_at": shapes::time(pull.updated_at),
        "closed_at": pull.closed_at.map(shapes::time),
        "merged_at": pull.merged.as_ref().map(|(at, _)| shapes::time(*at)),
        "url": api, "html_url": web, "diff_url": format!("{web}.diff"), "patch_url": format!("{web}.patch"),
        "issue_url": issue, "commits_url": format!("{api}/commits"), "review_comments_url": reviews,
        "review_comment_url": review_comment, "comments_url": comments, "statuses_url": statuses,
        "head": head, "base": base,
        "_links": links,
    })
}

/// Returns a pull request in its full form.
pub(crate) fn full(world: &World, pull: &Pull) -> Value {
    let mut value = simple(world, pull);
    let base = world.git.branch(&pull.base).map_or("", String::as_str);
    let mergeability = merging::mergeability(world, pull);
    let comments = world.comments.values().filter(|comment| comment.on.issue() == Some(pull.number)).count();
    let changes = world.git.changes(base, &pull.head_sha);
    let merger = pull.merged.as_ref().map(|_| shapes::user(world, &world.settings.owner));
    // A changed file counts as rewritten: no program reads these numbers, only people do.
    let lines = |blob: Option<&Vec<u8>>| blob.map_or(0, |text| text.split(|byte| *byte == b'\n').count());
    let more = json!({
        "merged": pull.merged.is_some(), "merged_by": merger,
        "mergeable": pull.open.then_some(mergeability != Mergeability::Dirty),
        "mergeable_state": if pull.open { mergeability.word() } else { "unknown" },
        "maintainer_can_modify": false, "comments": comments, "review_comments": 0,
        "commits": world.git.commits_between(base, &pull.head_sha).len(), "changed_files": changes.len(),
        "additions": changes.iter().map(|(_, new)| lines(*new)).sum::<usize>(),
        "deletions": changes.iter().map(|(old, _)| lines(*old)).sum::<usize>(),
    });
    if let (Value::Object(fields), Value::Object(more)) = (&mut value, more) {
        fields.extend(more);
    }
    value
}
