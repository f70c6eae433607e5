//! The guide's two workflows, unchanged, on machines that `launch` got: with a real executor of workflows, a real DVC with
//! its data on S3 (the emulator's), a real model and its real plots.
//!
//! What is not real, and why, is documented in `tests/support/seed/execute.sh`.

use std::time::Duration;

use cml_e2e::front::Front;
use cml_e2e::runner::Runner;
use cml_e2e::secrets::{AWS_SECRET, TOKEN, assert_no_secret};
use cml_e2e::seed::{Report, Seed, is_skipped, workflow};
use cml_e2e::sim::Sim;
use cml_e2e::tier;
use cml_world::{JobView, Verbatim};

/// Time limit from queued to completed, on a busy core and with packages that are not cached yet.
const JOB_LIMIT: Duration = Duration::from_secs(480);
const LOCAL: &[&str] = &["--cloud", "local"];
const AWS: &[&str] = &["--cloud", "aws", "--type", "m5.xlarge", "--spot", "only"];
const ROC: &str = "### ROC Curve";
const PRECISION_RECALL: &str = "### Precision and Recall Curve";
/// A change for a better model: more features of the data.
const BETTER: (&str, &str, &str) = ("params.yaml", "features: 4", "features: 30");
/// A change that affects no number.
const CALMER: (&str, &str, &str) = ("src/train.py", "Trains the model", "Trains a model");

/// Queues a workflow of one job, launches a machine for it and waits for the job's end; the job and its log.
async fn ran(sim: &Sim, user: &Runner, cloud: &[&str], workflow: &Verbatim) -> (JobView, String) {
    let run = sim.queue_verbatim(workflow).expect("the workflow is for this event");
    let jobs = sim.jobs();
    let job = jobs.iter().find(|job| job.run_id == run).expect("the job is listed");
    let launch = ["launch", "--labels", "ubuntu-latest", "--boot-timeout", "60s", "--json"];
    let limits = ["--max-lifetime", "1h", "--idle-timeout", "60s"];
    let launched = user.run(&[&launch[..], &limits, cloud].concat()).await.expect_code(0).json();
    let view = sim.wait_for_job(job.id, JOB_LIMIT).await.expect("the job ends");
    let log = sim.log(job.id).unwrap_or_default();
    assert_eq!(view.runner_name.as_deref(), launched["runner"].as_str(), "{log}");
    assert_no_secret("the job's log", &log, &[TOKEN.to_owned(), AWS_SECRET.to_owned()]);
    (view, log)
}

async fn succeeds(sim: &Sim, user: &Runner, cloud: &[&str], workflow: &Verbatim) -> String {
    let (job, log) = ran(sim, user, cloud, workflow).await;
    assert_eq!(job.conclusion.as_deref(), Some("success"), "{log}");
    log
}

fn one(mut reports: Vec<Report>) -> Report {
    let bodies: Vec<_> = reports.iter().map(|report| report.body.clone()).collect();
    assert_eq!(reports.len(), 1, "{bodies:#?}");
    reports.remove(0)
}

/// Asserts that the table has the better model's numbers next to those of `main`.
fn shows_the_better_model(report: &Report) {
    let row = report.row("accuracy");
    let number = |cell: &String| cell.parse::<f64>().unwrap_or_else(|_| panic!("no number in {row:?}"));
    let [old, new, change] = row[row.len() - 3..].iter().map(number).collect::<Vec<_>>()[..] else {
        panic!("old, new and change: {row:?}")
    };
    assert!(new > old && (new - old - change).abs() < 1e-6, "{row:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guides_first_workflow_tests_a_push_and_fails_where_black_would_reformat() {
    if is_skipped("the first workflow") {
        return;
    }
    let _turn = tier::building().await;
    let sim = Sim::start().await;
    let (user, seed) = (sim.user(), Seed::known_to(&sim));
    let good = seed.push("tidy", &[CALMER]);
    let workflow = workflow("workflow-1.yaml");
    let log = succeeds(&sim, &user, LOCAL, &seed.on_push(workflow.clone(), "tidy", &good)).await;
    for words in ["2 passed", "would be left unchanged"] {
        assert!(log.contains(words), "no {words:?} in {log}");
    }
    assert_eq!(sim.jobs()[0].name, "build (3.9)");

    let bad = seed.push("untidy", &[("src/train.py", "import pathlib", "import pathlib;")]);
    let (job, log) = ran(&sim, &user, LOCAL, &seed.on_push(workflow, "untidy", &bad)).await;
    assert_eq!(job.conclusion.as_deref(), Some("failure"), "{log}");
    for words in ["2 passed", "would reformat", "train.py"] {
        assert!(log.contains(words), "no {words:?} in {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guides_report_goes_to_the_commit_of_a_push_with_the_very_images_of_the_job() {
    if is_skipped("the report on a commit") {
        return;
    }
    let _turn = tier::building().await;
    let sim = Sim::start().await;
    let (user, seed) = (sim.user(), Seed::known_to(&sim));
    let sha = seed.push("better", &[BETTER]);
    let pushed = seed.on_push(workflow("workflow-2.yaml"), "better", &sha);
    let _ = succeeds(&sim, &user, LOCAL, &pushed).await;
    let report = one(Report::on_commit(&sim, &sha).await);
    shows_the_better_model(&report);
    let expected = seed.reproduced("better");
    assert_eq!(report.images(ROC).await, [expected["roc_curve.png"].clone()]);
    assert_eq!(report.images(PRECISION_RECALL).await, [expected["precision_recall_curve.png"].clone()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_push_to_an_open_pull_request_reports_there_what_has_changed() {
    if is_skipped("the report on a pull request") {
        return;
    }
    let _turn = tier::building().await;
    let sim = Sim::start().await;
    let front = Front::start().await;
    front.boot_instances();
    let (user, seed) = (sim.user().on_aws(&front), Seed::known_to(&sim));
    let first = seed.push("change-1", &[CALMER]);
    let pull = sim.open_pull(Some(&first));
    assert_eq!(sim.pulls()[0].head, "change-1");
    let pushed = seed.on_push(workflow("workflow-2.yaml"), "change-1", &first);
    let _ = succeeds(&sim, &user, AWS, &pushed).await;
    let before = one(Report::on_pull(&sim, pull).await);
    assert!(!before.body.contains("accuracy"), "nothing has changed: {}", before.body);

    let second = seed.push("change-1", &[CALMER, BETTER]);
    let pushed = seed.on_push(workflow("workflow-2.yaml"), "change-1", &second);
    let _ = succeeds(&sim, &user, AWS, &pushed).await;
    let reports = Report::on_pull(&sim, pull).await;
    let after = reports.last().expect("a report");
    shows_the_better_model(after);
    assert_ne!(before.images(ROC).await, after.images(ROC).await);
    for sha in [first, second] {
        assert!(Report::on_commit(&sim, &sha).await.is_empty(), "the pull request has it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_adds_the_event_has_its_report_on_the_pull_request_that_was_opened() {
    if is_skipped("the pull_request event") {
        return;
    }
    let _turn = tier::building().await;
    let sim = Sim::start().await;
    let (user, seed) = (sim.user(), Seed::known_to(&sim));
    let sha = seed.push("opened", &[BETTER]);
    let pull = sim.open_pull(Some(&sha));
    // The guide's own file is for pushes only.
    let yaml = workflow("workflow-2.yaml").replace("on: [push]", "on: [push, pull_request]");
    let opened = seed.on_pull_request(yaml, pull, "opened", &sha);
    let _ = succeeds(&sim, &user, LOCAL, &opened).await;
    shows_the_better_model(&one(Report::on_pull(&sim, pull).await));
}
