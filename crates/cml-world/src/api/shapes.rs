//! GitHub's shapes of the objects that several operations return, with every required field present.

use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use serde_json::{Map, Value, json};

use crate::actions::origin::{HeadRepository, owner_of};
use crate::actions::{Job, Run, Step, attempt_state};
use crate::clock;
use crate::world::{Runner, Scope, World, signed};
use sha2::{Digest, Sha256};

/// Formats a time as GitHub writes it: whole seconds.
pub(crate) fn time(at: Timestamp) -> String {
    let whole = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Trunc);
    at.round(whole).unwrap_or(at).to_string()
}

fn maybe_time(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| time(at).into())
}

/// Returns a stable number for a name.
fn number_of(name: &str) -> u64 {
    name.bytes().fold(7, |sum, byte| (sum * 31 + u64::from(byte)) % 100_000_000)
}

/// Returns an opaque node id.
pub(crate) fn node(kind: &str, id: impl std::fmt::Display) -> String {
    format!("{kind}_{}", &clock::hex(&Sha256::digest(format!("{kind}{id}")))[..20])
}

/// Returns the parts of a user, a bot or an organization's account.
pub(crate) fn account(world: &World, login: &str, kind: &str) -> Value {
    let url = format!("{}/users/{}", world.api(), login.replace('[', "%5B").replace(']', "%5D"));
    let page = match login.strip_suffix("[bot]") {
        Some(app) => format!("{}/apps/{app}", world.web),
        None => format!("{}/{login}", world.web),
    };
    let id = number_of(login);
    json!({
        "login": login,
        "id": id,
        "node_id": node("U", id),
        "avatar_url": format!("{}/avatars/{id}", world.web),
        "gravatar_id": "",
        "url": url,
        "html_url": page,
        "followers_url": format!("{url}/followers"),
        "following_url": format!("{url}/following{{/other_user}}"),
        "gists_url": format!("{url}/gists{{/gist_id}}"),
        "starred_url": format!("{url}/starred{{/owner}}{{/repo}}"),
        "subscriptions_url": format!("{url}/subscriptions"),
        "organizations_url": format!("{url}/orgs"),
        "repos_url": format!("{url}/repos"),
        "events_url": format!("{url}/events{{/privacy}}"),
        "received_events_url": format!("{url}/received_events"),
        "type": kind,
        "site_admin": false,
    })
}

/// Returns the authenticated user in the form that GitHub sends to the holder of a token.
pub(crate) fn private_user(world: &World, login: &str, at: Timestamp) -> Value {
    let mut value = user(world, login);
    for name in ["name", "company", "location", "email", "hireable", "bio"] {
        value[name] = Value::Null;
    }
    for name in [
        "public_repos",
        "public_gists",
        "followers",
        "following",
        "private_gists",
        "total_private_repos",
        "owned_private_repos",
        "disk_usage",
        "collaborators",
    ] {
        value[name] = 0.into();
    }
    value["blog"] = "".into();
    value["two_factor_authentication"] = true.into();
    value["user_view_type"] = "private".into();
    value["created_at"] = time(at).into();
    value["updated_at"] = time(at).into();
    value
}

pub(crate) fn user(world: &World, login: &str) -> Value {
    account(world, login, if login.ends_with("[bot]") { "Bot" } else { "User" })
}

/// Returns the organization in the form of webhooks.
pub(crate) fn organization(world: &World) -> Value {
    let login = &world.settings.owner;
    let url = format!("{}/orgs/{login}", world.api());
    let id = number_of(login);
    json!({
        "login": login,
        "id": id,
        "node_id": node("O", id),
        "url": url,
        "repos_url": format!("{url}/repos"),
        "events_url": format!("{url}/events"),
        "hooks_url": format!("{url}/hooks"),
        "issues_url": format!("{url}/issues"),
        "members_url": format!("{url}/members{{/member}}"),
        "public_members_url": format!("{url}/public_members{{/member}}"),
        "avatar_url": format!("{}/avatars/{id}", world.web),
        "description": null,
    })
}

/// Names of a repository's `*_url` fields and the suffixes of their values.
const REPOSITORY_URLS: [(&str, &str); 36] = [
    ("archive_url", "/{archive_format}{/ref}"),
    ("assignees_url", "/assignees{/user}"),
    ("blobs_url", "/git/blobs{/sha}"),
    ("branches_url", "/branches{/branch}"),
    ("collaborators_url", "/collaborators{/collaborator}"),
    ("comments_url", "/comments{/number}"),
    ("commits_url", "/commits{/sha}"),
    ("compare_url", "/compare/{base}...{head}"),
    ("contents_url", "/contents/{+path}"),
    ("contributors_url", "/contributors"),
    ("deployments_url", "/deployments"),
    ("downloads_url", "/downloads"),
    ("events_url", "/events"),
    ("forks_url", "/forks"),
    ("git_commits_url", "/git/commits{/sha}"),
    ("git_refs_url", "/git/refs{/sha}"),
    ("git_tags_url", "/git/tags{/sha}"),
    ("hooks_url", "/hooks"),
    ("issue_comment_url", "/issues/comments{/number}"),
    ("issue_events_url", "/issues/events{/number}"),
    ("issues_url", "/issues{/number}"),
    ("keys_url", "/keys{/key_id}"),
    ("labels_url", "/labels{/name}"),
    ("languages_url", "/languages"),
    ("merges_url", "/merges"),
    ("milestones_url", "/milestones{/number}"),
    ("notifications_url", "/notifications{?since,all,participating}"),
    ("pulls_url", "/pulls{/number}"),
    ("releases_url", "/releases{/id}"),
    ("stargazers_url", "/stargazers"),
    ("statuses_url", "/statuses/{sha}"),
    ("subscribers_url", "/subscribers"),
    ("subscription_url", "/subscription"),
    ("tags_url", "/tags"),
    ("teams_url", "/teams"),
    ("trees_url", "/git/trees{/sha}"),
];

/// Returns the repository as it is embedded in other answers.
pub(crate) fn repository(world: &World) -> Value {
    minimal_repository(world, &world.full_name(), "Organization")
}

/// Returns the head repository of a run as it is embedded in other answers. GitHub sends `null` once a fork is deleted:
/// <https://github.com/github/rest-api-description/issues/1586>
fn head_repository(world: &World, head: &HeadRepository) -> Value {
    match head {
        HeadRepository::Own => repository(world),
        HeadRepository::Fork(name) => {
            let mut fork = minimal_repository(world, name, "User");
            fork["fork"] = true.into();
            fork
        }
        HeadRepository::DeletedFork(_) => Value::Null,
    }
}

/// Returns a repository whose owner is of this kind.
fn minimal_repository(world: &World, full_name: &str, kind: &str) -> Value {
    let api = format!("{}/repos/{full_name}", world.api());
    let owner = owner_of(full_name);
    let name = full_name.trim_start_matches(owner).trim_start_matches('/');
    let id = number_of(full_name);
    let mut fields = Map::new();
    for (name, end) in REPOSITORY_URLS {
        fields.insert(name.to_owned(), format!("{api}{end}").into());
    }
    for (name, value) in [
        ("id", json!(id)),
        ("node_id", node("R", id).into()),
        ("name", name.into()),
        ("full_name", full_name.into()),
        ("owner", account(world, owner, kind)),
        ("private", world.settings.private.into()),
        ("html_url", format!("{}/{full_name}", world.web).into()),
        ("description", Value::Null),
        ("fork", false.into()),
        ("url", api.into()),
    ] {
        fields.insert(name.to_owned(), value);
    }
    Value::Object(fields)
}

/// Returns the repository in its full form.
pub(crate) fn full_repository(world: &World) -> Value {
    completed(world, repository(world))
}

/// Returns the head repository of a pull request as it is embedded there; `null` once the fork is deleted:
/// <https://github.com/github/rest-api-description/issues/1811>
pub(crate) fn full_head_repository(world: &World, head: &HeadRepository) -> Value {
    match head_repository(world, head) {
        Value::Null => Value::Null,
        value => completed(world, value),
    }
}

/// Adds the fields that only the full form of a repository has.
fn completed(world: &World, mut value: Value) -> Value {
    let web = value["html_url"].as_str().unwrap_or_default().to_owned();
    let more = json!({
        "clone_url": format!("{web}.git"), "git_url": format!("{web}.git"), "ssh_url": format!("{web}.git"),
        "svn_url": web, "homepage": null, "language": null, "mirror_url": null, "license": null,
        "default_branch": "main", "visibility": if world.settings.private { "private" } else { "public" }, "topics": [], "is_template": false,
        "forks": 0, "forks_count": 0, "open_issues": 0, "open_issues_count": 0, "stargazers_count": 0,
        "watchers": 0, "watchers_count": 0, "network_count": 0, "subscribers_count": 0, "size": 1,
        "has_issues": true, "has_projects": false, "has_wiki": false, "has_pages": false,
        "has_discussions": false, "has_downloads": false, "archived": false, "disabled": false,
        "allow_forking": false, "allow_auto_merge": world.settings.auto_merge, "web_commit_signoff_required": false,
        "pushed_at": time(world.git.began), "created_at": time(world.git.began), "updated_at": time(world.git.began),
    });
    if let (Value::Object(fields), Value::Object(more)) = (&mut value, more) {
        fields.extend(more);
    }
    value
}

pub(crate) fn runner(world: &World, runner: &Runner, now: Timestamp) -> Value {
    let online = runner.is_online(now, signed(world.settings.offline_after));
    let labels: Vec<Value> = runner
        .labels
        .iter()
        .map(|label| {
            let kind = if label.custom { "custom" } else { "read-only" };
            json!({"id": label.id, "name": label.name, "type": kind})
        })
        .collect();
    json!({
        "id": runner.id,
        "runner_group_id": runner.group,
        "name": runner.name,
        "os": "linux",
        "status": if online { "online" } else { "offline" },
        "busy": runner.job.is_some(),
        "ephemeral": runner.ephemeral,
        "labels": labels,
    })
}

pub(crate) fn group(world: &World, scope: Scope, (id, name): &(u64, String)) -> Value {
    let base = match scope {
        Scope::Enterprise => format!("{}/enterprises/{}", world.api(), world.settings.enterprise),
        _ => format!("{}/orgs/{}", world.api(), world.settings.owner),
    };
    json!({
        "id": id,
        "name": name,
        "visibility": "all",
        "default": *id == 1,
        "runners_url": format!("{base}/actions/runner-groups/{id}/runners"),
        "inherited": false,
        "allows_public_repositories": world.settings.posture.groups_are_public,
        "restricted_to_workflows": false,
        "selected_workflows": [],
    })
}

/// Returns an attempt of a run.
pub(crate) fn run(world: &World, run: &Run, attempt: u64) -> Value {
    let (status, conclusion) = attempt_state(run, attempt, world.jobs.values());
    let url = format!("{}/actions/runs/{}", world.repo_api(), run.id);
    let workflow_id = number_of(&run.workflow.name);
    let person =
        json!({"name": world.settings.owner, "email": format!("{}@users.invalid", world.settings.owner)});
    json!({
        "id": run.id,
        "name": run.workflow.name,
        "node_id": node("WFR", run.id),
        "head_branch": run.origin.head_branch,
        "head_sha": run.origin.head_sha,
        "path": ".github/workflows/workflow.yml",
        "display_title": run.workflow.name,
        "run_number": run.number,
        "run_attempt": attempt,
        "event": run.workflow.event,
        "status": status,
        "conclusion": conclusion.map(|one| one.word()),
        "workflow_id": workflow_id,
        "check_suite_id": run.id,
        "check_suite_node_id": node("CS", run.id),
        "url": url,
        "html_url": format!("{}/actions/runs/{}", world.repo_web(), run.id),
        "pull_requests": [],
        "created_at": time(run.created_at),
        "updated_at": time(run.updated_at),
        "run_started_at": time(run.started_at),
        "actor": user(world, &run.origin.actor),
        "triggering_actor": user(world, run.starter_of(attempt)),
        "jobs_url": format!("{url}/jobs"),
        "logs_url": format!("{url}/logs"),
        "check_suite_url": format!("{}/check-suites/{}", world.repo_api(), run.id),
        "artifacts_url": format!("{url}/artifacts"),
        "cancel_url": format!("{url}/cancel"),
        "rerun_url": format!("{url}/rerun"),
        "previous_attempt_url": (attempt > 1).then(|| format!("{url}/attempts/{}", attempt - 1)),
        "workflow_url": format!("{}/actions/workflows/{workflow_id}", world.repo_api()),
        "head_commit": {
            "id": run.origin.head_sha, "tree_id": run.origin.head_sha, "message": "a commit", "timestamp": time(run.created_at),
            "author": person, "committer": person,
        },
        "repository": repository(world),
        "head_repository": head_repository(world, &run.origin.head_repository),
    })
}

/// Returns a job, in the form of answers and webhooks.
pub(crate) fn job(world: &World, job: &Job, run: &Run) -> Value {
    let accepted = job.runner.as_ref().filter(|_| job.started_at.is_some());
    let group = accepted.map(|runner| runner.2);
    let group_name = group.and_then(|id| world.groups().into_iter().find(|group| group.0 == id));
    let steps: Vec<Value> = job.steps.iter().enumerate().map(|(index, one)| step(index, one)).collect();
    let run_url = format!("{}/actions/runs/{}", world.repo_api(), run.id);
    json!({
        "id": job.id,
        "run_id": job.run,
        "run_url": run_url,
        "run_attempt": job.attempt,
        "node_id": node("CR", job.id),
        "head_sha": run.origin.head_sha,
        "head_branch": run.origin.head_branch,
        "workflow_name": run.workflow.name,
        "name": job.spec.name,
        "url": format!("{}/actions/jobs/{}", world.repo_api(), job.id),
        "html_url": format!("{}/actions/runs/{}/job/{}", world.repo_web(), run.id, job.id),
        "check_run_url": format!("{}/check-runs/{}", world.repo_api(), job.id),
        "status": job.status(),
        "conclusion": job.conclusion().map(|one| one.word()),
        "created_at": time(job.queued_at),
        // GitHub sends the time of queueing until the job starts.
        "started_at": time(job.started_at.unwrap_or(job.queued_at)),
        "completed_at": maybe_time(job.completed_at),
        "steps": steps,
        "labels": job.spec.labels,
        "runner_id": accepted.map(|runner| runner.0),
        "runner_name": accepted.map(|runner| runner.1.clone()),
        "runner_group_id": group,
        "runner_group_name": group_name.map(|group| group.1),
    })
}

fn step(index: usize, step: &Step) -> Value {
    let status = match (step.conclusion, step.started_at) {
        (Some(_), _) => "completed",
        (None, Some(_)) => "in_progress",
        (None, None) => "queued",
    };
    json!({
        "name": step.name,
        "number": index + 1,
        "status": status,
        "conclusion": step.conclusion.map(|one| one.word()),
        "started_at": maybe_time(step.started_at),
        "completed_at": maybe_time(step.completed_at),
    })
}
