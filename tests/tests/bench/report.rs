//! Cost of publishing a picture and writing a comment, against loopback. Run by `just bench`; the results are in
//! docs/benchmarks.md.

use cml_e2e::desk::{Desk, PNG};
use cml_e2e::moto::Moto;
use cml_e2e::paths;
use cml_e2e::sim::Sim;

const TIMES: &str = "21";

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a benchmark: run it with `just bench`"]
async fn reporting() {
    let sim = Sim::start().await;
    let sha = sim.commit_files(&[("train.py", b"pass\n")], "change");
    let number = sim.open_pull(Some(&sha));
    let desk = Desk::on_pull(&sim, number, &sha, Some("acme/vision"));
    // As large as a plot.
    let mut picture = PNG.to_vec();
    picture.resize(60 << 10, 7);
    desk.write("roc.png", &picture);
    desk.write("report.md", b"# Report\n\n![](roc.png)\n");
    let python = tokio::task::spawn_blocking(|| Moto::shared().python()).await.expect("python");
    let measure = paths::tests_dir().join("support/measure.py").display().to_string();
    println!("| command | CPU, ms (median) | wall, ms (median) | peak memory, MiB |\n|---|---|---|---|");
    for line in
        [&["cml-publish", "roc.png", "--md"][..], &["cml-send-comment", "report.md"], &["cml", "--version"]]
    {
        let program = desk.path("bin").join(line[0]).display().to_string();
        let mut all = vec![measure.as_str(), TIMES, program.as_str()];
        all.extend(&line[1..]);
        let ran = desk.user.run_program(&python.display().to_string(), &all).await.expect_code(0);
        let runs: Vec<serde_json::Value> = serde_json::from_str(ran.stdout.trim()).expect("JSON");
        let column = |name: &str| -> Vec<f64> { runs.iter().filter_map(|run| run[name].as_f64()).collect() };
        println!(
            "| `{}` | {:.1} | {:.1} | {:.1} |",
            line.join(" "),
            median(column("cpu_s")) * 1000.0,
            median(column("wall_s")) * 1000.0,
            column("peak_kib").into_iter().fold(0.0, f64::max) / 1024.0
        );
    }
}
