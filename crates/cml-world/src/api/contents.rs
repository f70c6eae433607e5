//! Files of a branch: read, and written with a separate commit each.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::git::{commit_shape, decode_base64};
use super::refs::{self, PROTECTED};
use crate::http::{Reply, Request};
use crate::objects::Tree;
use crate::world::World;

/// The largest file whose content is part of an answer.
const INLINE_LIMIT: usize = 1 << 20;

/// Routes below `…/contents`.
pub(crate) fn route(world: &mut World, method: &str, path: &str, request: &Request) -> Option<Reply> {
    match method {
        "GET" => read(world, path, request),
        "PUT" => Some(write(world, path, request).unwrap_or_else(|refusal| refusal)),
        _ => None,
    }
}

fn tree_at<'a>(world: &'a World, reference: &str) -> Option<&'a Tree> {
    world.git.tree_of(&world.git.resolve(reference)?)
}

fn read(world: &World, path: &str, request: &Request) -> Option<Reply> {
    let reference = request.query("ref").unwrap_or_else(|| "main".to_owned());
    let tree = tree_at(world, &reference)?;
    if let Some((_, sha)) = tree.get(path) {
        let content = world.git.blob(sha)?;
        let accept = request.header("accept").unwrap_or_default();
        if accept.contains("raw") {
            return Some(Reply::text(200, content.clone()));
        }
        return Some(Reply::json(200, &file_shape(world, path, sha, content, &reference)));
    }
    let below = if path.is_empty() { String::new() } else { format!("{path}/") };
    let mut entries: Vec<Value> = Vec::new();
    let mut last = "";
    for (full, (_, sha)) in tree.iter().filter_map(|(full, blob)| Some((full.strip_prefix(&below)?, blob))) {
        let name = full.split('/').next().unwrap_or_default();
        if name == last {
            continue;
        }
        last = name;
        let size = world.git.blob(sha).map_or(0, Vec::len);
        let kind = if name == full { ("file", sha.clone(), size) } else { ("dir", sha.clone(), 0) };
        entries.push(entry_shape(world, &format!("{below}{name}"), kind, &reference));
    }
    (!entries.is_empty()).then(|| Reply::json(200, &entries.into()))
}

fn entry_shape(
    world: &World,
    path: &str,
    (kind, sha, size): (&str, String, usize),
    reference: &str,
) -> Value {
    let api = format!("{}/contents/{path}?ref={reference}", world.repo_api());
    let objects = if kind == "dir" { "trees" } else { "blobs" };
    let git = format!("{}/git/{objects}/{sha}", world.repo_api());
    let shown = if kind == "dir" { "tree" } else { "blob" };
    let web = format!("{}/{shown}/{reference}/{path}", world.repo_web());
    let download = (kind == "file").then(|| format!("{}/raw/{reference}/{path}", world.repo_web()));
    json!({
        "type": kind,
        "name": path.rsplit('/').next(),
        "path": path,
        "sha": sha,
        "size": size,
        "url": api,
        "git_url": git,
        "html_url": web,
        "download_url": download,
        "_links": {"self": api, "git": git, "html": web},
    })
}

fn file_shape(world: &World, path: &str, sha: &str, content: &[u8], reference: &str) -> Value {
    let mut value = entry_shape(world, path, ("file", sha.to_owned(), content.len()), reference);
    // A larger file is answered without its content, which is served by the raw media type only.
    let inline = content.len() <= INLINE_LIMIT;
    value["encoding"] = if inline { "base64" } else { "none" }.into();
    value["content"] = if inline { STANDARD.encode(content) } else { String::new() }.into();
    value
}

fn write(world: &mut World, path: &str, request: &Request) -> Result<Reply, Reply> {
    let body = request.json()?;
    let invalid = |field, code| Reply::invalid("Content", field, code);
    let message = body["message"].as_str().ok_or_else(|| invalid("message", "missing_field"))?;
    let content = body["content"].as_str().ok_or_else(|| invalid("content", "missing_field"))?;
    let content = decode_base64(content).ok_or_else(|| Reply::error(422, "content is not valid Base64"))?;
    if path.is_empty() || path.split('/').any(|part| matches!(part, "" | "." | ".." | ".git")) {
        return Err(Reply::error(422, "path contains a malformed path component"));
    }
    let branch = body["branch"].as_str().unwrap_or("main");
    let missing = || Reply::error(404, &format!("Branch {branch} not found"));
    let reference = format!("refs/heads/{branch}");
    let parent = world.git.reference(&reference).cloned().ok_or_else(missing)?;
    let mut tree = tree_at(world, &parent).cloned().ok_or_else(missing)?;
    let old = tree.get(path).map(|(_, sha)| sha.clone());
    match (&old, body["sha"].as_str()) {
        (Some(_), None) => {
            return Err(Reply::error(422, "Invalid request.\n\n\"sha\" wasn't supplied."));
        }
        (Some(old), Some(sha)) if old != sha => {
            return Err(Reply::error(409, &format!("{path} does not match {sha}")));
        }
        (None, Some(sha)) => return Err(Reply::error(409, &format!("{path} does not match {sha}"))),
        _ => {}
    }
    if world.is_protected(&reference) {
        let verb = if old.is_some() { "update" } else { "create" };
        return Err(Reply::error(409, &format!("Could not {verb} file: {PROTECTED}")));
    }
    let size = content.len();
    let sha = world.git.add_blob(content);
    tree.insert(path.to_owned(), ("100644".to_owned(), sha.clone()));
    let tree = world.git.add_tree(tree);
    let commit = world.git.add_commit(tree, vec![parent], message.to_owned(), request.at);
    refs::move_reference(world, &reference, Some(&commit), request.at);
    let status = if old.is_some() { 200 } else { 201 };
    let file = entry_shape(world, path, ("file", sha, size), branch);
    let commit = commit_shape(world, &commit).ok_or_else(Reply::not_found)?;
    Ok(Reply::json(status, &json!({"content": file, "commit": commit})))
}
