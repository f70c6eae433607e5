//! `cml-runner plan` and `simulate`: what would be done, and what it would have cost.

use cml_e2e::runner::Runner;
use cml_e2e::sim::Sim;

const SPEC: &str = "
runners:
  box:
    labels: [cml, gpu]
    cloud: local
    max: 1
    max_lifetime: 1h
    reruns: { max: 0, last_on_demand: false }
";

const CLOUDY: &str = "
runners:
  gpu:
    labels: [cml, gpu]
    cloud: aws
    regions: [us-east-1]
    instance_types: [g5.xlarge]
    spot: SPOT
    max: 2
";

fn write(user: &Runner, name: &str, text: &str) -> String {
    let path = user.home().join(name);
    std::fs::write(&path, text).expect("writes");
    path.display().to_string()
}

/// Twenty jobs of ten minutes, two at a time.
fn jobs() -> String {
    let line = |number: u32| {
        let (hour, minute) = (8 + number / 4, number % 4 / 2 * 30);
        format!(
            "{{\"queued_at\": \"2026-11-02T{hour:02}:{minute:02}:00Z\", \"labels\": [\"self-hosted\", \"gpu\"], \"seconds\": 600}}\n"
        )
    };
    (0..20).map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_what_would_be_launched_and_why_the_rest_waits_and_touches_nothing() {
    let sim = Sim::start().await;
    let user = sim.user();
    for label in ["gpu", "gpu", "tpu"] {
        let _ = sim.queue(label, "true");
    }
    let spec = write(&user, "cml.yaml", SPEC);
    let told = user.run(&["plan", &spec]).await.expect_code(0).stdout;
    assert!(told.contains("launch box for job") && told.contains("on-demand local in local"), "{told}");
    assert!(
        told.contains("pool box is at its limit (1)") && told.contains("no pool has all of its labels"),
        "{told}"
    );
    let json = user.run(&["plan", &spec, "--json"]).await.expect_code(0).json();
    assert_eq!(json["actions"].as_array().map(Vec::len), Some(1), "{json}");
    assert_eq!(json["waiting"].as_array().map(Vec::len), Some(2), "{json}");
    assert!(sim.runners().is_empty(), "nothing is registered");
    assert_eq!(user.run(&["ls", "--json"]).await.expect_code(0).stdout.trim(), "[]");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulation_tells_cost_and_waits_and_sets_two_files_side_by_side() {
    let user = Runner::new();
    let jobs = write(&user, "jobs.jsonl", &jobs());
    let spot = write(&user, "spot.yaml", &CLOUDY.replace("SPOT", "prefer"));
    let sure = write(&user, "sure.yaml", &CLOUDY.replace("SPOT", "never"));
    let page = user.home().join("page.html");
    let page = page.display().to_string();
    let arguments = ["simulate", &spot, "--compare", &sure, "--jobs", &jobs, "--html", &page, "--json"];
    let json = user.run(&arguments).await.expect_code(0).json();
    let figures = |number: usize| &json["simulations"][number]["specs"]["gpu"];
    for number in [0, 1] {
        assert_eq!(figures(number)["done"], 20, "{json}");
        assert!(
            figures(number)["wait_seconds_p50"].as_i64().is_some_and(|wait| (10..600).contains(&wait)),
            "{json}"
        );
    }
    let cost = |number: usize| {
        figures(number)["cost_usd"].as_str().expect("money").parse::<f64>().expect("a number")
    };
    // 20 jobs of 600 s at 1.006 USD an hour are 3.35 USD; boots and ends come on top.
    assert!(cost(1) > 3.35 && cost(1) < 4.5, "{json}");
    assert!(cost(0) < cost(1), "spot is cheaper: {json}");
    let html = std::fs::read_to_string(&page).expect("is written");
    assert!(html.contains("<svg") && html.contains("spot.yaml") && !html.contains("http"), "stands alone");
    let again = user.run(&arguments).await.expect_code(0).json();
    assert_eq!(json, again, "the same seed, the same answer");
    let table = user.run(&["simulate", &spot, "--jobs", &jobs]).await.expect_code(0);
    assert!(table.stdout.contains("wait p95") && table.stderr.is_empty(), "{table:#?}");
}

/// Runs the oldest queued job on a machine.
async fn runs(sim: &Sim, user: &Runner, job: u64) {
    let line = ["launch", "--cloud", "local", "--labels", "cml,gpu", "--max-lifetime", "5m", "--json"];
    let _ = user.run(&line).await.expect_code(0);
    let _ = sim.succeeds(job).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulation_of_past_jobs_refuses_those_of_a_deleted_fork() {
    let sim = Sim::start().await;
    let user = sim.user();
    // Jobs that take less than a second are left out.
    let own = sim.queue("self-hosted, gpu", "sleep 2");
    runs(&sim, &user, own).await;
    let strangers = sim.queue_of_fork("self-hosted, gpu", "sleep 2", "mallory/vision", "mallory");
    runs(&sim, &user, strangers).await;
    sim.forget_fork(sim.run_of(strangers));
    let spec = write(&user, "cml.yaml", &CLOUDY.replace("SPOT", "never"));
    let json = user.run(&["simulate", &spec, "--from-github", "--json"]).await.expect_code(0).json();
    let simulation = &json["simulations"][0];
    let figures = &simulation["specs"]["gpu"];
    assert_eq!((&figures["jobs"], &figures["done"]), (&2.into(), &1.into()), "{json}");
    assert_eq!(simulation["refused"]["policy"], 1, "{json}");
    assert_eq!(figures["machines"], 1, "{json}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_named_with_its_place() {
    let user = Runner::new();
    let jobs = write(&user, "jobs.jsonl", &jobs());
    let bad_jobs = write(&user, "bad.jsonl", "{\"queued_at\": \"yesterday\"}\n");
    let empty = write(&user, "empty.jsonl", "\n");
    let good = write(&user, "good.yaml", &CLOUDY.replace("SPOT", "prefer"));
    let typo = write(&user, "typo.yaml", &SPEC.replace("max_lifetime", "max_lifetme"));
    let odd = write(&user, "odd.yaml", &CLOUDY.replace("SPOT", "prefer").replace("g5.xlarge", "g5.huge"));
    for (arguments, told) in [
        (["simulate", &typo, "--jobs", &jobs], "max_lifetme"),
        (["simulate", &odd, "--jobs", &jobs], "g5.huge is not in the table"),
        (["simulate", &good, "--jobs", &bad_jobs], "bad.jsonl:1:"),
        (["simulate", &good, "--jobs", &empty], "there is no job in it"),
        (["simulate", &good, "--jobs", "/nowhere"], "/nowhere"),
        (["simulate", "/nowhere.yaml", "--jobs", &jobs], "/nowhere.yaml"),
    ] {
        let ran = user.run(&arguments).await.expect_code(2);
        assert!(ran.stderr.contains(told), "{ran:#?}");
    }
}
