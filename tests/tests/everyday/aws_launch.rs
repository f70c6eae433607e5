//! `cml-runner launch --cloud aws` against the EC2 emulator behind our front: what AWS would have seen, and what a third
//! party reads from the account.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine;
use cml_e2e::front::{Call, Front, Override, Refusal};
use cml_e2e::runner::Runner;
use cml_e2e::secrets::{AWS_SECRET, assert_no_secret};
use cml_e2e::sim::Sim;
use cml_e2e::wait;
use serde_json::Value;

const ID: &str = "01k9z3v6p4q8r2s5t7w0x1y2z3";
const REGION: &str = "us-east-1";

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

fn launch<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec!["launch", "--cloud", "aws", "--labels", "cml,gpu", "--boot-timeout", "40s", "--json"];
    all.extend(["--max-lifetime", "1h", "--idle-timeout", "30s"]);
    all.extend(more);
    all
}

/// The ways to buy of a recorded CreateFleet call.
fn ways(call: &Call) -> Vec<Override> {
    Override::of(&call.params)
}

fn param<'a>(call: &'a Call, name: &str) -> &'a str {
    call.params.get(name).map_or("", String::as_str)
}

/// The user data in a recorded CreateLaunchTemplate call, as it was sent.
fn user_data(call: &Call) -> Vec<u8> {
    let encoded = param(call, "LaunchTemplateData.UserData");
    base64::engine::general_purpose::STANDARD.decode(encoded).expect("base64")
}

fn tags(instance: &Value) -> Vec<(String, String)> {
    let tags = instance["Tags"].as_array().cloned().unwrap_or_default();
    let text = |tag: &Value, field: &str| tag[field].as_str().unwrap_or_default().to_owned();
    tags.iter().map(|tag| (text(tag, "Key"), text(tag, "Value"))).collect()
}

fn tag(instance: &Value, key: &str) -> String {
    tags(instance).into_iter().find(|(of, _)| of == key).map(|(_, value)| value).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spot_fleet_over_three_types_and_all_zones_runs_the_job_and_is_gone() {
    let World { sim, front, user } = world().await;
    let job = sim.queue("gpu", "sleep 3; echo trained");
    // Long enough for a third party to read the account before the launch tidies up after itself.
    let pause = base64::engine::general_purpose::STANDARD.encode("sleep 4");
    let flags = [
        "--type",
        "g4dn.xlarge,g5.xlarge,g6.xlarge",
        "--startup-script",
        &pause,
        "--spot",
        "only",
        "--launch-id",
        ID,
        "--tag",
        "team=vision",
    ];
    let running = user.start(&launch(&flags));
    running.until_it_says("got i-").await;
    let account = front.third_party(REGION).await;
    let launched = running.finish().await.expect_code(0).json();

    assert_eq!(launched["market"], "spot");
    assert_eq!(launched["region"], REGION);
    let fleets = front.calls_of("CreateFleet");
    let [fleet] = fleets.as_slice() else { panic!("one call buys: {fleets:#?}") };
    assert_eq!(param(fleet, "Type"), "instant");
    assert_eq!(param(fleet, "TargetCapacitySpecification.TotalTargetCapacity"), "1");
    assert_eq!(param(fleet, "SpotOptions.AllocationStrategy"), "price-capacity-optimized");
    assert!(param(fleet, "ClientToken").contains(ID));
    let ways = ways(fleet);
    let types: BTreeSet<_> = ways.iter().map(|way| way.instance_type.clone()).collect();
    let places: BTreeSet<_> = ways.iter().map(|way| way.zone.clone().or(way.subnet.clone())).collect();
    assert_eq!((types.len(), places.len()), (3, 6), "{ways:#?}");
    assert!(ways.iter().all(Override::is_spot));

    let templates = front.calls_of("CreateLaunchTemplate");
    let [template] = templates.as_slice() else { panic!("one template: {templates:#?}") };
    for (name, value) in [
        ("MetadataOptions.HttpTokens", "required"),
        ("MetadataOptions.HttpPutResponseHopLimit", "1"),
        ("MetadataOptions.HttpProtocolIpv6", "disabled"),
        ("InstanceInitiatedShutdownBehavior", "terminate"),
        ("BlockDeviceMapping.1.Ebs.Encrypted", "true"),
        ("BlockDeviceMapping.1.Ebs.VolumeType", "gp3"),
        ("BlockDeviceMapping.1.Ebs.DeleteOnTermination", "true"),
        ("KeyName", ""),
        ("IamInstanceProfile.Name", ""),
    ] {
        assert_eq!(param(template, &format!("LaunchTemplateData.{name}")), value, "{name}");
    }

    let instances = account["instances"].as_array().expect("a list");
    let [instance] = instances.as_slice() else { panic!("one machine: {instances:#?}") };
    assert_eq!(instance["InstanceId"], launched["instance_id"]);
    assert_eq!(tag(instance, "cml-runner:launch"), ID);
    assert_eq!(tag(instance, "cml-runner:deadline"), launched["deadline"].as_str().expect("a deadline"));
    assert_eq!(tag(instance, "cml-runner:owner"), "acme/vision");
    assert_eq!(tag(instance, "cml-runner:runner"), format!("cml-{ID}"));
    assert_eq!(tag(instance, "team"), "vision");
    let data = &account["templates"][0]["Versions"][0]["LaunchTemplateData"];
    assert_eq!(data["MetadataOptions"]["HttpTokens"], "required");
    assert_eq!(data["MetadataOptions"]["HttpPutResponseHopLimit"], 1);
    assert_eq!(data["InstanceInitiatedShutdownBehavior"], "terminate");
    for group in
        account["groups"].as_array().expect("a list").iter().filter(|group| group["GroupName"] != "default")
    {
        assert_eq!(group["IpPermissions"], serde_json::json!([]), "no inbound rule: {group:#}");
    }

    let view = sim.succeeds(job).await;
    assert_eq!(view.runner_name.as_deref(), Some(format!("cml-{ID}").as_str()));
    wait::until_true("the machine ends itself", Duration::from_secs(30), async || {
        front.alive_now(REGION).await.is_empty()
    })
    .await;
    assert_eq!(front.count("TerminateInstances"), 0, "nobody had to end it");
    let after = front.third_party(REGION).await;
    assert_eq!(after["templates"], serde_json::json!([]), "the user data does not stay in the account");
    assert!(sim.runners().is_empty(), "{:#?}", sim.runners());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_spot_capacity_the_machine_is_bought_on_demand() {
    let World { sim, front, user } = world().await;
    front.dry(Override::is_spot);
    let flags = ["--type", "g4dn.xlarge,g5.xlarge,g6.xlarge", "--spot", "prefer"];
    let ran = user.run(&launch(&flags)).await.expect_code(0);
    assert_eq!(ran.json()["market"], "on-demand");
    assert!(ran.stderr.contains("InsufficientInstanceCapacity"), "{ran:#?}");
    let fleets = front.calls_of("CreateFleet");
    let markets: Vec<_> = fleets
        .iter()
        .map(|call| param(call, "TargetCapacitySpecification.DefaultTargetCapacityType"))
        .collect();
    assert_eq!(markets, ["spot", "on-demand"]);
    assert_ne!(param(&fleets[0], "ClientToken"), param(&fleets[1], "ClientToken"));
    assert_eq!(front.alive_now(REGION).await.len(), 1);
    let _ = sim;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_type_or_zone_is_no_trouble_when_another_has_capacity() {
    let World { sim: _sim, front, user } = world().await;
    front.dry(|way| way.instance_type != "g6.xlarge");
    let launched = user.run(&launch(&["--type", "g4dn.xlarge,g5.xlarge,g6.xlarge", "--spot", "only"])).await;
    let launched = launched.expect_code(0).json();
    assert_eq!((&launched["instance_type"], &launched["market"]), (&"g6.xlarge".into(), &"spot".into()));
    assert_eq!(front.count("CreateFleet"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_region_is_tried_when_the_first_has_nothing() {
    let World { sim: _sim, front, user } = world().await;
    front.refuse(|way| {
        way.zone.as_ref().is_none_or(|zone| zone.starts_with("us-east-1")).then(Refusal::capacity)
    });
    let flags = ["--type", "g5.xlarge", "--spot", "only", "--region", "us-east-1,us-west-2"];
    let ran = user.run(&launch(&flags)).await;
    // With subnets instead of zones the front cannot distinguish regions: then the calls themselves must show both.
    let regions: BTreeSet<String> =
        front.calls_of("CreateFleet").into_iter().map(|call| call.region).collect();
    assert_eq!(regions.into_iter().collect::<Vec<_>>(), ["us-east-1", "us-west-2"], "{ran:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cmls_own_flags_launch_what_they_meant() {
    let World { sim: _sim, front, user } = world().await;
    let flags = [
        "runner",
        "launch",
        "--cloud=aws",
        "--cloud-region=us-west",
        "--cloud-type=m",
        "--cloud-gpu=t4",
        "--cloud-spot",
    ];
    let more = ["--labels=cml", "--idle-timeout=10", "--cloud-hdd-size=80", "--json", "--single"];
    let launched = user.run(&[&flags[..], &more[..]].concat()).await.expect_code(0).json();
    assert_eq!((&launched["region"], &launched["market"]), (&"us-west-1".into(), &"spot".into()));
    assert!(launched["instance_type"].as_str().is_some_and(|name| name.starts_with("g4dn.")), "{launched:#}");
    let template = front.calls_of("CreateLaunchTemplate").remove(0);
    assert_eq!(param(&template, "LaunchTemplateData.BlockDeviceMapping.1.Ebs.VolumeSize"), "80");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_launch_makes_few_calls() {
    let World { sim, front, user } = world().await;
    let flags = ["--type", "g5.xlarge", "--spot", "only"];
    let _ = user.run(&launch(&flags)).await.expect_code(0);
    let (ec2_before, github_before) = (front.calls().len(), sim.calls().len());
    let running = user.start(&launch(&flags));
    running.until_it_says("got i-").await;
    let ec2: Vec<String> = front.calls()[ec2_before..].iter().map(|call| call.action.clone()).collect();
    let github = sim.calls()[github_before..].to_vec();
    assert_eq!(ec2, ["CreateLaunchTemplate", "CreateFleet"], "two calls to EC2 buy a machine");
    let before_waiting: Vec<_> = github.iter().filter(|call| call.starts_with("POST")).collect();
    assert_eq!(before_waiting.len(), 1, "{github:#?}");
    let _ = running.finish().await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_user_data_is_small_and_holds_nothing_secret_but_the_runners_own_configuration() {
    let World { sim, front, user } = world().await;
    let ran = user.run(&launch(&["--type", "m", "--log", "trace"])).await.expect_code(0);
    let call = front.calls_of("CreateLaunchTemplate").remove(0);
    let data = user_data(&call);
    assert!(data.len() <= 16_384, "{} bytes", data.len());
    let plain = cml_e2e::front::plain(&data);
    assert_no_secret("the user data", &plain, &[cml_e2e::secrets::TOKEN.to_owned(), AWS_SECRET.to_owned()]);
    let mut secrets = sim.secrets();
    secrets.push(AWS_SECRET.to_owned());
    assert_no_secret("what the launch said", &ran.said(), &secrets);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_on_ec2_is_listed_read_and_stopped() {
    let World { sim, front, user } = world().await;
    let launched = user.run(&launch(&["--type", "m", "--idle-timeout", "never"])).await.expect_code(0).json();
    let id = launched["instance_id"].as_str().expect("an id");
    let place = ["--cloud", "aws", "--region", REGION, "--json"];
    let listed = user.run(&[&["ls"], &place[..]].concat()).await.expect_code(0).json();
    assert_eq!((&listed[0]["id"], &listed[0]["runner_state"]), (&id.into(), &"idle".into()), "{listed:#}");
    let log = user.run(&[&["logs", id], &place[..4]].concat()).await.expect_code(0).stdout;
    assert!(log.contains("Listening for Jobs"), "{log}");
    let _ = user.run(&[&["stop", id], &place[..]].concat()).await.expect_code(0);
    assert!(front.alive_now(REGION).await.is_empty());
    assert!(sim.runners().is_empty());
}
