//! Regions that fail: each alone, and the launch continues in the others.

use cml_e2e::front::{Front, Trouble};
use cml_e2e::runner::{Ran, Runner};
use cml_e2e::sim::Sim;
use cml_e2e::tier;

const GOOD: &str = "us-east-1";

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

async fn launch(world: &World, regions: &str) -> Ran {
    let flags =
        ["launch", "--cloud", "aws", "--type", "t3.micro", "--labels", "x", "--json", "--region", regions];
    let more = ["--boot-timeout", "60s", "--max-lifetime", "1h", "--idle-timeout", "20s"];
    world.user.run(&[&flags[..], &more[..]].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_the_account_has_not_enabled_is_left_out_with_the_reason() {
    let world = world().await;
    world.front.trouble("ap-east-1", Trouble::NotEnabled);
    let ran = launch(&world, &format!("ap-east-1,{GOOD}")).await.expect_code(0);
    assert_eq!(ran.json()["region"], GOOD);
    assert!(ran.stderr.contains("ap-east-1"), "{ran:#?}");
    let alone = launch(&world, "ap-east-1").await;
    assert!(alone.said().contains("ap-east-1 is not enabled for the account"), "{alone:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_is_down_is_left_out_with_the_reason() {
    if tier::is_left_to_full("a region that is down is left out with the reason") {
        return;
    }
    let world = world().await;
    world.front.trouble("us-west-2", Trouble::Down);
    let ran = launch(&world, &format!("us-west-2,{GOOD}")).await.expect_code(0);
    assert_eq!(ran.json()["region"], GOOD);
    assert!(ran.stderr.contains("us-west-2"), "{ran:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_are_listed_where_a_region_answers_though_another_does_not() {
    let world = world().await;
    world.front.trouble("ap-east-1", Trouble::NotEnabled);
    let regions = format!("ap-east-1,{GOOD}");
    let ran = world.user.run(&["ls", "--cloud", "aws", "--region", &regions]).await.expect_code(0);
    assert!(ran.stdout.starts_with(&format!("no machines in {GOOD};")), "{ran:#?}");
    assert!(ran.stderr.contains("nothing is known of ap-east-1"), "{ran:#?}");
    let logs = ["logs", "--cloud", "aws", "--region", &regions, "i-0123456789abcdef0"];
    let ran = world.user.run(&logs).await.expect_code(1);
    assert!(ran.said().contains("no instance is called i-0123456789abcdef0"), "{ran:#?}");
    let ran = world.user.run(&["ls", "--cloud", "aws", "--region", "ap-east-1"]).await;
    assert!(ran.said().contains("ap-east-1 is not enabled for the account"), "{ran:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_whose_subnets_a_policy_hides_is_left_out_with_the_reason() {
    let world = world().await;
    world.front.trouble("us-west-2", Trouble::DeniedByPolicy("DescribeSubnets"));
    let ran = launch(&world, &format!("us-west-2,{GOOD}")).await.expect_code(0);
    assert_eq!(ran.json()["region"], GOOD);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_forbids_launches_is_named_and_is_no_missing_permission() {
    let world = world().await;
    world.front.trouble("us-west-2", Trouble::DeniedByPolicy("CreateFleet"));
    let both = launch(&world, &format!("us-west-2,{GOOD}")).await.expect_code(0);
    assert_eq!(both.json()["region"], GOOD, "the next region is tried");
    let ran = launch(&world, "us-west-2").await;
    assert!(ran.said().contains("service control policy"), "{ran:#?}");
    assert!(!ran.said().contains("lack the permission"), "{ran:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_whose_parameter_the_region_lacks_is_found_by_its_owner_and_name() {
    let world = world().await;
    world.front.trouble(GOOD, Trouble::NoParameter("/aws/service/canonical"));
    let ran = launch(&world, GOOD).await.expect_code(0);
    assert_eq!(ran.json()["region"], GOOD);
    let asked = world.front.calls_of("DescribeImages");
    let by_owner =
        asked.iter().any(|call| call.params.get("Owner.1").is_some_and(|owner| owner == "099720109477"));
    assert!(by_owner, "{asked:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_regions_fail_every_reason_is_told() {
    let world = world().await;
    world.front.trouble("ap-east-1", Trouble::NotEnabled);
    world.front.trouble("us-west-2", Trouble::DeniedByPolicy("DescribeSubnets"));
    let ran = launch(&world, "ap-east-1,us-west-2").await;
    for word in ["ap-east-1", "us-west-2", "not enabled", "service control policy"] {
        assert!(ran.said().contains(word), "{word}: {ran:#?}");
    }
    assert_eq!(world.front.count("CreateFleet"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_looks_at_the_regions_that_answer_when_the_first_does_not_know_the_credentials() {
    let world = world().await;
    world.front.trouble("ap-east-1", Trouble::NotEnabled);
    let regions = format!("ap-east-1,{GOOD}");
    let ran = world.user.run(&["doctor", "--cloud", "aws", "--type", "t3.micro", "--region", &regions]).await;
    let said = ran.said();
    assert!(!said.contains("nothing else can be looked at"), "{said}");
    assert!(said.contains("ap-east-1 is not enabled") && said.contains("image launch"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_says_what_the_regions_that_answer_would_sell() {
    if tier::is_left_to_full("plan says what the regions that answer would sell") {
        return;
    }
    let world = world().await;
    for (region, trouble) in [
        ("ap-east-1", Trouble::NotEnabled),
        ("us-west-2", Trouble::Down),
        ("eu-west-1", Trouble::DeniedByPolicy("DescribeSubnets")),
    ] {
        world.front.trouble(region, trouble);
    }
    let config = format!(
        "runners:\n  cpu:\n    labels: [cpu]\n    cloud: aws\n    regions: [ap-east-1, us-west-2, eu-west-1, {GOOD}]\n    \
         instance_types: [t3.micro]\n    max: 1\n"
    );
    std::fs::write(world.user.home().join("cml.yaml"), config).expect("written");
    let _ = world.sim.queue("cpu", "echo trained");
    let ran = world.user.run(&["plan", "cml.yaml"]).await.expect_code(0);
    assert!(ran.stdout.contains("launch cpu for job") && ran.stdout.contains(GOOD), "{ran:#?}");
    for region in ["ap-east-1", "us-west-2", "eu-west-1"] {
        assert!(ran.said().contains(region), "{region}: {ran:#?}");
    }
}
