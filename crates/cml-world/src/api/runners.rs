//! Self-hosted runners and their groups, of the repository, the organization and the enterprise.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::shapes;
use crate::clock;
use crate::http::{Reply, Request};
use crate::runner::configuration::{self, NewRunner};
use crate::runner::tarball;
use crate::world::{Runner, Scope, World};

/// Routes below `…/actions`.
pub(crate) fn route(
    world: &mut World,
    scope: Scope,
    method: &str,
    rest: &[&str],
    request: &Request,
) -> Option<Reply> {
    Some(match (method, rest) {
        ("GET", ["runners"]) => list(world, scope, request),
        ("POST", ["runners", "generate-jitconfig"]) => {
            jit(world, scope, request).unwrap_or_else(|refusal| refusal)
        }
        ("POST", ["runners", "registration-token" | "remove-token"]) => token(world, scope, request),
        ("GET", ["runners", "downloads"]) => downloads(world),
        ("GET", ["runners", id]) => match find(world, scope, id) {
            Some(runner) => Reply::json(200, &shapes::runner(world, runner, request.at)),
            None => Reply::not_found(),
        },
        ("DELETE", ["runners", id]) => remove(world, scope, id),
        ("GET", ["runner-groups"]) if scope != Scope::Repository => groups(world, scope, request),
        ("GET", ["runner-groups", id]) if scope != Scope::Repository => {
            let group = world.groups().into_iter().find(|group| group.0.to_string() == *id)?;
            Reply::json(200, &shapes::group(world, scope, &group))
        }
        _ => return None,
    })
}

fn find<'a>(world: &'a World, scope: Scope, id: &str) -> Option<&'a Runner> {
    world.runners.get(&id.parse().ok()?).filter(|runner| runner.scope == scope)
}

fn list(world: &World, scope: Scope, request: &Request) -> Reply {
    let name = request.query("name");
    let wanted = |runner: &&Runner| {
        runner.scope == scope && name.as_ref().is_none_or(|name| runner.name.eq_ignore_ascii_case(name))
    };
    let all: Vec<Value> = world
        .runners
        .values()
        .filter(wanted)
        .map(|runner| shapes::runner(world, runner, request.at))
        .collect();
    let total = all.len();
    let (runners, link) = request.page(all, &world.web);
    Reply::list(&json!({"total_count": total, "runners": runners}), link)
}

fn jit(world: &mut World, scope: Scope, request: &Request) -> Result<Reply, Reply> {
    let body = request.json()?;
    let invalid = |field: &str, code: &str| Reply::invalid_in_words(&[&format!("{field}: {code}")]);
    let name = body["name"].as_str().ok_or_else(|| invalid("name", "missing_field"))?;
    // GitHub's own limit for a runner's name.
    if name.is_empty() || name.len() > 64 {
        return Err(invalid("name", "invalid"));
    }
    let group =
        body["runner_group_id"].as_u64().ok_or_else(|| invalid("runner_group_id", "missing_field"))?;
    if !world.groups().iter().any(|known| known.0 == group) {
        return Err(Reply::not_found());
    }
    let labels = body["labels"].as_array().ok_or_else(|| invalid("labels", "missing_field"))?;
    let words: Option<Vec<String>> = labels
        .iter()
        .map(|label| label.as_str().filter(|label| !label.is_empty()).map(str::to_owned))
        .collect();
    let labels = words.filter(|words| (1..=100).contains(&words.len()));
    let labels = labels.ok_or_else(|| invalid("labels", "invalid"))?;
    let work_folder = match &body["work_folder"] {
        Value::Null => "_work".to_owned(),
        Value::String(folder) if !folder.is_empty() => folder.clone(),
        _ => return Err(invalid("work_folder", "invalid")),
    };
    let new = NewRunner { name: name.to_owned(), scope, group, labels, system_labels: 0, ephemeral: true };
    let taken =
        || Reply::error(409, &format!("Already exists - A runner with the name {name} already exists"));
    let id = configuration::register(world, new, request.at).ok_or_else(taken)?;
    let runner = world.runners.get(&id).ok_or_else(Reply::not_found)?;
    let encoded = configuration::jit(world, runner, &work_folder);
    let runner = shapes::runner(world, runner, request.at);
    Ok(Reply::json(201, &json!({"runner": runner, "encoded_jit_config": encoded})))
}

/// Issues a token. One token serves to register and to remove, as on GitHub.
fn token(world: &mut World, scope: Scope, request: &Request) -> Reply {
    let token = clock::fresh_word(29).to_uppercase();
    let until = request.at + SignedDuration::from_hours(1);
    world.registrations.insert(token.clone(), (scope, until));
    Reply::json(201, &json!({"token": token, "expires_at": shapes::time(until)}))
}

fn downloads(world: &World) -> Reply {
    let package = |architecture: &str| {
        let file = tarball::file_name(architecture);
        let mut package = json!({
            "os": "linux",
            "architecture": architecture,
            "download_url": format!("{}/_runner/{file}", world.web),
            "filename": file,
            "sha256_checksum": tarball::package().sha256,
        });
        if let Some(token) = &world.settings.posture.download_token {
            package["temp_download_token"] = token.as_str().into();
        }
        package
    };
    Reply::json(200, &json!([package("x64"), package("arm64")]))
}

fn remove(world: &mut World, scope: Scope, id: &str) -> Reply {
    let Some(runner) = find(world, scope, id) else { return Reply::not_found() };
    let (id, busy) = (runner.id, runner.job.is_some());
    if busy {
        let message = "Bad request - Runner is currently running a job and cannot be deleted.";
        return Reply::error(422, message);
    }
    world.runners.remove(&id);
    world.changed();
    Reply::empty(204)
}

fn groups(world: &World, scope: Scope, request: &Request) -> Reply {
    let all: Vec<Value> = world.groups().iter().map(|group| shapes::group(world, scope, group)).collect();
    let total = all.len();
    let (groups, link) = request.page(all, &world.web);
    Reply::list(&json!({"total_count": total, "runner_groups": groups}), link)
}
