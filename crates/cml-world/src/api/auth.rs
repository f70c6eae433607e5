//! Authentication and permissions of callers.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::http::{Reply, Request};
use crate::settings::Permissions;
use crate::world::World;

/// The caller of a request.
pub(crate) struct Caller {
    /// Key under which its requests are counted.
    pub(crate) key: String,
    /// Author of its comments.
    pub(crate) login: String,
    pub(crate) kind: Kind,
}

pub(crate) enum Kind {
    /// A token; without permissions it may do everything.
    Token(Option<Permissions>),
    /// An App by its JWT.
    App,
}

/// The login of an App.
const APP_LOGIN: &str = "cml-runner[bot]";

/// Returns the caller, when its credentials are valid.
pub(crate) fn caller(world: &World, request: &Request) -> Option<Caller> {
    let header = request.header("authorization")?;
    let (scheme, credential) = header.split_once(' ')?;
    if !["bearer", "token"].contains(&scheme.to_ascii_lowercase().as_str()) {
        return None;
    }
    let token = |login: &str, permissions| {
        let kind = Kind::Token(permissions);
        Some(Caller { key: credential.to_owned(), login: login.to_owned(), kind })
    };
    if credential == world.settings.token {
        return token(&world.settings.owner, None);
    }
    if let Some(grant) = world.settings.tokens.iter().find(|grant| grant.token == credential) {
        return token(&grant.login, grant.permissions.clone());
    }
    if let Some(installed) = world.installation_tokens.get(credential) {
        return (installed.expires_at > request.at)
            .then(|| token(APP_LOGIN, Some(installed.permissions.clone())))
            .flatten();
    }
    is_app(world, credential, request.at.as_second()).then(|| Caller {
        key: "app".to_owned(),
        login: APP_LOGIN.to_owned(),
        kind: Kind::App,
    })
}

/// Returns whether this JWT has the claims that GitHub requires. Its signature is not checked.
fn is_app(world: &World, jwt: &str, now: i64) -> bool {
    let parts: Vec<&str> = jwt.split('.').collect();
    let [header, claims, signature] = parts.as_slice() else { return false };
    let read =
        |part: &str| -> Option<Value> { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok() };
    let (Some(app), Some(header), Some(claims)) = (&world.settings.app, read(header), read(claims)) else {
        return false;
    };
    let issuer = match &claims["iss"] {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let (Some(issued), Some(expires)) = (claims["iat"].as_i64(), claims["exp"].as_i64()) else {
        return false;
    };
    header["alg"] == "RS256"
        && !signature.is_empty()
        && issuer == Some(app.id)
        && issued <= now + 60
        && expires > now
        && expires - now <= 600
}

/// Returns the refusal when this caller may not do this.
pub(crate) fn refusal(world: &World, caller: &Caller, method: &str, segments: &[&str]) -> Option<Reply> {
    let wants_app =
        matches!(segments, ["app", ..] | ["repos", _, _, "installation"] | ["orgs", _, "installation"]);
    match (&caller.kind, wants_app) {
        (Kind::App, true) => None,
        (Kind::App, false) => Some(forbidden()),
        (Kind::Token(_), true) => Some(Reply::error(401, "A JSON web token could not be decoded")),
        (Kind::Token(_), false) if method != "GET" && writes_checks(segments) && is_personal(&caller.key) => {
            Some(Reply::error(403, "You must authenticate via a GitHub App."))
        }
        (Kind::Token(None), false) => None,
        (Kind::Token(Some(permissions)), false) => {
            let names = permissions_for(world, segments);
            let enough = names.is_empty() || names.iter().any(|name| has(permissions, name, method != "GET"));
            (!enough).then(forbidden)
        }
    }
}

fn has(permissions: &Permissions, name: &str, write: bool) -> bool {
    let held = permissions.get(name).map(String::as_str);
    held == Some("write") || (held == Some("read") && !write)
}

/// Returns whether this caller may write to what a permission covers.
pub(crate) fn may_write(caller: &Caller, permission: &str) -> bool {
    match &caller.kind {
        Kind::Token(None) => true,
        Kind::Token(Some(permissions)) => has(permissions, permission, true),
        Kind::App => false,
    }
}

/// Returns the caller's permissions on the repository, in the form of an answer.
pub(crate) fn repository_permissions(caller: &Caller) -> Value {
    let (admin, push) = (may_write(caller, "administration"), may_write(caller, "contents"));
    json!({"admin": admin, "maintain": admin, "push": push, "triage": push, "pull": true})
}

fn writes_checks(segments: &[&str]) -> bool {
    matches!(segments, ["repos", _, _, "check-runs", ..])
}

/// Returns whether this is a person's token, recognized by its prefix.
fn is_personal(token: &str) -> bool {
    token.starts_with("ghp_") || token.starts_with("github_pat_")
}

fn forbidden() -> Reply {
    Reply::error(403, "Resource not accessible by integration")
}

/// Returns the permissions of which an operation needs one: `read` for GET, `write` for the rest.
fn permissions_for(world: &World, segments: &[&str]) -> &'static [&'static str] {
    match segments {
        ["repos", _, _, "actions", "runs" | "jobs", ..] => &["actions"],
        ["repos", _, _, "actions", ..] => &["administration"],
        ["orgs", _, "actions", ..] => &["organization_self_hosted_runners"],
        ["enterprises", ..] => &["enterprise_self_hosted_runners"],
        ["repos", _, _, "hooks", ..] => &["repository_hooks"],
        ["orgs", _, "hooks", ..] => &["organization_hooks"],
        ["repos", _, _, "check-runs", ..] | ["repos", _, _, "commits", _, "check-runs"] => &["checks"],
        ["repos", _, _, "statuses", ..] | ["repos", _, _, "commits", _, "statuses"] => &["statuses"],
        ["repos", _, _, "issues", "comments", id] => {
            let comment = id.parse().ok().and_then(|id: u64| world.comments.get(&id));
            of_issue(world, comment.and_then(|comment| comment.on.issue()))
        }
        ["repos", _, _, "issues", number, ..] => of_issue(world, number.parse().ok()),
        ["repos", _, _, "pulls", _, "merge"] => &["contents"],
        ["repos", _, _, "pulls", ..] | ["repos", _, _, "commits", _, "pulls"] => &["pull_requests"],
        ["repos", _, _, "commits" | "comments" | "contents" | "git", ..] => &["contents"],
        _ => &[],
    }
}

/// Returns the permissions for an issue. A pull request may be commented with either permission.
fn of_issue(world: &World, number: Option<u64>) -> &'static [&'static str] {
    let is_pull = number.is_some_and(|number| world.pulls.contains_key(&number));
    if is_pull { &["issues", "pull_requests"] } else { &["issues"] }
}
