//! The daemon's page in a real browser: headless Chromium reads it, light and dark, with and without JavaScript. The pictures
//! stay under the target directory.

use std::time::Duration;

use cml_e2e::browser;
use cml_e2e::daemon::{Daemon, WEBHOOK_SECRET, free_port};
use cml_e2e::sim::Sim;

const CONFIG: &str = "
runners:
  gpu:
    labels: [cml, gpu]
    cloud: local
    max: 1
    idle_timeout: 30s
    budget: { day: 60 USD }
  cpu:
    labels: [cml, cpu]
    cloud: local
    max: 4
    idle_timeout: 30s
";

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_shows_pools_jobs_with_reasons_runners_and_events() {
    let port = free_port();
    let sim = Sim::start_with_webhook(port).await;
    let user = sim.user().with("CML_RUNNER_WEBHOOK_SECRET", WEBHOOK_SECRET);
    let mut daemon = Daemon::start(&user, CONFIG, port, &[]);
    daemon.until_ready().await;
    let held = user.home().join("held");
    let script = format!("until [ -e {} ]; do sleep 0.2; done", held.display());
    let first = sim.queue("gpu", &script);
    let other = sim.queue("cpu", &script);
    let running = |all: &serde_json::Value| {
        let jobs = all["jobs"].as_array().expect("a list");
        jobs.iter().filter(|job| job["state"] == "running").count() == 2
    };
    let _ = daemon.until("/api/v1/jobs", "both jobs run", running).await;
    let waiting = sim.queue("gpu", "echo second");
    let nobody = sim.queue("tpu", "echo never");
    let told = |all: &serde_json::Value| {
        let jobs = all["jobs"].as_array().expect("a list");
        jobs.iter().filter(|job| job["why"].is_string()).count() == 2
    };
    let _ = daemon.until("/api/v1/jobs", "both reasons are told", told).await;
    let url = daemon.url("/");
    for (name, flags) in
        [("daemon-light.png", vec![]), ("daemon-dark.png", vec!["--blink-settings=preferredColorScheme=0"])]
    {
        browser::photograph(&user, &url, name, (1280, 1100), &flags).await;
    }
    browser::is_in_the_book("daemon-light.png", "page.png");
    // What the server sends is whole by itself; the script has run and taken the page anew in the browser's.
    let sent = daemon.get("/").await.expect("the page").1;
    let shown = browser::read(&user, &url).await;
    for words in [
        "pool gpu is at its limit (1); the job starts when a machine is free",
        "no pool has all of its labels: cpu lacks tpu",
        "id=\"pool-cpu\"",
        "of $60.00 today",
        "class=\"bar work\"",
        "runs job",
    ] {
        for page in [&sent, &shown] {
            assert!(page.contains(words), "no {words:?} in {page}");
            assert!(!page.contains("undefined") && !page.contains("NaN"), "{page}");
        }
    }
    std::fs::write(&held, "").expect("the jobs are let go");
    for job in [first, other, waiting] {
        sim.succeeds(job).await;
    }
    assert_ne!(nobody, 0);
    let _ = daemon.end().await.expect_code(0);
    user.until_quiet(Duration::from_secs(45)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_token_only_who_has_it_may_look() {
    let sim = Sim::start().await;
    let user = sim.user().with("CML_RUNNER_DAEMON_TOKEN", "canary-page-token-77");
    let mut daemon = Daemon::start(&user, CONFIG, free_port(), &[]);
    daemon.until_ready().await;
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
    let client = client.expect("a client");
    for path in ["/metrics", "/api/v1/pools", "/api/v1/events"] {
        let (status, words) = daemon.get(path).await.expect("an answer");
        assert_eq!(status, 401, "{path}: {words}");
        assert!(words.contains("a token is needed"), "{words}");
        let answer = client.get(daemon.url(path)).bearer_auth("canary-page-token-77").send().await;
        assert_eq!(answer.expect("an answer").status(), 200, "{path}");
    }
    let page = client.get(daemon.url("/")).send().await.expect("an answer");
    assert_eq!((page.status().as_u16(), page.headers()["location"].to_str().expect("text")), (303, "/login"));
    let log_in = |token: &'static str| client.post(daemon.url("/login")).body(format!("token={token}"));
    let form = "application/x-www-form-urlencoded";
    let wrong = log_in("guess").header("content-type", form).send().await.expect("an answer");
    assert_eq!(wrong.status(), 403);
    let right = log_in("canary-page-token-77").header("content-type", form).send().await.expect("an answer");
    let cookie = right.headers()["set-cookie"].to_str().expect("text").to_owned();
    assert!(cookie.contains("HttpOnly") && !cookie.contains("canary-page-token"), "{cookie}");
    let cookie = cookie.split(';').next().expect("a value").to_owned();
    let page = client.get(daemon.url("/")).header("cookie", cookie).send().await.expect("an answer");
    assert_eq!(page.status(), 200);
    let ended = daemon.end().await.expect_code(0);
    assert!(!ended.said().contains("canary-page-token"), "{}", ended.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_others_can_reach_is_refused_without_a_token() {
    let sim = Sim::start().await;
    let user = sim.user();
    std::fs::write(user.home().join("cml.yaml"), CONFIG).expect("is written");
    let refused = user.run(&["daemon", "--listen", "0.0.0.0:0"]).await.expect_code(2);
    for words in ["can be reached from other machines", "CML_RUNNER_DAEMON_TOKEN"] {
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
}
