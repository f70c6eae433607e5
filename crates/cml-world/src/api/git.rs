//! Git objects and references: enough of a repository to write files, commits and orphan references.
//!
//! A tree is kept flat: every path below it and its blob. Object names are hashes of content, as git's are, but not
//! git's own hashes: nobody may compute them but the server.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::shapes;
use crate::clock;
use crate::http::{Reply, Request};
use crate::world::World;

/// Path to mode and blob.
pub(crate) type Tree = BTreeMap<String, (String, String)>;

/// A commit.
pub(crate) struct Commit {
    pub(crate) tree: String,
    parents: Vec<String>,
    message: String,
    at: Timestamp,
}

/// The repository's objects.
pub(crate) struct Git {
    /// When the repository began.
    pub(crate) began: Timestamp,
    blobs: BTreeMap<String, Vec<u8>>,
    trees: BTreeMap<String, Tree>,
    commits: BTreeMap<String, Commit>,
    /// `refs/heads/main` to a commit.
    refs: BTreeMap<String, String>,
}

const MAIN: &str = "refs/heads/main";

fn name_of(kind: &str, content: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(kind);
    hash.update(content);
    let mut name = clock::hex(&hash.finalize());
    name.truncate(40);
    name
}

impl Git {
    /// A repository with one commit on `main`.
    pub(crate) fn new(now: Timestamp) -> Self {
        let mut git = Self {
            began: now,
            blobs: BTreeMap::new(),
            trees: BTreeMap::new(),
            commits: BTreeMap::new(),
            refs: BTreeMap::new(),
        };
        let readme = git.add_blob(b"# A simulated repository\n".to_vec());
        let tree = git.add_tree(Tree::from([("README.md".to_owned(), ("100644".to_owned(), readme))]));
        let commit = git.add_commit(tree, Vec::new(), "Begin".to_owned(), now);
        git.refs.insert(MAIN.to_owned(), commit);
        git
    }

    pub(crate) fn add_blob(&mut self, content: Vec<u8>) -> String {
        let name = name_of("blob", &content);
        self.blobs.insert(name.clone(), content);
        name
    }

    pub(crate) fn add_tree(&mut self, tree: Tree) -> String {
        let name = name_of("tree", format!("{tree:?}").as_bytes());
        self.trees.insert(name.clone(), tree);
        name
    }

    pub(crate) fn add_commit(
        &mut self,
        tree: String,
        parents: Vec<String>,
        message: String,
        at: Timestamp,
    ) -> String {
        let name = name_of("commit", format!("{tree} {parents:?} {at} {message}").as_bytes());
        self.commits.insert(name.clone(), Commit { tree, parents, message, at });
        name
    }

    /// Takes in a commit of a repository elsewhere, by its name there, as the newest of a reference.
    pub(crate) fn know(&mut self, name: &str, reference: &str, at: Timestamp) {
        let tree = self.add_tree(Tree::new());
        let parents = self.refs.insert(reference.to_owned(), name.to_owned()).into_iter().collect();
        let message = "A commit of a repository elsewhere".to_owned();
        self.commits.insert(name.to_owned(), Commit { tree, parents, message, at });
    }

    pub(crate) fn blob(&self, name: &str) -> Option<&Vec<u8>> {
        self.blobs.get(name)
    }

    pub(crate) fn tree(&self, name: &str) -> Option<&Tree> {
        self.trees.get(name)
    }

    pub(crate) fn commit(&self, name: &str) -> Option<&Commit> {
        self.commits.get(name)
    }

    pub(crate) fn reference(&self, name: &str) -> Option<&String> {
        self.refs.get(name)
    }

    pub(crate) fn set_reference(&mut self, name: &str, commit: String) {
        self.refs.insert(name.to_owned(), commit);
    }

    /// The newest commit of `main`.
    pub(crate) fn head(&self) -> String {
        self.refs.get(MAIN).cloned().unwrap_or_default()
    }

    /// The commit that a hash, a branch or a reference stands for.
    pub(crate) fn resolve(&self, reference: &str) -> Option<String> {
        if self.commits.contains_key(reference) {
            return Some(reference.to_owned());
        }
        let names = [format!("refs/heads/{reference}"), format!("refs/{reference}"), reference.to_owned()];
        names.iter().find_map(|name| self.refs.get(name)).cloned()
    }

    /// Whether `old` is `new` or one of its ancestors.
    fn leads_to(&self, old: &str, new: &str) -> bool {
        let mut todo = vec![new];
        while let Some(name) = todo.pop() {
            if name == old {
                return true;
            }
            todo.extend(
                self.commits.get(name).into_iter().flat_map(|one| one.parents.iter().map(String::as_str)),
            );
        }
        false
    }
}

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
        ("POST", ["refs"]) => create_reference(world, request),
        ("GET", ["ref", name @ ..]) => {
            let name = format!("refs/{}", name.join("/"));
            Ok(Reply::json(200, &reference_shape(world, &name)?))
        }
        ("PATCH", ["refs", name @ ..]) => {
            update_reference(world, &format!("refs/{}", name.join("/")), request)
        }
        ("DELETE", ["refs", name @ ..]) => match world.git.refs.remove(&format!("refs/{}", name.join("/"))) {
            Some(_) => Ok(Reply::empty(204)),
            None => Err(Reply::error(422, "Reference does not exist")),
        },
        _ => return None,
    };
    Some(reply.unwrap_or_else(|refusal| refusal))
}

fn create_blob(world: &mut World, request: &Request) -> Result<Reply, Reply> {
    let body = request.json()?;
    let text = body["content"].as_str().ok_or_else(|| Reply::invalid("Blob", "content", "missing_field"))?;
    let content = match body["encoding"].as_str() {
        None | Some("utf-8") => text.as_bytes().to_vec(),
        Some("base64") => decode_base64(text).ok_or_else(|| Reply::invalid("Blob", "content", "invalid"))?,
        Some(_) => return Err(Reply::invalid("Blob", "encoding", "invalid")),
    };
    let sha = world.git.add_blob(content);
    let url = format!("{}/git/blobs/{sha}", world.repo_api());
    Ok(Reply::json(201, &json!({"sha": sha, "url": url})))
}

/// Base64 with or without line breaks.
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
    let malformed =
        || Reply::error(422, "tree.path, tree.mode and one of tree.sha and tree.content are needed");
    let path = entry["path"].as_str().filter(|path| !path.is_empty()).ok_or_else(malformed)?;
    let mode = entry["mode"].as_str().ok_or_else(malformed)?;
    let below = format!("{path}/");
    if entry.get("sha") == Some(&Value::Null) {
        tree.retain(|old, _| old != path && !old.starts_with(&below));
        return Ok(());
    }
    if mode == "040000" {
        let inner = entry["sha"].as_str().and_then(|sha| world.git.tree(sha)).ok_or_else(malformed)?;
        tree.retain(|old, _| !old.starts_with(&below));
        tree.extend(inner.iter().map(|(inner, value)| (format!("{below}{inner}"), value.clone())));
        return Ok(());
    }
    let sha = match (entry["sha"].as_str(), entry["content"].as_str()) {
        (Some(sha), None) if world.git.blob(sha).is_some() => sha.to_owned(),
        (Some(sha), None) => return Err(Reply::error(422, &format!("tree.sha {sha} is not a valid blob"))),
        (None, Some(content)) => world.git.add_blob(content.as_bytes().to_vec()),
        _ => return Err(malformed()),
    };
    tree.insert(path.to_owned(), (mode.to_owned(), sha));
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

/// A commit as git has it.
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

fn create_reference(world: &mut World, request: &Request) -> Result<Reply, Reply> {
    let body = request.json()?;
    let name = body["ref"].as_str().ok_or_else(|| Reply::invalid("Reference", "ref", "missing_field"))?;
    let sha = body["sha"].as_str().ok_or_else(|| Reply::invalid("Reference", "sha", "missing_field"))?;
    if !name.starts_with("refs/") || name.matches('/').count() < 2 {
        return Err(Reply::error(
            422,
            "Reference name must start with 'refs/' and have at least two slashes",
        ));
    }
    if world.git.reference(name).is_some() {
        return Err(Reply::error(422, "Reference already exists"));
    }
    if world.git.commit(sha).is_none() {
        return Err(Reply::error(422, "Object does not exist"));
    }
    world.git.set_reference(name, sha.to_owned());
    let shape = reference_shape(world, name).ok_or_else(Reply::not_found)?;
    Ok(Reply::json(201, &shape))
}

fn update_reference(world: &mut World, name: &str, request: &Request) -> Result<Reply, Reply> {
    let body = request.json()?;
    let sha = body["sha"].as_str().ok_or_else(|| Reply::invalid("Reference", "sha", "missing_field"))?;
    let Some(old) = world.git.reference(name) else {
        return Err(Reply::error(422, "Reference does not exist"));
    };
    if world.git.commit(sha).is_none() {
        return Err(Reply::error(422, "Object does not exist"));
    }
    if body["force"] != true && !world.git.leads_to(old, sha) {
        return Err(Reply::error(422, "Update is not a fast forward"));
    }
    world.git.set_reference(name, sha.to_owned());
    let shape = reference_shape(world, name).ok_or_else(Reply::not_found)?;
    Ok(Reply::json(200, &shape))
}

fn reference_shape(world: &World, name: &str) -> Option<Value> {
    let sha = world.git.reference(name)?;
    let api = world.repo_api();
    Some(json!({
        "ref": name,
        "node_id": shapes::node("REF", name),
        "url": format!("{api}/git/{name}"),
        "object": {"type": "commit", "sha": sha, "url": format!("{api}/git/commits/{sha}")},
    }))
}
