//! Blobs, trees and commits, as the API returns and accepts them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{refs, shapes};
use crate::http::{Reply, Request};
use crate::objects::Tree;
use crate::world::World;

/// The longest content of a blob in a request. GitHub documents no number; it does refuse what is too large, with this
/// message.
const BLOB_LIMIT: usize = 64 << 20;
const BLOB_IS_TOO_LARGE: &str = "Sorry, your input was too large to process. Consider creating the blob in a local clone \
     of the repository and then pushing it to GitHub.";

/// The modes of an entry that is a file: plain, executable, symbolic link.
const FILE_MODES: [&str; 3] = ["100644", "100755", "120000"];

/// Routes below `…/git`.
pub(crate) fn route(world: &mut World, method: &str, rest: &[&str], request: &Request) -> Option<Reply> {
    let reply = match (method, rest) {
        ("POST", ["blobs"]) => create_blob(world, request),
        ("GET", ["blobs", name]) => {
            let content = world.git.blob(name)?;
            Ok(Reply::json(200, &blob_shape(world, name, content)))
        }
        ("POST", ["trees"]) => create_tree(world, request),
        ("GET", ["trees", name]) => {
            let name = world.git.resolve(name).and_then(|name| Some(world.git.commit(&name)?.tree.clone()));
            let name = name.unwrap_or_else(|| rest[1].to_owned());
            Ok(Reply::json(200, &tree_shape(world, &name, world.git.tree(&name)?)))
        }
        ("POST", ["commits"]) => create_commit(world, request),
        ("GET", ["commits", name]) => Ok(Reply::json(200, &commit_shape(world, name)?)),
        _ => return refs::route(world, method, rest, request),
    };
    Some(reply.unwrap_or_else(|refusal| refusal))
}

fn create_blob(world: &mut World, request: &Request) -> Result<Reply, Reply> {
    let body = request.json()?;
    let text = body["content"].as_str().ok_or_else(|| Reply::invalid("Blob", "content", "missing_field"))?;
    if text.len() > BLOB_LIMIT {
        let error = json!({"resource": "Blob", "field": "data", "code": "too_large"});
        let refusal = json!({
            "message": BLOB_IS_TOO_LARGE, "errors": [error], "documentation_url": "https://docs.github.com/rest",
        });
        return Err(Reply::json(422, &refusal));
    }
    let content = match body["encoding"].as_str() {
        None | Some("utf-8") => text.as_bytes().to_vec(),
        Some("base64") => decode_base64(text).ok_or_else(|| Reply::invalid("Blob", "content", "invalid"))?,
        Some(_) => return Err(Reply::invalid("Blob", "encoding", "invalid")),
    };
    let sha = world.git.add_blob(content);
    let url = format!("{}/git/blobs/{sha}", world.repo_api());
    Ok(Reply::json(201, &json!({"sha": sha, "url": url})))
}

/// Decodes base64 with or without line breaks.
pub(crate) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let bare: String = text.split_whitespace().collect();
    STANDARD.decode(bare).ok()
}

fn blob_shape(world: &World, name: &str, content: &[u8]) -> Value {
    json!({
        "sha": name,
        "node_id": shapes::node("B", name),
        "url": format!("{}/git/blobs/{name}", world.repo_api()),
        "size": content.len(),
        "content": STANDARD.encode(content),
        "encoding": "base64",
    })
}

fn create_tree(world: &mut World, request: &Request) -> Result<Reply, Reply> {
    let body = request.json()?;
    let entries = body["tree"].as_array().ok_or_else(|| Reply::error(422, "Invalid tree info"))?;
    let mut tree = match body["base_tree"].as_str() {
        None => Tree::new(),
        Some(base) => {
            let base = world.git.commit(base).map_or(base, |commit| commit.tree.as_str());
            world
                .git
                .tree(base)
                .cloned()
                .ok_or_else(|| Reply::error(422, "base_tree is not a valid tree oid"))?
        }
    };
    for entry in entries {
        put_entry(world, &mut tree, entry)?;
    }
    let sha = world.git.add_tree(tree.clone());
    Ok(Reply::json(201, &tree_shape(world, &sha, &tree)))
}

fn put_entry(world: &mut World, tree: &mut Tree, entry: &Value) -> Result<(), Reply> {
    let refused = |message: &str| Reply::error(422, message);
    let path = entry["path"].as_str().unwrap_or_default();
    if path.split('/').any(|part| matches!(part, "" | "." | ".." | ".git")) {
        return Err(refused("tree.path contains a malformed path component"));
    }
    let mode = entry["mode"].as_str().unwrap_or_default();
    if mode != "040000" && !FILE_MODES.contains(&mode) {
        return Err(refused("Must supply a valid tree.mode"));
    }
    let below = format!("{path}/");
    let either_or =
        "Must supply either tree.sha or tree.content. Request will be rejected if both are present.";
    let sha = match (entry.get("sha"), entry["content"].as_str()) {
        (Some(Value::Null), None) => {
            let before = tree.len();
            tree.retain(|old, _| old != path && !old.starts_with(&below));
            // A missing path cannot be removed, and this is GitHub's error for it.
            let removed = tree.len() < before;
            return if removed { Ok(()) } else { Err(refused("GitRPC::BadObjectState")) };
        }
        (Some(Value::String(sha)), None) => sha.clone(),
        (None, Some(content)) if mode != "040000" => world.git.add_blob(content.as_bytes().to_vec()),
        _ => return Err(refused(either_or)),
    };
    // A file replaces a folder of its name, and a folder a file.
    tree.retain(|old, _| {
        !old.starts_with(&below) && !path.strip_prefix(old.as_str()).is_some_and(|rest| rest.starts_with('/'))
    });
    if mode == "040000" {
        let inner = world.git.tree(&sha);
        let inner = inner.ok_or_else(|| refused(&format!("tree.sha {sha} is not a valid tree")))?;
        tree.remove(path);
        tree.extend(inner.iter().map(|(inner, value)| (format!("{below}{inner}"), value.clone())));
    } else if world.git.blob(&sha).is_some() {
        tree.insert(path.to_owned(), (mode.to_owned(), sha));
    } else {
        return Err(refused(&format!("tree.sha {sha} is not a valid blob")));
    }
    Ok(())
}

fn tree_shape(world: &World, name: &str, tree: &Tree) -> Value {
    let api = world.repo_api();
    let entry = |(path, (mode, sha)): (&String, &(String, String))| {
        let size = world.git.blob(sha).map(Vec::len);
        let url = format!("{api}/git/blobs/{sha}");
        json!({"path": path, "mode": mode, "type": "blob", "sha": sha, "size": size, "url": url})
    };
    let entries: Vec<Value> = tree.iter().map(entry).collect();
    json!({"sha": name, "url": format!("{api}/git/trees/{name}"), "tree": entries, "truncated": false})
}

fn create_commit(world: &mut World, request: &Request) -> Result<Reply, Reply> {
    let body = request.json()?;
    let invalid = |field, code| Reply::invalid("Commit", field, code);
    let message = body["message"].as_str().ok_or_else(|| invalid("message", "missing_field"))?;
    let tree = body["tree"].as_str().ok_or_else(|| invalid("tree", "missing_field"))?;
    if world.git.tree(tree).is_none() {
        return Err(Reply::error(422, "Tree SHA does not exist"));
    }
    let mut parents = Vec::new();
    for parent in body["parents"].as_array().into_iter().flatten() {
        let parent = parent.as_str().filter(|parent| world.git.commit(parent).is_some());
        parents.push(
            parent.ok_or_else(|| Reply::error(422, "Parent SHA does not exist or is not a commit object"))?,
        );
    }
    let parents = parents.into_iter().map(str::to_owned).collect();
    let sha = world.git.add_commit(tree.to_owned(), parents, message.to_owned(), request.at);
    let shape = commit_shape(world, &sha).ok_or_else(Reply::not_found)?;
    Ok(Reply::json(201, &shape))
}

/// Returns a commit in the form of the git API.
pub(crate) fn commit_shape(world: &World, name: &str) -> Option<Value> {
    let commit = world.git.commit(name)?;
    let api = world.repo_api();
    let web = world.repo_web();
    let owner = &world.settings.owner;
    let person =
        json!({"name": owner, "email": format!("{owner}@users.invalid"), "date": shapes::time(commit.at)});
    let parent = |sha: &String| json!({"sha": sha, "url": format!("{api}/git/commits/{sha}"), "html_url": format!("{web}/commit/{sha}")});
    let parents: Vec<Value> = commit.parents.iter().map(parent).collect();
    Some(json!({
        "sha": name,
        "node_id": shapes::node("C", name),
        "url": format!("{api}/git/commits/{name}"),
        "html_url": format!("{web}/commit/{name}"),
        "author": person,
        "committer": person,
        "tree": {"sha": commit.tree, "url": format!("{api}/git/trees/{}", commit.tree)},
        "message": commit.message,
        "parents": parents,
        "verification": {
            "verified": false, "reason": "unsigned", "signature": null, "payload": null, "verified_at": null,
        },
    }))
}
