//! The primary rate limit: requests per token and hour.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::auth::Caller;
use crate::http::Reply;
use crate::world::World;

fn spent(world: &mut World, caller: &Caller, now: Timestamp) -> (u32, Timestamp) {
    let fresh = (0, now + SignedDuration::from_hours(1));
    let entry = world.spent.entry(caller.key.clone()).or_insert(fresh);
    if entry.1 <= now {
        *entry = fresh;
    }
    *entry
}

/// Returns 403 when this caller has used up its hour.
pub(crate) fn refusal(world: &mut World, caller: &Caller, now: Timestamp) -> Option<Reply> {
    let (count, _) = spent(world, caller, now);
    (count >= world.settings.rate_limit).then(|| Reply::error(403, "API rate limit exceeded"))
}

/// Counts an answered request, and adds the remaining number. A 304 and this endpoint itself are free.
pub(crate) fn spend(
    world: &mut World,
    caller: &Caller,
    segments: &[&str],
    reply: &mut Reply,
    now: Timestamp,
) {
    let (mut count, until) = spent(world, caller, now);
    if reply.status != 304 && segments != ["rate_limit"] && count < world.settings.rate_limit {
        count += 1;
        world.spent.insert(caller.key.clone(), (count, until));
    }
    let limit = world.settings.rate_limit;
    for (name, value) in [
        ("x-ratelimit-limit", limit.to_string()),
        ("x-ratelimit-remaining", (limit - count).to_string()),
        ("x-ratelimit-used", count.to_string()),
        ("x-ratelimit-reset", until.as_second().to_string()),
        ("x-ratelimit-resource", "core".to_owned()),
    ] {
        reply.headers.push((name.to_owned(), value));
    }
}

/// `GET /rate_limit`
pub(crate) fn view(world: &mut World, caller: &Caller, now: Timestamp) -> Reply {
    let (count, until) = spent(world, caller, now);
    let limit = world.settings.rate_limit;
    let core = json!({"limit": limit, "remaining": limit - count, "reset": until.as_second(), "used": count});
    let search = json!({"limit": 30, "remaining": 30, "reset": until.as_second(), "used": 0});
    Reply::json(200, &json!({"resources": {"core": core, "search": search}, "rate": core}))
}
