//! Endpoints of the App: its installation, its tokens, and past webhook deliveries.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{hooks, shapes};
use crate::clock;
use crate::http::{Reply, Request};
use crate::settings::{Permissions, SimApp};
use crate::webhook::{self, Delivery};
use crate::world::World;

/// A token of the installation.
pub(crate) struct InstallationToken {
    pub(crate) permissions: Permissions,
    pub(crate) expires_at: Timestamp,
}

/// Routes below `/app`.
pub(crate) fn route(world: &mut World, method: &str, rest: &[&str], request: &Request) -> Option<Reply> {
    let app = world.settings.app.clone()?;
    let is_installation = |id: &str| id == app.installation_id.to_string();
    Some(match (method, rest) {
        ("GET", []) => Reply::json(200, &app_shape(world, &app)),
        ("GET", ["installations", id]) if is_installation(id) => Reply::json(200, &installation(world, &app)),
        ("POST", ["installations", id, "access_tokens"]) if is_installation(id) => {
            access_token(world, &app, request).unwrap_or_else(|refusal| refusal)
        }
        ("GET", ["hook", "config"]) => Reply::json(200, &hooks::config(world)),
        ("GET", ["hook", "deliveries"]) => deliveries(world, Some(&app), request),
        ("GET", ["hook", "deliveries", id]) => {
            let delivery = world.deliveries.get(&id.parse().ok()?)?;
            Reply::json(200, &delivery_shape(world, Some(&app), delivery, true))
        }
        ("POST", ["hook", "deliveries", id, "attempts"]) => {
            if !webhook::redeliver(world, id.parse().ok()?, request.at) {
                return None;
            }
            Reply::json(202, &json!({}))
        }
        _ => return None,
    })
}

/// `GET …/installation` of the repository or the organization.
pub(crate) fn installation_of(world: &World) -> Reply {
    match &world.settings.app {
        Some(app) => Reply::json(200, &installation(world, app)),
        None => Reply::not_found(),
    }
}

fn app_shape(world: &World, app: &SimApp) -> Value {
    let at = shapes::time(world.git.began);
    json!({
        "id": app.id,
        "slug": "cml-runner",
        "node_id": shapes::node("A", app.id),
        "owner": shapes::user(world, &world.settings.owner),
        "name": "cml-runner",
        "description": null,
        "external_url": world.web,
        "html_url": format!("{}/apps/cml-runner", world.web),
        "created_at": at,
        "updated_at": at,
        "permissions": app.permissions,
        "events": world.settings.posture.hook_events,
        "installations_count": 1,
    })
}

fn installation(world: &World, app: &SimApp) -> Value {
    let id = app.installation_id;
    let at = shapes::time(world.git.began);
    let account = shapes::account(world, &world.settings.owner, "Organization");
    json!({
        "id": id,
        "account": account,
        "access_tokens_url": format!("{}/app/installations/{id}/access_tokens", world.api()),
        "repositories_url": format!("{}/installation/repositories", world.api()),
        "html_url": format!("{}/organizations/{}/settings/installations/{id}", world.web, world.settings.owner),
        "app_id": app.id,
        "app_slug": "cml-runner",
        "target_id": account["id"],
        "target_type": "Organization",
        "permissions": app.permissions,
        "events": world.settings.posture.hook_events,
        "single_file_name": null,
        "repository_selection": "all",
        "created_at": at,
        "updated_at": at,
        "suspended_by": null,
        "suspended_at": null,
    })
}

fn access_token(world: &mut World, app: &SimApp, request: &Request) -> Result<Reply, Reply> {
    let body = request.json()?;
    for name in body["repositories"].as_array().into_iter().flatten() {
        if *name != world.settings.repo {
            let message = "There is at least one repository that does not exist or is not accessible to the parent installation.";
            return Err(Reply::error(422, message));
        }
    }
    let mut permissions = app.permissions.clone();
    if let Some(asked) = body["permissions"].as_object() {
        permissions.clear();
        for (name, access) in asked {
            let held = app.permissions.get(name).map(String::as_str);
            let access = access.as_str().unwrap_or_default();
            if held != Some("write") && held != Some(access) {
                let message = "The permissions requested are not granted to this installation.";
                return Err(Reply::error(422, message));
            }
            permissions.insert(name.clone(), access.to_owned());
        }
    }
    let token = format!("ghs_{}", clock::fresh_word(60));
    let expires_at = request.at + SignedDuration::from_hours(1);
    let answer = json!({
        "token": token,
        "expires_at": shapes::time(expires_at),
        "permissions": permissions,
        "repository_selection": "all",
    });
    world.installation_tokens.insert(token, InstallationToken { permissions, expires_at });
    Ok(Reply::json(201, &answer))
}

/// Returns the deliveries to the webhook, the latest first.
pub(crate) fn deliveries(world: &World, app: Option<&SimApp>, request: &Request) -> Reply {
    let newest_first = world.deliveries.values().rev();
    let all: Vec<Value> = newest_first.map(|one| delivery_shape(world, app, one, false)).collect();
    let (page, link) = request.page(all, &world.web);
    Reply::list(&page.into(), link)
}

fn delivery_shape(world: &World, app: Option<&SimApp>, delivery: &Delivery, whole: bool) -> Value {
    let status = match delivery.status {
        0 => "pending",
        200..300 => "OK",
        _ => "Invalid HTTP Response",
    };
    let mut value = json!({
        "id": delivery.id,
        "guid": delivery.guid,
        "delivered_at": shapes::time(delivery.at),
        "redelivery": delivery.redelivery,
        "duration": delivery.seconds,
        "status": status,
        "status_code": delivery.status,
        "event": "workflow_job",
        "action": delivery.action,
        "installation_id": app.map(|app| app.installation_id),
        "repository_id": delivery.payload["repository"]["id"],
        "throttled_at": null,
    });
    if whole {
        value["url"] = world.settings.webhook.as_ref().map_or("", |hook| hook.url.as_str()).into();
        value["request"] = json!({
            "headers": {"X-GitHub-Delivery": delivery.guid, "X-GitHub-Event": "workflow_job"},
            "payload": delivery.payload,
        });
        value["response"] = json!({"headers": {}, "payload": ""});
    }
    value
}
