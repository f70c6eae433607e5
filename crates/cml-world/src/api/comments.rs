//! Comments on commits and on issues (a pull request is an issue).

use jiff::Timestamp;
use serde_json::{Value, json};

use super::shapes;
use crate::http::{Reply, Request};
use crate::views::{CommentOn, CommentView};
use crate::world::World;

/// The longest body according to GitHub's error, in characters.
const BODY_LIMIT: usize = 65_536;

/// A comment.
pub(crate) struct Comment {
    pub(crate) id: u64,
    pub(crate) author: String,
    pub(crate) on: On,
    pub(crate) body: String,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// Target of a comment.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum On {
    /// A commit, and a line of the diff when given: path, position, line.
    Commit {
        sha: String,
        path: Value,
        position: Value,
        line: Value,
    },
    Issue(u64),
}

impl On {
    /// Returns the number of the issue or pull request.
    pub(crate) fn issue(&self) -> Option<u64> {
        match self {
            Self::Issue(number) => Some(*number),
            Self::Commit { .. } => None,
        }
    }
}

/// Routes of both kinds of comments.
pub(crate) fn route(
    world: &mut World,
    author: &str,
    method: &str,
    rest: &[&str],
    request: &Request,
) -> Option<Reply> {
    Some(match (method, rest) {
        ("GET", ["commits", sha, "comments"]) => {
            let sha = world.git.resolve(sha)?;
            list(world, request, |on| matches!(on, On::Commit { sha: of, .. } if *of == sha))
        }
        ("POST", ["commits", sha, "comments"]) => {
            let Some(sha) = world.git.resolve(sha) else {
                return Some(Reply::error(422, &format!("No commit found for SHA: {sha}")));
            };
            create(world, author, request, |body| On::Commit {
                sha,
                path: body["path"].clone(),
                position: body["position"].clone(),
                line: body["line"].clone(),
            })
        }
        ("GET", ["issues", number, "comments"]) => {
            let number = issue(world, number)?;
            list(world, request, |on| *on == On::Issue(number))
        }
        ("POST", ["issues", number, "comments"]) => {
            let number = issue(world, number)?;
            create(world, author, request, |_| On::Issue(number))
        }
        (method, ["comments", id]) => one(world, method, id, false, request)?,
        (method, ["issues", "comments", id]) => one(world, method, id, true, request)?,
        _ => return None,
    })
}

/// Returns the number of an issue. A pull request is an issue too.
fn issue(world: &World, number: &str) -> Option<u64> {
    number.parse().ok().filter(|number| world.issues.contains(number) || world.pulls.contains_key(number))
}

fn list(world: &World, request: &Request, wanted: impl Fn(&On) -> bool) -> Reply {
    let of = world.comments.values().filter(|comment| wanted(&comment.on));
    let (items, link) = request.page(of.map(|comment| shape(world, comment)).collect(), &world.web);
    Reply::list(&items.into(), link)
}

fn body_of(request: &Request, resource: &str) -> Result<(String, Value), Reply> {
    let json = request.json()?;
    let body = json["body"].as_str().ok_or_else(|| Reply::invalid(resource, "body", "missing_field"))?;
    if body.trim().is_empty() {
        return Err(Reply::invalid(resource, "body", "missing_field"));
    }
    if body.chars().count() > BODY_LIMIT {
        let message = format!("body is too long (maximum is {BODY_LIMIT} characters)");
        let refusal = json!({
            "message": "Validation Failed",
            "errors": [{"resource": resource, "code": "unprocessable", "field": "data", "message": message}],
            "documentation_url": "https://docs.github.com/rest",
        });
        return Err(Reply::json(422, &refusal));
    }
    Ok((body.to_owned(), json))
}

fn create(world: &mut World, author: &str, request: &Request, on: impl FnOnce(&Value) -> On) -> Reply {
    let (body, json) = match body_of(request, "Comment") {
        Ok(read) => read,
        Err(refusal) => return refusal,
    };
    let id = world.next_id();
    let comment = Comment {
        id,
        author: author.to_owned(),
        on: on(&json),
        body,
        created_at: request.at,
        updated_at: request.at,
    };
    let reply = Reply::json(201, &shape(world, &comment));
    world.comments.insert(id, comment);
    reply
}

fn one(world: &mut World, method: &str, id: &str, of_issue: bool, request: &Request) -> Option<Reply> {
    let id: u64 = id.parse().ok()?;
    world.comments.get(&id).filter(|comment| matches!(comment.on, On::Issue(_)) == of_issue)?;
    match method {
        "GET" => {}
        "PATCH" => {
            let (body, _) = match body_of(request, "Comment") {
                Ok(read) => read,
                Err(refusal) => return Some(refusal),
            };
            let comment = world.comments.get_mut(&id)?;
            comment.body = body;
            comment.updated_at = request.at;
        }
        "DELETE" => {
            world.comments.remove(&id);
            return Some(Reply::empty(204));
        }
        _ => return None,
    }
    Some(Reply::json(200, &shape(world, world.comments.get(&id)?)))
}

/// Returns the address of a comment's page.
fn web_url(world: &World, comment: &Comment) -> String {
    let (web, id) = (world.repo_web(), comment.id);
    match &comment.on {
        On::Commit { sha, .. } => format!("{web}/commit/{sha}#commitcomment-{id}"),
        On::Issue(number) => {
            let kind = if world.issues.contains(number) { "issues" } else { "pull" };
            format!("{web}/{kind}/{number}#issuecomment-{id}")
        }
    }
}

/// Returns a comment in the form that tests read.
pub(crate) fn view(world: &World, comment: &Comment) -> CommentView {
    CommentView {
        id: comment.id,
        author: comment.author.clone(),
        on: match &comment.on {
            On::Commit { sha, .. } => CommentOn::Commit(sha.clone()),
            On::Issue(number) => CommentOn::Issue(*number),
        },
        body: comment.body.clone(),
        created_at: comment.created_at,
        updated_at: comment.updated_at,
        url: web_url(world, comment),
    }
}

fn shape(world: &World, comment: &Comment) -> Value {
    let api = world.repo_api();
    let id = comment.id;
    let mut value = json!({
        "id": id,
        "node_id": shapes::node("IC", id),
        "html_url": web_url(world, comment),
        "body": comment.body,
        "user": shapes::user(world, &comment.author),
        "author_association": "OWNER",
        "created_at": shapes::time(comment.created_at),
        "updated_at": shapes::time(comment.updated_at),
    });
    match &comment.on {
        On::Commit { sha, path, position, line } => {
            value["url"] = format!("{api}/comments/{id}").into();
            value["commit_id"] = sha.clone().into();
            value["path"] = path.clone();
            value["position"] = position.clone();
            value["line"] = line.clone();
        }
        On::Issue(number) => {
            value["url"] = format!("{api}/issues/comments/{id}").into();
            value["issue_url"] = format!("{api}/issues/{number}").into();
        }
    }
    value
}
