//! Bad input and failures of EC2: each ends with its exit code, a next step for the reader, and nothing left behind.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine;
use cml_e2e::front::{Call, Front, GPU_IMAGE, Override, Refusal, Weather};
use cml_e2e::runner::{Ran, Runner};
use cml_e2e::secrets::{AWS_SECRET, assert_no_secret};
use cml_e2e::sim::Sim;
use cml_e2e::tier;
use cml_e2e::wait;
use rustix::process::Signal;

const ID: &str = "01k9z3v6p4q8r2s5t7w0x1y2z3";
const REGION: &str = "us-east-1";
/// Time limit of launches that wait for an unanswered call.
const LONG: Duration = Duration::from_secs(120);

struct World {
    sim: Sim,
    front: Front,
    user: Runner,
}

async fn world() -> World {
    let sim = Sim::start().await;
    let front = Front::start().await;
    front.boot_instances();
    let user = sim.user().on_aws(&front);
    World { sim, front, user }
}

impl World {
    async fn launch(&self, more: &[&str]) -> Ran {
        let ran = self.user.start(&arguments(more)).finish_within(LONG).await;
        let mut secrets = self.sim.secrets();
        secrets.push(AWS_SECRET.to_owned());
        assert_no_secret("what the launch said", &ran.said(), &secrets);
        ran
    }

    /// Asserts that a launch fails with this code and message, and leaves nothing.
    async fn refuses(&self, more: &[&str], code: i32, words: &[&str]) -> Ran {
        let ran = self.launch(more).await.expect_code(code);
        for word in words.iter().chain(&["hint: "]) {
            assert!(ran.stderr.contains(word), "no {word:?} in {ran:#?}");
        }
        self.nothing_is_left().await;
        ran
    }

    async fn nothing_is_left(&self) {
        let account = self.front.third_party(REGION).await;
        assert_eq!(Front::alive(&account), Vec::<String>::new());
        assert_eq!(account["templates"], serde_json::json!([]));
        assert!(self.sim.runners().is_empty(), "{:#?}", self.sim.runners());
    }

    /// Asserts that a launch succeeds with one machine, however often it was requested.
    async fn gets_one_machine(&self, more: &[&str]) -> Ran {
        let ran = self.launch(more).await.expect_code(0);
        assert_eq!(self.front.alive_now(REGION).await, [ran.json()["instance_id"].as_str().expect("an id")]);
        ran
    }
}

fn arguments<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec!["launch", "--cloud", "aws", "--labels", "cml", "--max-lifetime", "1h", "--json"];
    for (flag, value) in
        [("--type", "g4dn.xlarge,g5.xlarge"), ("--boot-timeout", "40s"), ("--idle-timeout", "60s")]
    {
        if !more.contains(&flag) {
            all.extend([flag, value]);
        }
    }
    all.extend(more);
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn capacity_nowhere() {
    let world = world().await;
    world.front.dry(|_| true);
    let ran = world
        .refuses(&["--spot", "prefer"], 3, &["g4dn.xlarge", "InsufficientInstanceCapacity", "--region"])
        .await;
    assert_eq!(ran.json()["error"]["kind"], "no_capacity");
}

#[tokio::test(flavor = "multi_thread")]
async fn spot_quota_of_zero() {
    let world = world().await;
    world.front.refuse(|_| Some(Refusal::spot_quota()));
    world.refuses(&["--spot", "only"], 4, &["MaxSpotInstanceCountExceeded", "quota"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vcpu_quota_of_zero_inside_the_answer_and_as_the_whole_answer() {
    let world = world().await;
    world.front.refuse(|_| Some(Refusal::vcpu_quota()));
    world.refuses(&["--spot", "never"], 4, &["VcpuLimitExceeded", "quota"]).await;
    let other = self::world().await;
    other.front.script_always("CreateFleet", Weather::Refuse(Refusal::vcpu_quota()));
    other.refuses(&["--spot", "never"], 4, &["VcpuLimitExceeded", "quota"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn permissions_that_are_missing() {
    for action in ["CreateFleet", "CreateLaunchTemplate"] {
        let world = world().await;
        world.front.script_always(action, Weather::Refuse(Refusal::denied()));
        let ran = world.refuses(&[], 5, &["UnauthorizedOperation", action]).await;
        assert_eq!(ran.json()["error"]["kind"], "denied");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_credentials_that_are_missing_unknown_or_expired() {
    let world = world().await;
    let without = sim_user(&world).without("AWS_ACCESS_KEY_ID").without("AWS_SECRET_ACCESS_KEY");
    let ran = without.run(&arguments(&[])).await.expect_code(5);
    assert!(ran.stderr.contains("AWS_ACCESS_KEY_ID") || ran.stderr.contains("credentials"), "{ran:#?}");
    world.nothing_is_left().await;
    for refusal in [Refusal::bad_keys(), Refusal::expired_keys()] {
        let world = self::world().await;
        for action in [
            "CreateFleet",
            "CreateLaunchTemplate",
            "DescribeSubnets",
            "DescribeVpcs",
            "DescribeSecurityGroups",
            "DescribeSpotPriceHistory",
            "DescribeImages",
            "GetParameter",
            "CreateSecurityGroup",
            "DescribeInstances",
        ] {
            world.front.script_always(action, Weather::Refuse(refusal.clone()));
        }
        let ran = world.launch(&[]).await.expect_code(5);
        assert!(ran.stderr.contains("hint: "), "{ran:#?}");
        assert!(world.sim.runners().is_empty());
    }
}

fn sim_user(world: &World) -> Runner {
    world.sim.user().on_aws(&world.front)
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_region_type_gpu_and_image() {
    let world = world().await;
    world.refuses(&["--region", "moon-east-1"], 1, &["moon-east-1"]).await;
    world.refuses(&["--type", "g99.huge"], 1, &["g99.huge"]).await;
    world.refuses(&["--type", "m", "--gpu", "voodoo2"], 1, &["voodoo2"]).await;
    assert_eq!(world.front.count("CreateFleet"), 0);
    world.refuses(&["--image", "ami-0123456789abcdef0"], 1, &["ami-0123456789abcdef0"]).await;
    world.refuses(&["--image", "beos-5"], 1, &["beos-5"]).await;
    world.refuses(&["--image", "ssm:/aws/service/canonical/none"], 1, &["/aws/service/canonical/none"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_for_a_while_is_waited_out() {
    let world = world().await;
    world.front.script_times("CreateFleet", Weather::Refuse(Refusal::throttled()), 3);
    world.gets_one_machine(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_without_end_is_told() {
    if tier::is_left_to_full("throttling without end is told") {
        return;
    }
    let world = world().await;
    world.front.script_always("CreateFleet", Weather::Refuse(Refusal::throttled()));
    let ran = world.launch(&[]).await;
    assert!(matches!(ran.code, Some(1 | 3)), "{ran:#?}");
    assert!(ran.stderr.contains("RequestLimitExceeded") && ran.stderr.contains("hint: "), "{ran:#?}");
    world.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_5xx_in_the_middle_is_asked_again_and_makes_one_machine() {
    if tier::is_left_to_full("a 5xx in the middle is asked again and makes one machine") {
        return;
    }
    for weather in [Weather::ServerError(500), Weather::ServerErrorAfterDoing(503)] {
        for action in ["CreateLaunchTemplate", "CreateFleet"] {
            let world = world().await;
            world.front.script_times(action, weather.clone(), 2);
            let ran = world.gets_one_machine(&["--launch-id", ID]).await;
            let tokens: std::collections::BTreeSet<String> = world
                .front
                .calls_of(action)
                .iter()
                .filter_map(|call| call.params.get("ClientToken").cloned())
                .collect();
            assert_eq!(tokens.len(), 1, "one token for one call, however often: {ran:#?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_after_the_launch_was_done_is_asked_again_and_makes_one_machine() {
    if tier::is_left_to_full("silence after the launch was done is asked again and makes one machine") {
        return;
    }
    let world = world().await;
    world.front.script("CreateFleet", Weather::HangAfterDoing);
    world.gets_one_machine(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_5xx_without_end_after_a_launch_that_was_done_is_that_launch_and_no_second_one() {
    if tier::is_left_to_full(
        "a 5xx without end after a launch that was done is that launch and no second one",
    ) {
        return;
    }
    let world = world().await;
    world.front.script_always("CreateFleet", Weather::ServerErrorAfterDoing(503));
    world.gets_one_machine(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_shows_late_is_no_second_one() {
    let world = world().await;
    world.front.hide_instances(4);
    world.gets_one_machine(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn user_data_that_is_too_large_is_refused_before_anything_is_made() {
    let world = world().await;
    let mut state = 7_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    })
    .take(20_000)
    .collect();
    let script = base64::engine::general_purpose::STANDARD.encode(noise);
    let ran = world.launch(&["--startup-script", &script]).await.expect_code(1);
    assert!(ran.stderr.contains("16384") || ran.stderr.contains("16,384"), "{ran:#?}");
    assert!(ran.stderr.contains("hint: "), "{ran:#?}");
    assert_eq!(world.front.count("CreateLaunchTemplate"), 0);
    world.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_github_token_without_the_permission_buys_nothing() {
    let world = world().await;
    let user = sim_user(&world).with("REPO_TOKEN", "ghp_wrong000000000000000000000000000000");
    let ran = user.run(&arguments(&[])).await.expect_code(5);
    assert!(ran.stderr.contains("hint: "), "{ran:#?}");
    assert_eq!(world.front.count("CreateFleet"), 0);
    world.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_whose_script_fails_is_explained_from_its_console() {
    let world = world().await;
    let script = base64::engine::general_purpose::STANDARD.encode("echo the card has fallen out; exit 9");
    world.refuses(&["--startup-script", &script], 6, &["startup"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_during_the_launch_call_leaves_nothing() {
    let world = world().await;
    world.front.script("CreateFleet", Weather::Late(Duration::from_millis(700)));
    let running = world.user.start(&arguments(&["--launch-id", ID]));
    wait::until_true("the call is under way", Duration::from_secs(30), async || {
        world.front.count("CreateFleet") == 1
    })
    .await;
    running.signal(Signal::TERM);
    let ran = running.finish().await.expect_code(7);
    assert_eq!(ran.json()["error"]["kind"], "interrupted");
    world.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_while_waiting_for_the_runner_leaves_nothing() {
    let world = world().await;
    let hold = base64::engine::general_purpose::STANDARD.encode("sleep 300");
    let running = world.user.start(&arguments(&["--startup-script", &hold]));
    running.until_it_says("got i-").await;
    running.signal(Signal::INT);
    let _ = running.finish().await.expect_code(7);
    world.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_launches_of_one_id_at_once_buy_one_machine() {
    // With one type the runner's name contains more than the id, and is still this launch's.
    for types in ["g4dn.xlarge,g5.xlarge", "g4dn.xlarge"] {
        let world = world().await;
        let arguments = arguments(&["--launch-id", ID, "--type", types]);
        let (one, other) = tokio::join!(
            world.user.start(&arguments).finish_within(LONG),
            world.user.start(&arguments).finish_within(LONG)
        );
        let (one, other) = (one.expect_code(0).json(), other.expect_code(0).json());
        assert_eq!(one["instance_id"], other["instance_id"]);
        assert_eq!(world.front.alive_now(REGION).await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_termination_that_is_throttled_is_tried_again() {
    let world = world().await;
    world.front.script_times("TerminateInstances", Weather::Refuse(Refusal::throttled()), 2);
    let script = base64::engine::general_purpose::STANDARD.encode("sleep 300");
    let running = world.user.start(&arguments(&["--startup-script", &script]));
    running.until_it_says("got i-").await;
    running.signal(Signal::TERM);
    let _ = running.finish().await.expect_code(7);
    world.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mixed_refusals_are_capacity_not_quota() {
    let world = world().await;
    world.front.refuse(|way: &Override| {
        Some(if way.is_spot() { Refusal::spot_quota() } else { Refusal::capacity() })
    });
    world
        .refuses(&["--spot", "prefer"], 3, &["MaxSpotInstanceCountExceeded", "InsufficientInstanceCapacity"])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_ec2_does_not_know_yet_is_asked_for_again() {
    let world = world().await;
    world.front.late_templates(1);
    world.gets_one_machine(&[]).await;
    let asked: Vec<u16> = world.front.calls_of("CreateFleet").iter().map(|call| call.status).collect();
    assert_eq!(asked, [400, 200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_bought_after_a_signal_though_ec2_did_not_know_the_template_yet() {
    let world = world().await;
    world.front.late_templates(4);
    let running = world.user.start(&arguments(&[]));
    let is_refused = async || !world.front.calls_of("CreateFleet").is_empty();
    wait::until_true("EC2 refuses the first call", LONG, is_refused).await;
    running.signal(Signal::TERM);
    let _ = running.finish_within(Duration::from_secs(30)).await.expect_code(7);
    let bought = world.front.calls_of("CreateFleet").into_iter().filter(|call| call.status == 200);
    assert_eq!(bought.count(), 0);
    assert!(world.front.calls_of("DeleteLaunchTemplate").iter().any(|call| call.status == 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_call_never_mixes_types_with_and_without_a_gpu() {
    let world = world().await;
    // The cheapest has none: a dearer one with an accelerator would boot its image, and take the job without a driver.
    world.front.dry(|way| way.instance_type == "m5.large");
    let launched =
        world.gets_one_machine(&["--type", "m5.large,g4dn.xlarge", "--spot", "prefer"]).await.json();
    assert_eq!(launched["instance_type"], "g4dn.xlarge");
    let gpus = |call: &Call| {
        let types = call.params.iter().filter(|(name, _)| name.ends_with("InstanceType"));
        types.map(|(_, kind)| kind.starts_with('g')).collect::<BTreeSet<bool>>()
    };
    let calls = world.front.calls_of("CreateFleet");
    assert!(calls.len() > 1 && calls.iter().all(|call| gpus(call).len() == 1), "{calls:#?}");
    let images: Vec<String> = world.front.calls_of("CreateLaunchTemplate").iter().map(image).collect();
    assert!(images.first() != images.last() && images.last().is_some_and(|it| it == GPU_IMAGE), "{images:?}");
}

fn image(template: &Call) -> String {
    template.params.get("LaunchTemplateData.ImageId").cloned().unwrap_or_default()
}
