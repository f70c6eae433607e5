//! The pull requests of a commit.

use serde_json::{Value, json};

use super::shapes;
use crate::http::{Reply, Request};
use crate::world::World;

/// `GET /repos/{owner}/{repo}/commits/{sha}/pulls`
pub(crate) fn of_commit(world: &World, sha: &str, request: &Request) -> Reply {
    let Some(sha) = world.git.resolve(sha) else {
        return Reply::error(422, &format!("No commit found for SHA: {sha}"));
    };
    let of = world.pulls.iter().filter(|(_, head)| **head == sha);
    let all: Vec<Value> = of.map(|(number, head)| shape(world, *number, head)).collect();
    let (page, link) = request.page(all, &world.web);
    Reply::list(&page.into(), link)
}

fn shape(world: &World, number: u64, head: &str) -> Value {
    let api = format!("{}/pulls/{number}", world.repo_api());
    let issue = format!("{}/issues/{number}", world.repo_api());
    let web = format!("{}/pull/{number}", world.repo_web());
    let statuses = format!("{}/statuses/{head}", world.repo_api());
    let owner = shapes::user(world, &world.settings.owner);
    let at = shapes::time(world.git.began);
    let branch = |name: &str, sha: &str| {
        json!({
            "label": format!("{}:{name}", world.settings.owner), "ref": name, "sha": sha,
            "user": owner, "repo": shapes::full_repository(world),
        })
    };
    let href = |url: &str| json!({"href": url});
    let (comments, reviews) = (format!("{issue}/comments"), format!("{api}/comments"));
    let review_comment = format!("{}/pulls/comments{{/number}}", world.repo_api());
    let links = json!({
        "self": href(&api), "html": href(&web), "issue": href(&issue), "statuses": href(&statuses),
        "comments": href(&comments), "commits": href(&format!("{api}/commits")),
        "review_comments": href(&reviews), "review_comment": href(&review_comment),
    });
    json!({
        "id": number, "node_id": shapes::node("PR", number), "number": number, "state": "open", "locked": false,
        "title": format!("Pull request {number}"), "body": null, "user": owner, "author_association": "OWNER",
        "draft": false, "auto_merge": null, "assignee": null, "assignees": [], "requested_reviewers": [],
        "requested_teams": [], "labels": [], "milestone": null, "merge_commit_sha": null,
        "created_at": at, "updated_at": at, "closed_at": null, "merged_at": null,
        "url": api, "html_url": web, "diff_url": format!("{web}.diff"), "patch_url": format!("{web}.patch"),
        "issue_url": issue, "commits_url": format!("{api}/commits"), "review_comments_url": reviews,
        "review_comment_url": review_comment,
        "comments_url": comments, "statuses_url": statuses,
        "head": branch("change", head), "base": branch("main", &world.git.head()),
        "_links": links,
    })
}
