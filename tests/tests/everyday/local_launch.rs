//! `cml-runner launch --cloud local` against the simulated GitHub: the whole life of a machine, and the end of it.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use cml_e2e::action::named_values;
use cml_e2e::daemon::{Daemon, WEBHOOK_SECRET, free_port};
use cml_e2e::runner::{Ran, Runner, Running};
use cml_e2e::secrets::{self, TOKEN, assert_no_secret};
use cml_e2e::sim::Sim;
use cml_e2e::tier;
use cml_e2e::wait;
use cml_world::{Fault, FaultKind};
use rustix::process::Signal;
use serde_json::Value;

/// Time from a machine's reason to end to its end, on a busy core.
const VANISH: Duration = Duration::from_secs(25);
/// A launch id for each test that names one: on one machine the processes of an instance are found by it.
fn id(test: u8) -> String {
    format!("01k9z3v6p4q8r2s5t7w0x1y2z{test}")
}

/// `launch` on this machine with short limits; more flags may follow.
fn launch<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut all =
        vec!["launch", "--cloud", "local", "--labels", "cml,gpu", "--boot-timeout", "30s", "--json"];
    for (flag, value) in [("--max-lifetime", "5m"), ("--idle-timeout", "60s")] {
        if !more.contains(&flag) {
            all.extend([flag, value]);
        }
    }
    all.extend(more);
    all
}

fn script(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

async fn machines(user: &Runner) -> Vec<Value> {
    let listed = user.run(&["ls", "--json"]).await.expect_code(0).json();
    listed.as_array().expect("a list").clone()
}

async fn nothing_is_left(user: &Runner, sim: &Sim) {
    user.until_quiet(VANISH).await;
    assert_eq!(machines(user).await, Vec::<Value>::new());
    assert!(sim.runners().is_empty(), "{:#?}", sim.runners());
}

fn shows(ran: &Ran, words: &[&str]) {
    for word in words {
        assert!(ran.stderr.contains(word), "no {word:?} in {ran:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_gets_a_machine_and_the_machine_is_gone_after_it() {
    let sim = Sim::start().await;
    let user = sim.user();
    let outputs = user.home().join("outputs");
    let summary = user.home().join("summary");
    let user = user
        .with("GITHUB_OUTPUT", &outputs.display().to_string())
        .with("GITHUB_STEP_SUMMARY", &summary.display().to_string());
    let job = sim.queue("cml", "echo hello from $RUNNER_NAME");
    let launched = user.run(&launch(&["--launch-id", &id(1)])).await.expect_code(0).json();
    assert_eq!(launched["runner"], format!("cml-{}", id(1)));
    assert_eq!(launched["launch_id"], id(1));
    assert_eq!(launched["cloud"], "local");
    assert_eq!(launched["reused"], false);
    let view = sim.succeeds(job).await;
    assert_eq!(view.runner_name.as_deref(), Some(format!("cml-{}", id(1)).as_str()));
    nothing_is_left(&user, &sim).await;
    let written = std::fs::read_to_string(outputs).expect("GITHUB_OUTPUT");
    let instance = launched["instance_id"].as_str().expect("an id");
    let expected = [
        ("runner", format!("cml-{}", id(1))),
        ("label", "cml,gpu".to_owned()),
        ("instance-id", instance.to_owned()),
        ("launch-id", id(1)),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value));
    assert_eq!(named_values(&written), BTreeMap::from(expected));
    assert!(std::fs::read_to_string(summary).expect("a summary").contains(&id(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_a_job_ends_after_its_idle_timeout_and_reap_forgets_its_runner() {
    let sim = Sim::start().await;
    let user = sim.user();
    let _ = user.run(&launch(&["--idle-timeout", "2s"])).await.expect_code(0);
    user.until_quiet(VANISH).await;
    assert!(machines(&user).await.is_empty());
    let _ = user.run(&["reap", "--grace", "1s", "--json"]).await.expect_code(0);
    assert!(sim.runners().is_empty(), "{:#?}", sim.runners());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launch_that_is_killed_leaves_a_machine_that_ends_at_its_deadline() {
    let sim = Sim::start().await;
    let user = sim.user();
    let hold = script("sleep 300");
    let flags = ["--max-lifetime", "8s", "--idle-timeout", "never", "--startup-script", &hold];
    let running = user.start(&launch(&flags));
    running.until_it_says("got local-").await;
    running.signal(Signal::KILL);
    assert_eq!(running.finish().await.code, None);
    assert!(!user.processes().is_empty(), "the machine does not need its launcher");
    user.until_quiet(VANISH).await;
    assert!(machines(&user).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_machine_that_may_idle_for_ever_ends_at_its_deadline() {
    let sim = Sim::start().await;
    let user = sim.user();
    let _ = user.run(&launch(&["--max-lifetime", "6s", "--idle-timeout", "never"])).await.expect_code(0);
    user.until_quiet(VANISH).await;
    assert!(machines(&user).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_launches_of_one_id_at_once_make_one_machine() {
    let sim = Sim::start().await;
    let user = sim.user();
    let id = id(2);
    let arguments = launch(&["--launch-id", &id]);
    let (one, other) = tokio::join!(user.run(&arguments), user.run(&arguments));
    let (one, other) = (one.expect_code(0).json(), other.expect_code(0).json());
    assert_eq!(one["instance_id"], other["instance_id"]);
    assert_eq!(machines(&user).await.len(), 1);
    assert_eq!(sim.runners().len(), 1, "{:#?}", sim.runners());
    let _ = user.run(&["stop", &id]).await.expect_code(0);
    nothing_is_left(&user, &sim).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_listed_read_and_stopped_by_another_process() {
    let sim = Sim::start().await;
    let user = sim.user();
    let launched = user.run(&launch(&["--launch-id", &id(3)])).await.expect_code(0).json();
    let instance = launched["instance_id"].as_str().expect("an id");
    let listed = machines(&user).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["id"], instance);
    assert_eq!(listed[0]["runner_state"], "idle");
    let table = user.run(&["ls"]).await.expect_code(0).stdout;
    assert!(table.contains(instance) && table.contains("idle"), "{table}");
    let log = user.run(&["logs", &id(3)]).await.expect_code(0).stdout;
    assert!(log.contains("Listening for Jobs"), "{log}");
    let reaped = user.run(&["reap", "--json"]).await.expect_code(0).json();
    assert_eq!(reaped["instances"], serde_json::json!([]), "a machine within its rights is left alone");
    let stopped = user.run(&["stop", instance, "--json"]).await.expect_code(0).json();
    assert_eq!(stopped["instance_id"], instance);
    assert_eq!(stopped["runner_removed"], true);
    nothing_is_left(&user, &sim).await;
    let again = user.run(&["stop", instance]).await.expect_code(1);
    shows(&again, &["hint:", "only this computer", "--cloud aws", "cml-runner ls"]);
    let none = user.run(&["ls"]).await.expect_code(0).stdout;
    assert!(none.starts_with("no machines on this computer"), "{none}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_machine_is_stopped_by_force_only() {
    let sim = Sim::start().await;
    let user = sim.user();
    let job = sim.queue("cml", "sleep 120");
    let _ = user.run(&launch(&["--launch-id", &id(4)])).await.expect_code(0);
    wait::until_true("the job runs", Duration::from_secs(20), async || {
        sim.jobs().iter().any(|one| one.id == job && one.started_at.is_some())
    })
    .await;
    let refused = user.run(&["stop", &id(4)]).await.expect_code(1);
    shows(&refused, &["busy", "--force"]);
    assert_eq!(machines(&user).await.len(), 1);
    let user = user.without("REPO_TOKEN");
    let unasked = user.run(&["stop", &id(4)]).await.expect_code(5);
    shows(&unasked, &["no GitHub token", "set REPO_TOKEN", "--force"]);
    let forced = user.run(&["stop", &id(4), "--force"]).await.expect_code(0);
    shows(&forced, &["it is not known whether a job runs on it"]);
    user.until_quiet(VANISH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reusable_runner_takes_job_after_job_and_reuse_finds_it() {
    let sim = Sim::start().await;
    let user = sim.user();
    let launched = user.run(&launch(&["--reusable", "--idle-timeout", "20s"])).await.expect_code(0).json();
    for _ in 0..2 {
        let job = sim.queue("gpu", "true");
        assert_eq!(sim.succeeds(job).await.runner_name.as_deref(), launched["runner"].as_str());
    }
    let reused = user.run(&launch(&["--reuse"])).await.expect_code(0).json();
    assert_eq!((&reused["reused"], &reused["runner"]), (&Value::Bool(true), &launched["runner"]));
    let idle = user.run(&launch(&["--reuse-idle"])).await.expect_code(0).json();
    assert_eq!(idle["reused"], true);
    assert_eq!(machines(&user).await.len(), 1);
    let runner = launched["runner"].as_str().expect("a name");
    let _ = user.run(&["stop", runner]).await.expect_code(0);
    nothing_is_left(&user, &sim).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_is_refused_and_its_owner_is_left_alone() {
    let sim = Sim::start().await;
    let user = sim.user();
    let _ = user.run(&launch(&["--name", "trainer"])).await.expect_code(0);
    let refused = user.run(&launch(&["--name", "trainer"])).await.expect_code(1);
    shows(&refused, &["trainer is already in use", "hint:", "--reuse"]);
    let listed = machines(&user).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["runner_state"], "idle");
    let _ = user.run(&["stop", "trainer"]).await.expect_code(0);
    nothing_is_left(&user, &sim).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_at_any_step_leaves_nothing() {
    let hold = script("sleep 300");
    for step in ["registered the runner", "asking for a machine", "got local-"] {
        for signal in [Signal::TERM, Signal::INT] {
            let sim = Sim::start().await;
            let user = sim.user();
            let running = user.start(&launch(&["--startup-script", &hold]));
            running.until_it_says(step).await;
            running.signal(signal);
            let ran = running.finish().await.expect_code(7);
            assert_eq!(ran.json()["error"]["kind"], "interrupted", "{step}");
            nothing_is_left(&user, &sim).await;
        }
    }
}

/// A refusal for a minute of what begins with POST and has this in its path.
fn a_minutes_limit(path: &str) -> Fault {
    let kind = FaultKind::secondary_rate_limit(60);
    Fault { method: "POST".to_owned(), path_contains: path.to_owned(), kind, times: 1 }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_is_heard_while_github_lets_wait_and_nothing_is_registered_after_it() {
    for (flag, path) in [("--single", "generate-jitconfig"), ("--reusable", "registration-token")] {
        let sim = Sim::start().await;
        sim.fail_next(a_minutes_limit(path));
        let user = sim.user();
        let running = user.start(&launch(&[flag]));
        running.until_it_says("rate limit: waiting").await;
        running.signal(Signal::INT);
        let ran = running.finish_within(Duration::from_secs(20)).await.expect_code(7);
        assert_eq!(ran.json()["error"]["kind"], "interrupted", "{flag}");
        assert_eq!(sim.exchanges().iter().filter(|it| it.path.contains(path)).count(), 1, "{flag}");
        nothing_is_left(&user, &sim).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_says_what_may_stay() {
    if tier::is_left_to_full("a second signal says what may stay") {
        return;
    }
    let sim = Sim::start().await;
    let user = sim.user();
    let hold = script("sleep 300");
    let running =
        user.start(&launch(&["--launch-id", &id(9), "--startup-script", &hold, "--max-lifetime", "60s"]));
    running.until_it_says("got local-").await;
    // Removing the runner takes a minute: GitHub requires the wait.
    sim.fail_next(Fault { method: "DELETE".to_owned(), ..a_minutes_limit("/actions/runners") });
    running.signal(Signal::TERM);
    while !sim.exchanges().iter().any(|it| it.method == "DELETE") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    running.signal(Signal::TERM);
    let ran = running.finish_within(Duration::from_secs(20)).await.expect_code(7);
    let runner = format!("the runner cml-{} at acme/vision: `cml-runner reap`", id(9));
    shows(&ran, &["leaving at once", &runner, "the machine local-", "the journal "]);
    user.until_quiet(Duration::from_secs(90)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_outlasts_some_seconds_of_trouble_at_github() {
    for (flag, path) in [("--single", "generate-jitconfig"), ("--reusable", "registration-token")] {
        let sim = Sim::start().await;
        let user = sim.user();
        sim.fail_next(trouble(path, FaultKind::Status(502, "{}".to_owned()), 3));
        sim.fail_next(trouble(path, FaultKind::DropAfterDoing, 1));
        let job = sim.queue("cml", "true");
        let launched = user.run(&launch(&[flag])).await.expect_code(0).json();
        sim.succeeds(job).await;
        if flag == "--reusable" {
            let _ = user.run(&["stop", launched["runner"].as_str().expect("a name")]).await.expect_code(0);
        }
        nothing_is_left(&user, &sim).await;
    }
}

fn trouble(path: &str, kind: FaultKind, times: u32) -> Fault {
    Fault { method: "POST".to_owned(), path_contains: path.to_owned(), kind, times }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_is_heard_while_a_registration_waits_for_github_to_recover() {
    let sim = Sim::start().await;
    sim.fail_next(trouble("generate-jitconfig", FaultKind::Status(502, "{}".to_owned()), 100));
    let user = sim.user();
    let running = user.start(&launch(&[]));
    running.until_it_says("502").await;
    running.signal(Signal::TERM);
    let ran = running.finish_within(Duration::from_secs(20)).await.expect_code(7);
    assert_eq!(ran.json()["error"]["kind"], "interrupted");
    nothing_is_left(&user, &sim).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runners_package_is_fetched_with_the_token_that_came_with_its_address() {
    let token = "t0p-secret-download";
    let posture =
        cml_world::Posture { download_token: Some(token.to_owned()), ..cml_world::Posture::default() };
    let sim = Sim::start_with(cml_world::SimSettings { posture, ..cml_world::SimSettings::default() }).await;
    let user = sim.user();
    for _ in 0..2 {
        let job = sim.queue("cml", "true");
        let launched = user.run(&launch(&[])).await.expect_code(0);
        assert_no_secret("what the launch said", &launched.said(), &[token.to_owned()]);
        sim.succeeds(job).await;
    }
    nothing_is_left(&user, &sim).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_a_repository_is_refused_before_any_call() {
    let sim = Sim::start().await;
    let refused = sim.user().run(&launch(&["--group-id", "7"])).await.expect_code(2);
    shows(&refused, &["a repository has no runner groups", "hint:"]);
    assert!(sim.calls().is_empty(), "{:?}", sim.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_whose_runner_never_comes_is_explained_and_removed() {
    if tier::is_left_to_full("a machine whose runner never comes is explained and removed") {
        return;
    }
    let sim = Sim::start().await;
    let user = sim.user();
    let failing = script("echo no driver for this card >&2; exit 3");
    let failed = user.run(&launch(&["--startup-script", &failing])).await.expect_code(6);
    shows(&failed, &["startup", "hint:"]);
    let hanging = script("sleep 300");
    let hung =
        user.run(&launch(&["--startup-script", &hanging, "--boot-timeout", "3s"])).await.expect_code(6);
    shows(&hung, &["boot", "hint:"]);
    nothing_is_left(&user, &sim).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_wrong_token_says_what_token_is_needed() {
    let sim = Sim::start().await;
    let without = sim.user().without("REPO_TOKEN");
    shows(&without.run(&launch(&[])).await.expect_code(5), &["REPO_TOKEN", "Administration"]);
    assert!(sim.calls().is_empty(), "{:?}", sim.calls());
    let wrong = sim.user().with("REPO_TOKEN", "ghp_expired0000000000000000000000000000");
    let refused = wrong.run(&launch(&[])).await.expect_code(5);
    shows(&refused, &["hint:", "token"]);
    assert!(!refused.said().contains("ghp_expired"), "{refused:#?}");
    nothing_is_left(&wrong, &sim).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn words_that_make_no_sense_are_a_usage_error_before_any_call() {
    let sim = Sim::start().await;
    let user = sim.user();
    for (flags, word) in [
        (["--idle-timeout", "soon"], "--idle-timeout"),
        (["--labels", ","], "--labels"),
        (["--disk", "1"], "--disk"),
        (["--startup-script", "%%"], "--startup-script"),
        (["--launch-id", "short"], "--launch-id"),
        (["--cloud", "moon"], "--cloud"),
        (["--spot-price", "cheap"], "--spot-price"),
    ] {
        let mut arguments = vec!["launch"];
        arguments.extend(flags);
        let refused = user.run(&arguments).await.expect_code(2);
        shows(&refused, &[word]);
    }
    assert!(sim.calls().is_empty(), "{:?}", sim.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_seen_in_words_processes_or_files() {
    let sim = Sim::start().await;
    let user = sim.user();
    let job = sim.queue("cml", "env; ps -ef; sleep 2");
    let running = user.start(&launch(&["--log", "trace"]));
    let seen = watch(&user, &sim, running).await;
    let view = sim.succeeds(job).await;
    let secrets = sim.secrets();
    assert!(secrets.len() > 1, "a JIT configuration was given");
    assert_no_secret("what the launch said", &seen.said(), &secrets);
    assert_no_secret("the job's log", &sim.log(view.id).unwrap_or_default(), &secrets);
    nothing_is_left(&user, &sim).await;
    assert_eq!(secrets::seen_in_open_files(user.home(), &secrets), Vec::<std::path::PathBuf>::new());
}

/// A command as a user who is not root: root may read everything.
fn as_a_plain_user<'a>(command: &[&'a str]) -> Vec<&'a str> {
    let mut words = if rustix::process::geteuid().is_root() {
        vec!["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    } else {
        vec!["env"]
    };
    words.extend(command);
    words
}

fn start_as_a_plain_user(user: &Runner, command: &[&str]) -> Running {
    let words = as_a_plain_user(command);
    user.start_program(words[0].as_ref(), &words[1..])
}

/// A file of a process, as another process of the plain user reads it.
async fn read_by_the_same_user(user: &Runner, process: u32, file: &str) -> Ran {
    let path = format!("/proc/{process}/{file}");
    start_as_a_plain_user(user, &["head", "-c", "65536", &path]).finish().await
}

/// Gives the home to the plain user, and the program a place there: where its user may not read the program, the kernel closes the
/// process without our doing.
async fn program_of_the_plain_user(user: &Runner) -> String {
    let home = user.home().display().to_string();
    if rustix::process::geteuid().is_root() {
        let _ = user.run_program("chown", &["-R", "65534:65534", &home]).await.expect_code(0);
    }
    let built = cml_e2e::paths::cml_runner();
    let own = user.home().join("cml-runner");
    std::fs::hard_link(built, &own).or_else(|_| std::fs::copy(built, &own).map(drop)).expect("is there");
    own.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_of_the_same_user_reads_neither_environment_nor_memory_of_daemon_and_launch() {
    let sim = Sim::start().await;
    let user = sim.user().with("CML_RUNNER_WEBHOOK_SECRET", WEBHOOK_SECRET);
    let pool = "runners:\n  small:\n    labels: [small]\n    cloud: local\n    max: 1\n";
    std::fs::write(user.home().join("cml.yaml"), pool).expect("is written");
    let program = program_of_the_plain_user(&user).await;

    // What is not closed can be read in this very way.
    let open = start_as_a_plain_user(&user, &["sleep", "300"]);
    let open_id = open.id().expect("it lives");
    wait::until_true("an open process shows its environment", Duration::from_secs(20), async || {
        let read = read_by_the_same_user(&user, open_id, "environ").await;
        read.code == Some(0) && read.stdout.contains(TOKEN)
    })
    .await;

    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let words = as_a_plain_user(&[&program, "daemon", "--listen", &address]);
    let mut daemon = Daemon::start_by(&user, port, words[0], &words[1..]);
    daemon.until_ready().await;
    let hold = script("sleep 300");
    let mut words = launch(&["--max-lifetime", "20s", "--idle-timeout", "never", "--startup-script", &hold]);
    words.insert(0, &program);
    let launching = start_as_a_plain_user(&user, &words);
    launching.until_it_says("got local-").await;

    for (what, id) in [("the daemon", daemon.running().id()), ("the launch", launching.id())] {
        let id = id.expect("it lives");
        for file in ["environ", "mem"] {
            let read = read_by_the_same_user(&user, id, file).await.expect_code(1);
            assert!(read.stderr.contains("Permission denied"), "{file} of {what}: {read:?}");
            assert_eq!(read.stdout, "", "{file} of {what}");
        }
        let limits = read_by_the_same_user(&user, id, "limits").await.expect_code(0).stdout;
        let core =
            limits.lines().find_map(|line| line.strip_prefix("Max core file size")).expect("is listed");
        assert_eq!(core.split_whitespace().collect::<Vec<_>>(), ["0", "0", "bytes"], "{what}");
    }
    let _ = daemon.end().await.expect_code(0);
    for running in [launching, open] {
        running.signal(Signal::KILL);
        assert_eq!(running.finish().await.code, None);
    }
    user.until_quiet(VANISH + Duration::from_secs(20)).await;
}

/// Checks processes and files all the while that a launch and its machine live.
async fn watch(user: &Runner, sim: &Sim, mut running: Running) -> Ran {
    let mut ended = false;
    while !ended || user.processes().len() > 1 {
        let secrets = sim.secrets();
        assert_eq!(secrets::seen_in_command_lines(&secrets), Vec::<String>::new());
        assert_eq!(secrets::seen_in_open_files(user.home(), &secrets), Vec::<std::path::PathBuf>::new());
        for process in user.processes() {
            let is_launch = process.arguments.iter().any(|argument| argument == "launch");
            let has_token = process.environ.iter().any(|entry| entry.contains(TOKEN));
            assert!(is_launch || !has_token, "the token is in the environment of {:?}", process.arguments);
        }
        ended = running.has_ended();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    running.finish().await.expect_code(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_ends_the_launch_with_a_reason_and_nothing_left() {
    let sim = Sim::start().await;
    let user = sim.user();
    if !mounts_are_allowed() {
        return;
    }
    for size in ["8k", "24k"] {
        let disk = user.home().join(format!("disk-{size}"));
        std::fs::create_dir(&disk).expect("a directory");
        let command = format!(
            "mount -t tmpfs -o size={size},mode=700 tmpfs '{0}' && exec '{1}' {2} --state-dir '{0}'",
            disk.display(),
            cml_e2e::paths::cml_runner().display(),
            launch(&[]).join(" ")
        );
        let ran = user.run_program("unshare", &["-rm", "sh", "-c", &command]).await;
        assert!(matches!(ran.code, Some(1 | 6)), "{ran:#?}");
        shows(&ran, &["error:"]);
        assert!(
            ran.stderr.contains("space") || ran.stderr.contains("disk") || ran.stderr.contains("write"),
            "{ran:#?}"
        );
        nothing_is_left(&user, &sim).await;
    }
}

/// A small disk is made in a mount namespace of its own; some containers do not allow that.
fn mounts_are_allowed() -> bool {
    std::process::Command::new("unshare")
        .args(["-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"])
        .output()
        .is_ok_and(|output| output.status.success())
}
