//! What a launch costs, measured on the built binary. Run by `just bench`; the results are in docs/benchmarks.md.
//! Nothing is asserted about time.

use std::collections::BTreeMap;
use std::time::Duration;

use cml_e2e::front::{Call, Front};
use cml_e2e::sim::Sim;
use cml_e2e::{edge, moto::Moto, paths};
use rustix::process::Signal;

const STARTS: &str = "50";
const LAUNCHES: usize = 21;

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[test]
#[ignore = "a benchmark: run it with `just bench`"]
fn starting() {
    println!("| command | CPU, ms (median) | wall, ms (median) | peak memory, MiB |\n|---|---|---|---|");
    for arguments in [&["--version"][..], &["launch", "--help"]] {
        let python = Moto::shared().python();
        let output = std::process::Command::new(python)
            .arg(paths::tests_dir().join("support/measure.py"))
            .arg(STARTS)
            .arg(paths::cml_runner())
            .args(arguments)
            .output()
            .expect("python starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let runs: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).expect("JSON");
        let column = |name: &str| -> Vec<f64> { runs.iter().filter_map(|run| run[name].as_f64()).collect() };
        println!(
            "| `cml-runner {}` | {:.1} | {:.1} | {:.1} |",
            arguments.join(" "),
            median(&mut column("cpu_s")) * 1000.0,
            median(&mut column("wall_s")) * 1000.0,
            column("peak_kib").into_iter().fold(0.0, f64::max) / 1024.0
        );
    }
}

fn counted(calls: &[Call]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for call in calls {
        *counts.entry(&call.action).or_default() += 1;
    }
    counts.iter().map(|(action, count)| format!("{count} {action}")).collect::<Vec<_>>().join(", ")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a benchmark: run it with `just bench`"]
async fn launching() {
    let sim = Sim::start().await;
    let front = Front::start().await;
    front.boot_instances();
    let user = sim.user().on_aws(&front);
    let flags = ["launch", "--cloud", "aws", "--labels", "cml", "--type", "m+t4", "--spot", "prefer"];
    let (mut first, mut bought) = (Vec::new(), Vec::new());
    for number in 0..LAUNCHES {
        let (ec2_before, github_before) = (front.calls().len(), sim.calls().len());
        let started = edge::now();
        let running = user.start(&flags);
        if number == 0 || number == LAUNCHES - 1 {
            // Once cold and once warm to the end, for the counts.
            let _ = running.finish().await.expect_code(0);
            let calls = front.calls()[ec2_before..].to_vec();
            let kind = if number == 0 { "cold" } else { "warm" };
            println!("{kind} launch, EC2 and SSM: {}", counted(&calls));
            println!("{kind} launch, GitHub: {}", sim.calls()[github_before..].join(", "));
            continue;
        }
        running.until_it_says("got i-").await;
        let calls = front.calls()[ec2_before..].to_vec();
        let after = |call: &Call| call.at.duration_since(started).as_secs_f64() * 1000.0;
        first.extend(calls.iter().find(|call| call.action == "CreateLaunchTemplate").map(after));
        bought.extend(calls.iter().find(|call| call.action == "CreateFleet").map(after));
        running.signal(Signal::TERM);
        let _ = running.finish_within(Duration::from_secs(60)).await;
    }
    println!("| from the process's start to | median, ms | of launches |\n|---|---|---|");
    println!("| `CreateLaunchTemplate` | {:.0} | {} |", median(&mut first), first.len());
    println!("| `CreateFleet` | {:.0} | {} |", median(&mut bought), bought.len());
}
