//! References: created, moved, removed and found by prefix.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::shapes;
use crate::http::{Reply, Request};
use crate::world::World;

/// GitHub's error when a branch takes changes from pull requests only.
pub(crate) const PROTECTED: &str = "Changes must be made through a pull request.";

/// Routes of references below `…/git`.
pub(crate) fn route(world: &mut World, method: &str, rest: &[&str], request: &Request) -> Option<Reply> {
    let reply = match (method, rest) {
        ("POST", ["refs"]) => create(world, request),
        ("GET", ["ref", name @ ..]) => Ok(Reply::json(200, &shape(world, &full(name))?)),
        ("GET", ["matching-refs", name @ ..]) => Ok(matching(world, &full(name))),
        ("PATCH", ["refs", name @ ..]) => update(world, &full(name), request),
        ("DELETE", ["refs", name @ ..]) => remove(world, &full(name), request),
        _ => return None,
    };
    Some(reply.unwrap_or_else(|refusal| refusal))
}

fn full(name: &[&str]) -> String {
    format!("refs/{}", name.join("/"))
}

/// Sets a reference or removes it. Pull requests follow their branch, and close when it is removed.
pub(crate) fn move_reference(world: &mut World, name: &str, to: Option<&str>, now: Timestamp) {
    match to {
        Some(commit) => world.git.set_reference(name, commit.to_owned()),
        None => world.git.remove_reference(name),
    }
    let Some(branch) = name.strip_prefix("refs/heads/") else { return };
    for pull in world.pulls.values_mut().filter(|pull| pull.open) {
        match to {
            Some(commit) if pull.is_of_branch(branch) => {
                commit.clone_into(&mut pull.head_sha);
                pull.updated_at = now;
            }
            None if pull.is_of_branch(branch) || pull.base == branch => pull.close(now),
            _ => {}
        }
    }
}

/// Returns every reference with this prefix; an empty list is no error.
fn matching(world: &World, beginning: &str) -> Reply {
    let names = world.git.references().keys().filter(|name| name.starts_with(beginning));
    Reply::json(200, &names.filter_map(|name| shape(world, name)).collect::<Vec<_>>().into())
}

/// Returns the commit that a body names.
fn target(world: &World, body: &Value) -> Result<String, Reply> {
    let sha = body["sha"].as_str().ok_or_else(|| Reply::invalid("Reference", "sha", "missing_field"))?;
    match world.git.commit(sha) {
        Some(_) => Ok(sha.to_owned()),
        None => Err(Reply::error(422, "Object does not exist")),
    }
}

fn create(world: &mut World, request: &Request) -> Result<Reply, Reply> {
    let body = request.json()?;
    let name = body["ref"].as_str().ok_or_else(|| Reply::invalid("Reference", "ref", "missing_field"))?;
    if !name.starts_with("refs/") || name.matches('/').count() < 2 {
        let message = "Reference name must start with 'refs/' and have at least two slashes";
        return Err(Reply::error(422, message));
    }
    if world.git.reference(name).is_some() {
        return Err(Reply::error(422, "Reference already exists"));
    }
    let sha = target(world, &body)?;
    // GitHub does not give the reason: https://github.com/github/rest-api-description/issues/4887
    if world.git.name_is_blocked(name) || name.split('/').any(str::is_empty) {
        return Err(Reply::error(422, "Reference update failed"));
    }
    move_reference(world, name, Some(&sha), request.at);
    let shape = shape(world, name).ok_or_else(Reply::not_found)?;
    Ok(Reply::json(201, &shape))
}

fn update(world: &mut World, name: &str, request: &Request) -> Result<Reply, Reply> {
    let body = request.json()?;
    let Some(old) = world.git.reference(name) else {
        return Err(Reply::error(422, "Reference does not exist"));
    };
    let sha = target(world, &body)?;
    if body["force"] != true && !world.git.leads_to(old, &sha) {
        return Err(Reply::error(422, "Update is not a fast forward"));
    }
    if world.is_protected(name) {
        return Err(Reply::error(422, PROTECTED));
    }
    move_reference(world, name, Some(&sha), request.at);
    let shape = shape(world, name).ok_or_else(Reply::not_found)?;
    Ok(Reply::json(200, &shape))
}

fn remove(world: &mut World, name: &str, request: &Request) -> Result<Reply, Reply> {
    if world.git.reference(name).is_none() {
        return Err(Reply::error(422, "Reference does not exist"));
    }
    if world.is_protected(name) {
        return Err(Reply::error(422, "Cannot delete this protected branch"));
    }
    move_reference(world, name, None, request.at);
    Ok(Reply::empty(204))
}

fn shape(world: &World, name: &str) -> Option<Value> {
    let sha = world.git.reference(name)?;
    let api = world.repo_api();
    Some(json!({
        "ref": name,
        "node_id": shapes::node("REF", name),
        "url": format!("{api}/git/{name}"),
        "object": {"type": "commit", "sha": sha, "url": format!("{api}/git/commits/{sha}")},
    }))
}
