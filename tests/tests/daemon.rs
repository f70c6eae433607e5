//! `cml-runner daemon` as a process, with machines on this machine: jobs come by webhook and by poll, the page and the API
//! tell what is so, and whatever ends the daemon, nothing is left.

use std::time::Duration;

use cml_e2e::daemon::{Daemon, WEBHOOK_SECRET, free_port};
use cml_e2e::runner::Runner;
use cml_e2e::secrets::{TOKEN, assert_no_secret};
use cml_e2e::sim::Sim;
use serde_json::Value;

/// A machine is gone this long after its reason to end, on a busy core.
const VANISH: Duration = Duration::from_secs(25);

const LOCAL: &str = "
runners:
  small:
    labels: [cml, small]
    cloud: local
    max: 4
    idle_timeout: 20s
    boot_timeout: 60s
    max_lifetime: 5m
";

fn user(sim: &Sim) -> Runner {
    sim.user().with("CML_RUNNER_WEBHOOK_SECRET", WEBHOOK_SECRET)
}

fn jobs(value: &Value) -> Vec<(u64, String)> {
    let all = value["jobs"].as_array().expect("a list");
    all.iter()
        .map(|job| (job["id"].as_u64().expect("an id"), job["state"].as_str().expect("a state").to_owned()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_heard_of_gets_a_machine_and_the_machine_is_gone_after_it() {
    let port = free_port();
    let sim = Sim::start_with_webhook(port).await;
    let user = user(&sim);
    let mut daemon = Daemon::start(&user, LOCAL, port, &[]);
    daemon.until_ready().await;
    let job = sim.queue("small", "echo hello from $RUNNER_NAME; sleep 2");
    let running =
        daemon.until("/api/v1/jobs", "the job runs", |all| jobs(all) == [(job, "running".to_owned())]);
    let running = running.await;
    assert_eq!(running["jobs"][0]["spec"], "small");
    let view = sim.succeeds(job).await;
    assert!(view.runner_name.is_some_and(|name| name.starts_with("cml-")));
    daemon
        .until("/api/v1/runners", "no machine is left", |all| all["runners"] == serde_json::json!([]))
        .await;
    user.until_only_this_is_left("daemon", VANISH).await;
    let events = daemon.json("/api/v1/events").await.to_string();
    for kind in ["job_came", "launch_intended", "launch_bought", "runner_busy", "instance_gone"] {
        assert!(events.contains(kind), "no {kind} in {events}");
    }
    let (_, page) = daemon.get("/").await.expect("the page");
    assert!(page.contains("No machine is there") && page.contains("pool-small"), "{page}");
    let (_, metrics) = daemon.get("/metrics").await.expect("metrics");
    assert!(metrics.contains("cml_runner_webhooks_total{outcome=\"kept\"}"), "{metrics}");
    assert!(metrics.contains("cml_runner_runners_max{spec=\"small\"} 4"), "{metrics}");
    let mut secrets = sim.secrets();
    secrets.extend([TOKEN.to_owned(), WEBHOOK_SECRET.to_owned()]);
    let ended = daemon.end().await.expect_code(0);
    assert_no_secret("the page", &page, &secrets);
    assert_no_secret("what the daemon said", &ended.said(), &secrets);
    user.until_quiet(VANISH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_webhook_was_lost_is_found_by_the_poll() {
    let sim = Sim::start().await;
    let user = sim.user();
    let before = sim.queue("small", "echo queued before the daemon lived");
    let mut daemon = Daemon::start(&user, LOCAL, free_port(), &["--poll", "10s"]);
    daemon.until_ready().await;
    sim.succeeds(before).await;
    let after = sim.queue("small", "echo queued while it lived");
    sim.succeeds(after).await;
    daemon.end().await.expect_code(0);
    user.until_quiet(VANISH).await;
}
