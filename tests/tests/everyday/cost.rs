//! `cml-runner cost`: from a daemon's journal while it runs and afterwards, from a launch's own, and from GitHub's
//! records.

use std::time::Duration;

use cml_e2e::daemon::{Daemon, WEBHOOK_SECRET, free_port};
use cml_e2e::front::Front;
use cml_e2e::runner::Runner;
use cml_e2e::sim::Sim;
use cml_e2e::wait;
use rust_decimal::Decimal;
use serde_json::Value;

const REGION: &str = "us-east-1";
const CONFIG: &str = "
runners:
  gpu:
    labels: [cml, gpu]
    cloud: aws
    regions: [us-east-1]
    instance_types: [g4dn.xlarge]
    spot: prefer
    max: 2
    idle_timeout: 30s
    boot_timeout: 90s
    max_lifetime: 1h
    budget: { day: 1 USD, warn_at: 10% }
budgets:
  actors:
    \"*\": { month: 900 USD }
";

fn usd(value: &Value) -> Decimal {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no amount: {value}"))
}

async fn cost(user: &Runner, more: &[&str]) -> Value {
    let arguments: Vec<&str> = ["cost", "--json"].iter().chain(more).copied().collect();
    user.run(&arguments).await.expect_code(0).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemons_machines_are_counted_while_they_live_and_owned_by_their_jobs_afterwards() {
    let port = free_port();
    let sim = Sim::start_with_webhook(port).await;
    let front = Front::start().await;
    front.boot_instances();
    let user = sim.user().on_aws(&front).with("CML_RUNNER_WEBHOOK_SECRET", WEBHOOK_SECRET);
    let mut daemon = Daemon::start(&user, CONFIG, port, &["--poll", "10s"]);
    daemon.until_ready().await;
    let held = user.home().join("held");
    let job = sim.queue("gpu", &format!("until [ -e {} ]; do sleep 0.2; done", held.display()));
    let is_busy = |all: &Value| all["runners"][0]["state"] == "busy";
    let _ = daemon.until("/api/v1/runners", "the job runs", is_busy).await;

    // A machine costs by the second: not within its first.
    wait::until_true("the machine has cost something", Duration::from_secs(20), async || {
        usd(&cost(&user, &[]).await["running"][0]["usd"]) > Decimal::ZERO
    })
    .await;
    let living = cost(&user, &["--by", "spec"]).await;
    let running = &living["running"][0];
    assert_eq!(running["instance_type"], "g4dn.xlarge", "{living}");
    assert!(
        usd(&running["usd"]) > Decimal::ZERO && usd(&running["committed_usd"]) > usd(&running["usd"]),
        "{living}"
    );
    assert_eq!(usd(&living["total"]["usd"]), usd(&living["rows"][0]["usd"]), "{living}");
    // The same by the daemon's own page, and the budget that a machine's whole hour uses up more than a tenth of.
    let page = daemon.get("/cost?by=repo").await.expect("a page");
    assert_eq!(page.0, 200, "{}", page.1);
    assert!(page.1.contains("<svg") && page.1.contains("<h2>Running now</h2>"), "{}", page.1);
    let said = daemon.json("/api/v1/cost?by=type&days=7").await;
    assert_eq!(said["rows"][0]["name"], "g4dn.xlarge", "{said}");
    assert_eq!(daemon.get("/cost?by=colour").await.expect("an answer").0, 400);
    assert!(daemon.get("/").await.expect("the page").1.contains("Budgets nearly used up"));
    assert_eq!(daemon.log().matches("a budget is nearly used up;").count(), 1, "{}", daemon.log());

    std::fs::write(&held, "").expect("writes");
    let _ = sim.succeeds(job).await;
    let is_gone = |all: &Value| all["runners"].as_array().is_some_and(Vec::is_empty);
    let _ = daemon.until("/api/v1/runners", "the machine is gone", is_gone).await;
    let by_repo = cost(&user, &["--by", "repo"]).await;
    let rows = by_repo["rows"].as_array().expect("a list");
    let names: Vec<&str> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
    assert!(names.contains(&"acme/vision") && names.contains(&"boot"), "{by_repo}");
    let sum: Decimal = rows.iter().map(|row| usd(&row["usd"])).sum();
    assert_eq!(sum, usd(&by_repo["total"]["usd"]));
    assert!(usd(&by_repo["total"]["disk_usd"]) > Decimal::ZERO, "its root disk is in it: {by_repo}");
    assert_eq!(
        (&by_repo["total"]["jobs"], &by_repo["total"]["machines"]),
        (&1.into(), &1.into()),
        "{by_repo}"
    );
    assert!(by_repo["running"].as_array().expect("a list").is_empty());
    let page = user.home().join("cost.html");
    let _ = user
        .run(&["cost", "--format", "html", "--output", page.to_str().expect("UTF-8")])
        .await
        .expect_code(0);
    assert!(std::fs::read_to_string(page).expect("is written").starts_with("<!doctype html>"));
    let advice = user.run(&["cost", "advise"]).await.expect_code(0);
    assert!(advice.stdout.contains("What would have cost less"), "{}", advice.stdout);
    let _ = daemon.end().await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_nothing_but_github_gets_an_estimate() {
    let sim = Sim::start().await;
    let front = Front::start().await;
    front.boot_instances();
    let user = sim.user().on_aws(&front);
    let job = sim.queue("gpu", "sleep 1; echo trained");
    let flags =
        ["launch", "--cloud", "aws", "--labels", "cml,gpu", "--type", "g4dn.xlarge", "--spot", "only"];
    let more = [
        "--region",
        REGION,
        "--json",
        "--idle-timeout",
        "30s",
        "--max-lifetime",
        "1h",
        "--boot-timeout",
        "60s",
    ];
    let flags: Vec<&str> = flags.into_iter().chain(more).collect();
    let launched = user.run(&flags).await.expect_code(0).json();
    let runner = launched["runner"].as_str().expect("a name");
    assert!(runner.ends_with("-g4dn.xlarge-spot"), "its name tells what was asked for: {runner}");
    let _ = sim.succeeds(job).await;

    let journal = cost(&user, &[]).await;
    assert_eq!(usd(&journal["total"]["waste_usd"]), Decimal::ZERO, "its runner was online: {journal}");
    assert_eq!(
        journal["running"][0]["launch_id"], launched["launch_id"],
        "its end is not in its journal: {journal}"
    );
    let elsewhere = user.home().join("elsewhere");
    let elsewhere = ["--state-dir", elsewhere.to_str().expect("UTF-8")];
    let nothing = user.run(&["cost", elsewhere[0], elsewhere[1]]).await.expect_code(1);
    assert!(
        nothing.stderr.contains("there is no journal in") && nothing.stderr.contains("--reconstruct"),
        "{}",
        nothing.stderr
    );
    for place in [&[][..], &elsewhere] {
        let arguments: Vec<&str> = ["--reconstruct", "--by", "repo"].iter().chain(place).copied().collect();
        let past = cost(&user, &arguments).await;
        assert!(past["running"].as_array().expect("a list").is_empty(), "GitHub tells of its end: {past}");
        assert_eq!(past["total"]["machines"], 1, "{past}");
        assert_eq!(past["rows"][0]["name"], "acme/vision", "{past}");
        assert_eq!(past["estimated_usd"], past["total"]["usd"], "{past}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_typed_wrong_is_told_and_nothing_is_lost() {
    let user = Runner::new();
    let refused = async |arguments: &[&str], code: i32, words: &str| {
        let ran = user.run(arguments).await.expect_code(code);
        assert!(ran.stderr.contains(words), "{arguments:?}: {}", ran.stderr);
    };
    refused(&["cost", "--month", "2026-13"], 2, "is no month; such as 2026-11").await;
    refused(&["cost", "--since", "yesterday"], 2, "is not a length of time").await;
    refused(&["cost", "--by", "colour"], 2, "possible values: job, workflow").await;
    refused(&["cost", "--journal", "/nonexistent/journal.db"], 2, "there is no file /nonexistent/journal.db")
        .await;
    let text = user.home().join("letter.db");
    std::fs::write(&text, "this is a letter, not a database. ".repeat(100)).expect("writes");
    refused(&["cost", "--journal", text.to_str().expect("UTF-8")], 1, "file is not a database").await;
    let bill = user.home().join("bill.csv");
    std::fs::write(&bill, "a,b\n1,2\n").expect("writes");
    let journals = user.home().join("journal.db");
    drop(cml_journal::SqliteJournal::open(&journals).expect("opens"));
    let (journals, bill) = (journals.to_str().expect("UTF-8"), bill.to_str().expect("UTF-8"));
    refused(&["cost", "--journal", journals, "--verify-with", bill], 2, "no column lineItem/UnblendedCost")
        .await;
    refused(
        &["cost", "--journal", journals, "--verify-with", "/nonexistent.csv"],
        2,
        "cost-explorer to ask AWS",
    )
    .await;
    let empty = user.run(&["cost", "--journal", journals]).await.expect_code(0);
    assert!(empty.stdout.contains("No machine of these days is in the ledger."), "{}", empty.stdout);
}

/// Neither has the ledger before, and each makes it.
#[tokio::test(flavor = "multi_thread")]
async fn two_who_ask_at_once_get_the_same_answer() {
    let user = Runner::new();
    let path = user.home().join("journal.db");
    let mut journal = cml_journal::SqliteJournal::open(&path).expect("opens");
    let now = cml_e2e::edge::now();
    let mut seen = 0;
    for number in 0..300_u64 {
        let launch = cml_cloud::LaunchId::new(ulid::Ulid::from_parts(1_700_000_000_000, number.into()));
        let events = life(launch, &format!("spec-{number}"), now);
        seen = cml_journal::Journal::append(&mut journal, seen, now, &events).expect("is written");
    }
    let arguments = ["cost", "--json", "--journal", path.to_str().expect("UTF-8")];
    let answer = |ran: cml_e2e::runner::Ran| {
        let mut json = ran.expect_code(0).json();
        json["made_at"] = Value::Null;
        json
    };
    let (one, other) = tokio::join!(user.run(&arguments), user.run(&arguments));
    let (one, other) = (answer(one), answer(other));
    assert_eq!(one, other);
    assert_eq!(one["total"]["machines"], 300, "{one}");
    let rows = one["rows"].as_array().expect("a list");
    let names: Vec<&str> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
    assert!(names.iter().all(|name| name.starts_with("spec-") || name.ends_with("others")), "{names:?}");
}

/// A machine of an hour.
fn life(launch: cml_cloud::LaunchId, spec: &str, now: jiff::Timestamp) -> Vec<cml_journal::Event> {
    let began = now.checked_sub(jiff::SignedDuration::from_hours(1)).expect("in range");
    let offer = serde_json::json!({
        "region": "us-east-1", "zone": "us-east-1a", "instance_type": "g5.xlarge", "market": "on-demand",
        "price": "1.006", "resources": {"vcpus": 4, "memory_mib": 16384, "gpu": null, "arch": "x64"},
    });
    let found = cml_journal::Event::InstanceFound {
        launch,
        spec: spec.to_owned(),
        labels: Vec::new(),
        deadline: cml_cloud::Deadline(now),
        instance: cml_cloud::InstanceId(format!("i-{launch}")),
        offer: serde_json::from_value(offer).expect("an offer, as it was written before disks were"),
        started_at: began,
    };
    let end = cml_journal::EndReason::Ours;
    let gone = cml_journal::Event::InstanceGone {
        launch,
        end,
        started_at: Some(began),
        ended_at: Some(now),
        lacks_prices: false,
    };
    vec![found, gone]
}
