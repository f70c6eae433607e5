//! The daemon's web server, as a process: requests that are only half sent, unsigned bodies, deliveries that are
//! replayed, that belong to other repositories or to strangers' code. Nothing is bought for them, and all other clients
//! are served.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use cml_e2e::daemon::{Daemon, WEBHOOK_SECRET, free_port, signature};
use cml_e2e::runner::Runner;
use cml_e2e::sim::Sim;
use cml_e2e::wait;
use serde_json::{Value, json};

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
/// Time limit of an answer: neither GitHub nor a person waits longer.
const AT_ONCE: Duration = Duration::from_secs(2);

fn user(sim: &Sim) -> Runner {
    sim.user().with("CML_RUNNER_WEBHOOK_SECRET", WEBHOOK_SECRET)
}

fn half_open(port: u16, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connects");
    stream.write_all(bytes).expect("is sent");
    stream
}

async fn answers_at_once(daemon: &Daemon) {
    let began = Instant::now();
    let (status, _) = daemon.get("/healthz").await.expect("an answer");
    assert_eq!(status, 200);
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
}

fn descriptors(daemon: &Daemon) -> usize {
    let id = daemon.running().id().expect("it lives");
    std::fs::read_dir(format!("/proc/{id}/fd")).expect("it lives").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn half_sent_requests_keep_nobody_out_and_do_not_hold_up_the_end() {
    let port = free_port();
    let sim = Sim::start_with_webhook(port).await;
    let user = user(&sim);
    std::fs::write(user.home().join("cml.yaml"), LOCAL).expect("is written");
    // As systemd's default; the hard limit does not allow more.
    let script = format!(
        "ulimit -n 1024 && exec {} daemon --listen 127.0.0.1:{port} --poll 10s",
        cml_e2e::paths::cml_runner().display()
    );
    let mut daemon = Daemon::start_by(&user, port, "sh", &["-c", &script]);
    daemon.until_ready().await;
    // Connections of a few rounds: of each, all but those that there is room for are closed again.
    let header: &[u8] = b"POST /webhook HTTP/1.1\r\nHost: x\r\n";
    let body = [
        header,
        b"Content-Length: 100000\r\nX-GitHub-Delivery: x\r\nX-Hub-Signature-256: sha256=",
        &[b'0'; 64],
        b"\r\n\r\nabc",
    ]
    .concat();
    let mut open = Vec::new();
    for number in 0..700 {
        open.push(half_open(port, if number % 2 == 0 { header } else { &body }));
    }
    answers_at_once(&daemon).await;
    assert!(descriptors(&daemon) < 640, "{} descriptors", descriptors(&daemon));
    let job = sim.queue("small", "echo all the same");
    sim.succeeds(job).await;
    answers_at_once(&daemon).await;
    let began = Instant::now();
    let _ = daemon.end().await.expect_code(0);
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    drop(open);
    user.until_quiet(Duration::from_secs(25)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_sends_nothing_more_is_closed() {
    let port = free_port();
    let sim = Sim::start().await;
    let user = sim.user();
    let mut daemon = Daemon::start(&user, LOCAL, port, &[]);
    daemon.until_ready().await;
    let began = Instant::now();
    let mut closed = Vec::new();
    for sent in
        [&b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: "[..], b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b""]
    {
        let mut stream = half_open(port, sent);
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("is set");
        closed.push(tokio::task::spawn_blocking(move || stream.read_to_end(&mut Vec::new())));
    }
    for one in closed {
        // A reset ends it as well.
        let ended = one.await.expect("is read");
        assert!(ended.is_ok() || ended.is_err_and(|it| it.kind() == std::io::ErrorKind::ConnectionReset));
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let _ = daemon.end().await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_nobody_signed_cost_no_memory() {
    let port = free_port();
    let sim = Sim::start_with_webhook(port).await;
    let user = user(&sim);
    let mut daemon = Daemon::start(&user, LOCAL, port, &[]);
    daemon.until_ready().await;
    let before = daemon.resident_kib();
    let zeros = "0".repeat(64);
    let kinds = [
        "POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n".to_owned(),
        // In form, and wrong.
        format!(
            "POST /webhook HTTP/1.1\r\nHost: x\r\nX-GitHub-Delivery: x\r\nX-Hub-Signature-256: sha256={zeros}\r\n\
             Content-Length: 1048576\r\n\r\n"
        ),
        "POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: 1048576\r\n\r\ntoken="
            .to_owned(),
    ];
    let mut open = Vec::new();
    for number in 0..150 {
        let mut stream = half_open(port, kinds[number % 3].as_bytes());
        stream.set_write_timeout(Some(Duration::from_secs(2))).expect("is set");
        // All but the end; the daemon may well have hung up by then.
        drop(stream.write_all(&vec![b'a'; 1_048_000]));
        open.push(stream);
    }
    answers_at_once(&daemon).await;
    let grown = daemon.resident_kib().saturating_sub(before);
    assert!(grown < 48 * 1024, "memory grew by {grown} KiB");
    drop(open);
    let _ = daemon.end().await.expect_code(0);
}

fn delivery(job: u64, run: u64, attempt: u32, repository: &str, sender: &str) -> String {
    json!({
        "action": "queued",
        "workflow_job": {"id": job, "run_id": run, "run_attempt": attempt, "name": "train", "status": "queued",
            "labels": ["small"], "created_at": null},
        "repository": {"full_name": repository, "forks_count": 0},
        "sender": {"login": sender},
    })
    .to_string()
}

async fn send(daemon: &Daemon, id: &str, body: &str) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let request = client
        .post(daemon.url("/webhook"))
        .header("x-github-event", "workflow_job")
        .header("x-github-delivery", id)
        .header("x-hub-signature-256", signature(body));
    let answer = request.body(body.to_owned()).send().await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("words"))
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_of_other_repositories_are_nothing_and_reach_no_path_of_the_api() {
    let sim = Sim::start().await;
    let user = user(&sim);
    let mut daemon = Daemon::start(&user, LOCAL, free_port(), &["--poll", "1h"]);
    daemon.until_ready().await;
    let before = sim.calls().len();
    for (number, repository) in [
        "acme/none",
        "evilcorp/miner",
        "../user?x=",
        "a/../../orgs/evil/actions/secrets?",
        "acme/vision/x",
        "",
    ]
    .iter()
    .enumerate()
    {
        let body = delivery(900 + number as u64, 12, 1, repository, "mallory");
        let (status, words) = send(&daemon, &format!("foreign-{number}"), &body).await;
        assert_eq!(status, 200, "{repository}: {words}");
        assert!(words.contains("not of this scope"), "{repository}: {words}");
    }
    let (_, metrics) = daemon.get("/metrics").await.expect("metrics");
    assert!(metrics.contains("cml_runner_webhooks_total{outcome=\"out_of_scope\"} 6"), "{metrics}");
    assert_eq!(daemon.json("/api/v1/jobs").await["jobs"], json!([]));
    let after: Vec<String> = sim.calls().split_off(before);
    assert!(
        !after.iter().any(|call| call.contains("evil") || call.contains("user") || call.contains("none")),
        "{after:?}"
    );
    let _ = daemon.end().await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_is_replayed_buys_nothing() {
    let port = free_port();
    let sim = Sim::start_with_webhook(port).await;
    let user = user(&sim);
    let mut daemon = Daemon::start(&user, LOCAL, port, &[]);
    daemon.until_ready().await;
    let job = sim.queue("small", "echo once");
    sim.succeeds(job).await;
    let none = |all: &Value| all["jobs"] == json!([]);
    let _ = daemon.until("/api/v1/jobs", "its end is heard of", none).await;
    let run = sim.jobs().iter().find(|one| one.id == job).expect("is listed").run_id.0;
    let launches = || sim.calls().iter().filter(|call| call.ends_with("generate-jitconfig")).count();
    let before = launches();
    // The run is over, whatever a captured delivery states about its jobs.
    let body = delivery(4242, run, 1, "acme/vision", "mona");
    assert_eq!(send(&daemon, "first", &body).await.0, 202);
    let (status, words) = send(&daemon, "another id", &body).await;
    assert_eq!((status, words.trim()), (200, "this delivery came before"));
    daemon.running().until_it_says("its run is over").await;
    let old = body.replace("\"created_at\":null", "\"created_at\":\"2020-01-01T00:00:00Z\"");
    let (status, words) = send(&daemon, "old", &old).await;
    assert_eq!(status, 200);
    assert!(words.contains("longer ago than GitHub delivers again"), "{words}");
    let _ = daemon.until("/api/v1/runners", "no machine is left", |all| all["runners"] == json!([])).await;
    assert_eq!(launches(), before);
    assert_eq!(daemon.json("/api/v1/jobs").await["jobs"], json!([]));
    let _ = daemon.end().await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_that_is_damaged_is_set_aside_and_jobs_come_all_the_same() {
    let port = free_port();
    let sim = Sim::start_with_webhook(port).await;
    let user = user(&sim);
    std::fs::create_dir_all(user.state_dir()).expect("is made");
    std::fs::write(user.state_dir().join("daemon.inbox.db"), vec![0x5a; 20_000]).expect("is written");
    let mut daemon = Daemon::start(&user, LOCAL, port, &[]);
    daemon.until_ready().await;
    assert!(daemon.log().contains("set aside"), "{}", daemon.log());
    let job = sim.queue("small", "echo heard of");
    sim.succeeds(job).await;
    let aside = std::fs::read_dir(user.state_dir()).expect("is there").filter_map(Result::ok);
    assert_eq!(aside.filter(|file| file.file_name().to_string_lossy().contains(".corrupt-")).count(), 1);
    let none = |all: &Value| all["runners"] == json!([]);
    let _ = daemon.until("/api/v1/runners", "no machine is left", none).await;
    let _ = daemon.end().await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_was_removed_is_told_and_no_new_one_is_made_by_looking() {
    let sim = Sim::start().await;
    let user = sim.user();
    let mut daemon = Daemon::start(&user, LOCAL, free_port(), &[]);
    daemon.until_ready().await;
    let path = user.state_dir().join("daemon.db");
    std::fs::remove_file(&path).expect("is removed");
    for address in ["/api/v1/events", "/readyz"] {
        let (status, words) = daemon.get(address).await.expect("an answer");
        assert_eq!(status, 503, "{address}: {words}");
        assert!(words.contains("removed or replaced"), "{address}: {words}");
    }
    assert!(!path.exists(), "looking makes none");
    drop(daemon.kill().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_name_for_this_machine_is_not_answered() {
    let sim = Sim::start().await;
    let user = sim.user();
    let mut daemon =
        Daemon::start(&user, LOCAL, free_port(), &["--public-url", "https://runners.example.com"]);
    daemon.until_ready().await;
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    for (host, expected) in [("attacker.example", 421), ("localhost", 200), ("runners.example.com", 200)] {
        for path in ["/", "/metrics", "/api/v1/jobs"] {
            let answer = client.get(daemon.url(path)).header("host", host).send().await.expect("an answer");
            assert_eq!(answer.status().as_u16(), expected, "{host}{path}");
        }
    }
    let answer = client.get(daemon.url("/cost")).send().await.expect("an answer");
    let policy = answer.headers()["content-security-policy"].to_str().expect("text").to_owned();
    let page = answer.text().await.expect("a page");
    assert!(!policy.contains("unsafe") && !page.contains(" style=\""), "{policy}");
    let _ = daemon.end().await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_secret_that_can_be_guessed_or_is_empty_is_refused() {
    let sim = Sim::start().await;
    let user = sim.user().with("CML_RUNNER_WEBHOOK_SECRET", "fifteen letters");
    std::fs::write(user.home().join("cml.yaml"), LOCAL).expect("is written");
    let file = user.home().join("secret");
    std::fs::write(&file, "\n").expect("is written");
    let daemon = ["daemon", "--listen", "127.0.0.1:0"];
    let of_file = [&daemon[..], &["--webhook-secret-file", file.to_str().expect("UTF-8")]].concat();
    for arguments in [&daemon[..], &of_file[..]] {
        let refused = user.run(arguments).await.expect_code(2);
        for words in ["the webhook's secret protects nothing", "openssl rand -hex 32"] {
            assert!(refused.stderr.contains(words), "no {words:?} in {}", refused.stderr);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_in_a_directory_that_others_can_write_is_refused_by_daemon_and_launch() {
    let sim = Sim::start().await;
    let user = sim.user();
    std::fs::write(user.home().join("cml.yaml"), LOCAL).expect("is written");
    let open = |below: &str| {
        let dir = user.home().join(below);
        std::fs::create_dir_all(&dir).expect("is made");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
        std::fs::set_permissions(&dir, mode).expect("is opened");
        dir
    };
    let journal = open("shared").join("daemon.db").display().to_string();
    let state = user.home().join("own").display().to_string();
    std::fs::create_dir(&state).expect("is made");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&state, mode).expect("is closed");
    open("own/journals");
    for arguments in [
        &["daemon", "--listen", "127.0.0.1:0", "--journal", &journal][..],
        &["launch", "--cloud", "local", "--labels", "small", "--state-dir", &state],
    ] {
        let refused = user.run(arguments).await.expect_code(1);
        assert!(refused.stderr.contains("the journal is not yours alone"), "{}", refused.stderr);
    }
    assert!(sim.runners().is_empty(), "nothing was registered");
    assert!(!std::path::Path::new(&journal).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_of_the_token_are_slowed_and_a_short_one_is_refused() {
    let sim = Sim::start().await;
    let short = sim.user().with("CML_RUNNER_DAEMON_TOKEN", "x");
    std::fs::write(short.home().join("cml.yaml"), LOCAL).expect("is written");
    let refused = short.run(&["daemon", "--listen", "127.0.0.1:0"]).await.expect_code(2);
    assert!(refused.stderr.contains("protects nothing"), "{}", refused.stderr);
    let token = "canary-page-token-77";
    let user = sim.user().with("CML_RUNNER_DAEMON_TOKEN", token);
    let mut daemon = Daemon::start(&user, LOCAL, free_port(), &[]);
    daemon.until_ready().await;
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let ask = async |token: &str| {
        let answer = client.get(daemon.url("/metrics")).bearer_auth(token).send().await;
        answer.expect("an answer").status().as_u16()
    };
    assert_eq!(ask(token).await, 200);
    let guesses: Vec<u16> = {
        let mut all = Vec::new();
        for number in 0..12 {
            all.push(ask(&format!("guess-{number}")).await);
        }
        all
    };
    assert_eq!((guesses[0], guesses[11]), (401, 429), "{guesses:?}");
    assert_eq!(ask(token).await, 429, "not even the right one is looked at");
    wait::until_true("health is nobody's secret", AT_ONCE, async || daemon.get("/healthz").await.is_some())
        .await;
    let _ = daemon.end().await.expect_code(0);
}
