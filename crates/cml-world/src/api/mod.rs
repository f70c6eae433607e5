//! The API: authentication, permissions, routes.

pub(crate) mod app;
mod auth;
pub(crate) mod checks;
pub(crate) mod comments;
mod contents;
mod git;
mod graphql;
mod hooks;
mod jobs;
mod merging;
mod pull_shape;
pub(crate) mod pulls;
mod rate;
pub(crate) mod refs;
mod runners;
mod runs;
pub(crate) mod shapes;

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::clock;
use crate::http::{Reply, Request, decode};
use crate::server::api_path;
use crate::world::{Scope, World};

/// Answers a request, and adds the headers that every answer of GitHub has.
pub(crate) fn answer(world: &mut World, request: &Request) -> Reply {
    let path = api_path(&request.path).to_owned();
    let segments: Vec<String> = path.trim_matches('/').split('/').map(decode).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let caller = auth::caller(world, request);
    let mut reply = match &caller {
        None => Reply::error(401, "Bad credentials"),
        Some(caller) => match rate::refusal(world, caller, request.at) {
            Some(refusal) if segments != ["rate_limit"] => refusal,
            _ => routed(world, caller, request, &segments),
        },
    };
    conditional(request, &mut reply);
    if let Some(caller) = &caller {
        rate::spend(world, caller, &segments, &mut reply, request.at);
    }
    if let Some(caller) = &caller {
        let posture = &world.settings.posture;
        for (name, value) in [
            ("x-oauth-scopes", posture.classic_scopes.get(&caller.key)),
            ("github-authentication-token-expiration", posture.expirations.get(&caller.key)),
        ] {
            if let Some(value) = value {
                reply = reply.with(name, value.clone());
            }
        }
    }
    let date = request.at + world.settings.posture.clock_ahead;
    let version = request.header("x-github-api-version").unwrap_or("2022-11-28").to_owned();
    reply
        .with("date", date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
        .with("x-github-request-id", clock::fresh_word(24).to_uppercase())
        .with("x-github-media-type", "github.v3; format=json")
        .with("x-github-api-version-selected", version)
        .with("server", "github.com (simulated)")
}

fn routed(world: &mut World, caller: &auth::Caller, request: &Request, segments: &[&str]) -> Reply {
    if let Some(refusal) = auth::refusal(world, caller, &request.method, segments) {
        return refusal;
    }
    if let Some(reply) = known_version(request) {
        return reply;
    }
    let known = |name: &str, expected: &str| name.eq_ignore_ascii_case(expected);
    let method = request.method.as_str();
    let found = match segments {
        ["rate_limit"] if method == "GET" => Some(rate::view(world, caller, request.at)),
        ["user"] if method == "GET" && !caller.login.ends_with("[bot]") => {
            Some(Reply::json(200, &shapes::private_user(world, &caller.login, request.at)))
        }
        ["user"] if method == "GET" => Some(Reply::error(403, "Resource not accessible by integration")),
        ["graphql"] if method == "POST" => Some(graphql::answer(world, caller, request)),
        ["app", rest @ ..] => app::route(world, method, rest, request),
        ["repos", owner, repo, rest @ ..]
            if known(owner, &world.settings.owner) && known(repo, &world.settings.repo) =>
        {
            repository(world, caller, method, rest, request)
        }
        ["orgs", org, rest @ ..] if known(org, &world.settings.owner) => match rest {
            ["hooks", rest @ ..] => hooks::route(world, &format!("/orgs/{org}"), method, rest, request),
            ["actions", rest @ ..] => runners::route(world, Scope::Organization, method, rest, request),
            ["installation"] if method == "GET" => Some(app::installation_of(world)),
            ["repos"] if method == "GET" => {
                let (page, link) = request.page(vec![shapes::full_repository(world)], &world.web);
                Some(Reply::list(&page.into(), link))
            }
            _ => None,
        },
        ["installation", "repositories"] if method == "GET" => {
            let (page, link) = request.page(vec![shapes::full_repository(world)], &world.web);
            Some(Reply::list(&json!({"total_count": 1, "repositories": page}), link))
        }
        ["enterprises", enterprise, "actions", rest @ ..]
            if known(enterprise, &world.settings.enterprise) =>
        {
            runners::route(world, Scope::Enterprise, method, rest, request)
        }
        _ => None,
    };
    found.unwrap_or_else(Reply::not_found)
}

fn repository(
    world: &mut World,
    caller: &auth::Caller,
    method: &str,
    rest: &[&str],
    request: &Request,
) -> Option<Reply> {
    match rest {
        [] if method == "GET" => {
            let mut shape = shapes::full_repository(world);
            shape["permissions"] = auth::repository_permissions(caller);
            Some(Reply::json(200, &shape))
        }
        ["installation"] if method == "GET" => Some(app::installation_of(world)),
        ["actions", "runs", rest @ ..] => runs::route(world, caller, method, rest, request),
        ["actions", "jobs", rest @ ..] => jobs::route(world, caller, method, rest, request),
        ["actions", "permissions", what] if method == "GET" => permissions(world, what),
        ["actions", rest @ ..] => runners::route(world, Scope::Repository, method, rest, request),
        ["hooks", rest @ ..] => {
            let base = format!("/repos/{}/{}", world.settings.owner, world.settings.repo);
            hooks::route(world, &base, method, rest, request)
        }
        ["commits", _, "comments"]
        | ["comments", _]
        | ["issues", _, "comments"]
        | ["issues", "comments", _] => comments::route(world, &caller.login, method, rest, request),
        ["pulls", rest @ ..] => pulls::route(world, method, rest, request),
        ["commits", sha, "pulls"] if method == "GET" => Some(pulls::of_commit(world, sha, request)),
        ["check-runs", ..] | ["statuses", _] | ["commits", _, "statuses" | "check-runs"] => {
            checks::route(world, method, rest, request)
        }
        ["contents", path @ ..] => contents::route(world, method, &path.join("/"), request),
        ["git", rest @ ..] => git::route(world, method, rest, request),
        _ => None,
    }
}

/// Returns the settings of what code may run here. GitHub has each of these for its own kind of repository only.
fn permissions(world: &World, what: &str) -> Option<Reply> {
    let posture = &world.settings.posture;
    match (what, world.settings.private) {
        ("fork-pr-contributor-approval", false) => {
            Some(Reply::json(200, &json!({"approval_policy": posture.fork_approval})))
        }
        ("fork-pr-workflows-private-repos", true) => Some(Reply::json(
            200,
            &json!({
                "run_workflows_from_fork_pull_requests": posture.forks.run,
                "send_write_tokens_to_workflows": posture.forks.write_tokens,
                "send_secrets_and_variables": posture.forks.secrets,
                "require_approval_for_fork_pr_workflows": true,
            }),
        )),
        _ => None,
    }
}

/// Refuses API versions that GitHub does not serve; no header means the oldest of them.
fn known_version(request: &Request) -> Option<Reply> {
    let version = request.header("x-github-api-version")?;
    let known = matches!(version, "2022-11-28" | "2026-03-10");
    (!known).then(|| Reply::error(400, "The specified API version is not supported"))
}

/// Answers 304 when the caller has this answer already.
fn conditional(request: &Request, reply: &mut Reply) {
    if request.method != "GET" || reply.status != 200 {
        return;
    }
    let tag = format!("\"{}\"", clock::hex(&Sha256::digest(&reply.body)));
    let held = request.header("if-none-match").unwrap_or_default();
    if held.split(',').any(|one| one.trim().trim_start_matches("W/") == tag) {
        reply.status = 304;
        reply.body.clear();
        reply.headers.retain(|(name, _)| name != "content-type");
    }
    reply.headers.push(("etag".to_owned(), tag));
}
