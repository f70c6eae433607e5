//! Pull requests: opened, listed, changed. Their shapes are in [`pull_shape`], merging in [`merging`].
//!
//! [`pull_shape`]: super::pull_shape
//! [`merging`]: super::merging

use jiff::Timestamp;
use serde_json::json;

use super::pull_shape::{full, simple};
use super::{merging, shapes};
use crate::actions::origin::HeadRepository;
use crate::http::{Reply, Request};
use crate::views::PullView;
use crate::world::World;

/// A pull request to a branch of the repository, from another one or from a fork's.
pub(crate) struct Pull {
    pub(crate) number: u64,
    pub(crate) title: String,
    pub(crate) body: Option<String>,
    /// Repository of the branch with the changes.
    pub(crate) head_repository: HeadRepository,
    /// The branch with the changes, and its newest commit.
    pub(crate) head: String,
    pub(crate) head_sha: String,
    /// The base branch.
    pub(crate) base: String,
    pub(crate) draft: bool,
    pub(crate) open: bool,
    /// Time of the merge, and its commit.
    pub(crate) merged: Option<(Timestamp, String)>,
    /// Method of the auto-merge, if it is enabled.
    pub(crate) auto_merge: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) closed_at: Option<Timestamp>,
}

impl Pull {
    pub(crate) fn new(
        number: u64,
        head: (String, String),
        base: &str,
        title: String,
        now: Timestamp,
    ) -> Self {
        Self {
            number,
            title,
            body: None,
            head_repository: HeadRepository::Own,
            head: head.0,
            head_sha: head.1,
            base: base.to_owned(),
            draft: false,
            open: true,
            merged: None,
            auto_merge: None,
            created_at: now,
            updated_at: now,
            closed_at: None,
        }
    }

    pub(crate) fn close(&mut self, now: Timestamp) {
        self.open = false;
        self.auto_merge = None;
        self.updated_at = now;
        self.closed_at = Some(now);
    }

    /// Returns whether its changes are on this branch of the repository.
    pub(crate) fn is_of_branch(&self, name: &str) -> bool {
        self.head_repository == HeadRepository::Own && self.head == name
    }

    /// Returns `owner:branch` of its head, in a repository of this owner.
    pub(crate) fn label(&self, owner: &str) -> String {
        format!("{}:{}", self.head_repository.fork_owner().unwrap_or(owner), self.head)
    }

    /// Returns the newest commit of the branch with the changes; `None` when that branch or its repository is gone.
    fn newest_head(&self, world: &World) -> Option<String> {
        match self.head_repository {
            HeadRepository::Own => world.git.branch(&self.head).cloned(),
            HeadRepository::Fork(_) => Some(self.head_sha.clone()),
            HeadRepository::DeletedFork(_) => None,
        }
    }

    pub(crate) fn state(&self) -> &'static str {
        if self.open { "open" } else { "closed" }
    }

    pub(crate) fn node_id(&self) -> String {
        shapes::node("PR", self.number)
    }

    pub(crate) fn view(&self) -> PullView {
        PullView {
            number: self.number,
            node_id: self.node_id(),
            title: self.title.clone(),
            body: self.body.clone(),
            head: self.head.clone(),
            head_sha: self.head_sha.clone(),
            base: self.base.clone(),
            draft: self.draft,
            state: self.state().to_owned(),
            merge_commit: self.merged.as_ref().map(|(_, commit)| commit.clone()),
            auto_merge: self.auto_merge.clone(),
        }
    }
}

/// Routes below `…/pulls`.
pub(crate) fn route(world: &mut World, method: &str, rest: &[&str], request: &Request) -> Option<Reply> {
    let number = |text: &str| text.parse().ok().filter(|number| world.pulls.contains_key(number));
    let reply = match (method, rest) {
        ("GET", []) => Ok(list(world, request)),
        ("POST", []) => create(world, request),
        ("GET", [text]) => Ok(Reply::json(200, &full(world, world.pulls.get(&number(text)?)?))),
        ("PATCH", [text]) => {
            let number = number(text)?;
            update(world, number, request)
        }
        ("PUT", [text, "merge"]) => {
            let number = number(text)?;
            merging::merge(world, number, request)
        }
        _ => return None,
    };
    Some(reply.unwrap_or_else(|refusal| refusal))
}

/// `GET /repos/{owner}/{repo}/commits/{sha}/pulls`: the pull requests that bring this commit, open or not.
pub(crate) fn of_commit(world: &World, sha: &str, request: &Request) -> Reply {
    let Some(sha) = world.git.resolve(sha) else {
        return Reply::error(422, &format!("No commit found for SHA: {sha}"));
    };
    let brings = |pull: &&Pull| {
        let base = world.git.branch(&pull.base).map(String::as_str).unwrap_or_default();
        pull.head_sha == sha
            || pull.merged.as_ref().is_some_and(|(_, commit)| *commit == sha)
            || (world.git.leads_to(&sha, &pull.head_sha) && !world.git.leads_to(&sha, base))
    };
    let all = world.pulls.values().filter(brings).map(|pull| simple(world, pull)).collect();
    let (page, link) = request.page(all, &world.web);
    Reply::list(&page.into(), link)
}

fn list(world: &World, request: &Request) -> Reply {
    let state = request.query("state").unwrap_or_else(|| "open".to_owned());
    let base = request.query("base");
    // GitHub ignores a branch without its owner.
    let head = request.query("head").filter(|head| head.contains(':'));
    let wanted = |pull: &&Pull| {
        (state == "all" || state == pull.state())
            && base.as_ref().is_none_or(|base| *base == pull.base)
            && head.as_ref().is_none_or(|head| *head == pull.label(&world.settings.owner))
    };
    let mut all: Vec<&Pull> = world.pulls.values().filter(wanted).collect();
    if request.query("sort").as_deref() == Some("updated") {
        all.sort_by_key(|pull| pull.updated_at);
    }
    if request.query("direction").as_deref() != Some("asc") {
        all.reverse();
    }
    let (page, link) = request.page(all.into_iter().map(|pull| simple(world, pull)).collect(), &world.web);
    Reply::list(&page.into(), link)
}

fn invalid(field: &str, code: &str) -> Reply {
    Reply::invalid("PullRequest", field, code)
}

/// Returns 422 with a message.
fn refused(message: &str) -> Reply {
    let error = json!({"resource": "PullRequest", "code": "custom", "message": message});
    let documentation = "https://docs.github.com/rest/pulls/pulls#create-a-pull-request";
    Reply::json(
        422,
        &json!({"message": "Validation Failed", "errors": [error], "documentation_url": documentation}),
    )
}

fn create(world: &mut World, request: &Request) -> Result<Reply, Reply> {
    let body = request.json()?;
    let text = |field: &str| body[field].as_str().filter(|text| !text.trim().is_empty());
    let title = text("title").ok_or_else(|| invalid("title", "missing_field"))?;
    let head = text("head").ok_or_else(|| invalid("head", "missing_field"))?;
    let base = text("base").ok_or_else(|| invalid("base", "missing_field"))?;
    let owner = world.settings.owner.clone();
    let branch = match head.split_once(':') {
        None => head,
        Some((of, branch)) if of.eq_ignore_ascii_case(&owner) => branch,
        Some(_) => return Err(invalid("head", "invalid")),
    };
    let base_sha = world.git.branch(base).ok_or_else(|| invalid("base", "invalid"))?;
    let head_sha = world.git.branch(branch).ok_or_else(|| invalid("head", "invalid"))?.clone();
    if world.git.leads_to(&head_sha, base_sha) {
        return Err(refused(&format!("No commits between {base} and {branch}")));
    }
    if !world.git.are_related(base_sha, &head_sha) {
        return Err(refused(&format!("The {branch} branch has no history in common with {base}")));
    }
    if world.pulls.values().any(|pull| pull.open && pull.is_of_branch(branch) && pull.base == base) {
        return Err(refused(&format!("A pull request already exists for {owner}:{branch}.")));
    }
    let number = world.next_number();
    let mut pull = Pull::new(number, (branch.to_owned(), head_sha), base, title.to_owned(), request.at);
    pull.body = body["body"].as_str().map(str::to_owned);
    pull.draft = body["draft"] == true;
    let reply = Reply::json(201, &full(world, &pull));
    world.pulls.insert(number, pull);
    Ok(reply)
}

fn update(world: &mut World, number: u64, request: &Request) -> Result<Reply, Reply> {
    let body = request.json()?;
    let has_branch = |name: &str| world.git.branch(name).is_some();
    if body["base"].as_str().is_some_and(|base| !has_branch(base)) {
        return Err(invalid("base", "invalid"));
    }
    if body["title"].as_str().is_some_and(|title| title.trim().is_empty()) {
        return Err(invalid("title", "missing_field"));
    }
    let pull = world.pulls.get(&number).ok_or_else(Reply::not_found)?;
    let reopens = match body["state"].as_str() {
        Some("open") => !pull.open,
        None | Some("closed") => false,
        Some(_) => return Err(invalid("state", "invalid")),
    };
    if reopens && pull.merged.is_some() {
        return Err(refused("state cannot be changed. The pull request cannot be reopened."));
    }
    let head_sha = pull.newest_head(world);
    if reopens && head_sha.is_none() {
        return Err(refused(&format!("state cannot be changed. The {} branch has been deleted.", pull.head)));
    }
    let pull = world.pulls.get_mut(&number).ok_or_else(Reply::not_found)?;
    if let Some(title) = body["title"].as_str() {
        title.clone_into(&mut pull.title);
    }
    if let Some(text) = body.get("body") {
        pull.body = text.as_str().map(str::to_owned);
    }
    if let Some(base) = body["base"].as_str() {
        base.clone_into(&mut pull.base);
    }
    pull.updated_at = request.at;
    if let (true, Some(head_sha)) = (reopens, head_sha) {
        // The branch may have moved while the pull request was closed.
        (pull.open, pull.head_sha, pull.closed_at) = (true, head_sha, None);
    } else if body["state"] == "closed" && pull.open {
        pull.close(request.at);
    }
    let pull = world.pulls.get(&number).ok_or_else(Reply::not_found)?;
    Ok(Reply::json(200, &full(world, pull)))
}
