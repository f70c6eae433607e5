//! `cml-runner daemon` as a process under faults: webhooks that get lost, arrive twice or late, a disk that is full, a
//! clock that jumps, an organization without webhooks. Every job gets its machine, and no machine is left.

use std::path::PathBuf;
use std::time::Duration;

use cml_e2e::daemon::{Daemon, WEBHOOK_SECRET, free_port};
use cml_e2e::relay::{Fate, Relay};
use cml_e2e::runner::Runner;
use cml_e2e::sim::Sim;
use cml_e2e::tier;
use cml_e2e::wait;
use cml_world::{SimSettings, Webhook};
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

/// Starts a GitHub that sends its webhooks to this address.
async fn told_at(url: String) -> Sim {
    let webhook = Some(Webhook { url, secret: WEBHOOK_SECRET.to_owned() });
    Sim::start_with(SimSettings { webhook, ..SimSettings::default() }).await
}

fn user(sim: &Sim) -> Runner {
    sim.user().with("CML_RUNNER_WEBHOOK_SECRET", WEBHOOK_SECRET)
}

async fn nothing_is_left(user: &Runner, daemon: &Daemon) {
    let none = |all: &Value| all["runners"] == serde_json::json!([]);
    let _ = daemon.until("/api/v1/runners", "no machine is left", none).await;
    user.until_only_this_is_left("daemon", VANISH).await;
}

/// Counts the registrations at GitHub: one for each launch.
fn launches(sim: &Sim) -> usize {
    sim.calls().iter().filter(|call| call.ends_with("generate-jitconfig")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_that_get_lost_come_twice_or_late_cost_no_job_and_leave_no_machine() {
    if tier::is_left_to_full("webhooks that get lost come twice or late cost no job and leave no machine") {
        return;
    }
    let port = free_port();
    let relay = Relay::start(port, |number| match number % 4 {
        0 => Fate::Lost,
        1 => Fate::Twice,
        2 => Fate::Late(Duration::from_secs(4)),
        _ => Fate::Well,
    })
    .await;
    let sim = told_at(relay.url.clone()).await;
    let user = user(&sim);
    let mut daemon = Daemon::start(&user, LOCAL, port, &["--poll", "10s"]);
    daemon.until_ready().await;
    let jobs: Vec<u64> = (0..8).map(|number| sim.queue("small", &format!("echo {number}"))).collect();
    for job in &jobs {
        let _ = sim.succeeds(*job).await;
    }
    nothing_is_left(&user, &daemon).await;
    // A job whose end was lost counts as waiting until the poll, and may get a machine for nothing.
    assert!((8..=12).contains(&launches(&sim)), "{} launches:\n{}", launches(&sim), daemon.log());
    let _ = daemon.end().await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_is_served_without_any_webhook() {
    if tier::is_left_to_full("an organization is served without any webhook") {
        return;
    }
    let sim = Sim::start().await;
    let user = sim.user();
    let organization = format!("{}/acme", sim.web_url());
    let job = sim.queue("small", "echo for the organization");
    let mut daemon = Daemon::start(&user, LOCAL, free_port(), &["--poll", "10s", "--repo", &organization]);
    daemon.until_ready().await;
    let _ = sim.succeeds(job).await;
    let again = sim.queue("small", "echo and again");
    let _ = sim.succeeds(again).await;
    nothing_is_left(&user, &daemon).await;
    assert!(sim.calls().iter().any(|call| call.contains("/orgs/acme/repos")));
    let _ = daemon.end().await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_begun_that_a_full_disk_cannot_keep_and_all_goes_on_once_there_is_room() {
    if tier::is_left_to_full(
        "nothing is begun that a full disk cannot keep and all goes on once there is room",
    ) {
        return;
    }
    let port = free_port();
    let sim = Sim::start_with_webhook(port).await;
    let user = user(&sim);
    std::fs::write(user.home().join("cml.yaml"), LOCAL).expect("is written");
    let disk = user.home().join("disk");
    std::fs::create_dir(&disk).expect("is made");
    // A disk of 2 MiB that only the daemon sees.
    let script = format!(
        "mount -t tmpfs -o size=2m,mode=700 tmpfs {0} && exec {1} daemon --listen 127.0.0.1:{port} --poll 10s --journal {0}/daemon.db",
        disk.display(),
        cml_e2e::paths::cml_runner().display(),
    );
    let mut daemon = Daemon::start_by(&user, port, "unshare", &["-rm", "sh", "-c", &script]);
    daemon.until_ready().await;
    let first = sim.queue("small", "echo while there is room");
    let _ = sim.succeeds(first).await;
    let id = daemon.running().id().expect("it lives");
    let within = PathBuf::from(format!("/proc/{id}/root{}", disk.display()));
    let filler = within.join("filler");
    // As much as fits: the last bytes one by one.
    let full = || {
        use std::io::Write;
        let mut file = std::fs::File::options().create(true).append(true).open(&filler).expect("opens");
        while file.write_all(&[0; 4096]).is_ok() {}
    };
    full();
    let before = launches(&sim);
    let second = sim.queue("small", "echo after there was none");
    wait::until_true("the daemon says so", Duration::from_secs(60), async || {
        full();
        daemon.log().contains("nothing is decided until it can be written")
    })
    .await;
    assert_eq!(launches(&sim), before, "nothing is begun that is not written down:\n{}", daemon.log());
    std::fs::remove_file(&filler).expect("there is room again");
    let _ = sim.succeeds(second).await;
    nothing_is_left(&user, &daemon).await;
    assert_eq!(launches(&sim), before + 1);
    let _ = daemon.end().await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_back_and_forth_loses_no_job_and_leaves_no_machine() {
    if tier::is_left_to_full("a clock that jumps back and forth loses no job and leaves no machine") {
        return;
    }
    let port = free_port();
    let sim = Sim::start_with_webhook(port).await;
    let steps = tempfile::NamedTempFile::new().expect("a file");
    let step = |offset: &str| std::fs::write(steps.path(), offset).expect("is written");
    step("+0");
    let library = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
        .map(|kind| PathBuf::from(format!("/usr/lib/{kind}/faketime/libfaketimeMT.so.1")))
        .into_iter()
        .find(|path| path.exists())
        .expect("Debian's package faketime is installed; .ci/run does that");
    let user = user(&sim)
        .with("LD_PRELOAD", &library.display().to_string())
        .with("FAKETIME_TIMESTAMP_FILE", &steps.path().display().to_string())
        .with("FAKETIME_NO_CACHE", "1")
        .with("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let mut daemon = Daemon::start(&user, LOCAL, port, &["--poll", "10s"]);
    daemon.until_ready().await;
    let gate = tempfile::tempdir().expect("a directory");
    let open = gate.path().join("open");
    let at_work = sim.queue("small", &format!("while ! test -e {}; do sleep 0.2; done", open.display()));
    let runs = |all: &Value| all["runners"][0]["state"] == "busy";
    let _ = daemon.until("/api/v1/runners", "the job runs", runs).await;
    // The machines' own clocks stay right; a daemon that is behind by more than a lifetime would launch machines whose
    // deadline is over.
    for offset in ["-150", "+90", "-30", "+0"] {
        step(offset);
        let job = sim.queue("small", &format!("echo with the clock at {offset}"));
        let done = sim.wait_for_job(job, Duration::from_secs(30)).await;
        assert!(done.is_some(), "a job with the clock at {offset}:\n{}", daemon.log());
        if offset == "-150" {
            wait::until_true("it is told", Duration::from_secs(60), async || {
                daemon.log().contains("this machine's clock is not GitHub's")
            })
            .await;
        }
    }
    // With a skew of two days nothing is bought.
    step("+2d");
    let waits = sim.queue("small", "echo once the clock is right");
    let told = |all: &Value| {
        let jobs = all["jobs"].as_array().expect("a list").iter();
        jobs.filter_map(|job| job["why"].as_str())
            .any(|why| why.starts_with("the clock of the daemon's machine is 17"))
    };
    let _ = daemon.until("/api/v1/jobs", "the job is told why it waits", told).await;
    step("+0");
    let _ = sim.succeeds_within(waits, Duration::from_secs(60)).await;
    assert!(
        sim.jobs().iter().any(|job| job.id == at_work && job.conclusion.is_none()),
        "it was left in peace"
    );
    std::fs::write(&open, "").expect("is written");
    let _ = sim.succeeds(at_work).await;
    nothing_is_left(&user, &daemon).await;
    assert_eq!(launches(&sim), 6, "one machine for each job:\n{}", daemon.log());
    let _ = daemon.end().await.expect_code(0);
}
