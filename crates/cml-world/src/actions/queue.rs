//! Lifecycle of jobs from queued to completed: assignment to runners, and loss of either.

use jiff::Timestamp;

use super::origin::{HeadRepository, Origin};
use super::workflow::{JobSpec, Workflow};
use super::{Conclusion, Job, JobState, Run};
use crate::webhook;
use crate::world::{World, signed};

/// Starts a run of this workflow on the newest commit of `main` and returns its id.
pub(crate) fn queue_run(world: &mut World, workflow: Workflow, now: Timestamp) -> u64 {
    let sha = world.git.head();
    let origin = Origin {
        head_sha: sha.clone(),
        sha,
        reference: "refs/heads/main".to_owned(),
        head_branch: "main".to_owned(),
        head_repository: HeadRepository::Own,
        actor: world.settings.owner.clone(),
    };
    queue_run_of(world, workflow, origin, now)
}

/// Starts a run of this workflow and returns its id.
pub(crate) fn queue_run_of(world: &mut World, workflow: Workflow, origin: Origin, now: Timestamp) -> u64 {
    let id = world.next_id();
    let number = world.runs.len() as u64 + 1;
    world.runs.insert(
        id,
        Run {
            id,
            number,
            workflow,
            attempt: 1,
            started_by: vec![origin.actor.clone()],
            origin,
            created_at: now,
            updated_at: now,
            started_at: now,
            cancelled: false,
        },
    );
    queue_ready_jobs(world, id, now);
    id
}

/// Queues every job of the run whose needs are met, and skips those whose needs failed.
fn queue_ready_jobs(world: &mut World, run: u64, now: Timestamp) {
    loop {
        let Some(run) = world.runs.get(&run) else { return };
        let latest = |key: &str| {
            world
                .jobs
                .values()
                .find(|job| job.run == run.id && job.attempt == run.attempt && job.spec.key == key)
        };
        let ready = run.workflow.jobs.iter().find_map(|spec| {
            if latest(&spec.key).is_some() {
                return None;
            }
            let needs: Option<Vec<Conclusion>> =
                spec.needs.iter().map(|need| latest(need).and_then(Job::conclusion)).collect();
            needs.map(|needs| (spec.clone(), needs.iter().all(|need| *need == Conclusion::Success)))
        });
        let Some((spec, good)) = ready else { break };
        let end = match (run.cancelled, good) {
            (true, _) => Some(Conclusion::Cancelled),
            (false, false) => Some(Conclusion::Skipped),
            (false, true) => None,
        };
        add_job(world, run.id, spec, end, now);
    }
    world.changed();
}

fn add_job(world: &mut World, run: u64, spec: JobSpec, end: Option<Conclusion>, now: Timestamp) {
    let id = world.next_id();
    let Some(run) = world.runs.get(&run) else { return };
    let mut job = Job::new(id, run, spec, now);
    if let Some(conclusion) = end {
        job.state = JobState::Completed(conclusion);
        job.completed_at = Some(now);
    }
    world.jobs.insert(id, job);
    webhook::job_event(world, id, if end.is_some() { "completed" } else { "queued" }, now);
}

/// Returns the job that this runner is to take: the oldest one that it may take and that has not been offered.
pub(crate) fn offer(world: &mut World, runner: u64, now: Timestamp) -> Option<u64> {
    let taker = world.runners.get(&runner).filter(|taker| taker.session)?;
    if let Some(job) = taker.job {
        // A repeated request: the answer to the first one was lost.
        let waits = world.jobs.get(&job).is_some_and(|job| matches!(job.state, JobState::Offered(_)));
        return waits.then_some(job);
    }
    let fits = |job: &&Job| job.state == JobState::Queued && taker.has_labels(&job.spec.labels);
    let id = world.jobs.values().find(fits)?.id;
    let job = world.jobs.get_mut(&id)?;
    job.state = JobState::Offered(now);
    let taker = world.runners.get_mut(&runner)?;
    taker.job = Some(id);
    job.runner = Some((runner, taker.name.clone(), taker.group));
    Some(id)
}

/// Accepts the job that the runner was offered; false when that offer has expired.
pub(crate) fn accept(world: &mut World, runner: u64, job: u64, now: Timestamp) -> bool {
    let holds = world.runners.get(&runner).is_some_and(|runner| runner.job == Some(job));
    let Some(one) = world.jobs.get_mut(&job).filter(|one| holds && matches!(one.state, JobState::Offered(_)))
    else {
        return false;
    };
    one.state = JobState::Running;
    one.started_at = Some(now);
    one.alive_at = now;
    touch_run(world, job, now);
    webhook::job_event(world, job, "in_progress", now);
    world.changed();
    true
}

/// Completes a job, removes its ephemeral runner, and queues the jobs that needed it.
pub(crate) fn finish(world: &mut World, job: u64, conclusion: Conclusion, now: Timestamp) {
    let Some(one) = world.jobs.get_mut(&job).filter(|one| one.conclusion().is_none()) else { return };
    one.state = JobState::Completed(conclusion);
    one.completed_at = Some(now);
    for step in one.steps.iter_mut().filter(|step| step.conclusion.is_none()) {
        step.conclusion = Some(Conclusion::Skipped);
    }
    let run = one.run;
    let runner = one.runner.as_ref().map(|runner| runner.0);
    touch_run(world, job, now);
    // Sent while the runner is still registered, because the event names it.
    webhook::job_event(world, job, "completed", now);
    if let Some(runner) = runner.and_then(|id| world.runners.get_mut(&id)).filter(|one| one.job == Some(job))
    {
        runner.job = None;
        if runner.ephemeral {
            let id = runner.id;
            world.runners.remove(&id);
        }
    }
    queue_ready_jobs(world, run, now);
}

fn touch_run(world: &mut World, job: u64, now: Timestamp) {
    let run = world.jobs.get(&job).and_then(|job| world.runs.get_mut(&job.run));
    if let Some(run) = run {
        run.updated_at = now;
    }
}

/// Withdraws a job that was offered and not accepted.
pub(crate) fn withdraw(world: &mut World, runner: u64) {
    let Some(job) = world.runners.get(&runner).and_then(|runner| runner.job) else { return };
    if let Some(one) = world.jobs.get_mut(&job).filter(|one| matches!(one.state, JobState::Offered(_))) {
        one.state = JobState::Queued;
        one.runner = None;
        if let Some(runner) = world.runners.get_mut(&runner) {
            runner.job = None;
        }
        world.changed();
    }
}

/// Expires offers that were not accepted in time, and fails jobs whose runner has stopped responding.
pub(crate) fn sweep(world: &mut World, now: Timestamp) {
    let accept_within = signed(world.settings.accept_within);
    let lost_after = signed(world.settings.lost_after);
    let stale =
        |job: &&Job| matches!(job.state, JobState::Offered(at) if now.duration_since(at) >= accept_within);
    let offered: Vec<u64> =
        world.jobs.values().filter(stale).filter_map(|job| Some(job.runner.as_ref()?.0)).collect();
    for runner in offered {
        withdraw(world, runner);
    }
    let silent =
        |job: &&Job| job.state == JobState::Running && now.duration_since(job.alive_at) >= lost_after;
    let lost: Vec<u64> = world.jobs.values().filter(silent).map(|job| job.id).collect();
    for id in lost {
        if let Some(job) = world.jobs.get_mut(&id) {
            job.log.extend(b"The self-hosted runner lost communication with the server.\n");
        }
        finish(world, id, Conclusion::Failure, now);
    }
}

/// Requests the cancellation of a run; false when it is completed.
pub(crate) fn cancel(world: &mut World, run: u64, force: bool, now: Timestamp) -> bool {
    let Some(one) = world.runs.get_mut(&run) else { return false };
    one.cancelled = true;
    let attempt = one.attempt;
    let open: Vec<(u64, JobState)> = world
        .jobs
        .values()
        .filter(|job| job.run == run && job.attempt == attempt && job.conclusion().is_none())
        .map(|job| (job.id, job.state))
        .collect();
    for (id, state) in &open {
        if *state == JobState::Running && !force {
            // Its runner receives the cancellation and reports the end.
            if let Some(job) = world.jobs.get_mut(id) {
                job.cancelled = true;
            }
        } else {
            if let Some(runner) = world.jobs.get(id).and_then(|job| job.runner.as_ref()).map(|one| one.0) {
                withdraw(world, runner);
            }
            finish(world, *id, Conclusion::Cancelled, now);
        }
    }
    world.changed();
    !open.is_empty()
}

/// The jobs that a new attempt runs again.
pub(crate) enum Again {
    All,
    Failed,
    /// This job and those that need it.
    One(u64),
}

/// Starts a new attempt of a completed run as this login; false when the run is not completed. Jobs that are not run
/// again are carried over.
pub(crate) fn rerun(world: &mut World, run: u64, again: &Again, by: &str, now: Timestamp) -> bool {
    let Some(one) = world.runs.get(&run) else { return false };
    let attempt = one.attempt;
    if super::attempt_state(one, attempt, world.jobs.values()).0 != "completed" {
        return false;
    }
    let last: Vec<&Job> =
        world.jobs.values().filter(|job| job.run == run && job.attempt == attempt).collect();
    let mut repeated: Vec<String> = last
        .iter()
        .filter(|job| match again {
            Again::All => true,
            Again::Failed => job.conclusion() != Some(Conclusion::Success),
            Again::One(id) => job.id == *id,
        })
        .map(|job| job.spec.key.clone())
        .collect();
    let specs = &one.workflow.jobs;
    while let Some(more) = specs
        .iter()
        .find(|spec| !repeated.contains(&spec.key) && spec.needs.iter().any(|need| repeated.contains(need)))
    {
        repeated.push(more.key.clone());
    }
    let kept: Vec<u64> =
        last.iter().filter(|job| !repeated.contains(&job.spec.key)).map(|job| job.id).collect();
    if let Some(one) = world.runs.get_mut(&run) {
        one.attempt += 1;
        one.started_by.push(by.to_owned());
        one.cancelled = false;
        one.started_at = now;
        one.updated_at = now;
    }
    for id in kept {
        carry_over(world, run, id);
    }
    queue_ready_jobs(world, run, now);
    true
}

fn carry_over(world: &mut World, run: u64, job: u64) {
    let id = world.next_id();
    let (Some(run), Some(old)) = (world.runs.get(&run), world.jobs.get(&job)) else { return };
    let mut copy = Job::new(id, run, old.spec.clone(), old.queued_at);
    copy.state = old.state;
    copy.started_at = old.started_at;
    copy.completed_at = old.completed_at;
    copy.runner = old.runner.clone();
    copy.steps.clone_from(&old.steps);
    copy.log.clone_from(&old.log);
    world.jobs.insert(id, copy);
}
