//! The webhook of the repository and its organization as its owner sees it, and its deliveries.

use serde_json::{Value, json};

use super::{app, shapes};
use crate::http::{Reply, Request};
use crate::world::World;

/// The one webhook's number.
const HOOK: u64 = 1;

/// Routes below `…/hooks`.
pub(crate) fn route(
    world: &World,
    base: &str,
    method: &str,
    rest: &[&str],
    request: &Request,
) -> Option<Reply> {
    match (method, rest) {
        ("GET", []) => {
            let all: Vec<Value> = hook(world, base).into_iter().collect();
            let (page, link) = request.page(all, &world.web);
            Some(Reply::list(&page.into(), link))
        }
        ("GET", [id, "deliveries"]) if *id == HOOK.to_string() => {
            world.settings.webhook.as_ref()?;
            Some(app::deliveries(world, None, request))
        }
        _ => None,
    }
}

/// Returns the webhook's configuration; its secret is never included.
pub(crate) fn config(world: &World) -> Value {
    match &world.settings.webhook {
        Some(hook) => json!({
            "url": hook.url,
            "content_type": world.settings.posture.hook_content_type,
            "insecure_ssl": "0",
            "secret": "********",
        }),
        None => json!({}),
    }
}

fn hook(world: &World, base: &str) -> Option<Value> {
    world.settings.webhook.as_ref()?;
    let url = format!("{}{base}/hooks/{HOOK}", world.api());
    let at = shapes::time(world.git.began);
    let last = world.deliveries.values().next_back();
    Some(json!({
        "type": "Repository",
        "id": HOOK,
        "name": "web",
        "active": world.settings.posture.hook_is_active,
        "events": world.settings.posture.hook_events,
        "config": config(world),
        "updated_at": at,
        "created_at": at,
        "url": url,
        "test_url": format!("{url}/test"),
        "ping_url": format!("{url}/pings"),
        "deliveries_url": format!("{url}/deliveries"),
        "last_response": {
            "code": last.map(|last| last.status),
            "status": if last.is_some() { "active" } else { "unused" },
            "message": null,
        },
    }))
}
