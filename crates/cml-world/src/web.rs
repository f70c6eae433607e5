//! The web side: files as a browser receives them, which is how the images of a report are seen.
//!
//! GitHub redirects `blob/…?raw=true` and `raw/…` to another host; here they answer at once. Objects that no reference
//! reaches are gone, as they are on GitHub after a garbage collection whose time cannot be known.

use crate::http::{Reply, Request};
use crate::world::World;

/// Answers when the path is one of a file in the repository.
pub(crate) fn answer(world: &World, request: &Request) -> Option<Reply> {
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return None;
    }
    let path = crate::http::decode(request.path.strip_prefix('/')?);
    let mut parts = path.splitn(4, '/');
    let (owner, repo, kind, rest) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_ours = owner.eq_ignore_ascii_case(&world.settings.owner)
        && repo.eq_ignore_ascii_case(&world.settings.repo)
        && matches!(kind, "blob" | "raw");
    if !is_ours {
        return None;
    }
    let found = (!world.settings.private || is_signed_in(request)).then(|| file(world, rest)).flatten();
    let Some((name, content)) = found else { return Some(Reply::text(404, "404: Not Found")) };
    let is_raw = kind == "raw" || matches!(request.query("raw").as_deref(), Some("true" | "1"));
    let reply = Reply::empty(200);
    Some(if is_raw {
        Reply { body: content.clone(), ..reply }.with("content-type", content_type(name, content))
    } else {
        // The page around a file: all that matters is that it is not the file.
        let page = "<!doctype html><title>A file on the simulated GitHub</title>";
        Reply { body: page.into(), ..reply }.with("content-type", "text/html; charset=utf-8")
    })
}

/// Returns whether the request has a session or credentials. They are not checked: there is no sign-in here.
fn is_signed_in(request: &Request) -> bool {
    let cookies = request.header("cookie").unwrap_or_default();
    request.header("authorization").is_some()
        || cookies.split(';').any(|cookie| cookie.trim().starts_with("user_session="))
}

/// Returns the path and the content of `REFERENCE/PATH`. Both may have slashes, and at most one way of splitting them
/// matches.
fn file<'a>(world: &'a World, rest: &'a str) -> Option<(&'a str, &'a Vec<u8>)> {
    rest.match_indices('/').find_map(|(at, _)| {
        let (reference, path) = (&rest[..at], &rest[at + 1..]);
        let commit = commit(world, reference)?;
        Some((path, world.git.file(commit, path)?))
    })
}

/// Returns the commit of a branch or tag, or a commit by its whole name as long as a reference reaches it.
fn commit<'a>(world: &'a World, reference: &'a str) -> Option<&'a str> {
    let bare = reference.strip_prefix("refs/").unwrap_or(reference);
    let names = ["refs/heads/", "refs/tags/", "refs/"].map(|folder| format!("{folder}{bare}"));
    let shown = |name: &&String| name.starts_with("refs/heads/") || name.starts_with("refs/tags/");
    if let Some(commit) = names.iter().filter(shown).find_map(|name| world.git.reference(name)) {
        return Some(commit);
    }
    world.git.commit(reference)?;
    // GitHub keeps a reference of its own to the head of every pull request.
    let heads = world.pulls.values().map(|pull| &pull.head_sha);
    let mut tips = world.git.references().values().chain(heads);
    tips.any(|tip| world.git.leads_to(reference, tip)).then_some(reference)
}

fn content_type(path: &str, content: &[u8]) -> &'static str {
    let extension = path.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref() {
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("gif") => "image/gif",
        Some("svg") => "image/svg+xml",
        Some("webp") => "image/webp",
        Some("pdf") => "application/pdf",
        // Scripts and pages of a repository are never run as such.
        _ if std::str::from_utf8(content).is_ok() => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
