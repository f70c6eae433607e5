//! `cml-runner daemon` with realistic surroundings at GitHub and AWS: labels, regions, machines of others.

use std::time::Duration;

use cml_e2e::daemon::{Daemon, WEBHOOK_SECRET, free_port};
use cml_e2e::front::{Front, Trouble};
use cml_e2e::runner::Runner;
use cml_e2e::sim::Sim;
use cml_e2e::tier;
use cml_e2e::wait;
use serde_json::Value;

/// Time from a machine's reason to end to its end, on a busy core.
const VANISH: Duration = Duration::from_secs(60);

const LOCAL: &str = "
runners:
  gpu:
    labels: [cml, gpu]
    cloud: local
    max: 1
    idle_timeout: 20s
    boot_timeout: 60s
    max_lifetime: 5m
";

fn user(sim: &Sim) -> Runner {
    sim.user().with("CML_RUNNER_WEBHOOK_SECRET", WEBHOOK_SECRET)
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_ask_for_what_every_self_hosted_runner_has_are_taken_and_one_without_labels_buys_nothing() {
    let port = free_port();
    let sim = Sim::start_with_webhook(port).await;
    let user = user(&sim);
    let mut daemon = Daemon::start(&user, LOCAL, port, &["--poll", "10s"]);
    daemon.until_ready().await;
    let alone = "on: push\njobs: {it: {runs-on: {group: big}, steps: [{run: echo}]}}\n";
    let _ = sim.queue_workflow(alone).expect("the workflow is good");
    for labels in ["self-hosted, gpu", "self-hosted, linux, x64, gpu"] {
        sim.succeeds(sim.queue(labels, "true")).await;
    }
    let is_told = |all: &Value| {
        let jobs = all["jobs"].as_array().expect("a list");
        jobs.iter().any(|job| job["why"].as_str().is_some_and(|why| why.contains("it has no labels")))
    };
    daemon.until("/api/v1/jobs", "the job without labels is told why it waits", is_told).await;
    let events = daemon.json("/api/v1/events").await.to_string();
    assert_eq!(events.matches("\"launch_intended\"").count(), 2, "{events}");
    let _ = daemon.end().await.expect_code(0);
    user.until_quiet(VANISH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_of_a_launch_is_left_alone_by_a_daemon_of_the_same_scope() {
    let port = free_port();
    let sim = Sim::start_with_webhook(port).await;
    let user = user(&sim);
    let flags = ["launch", "--cloud", "local", "--labels", "run-77", "--idle-timeout", "5m", "--json"];
    let launched = user.run(&[&flags[..], &["--max-lifetime", "10m"]].concat()).await.expect_code(0).json();
    let mut daemon = Daemon::start(&user, LOCAL, port, &["--poll", "10s"]);
    daemon.until_ready().await;
    // The daemon observes, decides and works meanwhile: its one machine exists in addition to that of the launch.
    let job = sim.queue("gpu", "true");
    sim.succeeds(job).await;
    assert!(!daemon.log().contains("ending a machine"), "{}", daemon.log());
    let job = sim.queue("run-77", "true");
    let view = sim.succeeds(job).await;
    assert_eq!(view.runner_name.as_deref(), launched["runner"].as_str(), "it was there for its job");
    let _ = daemon.end().await.expect_code(0);
    user.until_quiet(VANISH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_fails_is_told_and_the_daemon_buys_in_the_other_one() {
    if tier::is_left_to_full("a region that fails is told and the daemon buys in the other one") {
        return;
    }
    for trouble in [Trouble::Down, Trouble::NotEnabled, Trouble::DeniedByPolicy("DescribeSubnets")] {
        let port = free_port();
        let sim = Sim::start_with_webhook(port).await;
        let front = Front::start().await;
        front.trouble("us-west-2", trouble);
        let config = "
runners:
  gpu:
    labels: [cml, gpu]
    cloud: aws
    regions: [us-west-2, us-east-1]
    instance_types: [t3.micro]
    spot: never
    max: 3
";
        let user = user(&sim).on_aws(&front);
        let mut daemon = Daemon::start(&user, config, port, &["--poll", "10s"]);
        daemon.until_ready().await;
        let _ = sim.queue("gpu", "true");
        let sold = async || front.calls_of("CreateFleet").iter().any(|call| call.status == 200);
        wait::until_true("a machine is bought", Duration::from_secs(60), sold).await;
        daemon.running().until_it_says("us-west-2").await;
        let _ = daemon.end().await.expect_code(0);
    }
}
