//! `cml-runner daemon` against the EC2 emulator over the wire: bursts, refusals, throttling, and what it costs in calls.

use std::collections::BTreeSet;
use std::io::Read;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cml_e2e::daemon::{Daemon, WEBHOOK_SECRET, free_port};
use cml_e2e::front::{Front, GPU_IMAGE, Refusal, Weather};
use cml_e2e::runner::Runner;
use cml_e2e::secrets::{AWS_SECRET, TOKEN, assert_no_secret};
use cml_e2e::sim::Sim;
use cml_e2e::tier;
use cml_e2e::wait;
use cml_world::{SimSettings, Webhook};
use flate2::read::GzDecoder;
use serde_json::Value;

const REGION: &str = "us-east-1";
/// Time from a machine's reason to end to its end, on a busy core.
const VANISH: Duration = Duration::from_secs(40);

fn config(max: u32) -> String {
    format!(
        "
runners:
  gpu:
    labels: [cml, gpu]
    cloud: aws
    regions: [{REGION}]
    instance_types: [g4dn.xlarge, g5.xlarge]
    spot: prefer
    max: {max}
    idle_timeout: 60s
    boot_timeout: 90s
    max_lifetime: 1h
"
    )
}

struct World {
    sim: Sim,
    front: Front,
    user: Runner,
    port: u16,
}

async fn world() -> World {
    let port = free_port();
    world_of(Sim::start_with_webhook(port).await, port).await
}

async fn world_of(sim: Sim, port: u16) -> World {
    let front = Front::start().await;
    let user = sim.user().on_aws(&front).with("CML_RUNNER_WEBHOOK_SECRET", WEBHOOK_SECRET);
    World { sim, front, user, port }
}

impl World {
    async fn daemon(&self, config: &str) -> Daemon {
        let mut daemon = Daemon::start(&self.user, config, self.port, &["--poll", "10s"]);
        daemon.until_ready().await;
        daemon
    }

    /// Queues a run with this many jobs at once.
    fn queue_many(&self, count: usize) {
        let matrix: Vec<String> = (0..count).map(|number| number.to_string()).collect();
        let jobs: String = matrix
            .iter()
            .map(|number| {
                format!("  j{number}:\n    runs-on: [gpu]\n    steps:\n      - run: echo {number}\n")
            })
            .collect();
        let workflow = format!("name: burst\non: push\njobs:\n{jobs}");
        let _ = self.sim.queue_workflow(&workflow).expect("the workflow is good");
    }

    fn bought(&self) -> usize {
        self.front.calls_of("CreateFleet").iter().filter(|call| call.status == 200).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_gets_a_machine_for_every_job_the_pool_may_have_and_not_one_more() {
    let world = world().await;
    let daemon = world.daemon(&config(60)).await;
    world.queue_many(80);
    wait::until_true("60 launches", Duration::from_secs(90), async || world.bought() >= 60).await;
    let full = |all: &Value| {
        let jobs = all["jobs"].as_array().expect("a list");
        jobs.iter()
            .filter(|job| job["why"].as_str().is_some_and(|why| why.contains("is at its limit (60)")))
            .count()
            == 20
    };
    let _ = daemon.until("/api/v1/jobs", "the other twenty are told why", full).await;
    assert_eq!(world.bought(), 60);
    let account = world.front.third_party(REGION).await;
    let launches: Vec<String> = account["instances"]
        .as_array()
        .expect("a list")
        .iter()
        .flat_map(|instance| instance["Tags"].as_array().expect("tags").clone())
        .filter(|tag| tag["Key"] == "cml-runner:launch")
        .map(|tag| tag["Value"].to_string())
        .collect();
    let once: BTreeSet<&String> = launches.iter().collect();
    assert_eq!((launches.len(), once.len()), (60, 60), "one machine for each launch");
    assert_eq!(world.sim.runners().len(), 60, "and one registration");
    let ended = daemon.end().await.expect_code(0);
    let mut secrets = world.sim.secrets();
    secrets.extend([AWS_SECRET.to_owned(), TOKEN.to_owned(), WEBHOOK_SECRET.to_owned()]);
    assert_no_secret("what the daemon said", &ended.said(), &secrets);
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_and_missing_capacity_delay_jobs_and_lose_none() {
    let world = world().await;
    world.front.boot_instances();
    let daemon = world.daemon(&config(3)).await;
    world.front.dry(|way| way.is_spot() && way.instance_type == "g4dn.xlarge");
    world.front.script_times("CreateFleet", Weather::Refuse(Refusal::throttled()), 2);
    world.front.script_times("DescribeInstances", Weather::Refuse(Refusal::throttled()), 2);
    let jobs: Vec<u64> = (0..3).map(|_| world.sim.queue("gpu", "echo trained")).collect();
    for job in jobs {
        world.sim.succeeds(job).await;
    }
    let none = |all: &Value| all["runners"] == serde_json::json!([]);
    let _ = daemon.until("/api/v1/runners", "no machine is left", none).await;
    wait::until_true("the cloud is empty", VANISH, async || world.front.alive_now(REGION).await.is_empty())
        .await;
    // They are removed at the observation that shows their machines gone.
    wait::until_true("no launch template is left", VANISH, async || {
        world.front.third_party(REGION).await["templates"] == serde_json::json!([])
    })
    .await;
    let _ = daemon.end().await.expect_code(0);
    assert!(world.sim.runners().is_empty(), "{:#?}", world.sim.runners());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_spot_machine_is_taken_back_runs_again_on_another_one() {
    if tier::is_left_to_full("a job whose spot machine is taken back runs again on another one") {
        return;
    }
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}/webhook");
    let webhook = Some(Webhook { url, secret: WEBHOOK_SECRET.to_owned() });
    let lost_after = Duration::from_secs(5);
    let sim = Sim::start_with(SimSettings { webhook, lost_after, ..SimSettings::default() }).await;
    let world = world_of(sim, port).await;
    world.front.boot_instances();
    let daemon = world.daemon(&config(3)).await;
    let gate = tempfile::tempdir().expect("a directory");
    let go = gate.path().join("go");
    let job = world.sim.queue("gpu", &format!("while ! test -e {}; do sleep 0.2; done", go.display()));
    let at_work = |all: &Value| all["runners"][0]["state"] == "busy";
    let _ = daemon.until("/api/v1/runners", "the job runs", at_work).await;
    let first = world.front.alive_now(REGION).await;
    assert_eq!(first.len(), 1);
    world.front.give_notice(&first);
    let leaving = |all: &Value| all["runners"][0]["state"] == "leaving";
    let _ = daemon.until("/api/v1/runners", "the notice is heard of", leaving).await;
    world.front.take_back(REGION, &first[0]).await;
    wait::until_true("the run is asked to run again", Duration::from_secs(90), async || {
        world.sim.calls().iter().any(|call| call.ends_with("/rerun") || call.ends_with("/rerun-failed-jobs"))
    })
    .await;
    std::fs::write(&go, "").expect("is written");
    let done = wait::until("the job succeeds", Duration::from_secs(90), async || {
        let jobs = world.sim.jobs();
        jobs.into_iter().find(|it| it.conclusion.as_deref() == Some("success"))
    })
    .await;
    assert_ne!(done.id, job, "another attempt is another job");
    let none = |all: &Value| all["runners"] == serde_json::json!([]);
    let _ = daemon.until("/api/v1/runners", "no machine is left", none).await;
    let launched = daemon.json("/api/v1/launches").await;
    assert_eq!(world.bought(), 2, "{launched:#}");
    let _ = daemon.end().await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_need_for_a_gpu_and_nothing_else_gets_the_image_the_disk_and_the_driver_check_of_a_gpu() {
    let world = world().await;
    world.front.boot_instances();
    let config = format!(
        "runners:\n  gpu:\n    labels: [cml, gpu]\n    cloud: aws\n    regions: [{REGION}]\n    needs: {{ gpu: [t4] }}\n    max: 1\n"
    );
    let daemon = world.daemon(&config).await;
    let job = world.sim.queue("gpu", "echo trained");
    world.sim.succeeds(job).await;
    let template = world.front.calls_of("CreateLaunchTemplate").remove(0);
    let param = |name: &str| template.params.get(&format!("LaunchTemplateData.{name}")).cloned();
    assert_eq!(param("ImageId").as_deref(), Some(GPU_IMAGE));
    assert_eq!(param("BlockDeviceMapping.1.Ebs.VolumeSize").as_deref(), Some("75"));
    assert!(script(&param("UserData").expect("user data")).contains("\ngpu='yes'"));
    let bought = world.front.calls_of("CreateFleet").remove(0);
    let types: BTreeSet<&String> = bought
        .params
        .iter()
        .filter(|(name, _)| name.ends_with("InstanceType"))
        .map(|(_, value)| value)
        .collect();
    assert!(!types.is_empty() && types.iter().all(|kind| kind.starts_with("g4dn.")), "{types:?}");
    let _ = daemon.end().await.expect_code(0);
}

/// User data as cloud-init sees it.
fn script(encoded: &str) -> String {
    let bytes = STANDARD.decode(encoded).expect("base64");
    let mut text = String::new();
    match GzDecoder::new(bytes.as_slice()).read_to_string(&mut text) {
        Ok(_) => text,
        Err(_) => String::from_utf8(bytes).expect("text"),
    }
}
