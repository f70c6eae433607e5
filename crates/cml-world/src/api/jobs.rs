//! Single jobs.

use super::auth::Caller;
use super::{runs, shapes};
use crate::actions::queue::Again;
use crate::http::{Reply, Request};
use crate::world::World;

/// Routes below `…/actions/jobs`.
pub(crate) fn route(
    world: &mut World,
    caller: &Caller,
    method: &str,
    rest: &[&str],
    request: &Request,
) -> Option<Reply> {
    let (id, rest) = rest.split_first()?;
    let job = world.jobs.get(&id.parse().ok()?)?;
    let run = world.runs.get(&job.run)?;
    Some(match (method, rest) {
        ("GET", []) => Reply::json(200, &shapes::job(world, job, run)),
        ("POST", ["rerun"]) => {
            let (run, job) = (run.id, job.id);
            runs::rerun(world, caller, run, &Again::One(job), request)
        }
        _ => return None,
    })
}
