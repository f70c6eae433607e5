//! The runner program's own protocol: lines of words below `/_runner`, because a shell must read them.
//!
//! A runner authenticates with the secret of its `.credentials`. Requests that wait for news stay open for a bounded
//! time and are answered at once when there is news.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use super::configuration::{self, NewRunner};
use super::tarball;
use crate::actions::{Conclusion, JobState, queue};
use crate::http::{Reply, Request, form_value};
use crate::world::{Runner, Scope, Shared, World};
use crate::{clock, http};

/// The most that one artifact, and all artifacts of a job, may hold.
const ARTIFACT_LIMIT: usize = 16 << 20;
const ARTIFACTS_LIMIT: usize = 64 << 20;
/// The most that a job's log may hold.
const LOG_LIMIT: usize = 32 << 20;

/// Answers one request below `/_runner`.
pub(crate) async fn answer(shared: &Shared, request: &Request) -> Reply {
    let path = http::decode(request.path.trim_start_matches("/_runner/"));
    let segments: Vec<&str> = path.split('/').collect();
    match (request.method.as_str(), segments.as_slice()) {
        ("GET" | "HEAD", [file]) if package_name(file) => {
            let token = shared.lock().settings.posture.download_token.clone();
            let needed = token.map(|token| format!("Bearer {token}"));
            if needed.is_some() && request.header("authorization") != needed.as_deref() {
                return Reply::text(401, "this package takes the token that came with its address\n");
            }
            let headers = vec![("content-type".to_owned(), "application/gzip".to_owned())];
            return Reply { status: 200, headers, body: tarball::package().bytes.clone() };
        }
        ("POST", ["register"]) => return register(&mut shared.lock(), request),
        ("POST", ["remove"]) => return remove(&mut shared.lock(), request),
        _ => {}
    }
    let Some(runner) = authenticated(&mut shared.lock(), request) else {
        return Reply::text(401, "The runner no longer exists on the server.\n");
    };
    match (request.method.as_str(), segments.as_slice()) {
        ("POST", ["session"]) => open_session(&mut shared.lock(), runner),
        ("DELETE", ["session"]) => close_session(&mut shared.lock(), runner),
        ("GET", ["poll"]) => {
            let _connection = Connection::open(shared, runner);
            wait_for(shared, |world, now| poll(world, runner, now)).await
        }
        ("GET", ["jobs", job, "alive"]) => {
            let job = number(job);
            let _connection = Connection::open(shared, runner);
            wait_for(shared, |world, now| alive(world, runner, job, now)).await
        }
        (method, ["jobs", job, rest @ ..]) => {
            about_job(&mut shared.lock(), runner, number(job), method, rest, request)
        }
        _ => Reply::text(404, "not found\n"),
    }
}

fn package_name(file: &str) -> bool {
    ["x64", "arm64"].iter().any(|architecture| tarball::file_name(architecture) == file)
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_default()
}

/// Returns the runner whose secret is in the request.
fn authenticated(world: &mut World, request: &Request) -> Option<u64> {
    let secret = request.header("authorization")?.strip_prefix("Bearer ")?;
    let runner = world.runners.values_mut().find(|runner| runner.secret == secret)?;
    runner.seen = request.at;
    Some(runner.id)
}

/// Counts an open request, so that a runner counts as connected as long as it waits.
struct Connection {
    shared: Shared,
    runner: u64,
}

impl Connection {
    fn open(shared: &Shared, runner: u64) -> Self {
        if let Some(runner) = shared.lock().runners.get_mut(&runner) {
            runner.connections += 1;
        }
        Self { shared: shared.clone(), runner }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(runner) = self.shared.lock().runners.get_mut(&self.runner) {
            runner.connections = runner.connections.saturating_sub(1);
            runner.seen = clock::now();
        }
    }
}

/// Waits until `look` returns an answer; 204 when it returns none in time.
async fn wait_for(shared: &Shared, look: impl Fn(&mut World, Timestamp) -> Option<Reply>) -> Reply {
    let (mut changes, limit) = {
        let world = shared.lock();
        (world.watch(), world.settings.poll)
    };
    let waiting = async {
        loop {
            changes.mark_unchanged();
            let found = look(&mut shared.lock(), clock::now());
            match found {
                Some(reply) => return reply,
                None if changes.changed().await.is_err() => return Reply::empty(204),
                None => {}
            }
        }
    };
    tokio::time::timeout(limit, waiting).await.unwrap_or_else(|_| Reply::empty(204))
}

// ---- registration with a token ----

fn bearer_scope(world: &World, request: &Request) -> Option<Scope> {
    let token = request.header("authorization")?.strip_prefix("RemoteAuth ")?;
    let (scope, until) = world.registrations.get(token)?;
    (*until > request.at).then_some(*scope)
}

fn register(world: &mut World, request: &Request) -> Reply {
    let form = String::from_utf8_lossy(&request.body).into_owned();
    let value = |name: &str| form_value(&form, name).unwrap_or_default();
    let Some(scope) = bearer_scope(world, request) else {
        return Reply::text(
            404,
            "Invalid configuration provided for token. Terminating unattended configuration.\n",
        );
    };
    let expected = match scope {
        Scope::Repository => world.repo_web(),
        other => format!("{}/{}", world.web, world.scope_name(other)),
    };
    if !value("url").trim_end_matches('/').eq_ignore_ascii_case(&expected) {
        return Reply::text(404, format!("the token belongs to {expected}\n"));
    }
    let group = match value("group").as_str() {
        "" => Some(1),
        name => {
            world.groups().into_iter().find(|group| group.1.eq_ignore_ascii_case(name)).map(|group| group.0)
        }
    };
    let Some(group) = group else {
        return Reply::text(
            404,
            format!("Could not find any self-hosted runner group named \"{}\".\n", value("group")),
        );
    };
    let own = value("labels")
        .split(',')
        .map(str::trim)
        .filter(|one| !one.is_empty())
        .map(str::to_owned)
        .collect::<Vec<_>>();
    let mut labels = match value("default_labels").as_str() {
        "no" => Vec::new(),
        _ => vec!["self-hosted".to_owned(), "Linux".to_owned(), value("architecture")],
    };
    let system_labels = labels.len();
    labels.extend(own);
    let name = value("name");
    let idle = |runner: &&Runner| {
        runner.scope == scope && runner.name.eq_ignore_ascii_case(&name) && runner.job.is_none()
    };
    if value("replace") == "yes"
        && let Some(old) = world.runners.values().find(idle).map(|runner| runner.id)
    {
        world.runners.remove(&old);
    }
    let ephemeral = value("ephemeral") == "yes";
    let new = NewRunner { name: name.clone(), scope, group, labels, system_labels, ephemeral };
    let id = configuration::register(world, new, request.at);
    let Some(runner) = id.and_then(|id| world.runners.get(&id)) else {
        return Reply::text(409, format!("A runner exists with the same name {name}.\n"));
    };
    let (settings, credentials) = configuration::files(world, runner, &value("work"));
    Reply::text(200, format!("{}\n{}\n", STANDARD.encode(settings), STANDARD.encode(credentials)))
}

fn remove(world: &mut World, request: &Request) -> Reply {
    let form = String::from_utf8_lossy(&request.body).into_owned();
    let id = number(&form_value(&form, "id").unwrap_or_default());
    let scope = bearer_scope(world, request);
    match world.runners.get(&id).filter(|runner| scope == Some(runner.scope)) {
        None => Reply::text(404, "not found\n"),
        Some(runner) if runner.job.is_some() => Reply::text(422, "the runner is busy\n"),
        Some(_) => {
            world.runners.remove(&id);
            world.changed();
            Reply::empty(204)
        }
    }
}

// ---- sessions and jobs ----

fn open_session(world: &mut World, runner: u64) -> Reply {
    let Some(runner) = world.runners.get_mut(&runner) else { return Reply::empty(410) };
    // Another program with the same credentials is connected.
    if runner.session && runner.connections > 0 {
        return Reply::text(409, "A session for this runner already exists.\n");
    }
    runner.session = true;
    world.changed();
    Reply::empty(204)
}

fn close_session(world: &mut World, runner: u64) -> Reply {
    queue::withdraw(world, runner);
    if let Some(runner) = world.runners.get_mut(&runner) {
        runner.session = false;
    }
    world.changed();
    Reply::empty(204)
}

fn poll(world: &mut World, runner: u64, now: Timestamp) -> Option<Reply> {
    if !world.runners.contains_key(&runner) {
        return Some(Reply::text(401, "The runner registration has been deleted\n"));
    }
    let job = queue::offer(world, runner, now)?;
    Some(Reply::text(200, format!("{job}\n")))
}

fn alive(world: &mut World, runner: u64, job: u64, now: Timestamp) -> Option<Reply> {
    let running = |one: &&mut crate::actions::Job| {
        one.state == JobState::Running && one.runner.as_ref().is_some_and(|of| of.0 == runner)
    };
    let Some(job) = world.jobs.get_mut(&job).filter(running) else { return Some(Reply::text(200, "over\n")) };
    job.alive_at = now;
    job.cancelled.then(|| Reply::text(200, "cancel\n"))
}

fn about_job(
    world: &mut World,
    runner: u64,
    job: u64,
    method: &str,
    rest: &[&str],
    request: &Request,
) -> Reply {
    if (method, rest) == ("POST", &["accept"]) {
        if !queue::accept(world, runner, job, request.at) {
            return Reply::text(409, "the job is no longer yours\n");
        }
        return Reply::text(200, super::order::order(world, job));
    }
    let theirs = |one: &&mut crate::actions::Job| {
        one.state == JobState::Running && one.runner.as_ref().is_some_and(|of| of.0 == runner)
    };
    let Some(one) = world.jobs.get_mut(&job).filter(theirs) else {
        return Reply::text(410, "the job is over\n");
    };
    one.alive_at = request.at;
    match (method, rest) {
        ("POST", ["steps", index, "start"]) => {
            if let Some(step) = one.steps.get_mut(number(index) as usize) {
                step.started_at = Some(request.at);
            }
        }
        ("POST", ["steps", index, word]) => {
            if let Some(step) = one.steps.get_mut(number(index) as usize) {
                step.conclusion = Conclusion::from_word(word);
                step.completed_at = Some(request.at);
            }
            append_log(&mut one.log, &request.body);
        }
        ("POST", ["log"]) => append_log(&mut one.log, &request.body),
        ("PUT", ["summary"]) => one.summary = request.body.to_vec(),
        ("PUT", ["artifacts", name]) => {
            let kept: usize = one.artifacts.values().map(Vec::len).sum();
            if request.body.len() > ARTIFACT_LIMIT || kept + request.body.len() > ARTIFACTS_LIMIT {
                return Reply::text(413, "the artifact is too large\n");
            }
            one.artifacts.insert((*name).to_owned(), request.body.to_vec());
        }
        ("POST", ["complete", word]) => {
            let Some(conclusion) = Conclusion::from_word(word) else {
                return Reply::text(400, "no such result\n");
            };
            queue::finish(world, job, conclusion, request.at);
        }
        _ => return Reply::text(404, "not found\n"),
    }
    Reply::empty(204)
}

fn append_log(log: &mut Vec<u8>, more: &[u8]) {
    let room = LOG_LIMIT.saturating_sub(log.len());
    log.extend(&more[..more.len().min(room)]);
}
