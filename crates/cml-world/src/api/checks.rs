//! Check runs and commit statuses.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::shapes;
use crate::http::{Reply, Request};
use crate::views::CheckRunView;
use crate::world::World;

/// The longest summary and text of a check run, in characters, and the most annotations of one request.
const TEXT_LIMIT: usize = 65_535;
const ANNOTATION_LIMIT: usize = 50;

/// A check run as its creator described it; later values replace earlier ones.
pub(crate) struct CheckRun {
    pub(crate) id: u64,
    fields: BTreeMap<String, Value>,
    annotations: usize,
}

/// A commit status.
pub(crate) struct Status {
    pub(crate) id: u64,
    sha: String,
    body: Value,
    at: String,
}

impl CheckRun {
    pub(crate) fn view(&self) -> CheckRunView {
        let field = |name: &str| self.fields.get(name).unwrap_or(&Value::Null);
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let output = field("output");
        CheckRunView {
            id: self.id,
            name: text(field("name")).unwrap_or_default(),
            head_sha: text(field("head_sha")).unwrap_or_default(),
            status: text(field("status")).unwrap_or_default(),
            conclusion: text(field("conclusion")),
            details_url: text(field("details_url")),
            title: text(&output["title"]),
            summary: text(&output["summary"]),
            text: text(&output["text"]),
            annotations: self.annotations,
        }
    }
}

/// Routes of both.
pub(crate) fn route(world: &mut World, method: &str, rest: &[&str], request: &Request) -> Option<Reply> {
    let reply = match (method, rest) {
        ("POST", ["check-runs"]) => create(world, request),
        ("GET", ["check-runs", id]) => {
            Ok(Reply::json(200, &shape(world, world.checks.get(&id.parse().ok()?)?)))
        }
        ("PATCH", ["check-runs", id]) => {
            let id = id.parse().ok()?;
            world.checks.get(&id)?;
            update(world, id, request)
        }
        ("GET", ["commits", reference, "check-runs"]) => {
            let sha = world.git.resolve(reference)?;
            Ok(of_commit(world, &sha, request))
        }
        ("POST", ["statuses", sha]) => create_status(world, sha, request),
        ("GET", ["commits", reference, "statuses"]) => {
            let sha = world.git.resolve(reference)?;
            let of = world.statuses.values().rev().filter(|status| status.sha == sha);
            let (page, link) = request.page(of.map(|one| status_shape(world, one)).collect(), &world.web);
            Ok(Reply::list(&page.into(), link))
        }
        _ => return None,
    };
    Some(reply.unwrap_or_else(|refusal| refusal))
}

fn checked(request: &Request) -> Result<Value, Reply> {
    let body = request.json()?;
    let invalid = |field, code| Err(Reply::invalid("CheckRun", field, code));
    let conclusions =
        ["action_required", "cancelled", "failure", "neutral", "success", "skipped", "stale", "timed_out"];
    if let Some(status) = body.get("status")
        && !["queued", "in_progress", "completed", "waiting", "requested", "pending"]
            .iter()
            .any(|one| status == one)
    {
        return invalid("status", "invalid");
    }
    match body.get("conclusion") {
        Some(conclusion) if !conclusions.iter().any(|one| conclusion == one) => {
            return invalid("conclusion", "invalid");
        }
        None if body["status"] == "completed" => return invalid("conclusion", "missing_field"),
        _ => {}
    }
    if let Some(output) = body.get("output") {
        if !output["summary"].is_string() {
            return invalid("output", "missing_field");
        }
        let long = |field: &str| output[field].as_str().is_some_and(|text| text.chars().count() > TEXT_LIMIT);
        let many = output["annotations"].as_array().is_some_and(|all| all.len() > ANNOTATION_LIMIT);
        if long("summary") || long("text") || many {
            return invalid("output", "invalid");
        }
    }
    if body["actions"].as_array().is_some_and(|actions| actions.len() > 3) {
        return invalid("actions", "invalid");
    }
    Ok(body)
}

fn create(world: &mut World, request: &Request) -> Result<Reply, Reply> {
    let body = checked(request)?;
    if !body["name"].is_string() {
        return Err(Reply::invalid("CheckRun", "name", "missing_field"));
    }
    let head =
        body["head_sha"].as_str().ok_or_else(|| Reply::invalid("CheckRun", "head_sha", "missing_field"))?;
    if world.git.resolve(head).is_none() {
        return Err(Reply::error(422, &format!("No commit found for SHA: {head}")));
    }
    if body["output"].is_object() && !body["output"]["title"].is_string() {
        return Err(Reply::invalid("CheckRun", "output", "missing_field"));
    }
    let id = world.next_id();
    let mut check = CheckRun { id, fields: BTreeMap::new(), annotations: 0 };
    check.fields.insert("status".to_owned(), "queued".into());
    check.fields.insert("started_at".to_owned(), shapes::time(request.at).into());
    take_in(&mut check, &body, request);
    let reply = Reply::json(201, &shape(world, &check));
    world.checks.insert(id, check);
    Ok(reply)
}

/// Returns the check runs of a commit, newest first. Of those with one name only the newest, unless all are requested.
fn of_commit(world: &World, sha: &str, request: &Request) -> Reply {
    let all = request.query("filter").as_deref() == Some("all");
    let wanted = |check: &&CheckRun| {
        let is = |query: &str, field: &str| {
            let value = check.fields.get(field).and_then(Value::as_str);
            request.query(query).is_none_or(|wanted| value == Some(wanted.as_str()))
        };
        check.fields.get("head_sha").is_some_and(|of| of == sha)
            && is("check_name", "name")
            && is("status", "status")
    };
    let mut names = BTreeSet::new();
    let found = world.checks.values().rev().filter(wanted);
    let found = found.filter(|check| all || names.insert(check.fields.get("name").map(Value::to_string)));
    let found: Vec<Value> = found.map(|check| shape(world, check)).collect();
    let total = found.len();
    let (page, link) = request.page(found, &world.web);
    Reply::list(&json!({"total_count": total, "check_runs": page}), link)
}

fn update(world: &mut World, id: u64, request: &Request) -> Result<Reply, Reply> {
    let body = checked(request)?;
    let check = world.checks.get_mut(&id).ok_or_else(Reply::not_found)?;
    take_in(check, &body, request);
    let check = world.checks.get(&id).ok_or_else(Reply::not_found)?;
    Ok(Reply::json(200, &shape(world, check)))
}

fn take_in(check: &mut CheckRun, body: &Value, request: &Request) {
    for (name, value) in body.as_object().into_iter().flatten() {
        check.fields.insert(name.clone(), value.clone());
    }
    // Annotations of later requests are added.
    check.annotations += body["output"]["annotations"].as_array().map_or(0, Vec::len);
    if body.get("conclusion").is_some() {
        check.fields.insert("status".to_owned(), "completed".into());
        if body.get("completed_at").is_none() {
            check.fields.insert("completed_at".to_owned(), shapes::time(request.at).into());
        }
    }
}

fn shape(world: &World, check: &CheckRun) -> Value {
    let id = check.id;
    let field = |name: &str| check.fields.get(name).cloned().unwrap_or_default();
    let output = field("output");
    let url = format!("{}/check-runs/{id}", world.repo_api());
    let web = format!("{}/runs/{id}", world.repo_web());
    let details = check.fields.get("details_url").cloned().unwrap_or_else(|| web.clone().into());
    json!({
        "id": id,
        "node_id": shapes::node("CR", id),
        "name": field("name"),
        "head_sha": field("head_sha"),
        "external_id": field("external_id"),
        "url": url,
        "html_url": web,
        "details_url": details,
        "status": field("status"),
        "conclusion": field("conclusion"),
        "started_at": field("started_at"),
        "completed_at": field("completed_at"),
        "check_suite": {"id": id},
        "app": null,
        "pull_requests": [],
        "output": {
            "title": output["title"],
            "summary": output["summary"],
            "text": output["text"],
            "annotations_count": check.annotations,
            "annotations_url": format!("{url}/annotations"),
        },
    })
}

fn create_status(world: &mut World, sha: &str, request: &Request) -> Result<Reply, Reply> {
    let body = request.json()?;
    if !["error", "failure", "pending", "success"].iter().any(|state| body["state"] == *state) {
        return Err(Reply::invalid("Status", "state", "invalid"));
    }
    let Some(sha) = world.git.resolve(sha) else {
        return Err(Reply::error(422, &format!("No commit found for SHA: {sha}")));
    };
    let id = world.next_id();
    let status = Status { id, sha, body, at: shapes::time(request.at) };
    let reply = Reply::json(201, &status_shape(world, &status));
    world.statuses.insert(id, status);
    Ok(reply)
}

fn status_shape(world: &World, status: &Status) -> Value {
    let creator = shapes::user(world, &world.settings.owner);
    let context = status.body.get("context").cloned().unwrap_or_else(|| "default".into());
    json!({
        "id": status.id,
        "node_id": shapes::node("SC", status.id),
        "url": format!("{}/statuses/{}", world.repo_api(), status.sha),
        "avatar_url": creator["avatar_url"],
        "state": status.body["state"],
        "description": status.body["description"],
        "target_url": status.body["target_url"],
        "context": context,
        "created_at": status.at,
        "updated_at": status.at,
        "creator": creator,
    })
}
