//! Strangers who request machines: pull requests from forks, forks that are deleted, attempts that others start.
//! However the daemon learns of their jobs, each has its reason, and as many machines are launched as without them.
//!
//! GitHub assigns a runner to the oldest job with its labels, a stranger's too: jobs that get a machine are queued
//! first, or ask for other labels.

use std::time::Duration;

use cml_e2e::daemon::{Daemon, WEBHOOK_SECRET, free_port};
use cml_e2e::runner::Runner;
use cml_e2e::sim::Sim;
use cml_e2e::{tier, wait};
use cml_world::RunId;
use serde_json::Value;

/// Forks are refused by default.
const CONFIG: &str = "
runners:
  guarded:
    labels: [guarded]
    cloud: local
    max: 4
    boot_timeout: 60s
    max_lifetime: 5m
  other:
    labels: [other]
    cloud: local
    max: 4
    boot_timeout: 60s
    max_lifetime: 5m
";
const NO_FORKS: &str = "pool guarded does not run code from forks";
/// Time from one poll to the next, on a busy core.
const NEXT_POLL: Duration = Duration::from_secs(30);
/// Time from a job's end to its machine's, on a busy core.
const VANISH: Duration = Duration::from_secs(25);

fn user(sim: &Sim) -> Runner {
    sim.user().with("CML_RUNNER_WEBHOOK_SECRET", WEBHOOK_SECRET)
}

async fn started(user: &Runner, config: &str, port: u16, poll: &str) -> Daemon {
    let mut daemon = Daemon::start(user, config, port, &["--poll", poll]);
    daemon.until_ready().await;
    daemon
}

async fn ends(daemon: Daemon, user: &Runner) {
    let _ = daemon.end().await.expect_code(0);
    user.until_quiet(VANISH).await;
}

fn launches(sim: &Sim) -> usize {
    sim.calls().iter().filter(|call| call.ends_with("generate-jitconfig")).count()
}

/// Waits until the daemon reports this reason for a job without a machine.
async fn is_refused(daemon: &Daemon, job: u64, why: &str) {
    let says = |all: &Value| {
        let rows = all["jobs"].as_array().expect("a list");
        rows.iter().any(|row| row["id"] == job && row["why"] == why)
    };
    let _ = daemon.until("/api/v1/jobs", &format!("job {job}: {why}"), says).await;
}

/// Queues a job of a run that was started again after its fork was deleted.
fn queue_of_deleted_fork(sim: &Sim) -> u64 {
    let run = sim.run_of(sim.queue_of_fork("guarded", "true", "eve/vision", "eve"));
    sim.cancel_run(run);
    sim.forget_fork(run);
    assert!(sim.rerun_by(run, "eve"));
    sim.latest_job(run)
}

/// Queues the repository's own job, and those of a fork and of a deleted one.
fn queue_all(sim: &Sim) -> (u64, [u64; 2]) {
    let own = sim.queue("guarded", "true");
    let fork = sim.queue_of_fork("guarded", "true", "mallory/vision", "mallory");
    (own, [fork, queue_of_deleted_fork(sim)])
}

async fn only_the_own_job_gets_a_machine(sim: &Sim, daemon: &Daemon, own: u64, strangers: [u64; 2]) {
    let _ = sim.succeeds(own).await;
    for job in strangers {
        is_refused(daemon, job, NO_FORKS).await;
    }
    assert_eq!(launches(sim), 1);
    let waits = |job: u64| sim.jobs().iter().any(|one| one.id == job && one.status == "queued");
    assert!(strangers.into_iter().all(waits), "{:#?}", sim.jobs());
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_forks_that_are_heard_of_launch_nothing() {
    let port = free_port();
    let sim = Sim::start_with_webhook(port).await;
    let user = user(&sim);
    let daemon = started(&user, CONFIG, port, "1h").await;
    let (own, strangers) = queue_all(&sim);
    only_the_own_job_gets_a_machine(&sim, &daemon, own, strangers).await;
    ends(daemon, &user).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_forks_that_a_poll_finds_launch_nothing() {
    let sim = Sim::start().await;
    let user = user(&sim);
    let (own, strangers) = queue_all(&sim);
    // Its first observation is a poll.
    let daemon = started(&user, CONFIG, free_port(), "1h").await;
    only_the_own_job_gets_a_machine(&sim, &daemon, own, strangers).await;
    ends(daemon, &user).await;
}

/// Whether a list of runs has been answered in which this one has no head repository.
fn was_listed_without_head(sim: &Sim, run: RunId) -> bool {
    let lists_it = |body: &[u8]| {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let runs = body["workflow_runs"].as_array().cloned().unwrap_or_default();
        runs.iter().any(|one| one["id"] == run.0 && one["head_repository"].is_null())
    };
    sim.exchanges().iter().any(|exchange| lists_it(&exchange.response_body))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_that_is_deleted_between_two_looks_stays_a_strangers() {
    if tier::is_left_to_full("a fork that is deleted between two looks") {
        return;
    }
    for is_heard_of in [true, false] {
        let port = free_port();
        let sim = if is_heard_of { Sim::start_with_webhook(port).await } else { Sim::start().await };
        let user = user(&sim);
        let daemon = started(&user, CONFIG, port, "10s").await;
        let job = sim.queue_of_fork("guarded", "true", "mallory/vision", "mallory");
        is_refused(&daemon, job, NO_FORKS).await;
        let run = sim.run_of(job);
        sim.forget_fork(run);
        wait::until_true("a poll sees it without its fork", NEXT_POLL, async || {
            was_listed_without_head(&sim, run)
        })
        .await;
        // Its machine is launched by an observation after that poll.
        let own = sim.queue("other", "true");
        let _ = sim.succeeds(own).await;
        is_refused(&daemon, job, NO_FORKS).await;
        assert_eq!(launches(&sim), 1, "heard of: {is_heard_of}");
        ends(daemon, &user).await;
    }
}

/// The first attempt is started by a permitted login, the second one by another.
async fn only_the_first_attempt_gets_a_machine(sim: &Sim, port: u16, poll: &str) {
    let user = user(sim);
    let config = CONFIG.replacen("max: 4", "max: 4\n    allow: { actors: [acme] }", 1);
    let daemon = started(&user, &config, port, poll).await;
    let first = sim.queue("guarded", "true");
    let _ = sim.succeeds(first).await;
    let run = sim.run_of(first);
    assert!(sim.rerun_by(run, "mallory"));
    is_refused(&daemon, sim.latest_job(run), "pool guarded does not run jobs started by mallory").await;
    assert_eq!(launches(sim), 1);
    ends(daemon, &user).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_a_stranger_started_and_that_is_heard_of_launches_nothing() {
    let port = free_port();
    let sim = Sim::start_with_webhook(port).await;
    only_the_first_attempt_gets_a_machine(&sim, port, "1h").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_a_stranger_started_and_that_a_poll_finds_launches_nothing() {
    if tier::is_left_to_full("an attempt that a stranger started and that a poll finds") {
        return;
    }
    let sim = Sim::start().await;
    only_the_first_attempt_gets_a_machine(&sim, free_port(), "10s").await;
}
