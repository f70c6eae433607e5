//! Workflow runs.

use serde_json::{Value, json};

use super::auth::Caller;
use super::shapes;
use crate::actions::queue::{self, Again};
use crate::actions::{Job, Run};
use crate::http::{Reply, Request};
use crate::world::World;

/// Routes below `…/actions/runs`.
pub(crate) fn route(
    world: &mut World,
    caller: &Caller,
    method: &str,
    rest: &[&str],
    request: &Request,
) -> Option<Reply> {
    let Some((id, rest)) = rest.split_first() else {
        return (method == "GET").then(|| list(world, request));
    };
    let run = world.runs.get(&id.parse().ok()?)?;
    let id = run.id;
    Some(match (method, rest) {
        ("GET", []) => Reply::json(200, &shapes::run(world, run, run.attempt)),
        ("GET", ["jobs"]) => {
            let all = request.query("filter").as_deref() == Some("all");
            let attempt = run.attempt;
            jobs(world, run, request, |job| all || job.attempt == attempt)
        }
        ("GET", ["attempts", number]) => {
            let attempt = attempt(run, number)?;
            Reply::json(200, &shapes::run(world, run, attempt))
        }
        ("GET", ["attempts", number, "jobs"]) => {
            let attempt = attempt(run, number)?;
            jobs(world, run, request, |job| job.attempt == attempt)
        }
        ("POST", ["rerun"]) => rerun(world, caller, id, &Again::All, request),
        ("POST", ["rerun-failed-jobs"]) => rerun(world, caller, id, &Again::Failed, request),
        ("POST", ["cancel"]) => cancel(world, id, false, request),
        ("POST", ["force-cancel"]) => cancel(world, id, true, request),
        _ => return None,
    })
}

fn attempt(run: &Run, number: &str) -> Option<u64> {
    number.parse().ok().filter(|number| (1..=run.attempt).contains(number))
}

fn list(world: &World, request: &Request) -> Reply {
    let is = |name: &str, value: &Value| {
        request.query(name).is_none_or(|wanted| value.as_str() == Some(wanted.as_str()))
    };
    let wanted = |run: &Value| {
        let status = request.query("status");
        let fits = |status: &str| run["status"] == status || run["conclusion"] == status;
        status.as_deref().is_none_or(fits)
            && is("event", &run["event"])
            && is("branch", &run["head_branch"])
            && is("head_sha", &run["head_sha"])
    };
    let newest_first = world.runs.values().rev();
    let all: Vec<Value> =
        newest_first.map(|run| shapes::run(world, run, run.attempt)).filter(wanted).collect();
    let total = all.len();
    let (runs, link) = request.page(all, &world.web);
    Reply::list(&json!({"total_count": total, "workflow_runs": runs}), link)
}

fn jobs(world: &World, run: &Run, request: &Request, wanted: impl Fn(&Job) -> bool) -> Reply {
    let of_run = world.jobs.values().filter(|job| job.run == run.id && wanted(job));
    let all: Vec<Value> = of_run.map(|job| shapes::job(world, job, run)).collect();
    let total = all.len();
    let (jobs, link) = request.page(all, &world.web);
    Reply::list(&json!({"total_count": total, "jobs": jobs}), link)
}

/// Starts a new attempt, or answers 403 as long as the last one runs.
pub(crate) fn rerun(world: &mut World, caller: &Caller, run: u64, again: &Again, request: &Request) -> Reply {
    if let Err(refusal) = request.json() {
        return refusal;
    }
    if queue::rerun(world, run, again, &caller.login, request.at) {
        Reply::json(201, &json!({}))
    } else {
        Reply::error(403, "This workflow is already running")
    }
}

fn cancel(world: &mut World, run: u64, force: bool, request: &Request) -> Reply {
    if queue::cancel(world, run, force, request.at) {
        Reply::json(202, &json!({}))
    } else {
        Reply::error(409, "Cannot cancel a workflow run that is completed.")
    }
}
