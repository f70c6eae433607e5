//! `cml-runner prices`: queries to AWS over the wire, stored answers, and their age.

use std::time::Duration;

use cml_e2e::daemon::{Daemon, free_port};
use cml_e2e::front::{Front, Refusal, Weather, list_price, zones};
use cml_e2e::runner::Runner;
use cml_e2e::sim::Sim;
use cml_e2e::wait;
use jiff::Timestamp;
use serde_json::Value;

const REGION: &str = "us-east-1";
const T4: &str = "g4dn.xlarge";
/// The front has four prices of a type in each zone.
const CHANGES: usize = 4;

async fn user() -> (Front, Runner) {
    let front = Front::start().await;
    let user = Runner::new().on_aws(&front);
    (front, user)
}

const REFRESH: [&str; 7] = ["prices", "refresh", "--region", REGION, "--type", T4, "--json"];

fn figure(rows: &Value, market: &str) -> Vec<String> {
    let rows = rows["prices"].as_array().cloned().unwrap_or_default();
    let of_market = rows.into_iter().filter(|row| row["market"] == market);
    of_market.map(|row| row["usd_per_hour"].as_str().unwrap_or_default().to_owned()).collect()
}

fn since(front: &Front) -> Vec<Timestamp> {
    let calls = front.calls_of("DescribeSpotPriceHistory");
    calls.iter().map(|call| call.params["StartTime"].parse().expect("a time")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_reads_every_page_and_the_next_one_asks_only_for_what_is_new() {
    let (front, user) = user().await;
    front.small_price_pages(1);
    let first = user.run(&REFRESH).await.expect_code(0).json();
    let entries = CHANGES * zones(REGION).len();
    assert_eq!(first["regions"][0]["new_spot_prices"], entries, "{first}");
    assert_eq!(first["regions"][0]["new_list_prices"], 2, "the machine and its disk: {first}");
    assert_eq!(front.count("DescribeSpotPriceHistory"), entries, "each page was asked for once");
    let asked = since(&front);
    let days = |at: &Timestamp| front.calls()[0].at.duration_since(*at).as_hours() / 24;
    assert!(asked.iter().all(|at| (89..=90).contains(&days(at))), "as far back as AWS remembers: {asked:?}");

    let second = user.run(&REFRESH).await.expect_code(0).json();
    assert_eq!(second["regions"][0]["new_spot_prices"], 0, "{second}");
    assert_eq!(second["regions"][0]["new_list_prices"], 0, "{second}");
    let asked = since(&front).split_off(entries);
    let now = front.calls_of("DescribeSpotPriceHistory").last().expect("a call").at;
    assert!(
        asked.iter().all(|at| now.duration_since(*at).as_mins() <= 70),
        "from an hour before the last time: {asked:?}"
    );
    assert!((1..entries).contains(&asked.len()), "it asks, and for less: {asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shown_says_how_old_it_is_before_and_after_aws_was_asked() {
    let (front, user) = user().await;
    let show = ["prices", "show", T4, "--region", "us-west-2"];
    let told = user.run(&show).await.expect_code(0).stdout;
    assert!(
        told.contains("estimate: the us-east-1 price") && told.contains("estimate: the on-demand price less"),
        "{told}"
    );
    assert!(front.calls().is_empty(), "nobody is asked");
    assert!(!user.state_dir().join("prices.db").exists(), "nothing is written");
    let home = user.run(&["prices", "show", T4, "--region", REGION]).await.expect_code(0).stdout;
    assert!(home.contains("shipped table of 2026-07-20, ") && home.contains(" days old"), "{home}");

    let refresh = ["prices", "refresh", "--region", "us-west-2", "--type", T4];
    let told = user.run(&refresh).await.expect_code(0).stdout;
    assert_eq!(told, "us-west-2: 1 type asked for, 2 new list prices, 16 new spot prices\n");
    let told = user.run(&show).await.expect_code(0).stdout;
    assert!(
        told.contains("us-west-2d") && told.contains("AWS, asked ") && told.contains(", 0 h old"),
        "{told}"
    );
    assert!(told.contains("$0.088/GiB-month") && !told.contains("estimate"), "{told}");
    let json =
        user.run(&["prices", "show", T4, "--region", "us-west-2", "--json"]).await.expect_code(0).json();
    let listed = list_price("us-west-2", T4).expect("has one");
    assert_eq!(figure(&json, "on-demand"), [listed.trim_end_matches('0')]);
    assert_eq!(figure(&json, "spot").len(), zones("us-west-2").len());

    let odd = user.run(&["prices", "show", "x99.huge", "--region", REGION]).await.expect_code(1);
    assert!(
        odd.stderr.contains("nothing is known of x99.huge")
            && odd.stderr.contains("prices refresh --type x99.huge"),
        "{odd:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_permission_spot_prices_are_kept_and_the_shipped_table_is_used() {
    let (front, user) = user().await;
    front.script_always("GetProducts", Weather::Refuse(Refusal::denied_action("pricing:GetProducts")));
    let told = user.run(&["prices", "refresh", "--region", REGION, "--type", T4]).await.expect_code(1);
    for words in [
        "not all prices could be fetched; what was fetched is kept",
        "the credentials lack the permission pricing:GetProducts",
        "the shipped tables (2026-07-20)",
        "0 new list prices, 24 new spot prices",
    ] {
        assert!(told.stderr.contains(words), "{words}: {told:#?}");
    }
    assert_eq!(front.count("GetProducts"), 1, "what is denied is not asked again");
    let json = user.run(&["prices", "show", T4, "--region", REGION, "--json"]).await.expect_code(0).json();
    assert_eq!(figure(&json, "on-demand"), ["0.526"]);
    assert_eq!(figure(&json, "spot").len(), zones(REGION).len());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_region_that_fails_does_not_cost_the_others() {
    let (front, user) = user().await;
    // The page after the first one fails: a part of an answer is none.
    front.small_price_pages(10);
    front.script("DescribeSpotPriceHistory", Weather::Late(Duration::ZERO));
    front.script("DescribeSpotPriceHistory", Weather::Refuse(Refusal::denied()));
    let both = ["prices", "refresh", "--region", "us-east-1,us-west-2", "--type", T4, "--json"];
    let told = user.run(&both).await.expect_code(1).json();
    let region = |number: usize| &told["regions"][number];
    assert_eq!(region(0)["region"], "us-east-1", "{told}");
    assert_eq!(
        (&region(0)["new_spot_prices"], &region(0)["new_list_prices"]),
        (&0.into(), &2.into()),
        "{told}"
    );
    assert!(
        region(0)["errors"][0].as_str().is_some_and(|it| it.contains("ec2:DescribeSpotPriceHistory")),
        "{told}"
    );
    assert_eq!(
        (&region(1)["new_spot_prices"], &region(1)["errors"]),
        (&16.into(), &Value::Array(Vec::new())),
        "{told}"
    );
    let again = user.run(&REFRESH).await.expect_code(0).json();
    assert_eq!(again["regions"][0]["new_spot_prices"], 24, "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_is_waited_for() {
    let (front, user) = user().await;
    let slow = Refusal::new(400, "ThrottlingException", "Rate exceeded");
    front.script_times("GetProducts", Weather::Refuse(slow), 2);
    front.script("DescribeSpotPriceHistory", Weather::Refuse(Refusal::throttled()));
    let told = user.run(&REFRESH).await.expect_code(0).json();
    assert_eq!(told["regions"][0]["new_spot_prices"], 24, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_refreshes_at_once_do_no_harm() {
    let (_front, user) = user().await;
    let (one, other) = tokio::join!(user.run(&REFRESH), user.run(&REFRESH));
    let new = |ran: cml_e2e::runner::Ran| ran.expect_code(0).json()["regions"][0]["new_spot_prices"].as_u64();
    assert_eq!(
        new(one).zip(new(other)).map(|(one, other)| one + other),
        Some(24),
        "each change was new once"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_types_are_those_of_the_cml_yaml() {
    let (front, user) = user().await;
    let config = user.home().join("cml.yaml");
    let text = "runners:\n  gpu:\n    labels: [gpu]\n    cloud: aws\n    regions: [us-west-2]\n    instance_types: [m+t4]\n    max: 1\n";
    std::fs::write(&config, text).expect("writes");
    let config = config.display().to_string();
    let told = user.run(&["prices", "refresh", "--config", &config]).await.expect_code(0).stdout;
    assert!(told.starts_with("us-west-2: 3 types asked for"), "{told}");
    assert!(front.calls_of("DescribeSpotPriceHistory").iter().all(|call| call.region == "us-west-2"));
    let none = user.run(&["prices", "refresh", "--config", "/nowhere.yaml"]).await.expect_code(2);
    assert!(none.stderr.contains("no types are given, and /nowhere.yaml names none"), "{none:#?}");
    let wrong = user.run(&["prices", "refresh", "--region", "us-esat-1", "--type", T4]).await.expect_code(1);
    assert!(
        wrong.stderr.contains("us-esat-1") && wrong.stderr.contains("did you mean us-east-1"),
        "{wrong:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_keeps_prices_up_to_date_and_lives_on_when_it_may_not() {
    let front = Front::start().await;
    front.script_always("GetProducts", Weather::Refuse(Refusal::denied_action("pricing:GetProducts")));
    let sim = Sim::start().await;
    let user = sim.user().on_aws(&front);
    let config = format!(
        "runners:\n  gpu:\n    labels: [cml, gpu]\n    cloud: aws\n    regions: [{REGION}]\n    instance_types: [{T4}]\n    spot: prefer\n    max: 1\n"
    );
    let mut daemon = Daemon::start(&user, &config, free_port(), &["--prices-every", "10s"]);
    daemon.until_ready().await;
    let kept = async || {
        let json =
            user.run(&["prices", "show", T4, "--region", REGION, "--json"]).await.expect_code(0).json();
        figure(&json, "spot").len() == zones(REGION).len() && front.count("GetProducts") >= 2
    };
    wait::until_true("the prices are kept", Duration::from_secs(45), kept).await;
    let told = daemon.end().await;
    assert!(
        told.stderr.contains("some prices are as old as before")
            && told.stderr.contains("pricing:GetProducts"),
        "{told:#?}"
    );
}
