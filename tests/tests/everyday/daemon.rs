//! `cml-runner daemon` as a process, with machines on this machine: jobs arrive by webhook and by poll, the page and
//! the API show the truth, and whatever ends the daemon, nothing is left.

use std::time::Duration;

use cml_e2e::daemon::{Daemon, WEBHOOK_SECRET, free_port, signature};
use cml_e2e::runner::Runner;
use cml_e2e::secrets::{TOKEN, assert_no_secret};
use cml_e2e::sim::Sim;
use cml_e2e::tier;
use serde_json::Value;

/// Time from a machine's reason to end to its end, on a busy core.
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
    let launch =
        view.runner_name.and_then(|name| Some(name.strip_prefix("cml-")?.to_owned())).expect("a launch");
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
    let mut told = ended.stderr.lines().filter(|line| line.contains(&format!("launch{{id={launch}}}")));
    for words in ["decided, for a job", "bought", "the runner has a job", "gone"] {
        assert!(told.any(|line| line.contains(words)), "{words:?} does not follow in:\n{}", ended.stderr);
    }
    user.until_quiet(VANISH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_webhook_was_lost_is_found_by_the_poll() {
    if tier::is_left_to_full("a job whose webhook was lost is found by the poll") {
        return;
    }
    let sim = Sim::start().await;
    let user = sim.user();
    let before = sim.queue("small", "echo queued before the daemon lived");
    let mut daemon = Daemon::start(&user, LOCAL, free_port(), &["--poll", "10s"]);
    daemon.until_ready().await;
    sim.succeeds(before).await;
    let after = sim.queue("small", "echo queued while it lived");
    sim.succeeds(after).await;
    let _ = daemon.end().await.expect_code(0);
    user.until_quiet(VANISH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_configuration_is_in_force_at_once_and_a_bad_one_changes_nothing() {
    let port = free_port();
    let sim = Sim::start_with_webhook(port).await;
    let user = user(&sim);
    let one = LOCAL.replace("max: 4", "max: 1");
    let mut daemon = Daemon::start(&user, &one, port, &[]);
    daemon.until_ready().await;
    let held = user.home().join("held");
    let script = format!("until [ -e {} ]; do sleep 0.2; done", held.display());
    let jobs: Vec<u64> = (0..3).map(|_| sim.queue("small", &script)).collect();
    let count = |state: &'static str| {
        move |all: &Value| {
            all["jobs"].as_array().expect("a list").iter().filter(|job| job["state"] == state).count()
        }
    };
    daemon.until("/api/v1/jobs", "one runs", |all| count("running")(all) == 1).await;
    let path = user.home().join("cml.yaml");
    std::fs::write(&path, "runners:\n  small:\n    max: many\n").expect("is written");
    daemon.running().until_it_says("configuration not reloaded").await;
    assert_eq!(count("running")(&daemon.json("/api/v1/jobs").await), 1);
    std::fs::write(&path, LOCAL).expect("is written");
    daemon.running().signal(rustix::process::Signal::HUP);
    daemon.until("/api/v1/jobs", "all three run", |all| count("running")(all) == 3).await;
    std::fs::write(&held, "").expect("the jobs are let go");
    for job in jobs {
        sim.succeeds(job).await;
    }
    let _ = daemon.end().await.expect_code(0);
    user.until_quiet(VANISH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_sends_forms_is_read_and_one_that_sends_anything_else_is_told_what_to_set() {
    let port = free_port();
    let form = cml_world::Posture { hook_content_type: "form".to_owned(), ..cml_world::Posture::default() };
    let sim = Sim::start_with_hook(port, form).await;
    let user = user(&sim);
    let mut daemon = Daemon::start(&user, LOCAL, port, &["--poll", "1h"]);
    daemon.until_ready().await;
    let job = sim.queue("small", "true");
    sim.succeeds(job).await;
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let send = |content_type: &'static str, body: &'static str| {
        let request = client
            .post(daemon.url("/webhook"))
            .header("content-type", content_type)
            .header("x-github-event", "ping")
            .header("x-github-delivery", "a-ping")
            .header("x-hub-signature-256", signature(body));
        async move {
            let answer = request.body(body).send().await.expect("an answer");
            (answer.status().as_u16(), answer.text().await.expect("a text"))
        }
    };
    let ping = send("application/x-www-form-urlencoded", "payload=%7B%22zen%22%3A%22z%22%7D").await;
    assert_eq!(ping, (200, "pong\n".to_owned()));
    for _ in 0..3 {
        let (status, words) = send("text/xml", "<ping/>").await;
        assert_eq!(status, 415, "{words}");
        assert!(words.contains("set the content type to application/json"), "{words}");
    }
    let said = daemon.end().await.expect_code(0).said();
    assert_eq!(said.matches("set the content type to application/json").count(), 1, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_forged_webhooks_change_nothing_and_cost_no_memory() {
    let port = free_port();
    let sim = Sim::start_with_webhook(port).await;
    let user = user(&sim);
    let mut daemon = Daemon::start(&user, LOCAL, port, &[]);
    daemon.until_ready().await;
    let before = daemon.resident_kib();
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = daemon.url("/webhook");
    let body = serde_json::json!({
        "action": "queued",
        "workflow_job": {"id": 1, "run_id": 1, "status": "queued", "labels": ["small"], "name": "evil"},
        "repository": {"full_name": "acme/vision", "forks_count": 0},
    });
    let body = body.to_string();
    let senders: Vec<_> = (0..16)
        .map(|sender| {
            let (client, url, body) = (client.clone(), url.clone(), body.clone());
            tokio::spawn(async move {
                for number in 0..625 {
                    let request = client
                        .post(&url)
                        .header("x-github-event", "workflow_job")
                        .header("x-github-delivery", format!("forged-{sender}-{number}"))
                        .header("x-hub-signature-256", format!("sha256={number:064x}"));
                    let status = request.body(body.clone()).send().await.expect("an answer").status();
                    assert_eq!(status, 401);
                }
            })
        })
        .collect();
    for sender in senders {
        sender.await.expect("all were refused");
    }
    let grown = daemon.resident_kib().saturating_sub(before);
    assert!(grown < 8 * 1024, "memory grew by {grown} KiB");
    let unsigned = client.post(&url).header("x-github-event", "workflow_job").body(body.clone()).send().await;
    assert_eq!(unsigned.expect("an answer").status(), 401);
    let huge = client.post(&url).body(vec![b'x'; 3 * 1024 * 1024]).send().await;
    assert!(huge.is_err() || huge.is_ok_and(|answer| answer.status() == 413));
    assert_eq!(jobs(&daemon.json("/api/v1/jobs").await), []);
    let metrics = daemon.get("/metrics").await.expect("metrics").1;
    assert!(metrics.contains("cml_runner_webhooks_total{outcome=\"forged\"} 10001"), "{metrics}");
    assert!(metrics.contains("cml_runner_webhooks_total{outcome=\"kept\"} 0"), "{metrics}");
    let _ = daemon.end().await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn github_may_be_down_for_a_while_and_every_job_still_runs() {
    if tier::is_left_to_full("a GitHub that is down for a while") {
        return;
    }
    let port = free_port();
    let sim = Sim::start_with_webhook(port).await;
    let user = user(&sim);
    let mut daemon = Daemon::start(&user, LOCAL, port, &["--poll", "10s"]);
    daemon.until_ready().await;
    let held = user.home().join("held");
    let working = sim.queue("small", &format!("until [ -e {} ]; do sleep 0.2; done", held.display()));
    daemon.until("/api/v1/jobs", "it runs", |all| jobs(all) == [(working, "running".to_owned())]).await;
    sim.fail_next(cml_world::Fault {
        method: "*".to_owned(),
        path_contains: "/repos/acme/vision/actions".to_owned(),
        kind: cml_world::FaultKind::Status(503, "{\"message\":\"down\"}".to_owned()),
        times: 60,
    });
    let queued: Vec<u64> = (0..3).map(|_| sim.queue("small", "echo after the storm")).collect();
    daemon.until("/api/v1/pools", "the silence is told", |all| all["github_answers"] == false).await;
    for job in queued {
        let view = sim.wait_for_job(job, Duration::from_secs(150)).await.expect("it runs in the end");
        assert_eq!(view.conclusion.as_deref(), Some("success"));
    }
    std::fs::write(&held, "").expect("the job is let go");
    sim.succeeds(working).await;
    let _ = daemon.end().await.expect_code(0);
    user.until_quiet(VANISH).await;
}

/// How often the daemon is killed: every day, and in the full run; more with `CML_E2E_KILLS`.
const KILLS: [u32; 2] = [6, 25];

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_killed_again_and_again_loses_no_job_doubles_none_and_leaks_nothing() {
    let port = free_port();
    let sim = Sim::start_with_webhook(port).await;
    let user = user(&sim);
    std::fs::write(user.home().join("cml.yaml"), LOCAL).expect("is written");
    let kills =
        cml_e2e::edge::variable("CML_E2E_KILLS").parse().unwrap_or(KILLS[usize::from(tier::is_full())]);
    let ran = user.home().join("ran");
    let script = format!("echo $GITHUB_JOB >> {}; sleep 1", ran.display());
    let mut queued = Vec::new();
    // The moments are the same in every run, and spread over everything that a start and an observation do.
    for number in 0..kills {
        let daemon = Daemon::start_again(&user, port, &["--poll", "10s"]);
        if number % 2 == 0 {
            queued.push(sim.queue("small", &script));
        }
        tokio::time::sleep(Duration::from_millis(u64::from(number) * 7919 % 2300 + 40)).await;
        let _ = daemon.kill().await;
    }
    let mut daemon = Daemon::start_again(&user, port, &["--poll", "10s"]);
    daemon.until_ready().await;
    for job in &queued {
        // What was decided and not bought is known to be over as soon as who decided it is dead.
        sim.succeeds_within(*job, Duration::from_secs(60)).await;
    }
    let none = |all: &Value| all["runners"] == serde_json::json!([]);
    daemon.until("/api/v1/runners", "no machine is left", none).await;
    let times = std::fs::read_to_string(ran).expect("jobs ran").lines().count();
    assert_eq!(times, queued.len(), "every job ran once");
    // One machine for each launch, each with a registration of its own, and not more than the pool may have for the jobs.
    let events = daemon.json("/api/v1/events?limit=1000").await;
    let of_kind = |kind: &str| -> Vec<String> {
        let all = events["events"].as_array().expect("a list").iter();
        all.filter(|line| line["event"]["kind"] == kind)
            .map(|line| line["event"]["launch"].to_string())
            .collect()
    };
    let bought = of_kind("launch_bought");
    let mut once = bought.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), bought.len(), "a launch was bought twice");
    let _ = daemon.end().await.expect_code(0);
    user.until_quiet(VANISH).await;
    let _ = user.run(&["reap", "--grace", "1s"]).await.expect_code(0);
    assert!(sim.runners().is_empty(), "{:#?}", sim.runners());
}
