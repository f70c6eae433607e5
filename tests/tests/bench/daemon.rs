//! Capacity of the daemon, measured on the built binary. Run by `just bench`; the results are in docs/benchmarks.md.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cml_e2e::daemon::{Daemon, WEBHOOK_SECRET, free_port, signature};
use cml_e2e::front::Front;
use cml_e2e::sim::Sim;
use cml_e2e::wait;

const CONFIG: &str = "
runners:
  gpu:
    labels: [cml, gpu]
    cloud: aws
    regions: [us-east-1]
    instance_types: [g4dn.xlarge, g5.xlarge]
    max: 500
    max_lifetime: 1h
";

/// A delivery as GitHub sends it, with a body as long as GitHub's usual one.
fn delivery(job: u64, status: &str, label: &str) -> String {
    let steps: Vec<_> = (0..20)
        .map(|number| {
            serde_json::json!({"name": format!("step {number}"), "status": "completed",
        "conclusion": "success", "number": number, "started_at": "2026-11-24T10:00:00Z",
        "completed_at": "2026-11-24T10:00:01Z"})
        })
        .collect();
    let conclusion = (status == "completed").then_some("success");
    let action = if status == "completed" { "completed" } else { "queued" };
    serde_json::json!({
        "action": action,
        "workflow_job": {"id": job, "run_id": job, "run_attempt": 1, "name": "bench", "status": status,
            "conclusion": conclusion, "labels": [label], "created_at": "2026-11-24T10:00:00Z", "steps": steps,
            "runner_name": if status == "completed" { "GitHub Actions 7" } else { "" }},
        "repository": {"full_name": "acme/vision", "forks_count": 0, "description": "x".repeat(12_000)},
        "sender": {"login": "mona"},
    })
    .to_string()
}

fn quantile(sorted: &[f64], part: f64) -> f64 {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let index = ((sorted.len() - 1) as f64 * part).round() as usize;
    sorted[index]
}

async fn send(client: &reqwest::Client, url: &str, id: u64, body: &str) {
    let request = client
        .post(url)
        .header("x-github-event", "workflow_job")
        .header("x-github-delivery", format!("bench-{id}"))
        .header("x-hub-signature-256", signature(body));
    let status = request.body(body.to_owned()).send().await.expect("an answer").status();
    assert!(status.is_success(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a benchmark: run it with `just bench`"]
async fn intake() {
    const DELIVERIES: u64 = 30_000;
    let port = free_port();
    let sim = Sim::start().await;
    let user = sim.user().with("CML_RUNNER_WEBHOOK_SECRET", WEBHOOK_SECRET);
    let local = "runners:\n  a:\n    labels: [a]\n    cloud: local\n    max: 1\n";
    let mut daemon = Daemon::start(&user, local, port, &[]);
    daemon.until_ready().await;
    println!(
        "resident, idle: {:.1} MiB",
        f64::from(u32::try_from(daemon.resident_kib()).unwrap_or(0)) / 1024.0
    );
    let url = daemon.url("/webhook");
    let next = Arc::new(AtomicU64::new(1));
    for connections in [16_u64, 256] {
        let started = Instant::now();
        let senders: Vec<_> = (0..connections)
            .map(|_| {
                let (url, next) = (url.clone(), next.clone());
                tokio::spawn(async move {
                    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
                    let mut took = Vec::new();
                    for _ in 0..DELIVERIES / connections {
                        let id = next.fetch_add(1, Ordering::Relaxed);
                        let body = delivery(id, "completed", "ubuntu-latest");
                        let began = Instant::now();
                        send(&client, &url, id, &body).await;
                        took.push(began.elapsed().as_secs_f64() * 1000.0);
                    }
                    took
                })
            })
            .collect();
        let mut all = Vec::new();
        for sender in senders {
            all.extend(sender.await.expect("all were sent"));
        }
        let seconds = started.elapsed().as_secs_f64();
        all.sort_by(f64::total_cmp);
        println!(
            "{connections} connections: {:.0} deliveries/s, p50 {:.1} ms, p99 {:.1} ms",
            all.len() as f64 / seconds,
            quantile(&all, 0.5),
            quantile(&all, 0.99)
        );
    }
    println!("resident, after {} deliveries: {} KiB", next.load(Ordering::Relaxed), daemon.resident_kib());
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    for part in 1..=4 {
        for _ in 0..DELIVERIES / 2 {
            let id = next.fetch_add(1, Ordering::Relaxed);
            send(&client, &url, id, &delivery(id, "completed", "ubuntu-latest")).await;
        }
        let sent = next.load(Ordering::Relaxed);
        println!("soak {part}/4: {sent} deliveries, resident {} KiB", daemon.resident_kib());
    }
    let size =
        |name: &str| std::fs::metadata(user.state_dir().join(name)).map_or(0, |file| file.len() / 1024);
    println!("files: daemon.db {} KiB, daemon.inbox.db {} KiB", size("daemon.db"), size("daemon.inbox.db"));
    let _ = daemon.end().await;
}

/// With an API budget, launches come at its rate and not a bit faster.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a benchmark: run it with `just bench`"]
async fn a_burst_within_an_api_budget() {
    const PER_MINUTE: usize = 120;
    const JOBS: usize = 200;
    let port = free_port();
    // GitHub is queried for every run, so they must exist: the simulated one sends the webhooks.
    let sim = Sim::start_with_webhook(port).await;
    let front = Front::start().await;
    let user = sim.user().on_aws(&front).with("CML_RUNNER_WEBHOOK_SECRET", WEBHOOK_SECRET);
    let paced = ["--poll", "1h", "--registrations-per-minute", &PER_MINUTE.to_string()];
    let mut daemon = Daemon::start(&user, CONFIG, port, &paced);
    daemon.until_ready().await;
    let began = Instant::now();
    for _ in 0..JOBS {
        let _ = sim.queue("gpu", "true");
    }
    wait::until_true("all launches", Duration::from_secs(180), async || front.count("CreateFleet") >= JOBS)
        .await;
    let took = began.elapsed().as_secs_f64();
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    let expected = (JOBS - PER_MINUTE) as f64 * 60.0 / PER_MINUTE as f64;
    println!(
        "{JOBS} jobs at {PER_MINUTE} registrations a minute: last CreateFleet after {took:.1} s (the budget alone: {expected:.1} s)"
    );
    let _ = daemon.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a benchmark: run it with `just bench`"]
async fn from_webhook_to_launch() {
    let port = free_port();
    let sim = Sim::start_with_webhook(port).await;
    let front = Front::start().await;
    let user = sim.user().on_aws(&front).with("CML_RUNNER_WEBHOOK_SECRET", WEBHOOK_SECRET);
    let mut daemon = Daemon::start(&user, CONFIG, port, &["--poll", "1h"]);
    daemon.until_ready().await;
    println!("resident, idle: {} KiB", daemon.resident_kib());
    let (mut to_registration, mut to_first_call, mut to_launch) = (Vec::new(), Vec::new(), Vec::new());
    let registrations =
        |sim: &Sim| sim.calls().iter().filter(|call| call.contains("generate-jitconfig")).count();
    for job in 1..=60_u64 {
        let (fleets, templates, known) =
            (front.count("CreateFleet"), front.count("CreateLaunchTemplate"), registrations(&sim));
        let began = Instant::now();
        let _ = sim.queue("gpu", "true");
        let since = || began.elapsed().as_secs_f64() * 1000.0;
        while registrations(&sim) == known {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        to_registration.push(since());
        while front.count("CreateLaunchTemplate") == templates {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        to_first_call.push(since());
        while front.count("CreateFleet") == fleets {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        to_launch.push(since());
        tokio::time::sleep(Duration::from_millis(37 * (job % 7))).await;
    }
    for (what, times) in [
        ("registration at GitHub answered", &mut to_registration),
        ("first call to EC2 (CreateLaunchTemplate)", &mut to_first_call),
        ("CreateFleet", &mut to_launch),
    ] {
        times.sort_by(f64::total_cmp);
        println!("webhook → {what}: p50 {:.1} ms, p99 {:.1} ms", quantile(times, 0.5), quantile(times, 0.99));
    }
    let fleets = front.count("CreateFleet");
    let began = Instant::now();
    for _ in 0..200 {
        let _ = sim.queue("gpu", "true");
    }
    let (sent, known) = (began.elapsed(), 60);
    wait::until_true("200 registrations", Duration::from_secs(120), async || {
        registrations(&sim) >= known + 200
    })
    .await;
    let registered = began.elapsed();
    wait::until_true("200 launches", Duration::from_secs(120), async || {
        front.count("CreateFleet") >= fleets + 200
    })
    .await;
    println!(
        "200 jobs: sent in {:.2} s, last registration after {:.2} s, last CreateFleet after {:.2} s",
        sent.as_secs_f64(),
        registered.as_secs_f64(),
        began.elapsed().as_secs_f64()
    );
    println!("resident, after 260 launches: {} KiB", daemon.resident_kib());
    let again = daemon.kill().await;
    drop(again);
    let began = Instant::now();
    let mut daemon = Daemon::start_again(&user, port, &["--poll", "1h"]);
    daemon.until_ready().await;
    println!(
        "killed and started again with 260 machines: ready after {:.2} s",
        began.elapsed().as_secs_f64()
    );
    let _ = daemon.kill().await;
}

/// Load from clients without a secret, all at once.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a benchmark: run it with `just bench`"]
async fn the_door() {
    const HALF_OPEN: usize = 5000;
    const BODIES: usize = 1000;
    let port = free_port();
    let sim = Sim::start_with_webhook(port).await;
    let user = sim.user().with("CML_RUNNER_WEBHOOK_SECRET", WEBHOOK_SECRET);
    let local = "runners:\n  a:\n    labels: [a]\n    cloud: local\n    max: 1\n";
    let mut daemon = Daemon::start(&user, local, port, &["--poll", "10s"]);
    daemon.until_ready().await;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let wanted = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, wanted).expect("this process opens many");
    println!("resident, idle: {} KiB", daemon.resident_kib());
    let opened = tokio::task::spawn_blocking(move || {
        use std::io::Write;
        let connect = || std::net::TcpStream::connect(("127.0.0.1", port)).expect("connects");
        let mut open = Vec::new();
        for _ in 0..HALF_OPEN {
            let mut stream = connect();
            drop(stream.write_all(b"POST /webhook HTTP/1.1\r\nHost: x\r\n"));
            open.push(stream);
        }
        for _ in 0..BODIES {
            let mut stream = connect();
            let _ = stream.set_write_timeout(Some(Duration::from_millis(200)));
            drop(stream.write_all(b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n"));
            drop(stream.write_all(&vec![b'a'; 1_048_000]));
            open.push(stream);
        }
        open
    });
    let calls = sim.calls().len();
    // The controller's own calls continue: a job in the middle of it gets its machine.
    let job = sim.queue("a", "true");
    let (mut slowest, mut most, mut asked) = (Duration::ZERO, 0, 0);
    while !opened.is_finished() || asked < 20 {
        let began = Instant::now();
        let (status, _) = daemon.get("/healthz").await.expect("health answers");
        assert_eq!(status, 200);
        (slowest, asked) = (slowest.max(began.elapsed()), asked + 1);
        most = most.max(daemon.resident_kib());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let open = opened.await.expect("all were opened");
    let _ = sim.succeeds(job).await;
    println!(
        "{HALF_OPEN} half-open connections and {BODIES} unsigned bodies of 1 MiB: health asked {asked} times, slowest {:.0} ms; \
         resident at most {most} KiB; calls to GitHub meanwhile: {}",
        slowest.as_secs_f64() * 1000.0,
        sim.calls().len() - calls
    );
    let began = Instant::now();
    let _ = daemon.end().await.expect_code(0);
    println!("SIGTERM to the end: {:.1} s", began.elapsed().as_secs_f64());
    drop(open);
}
