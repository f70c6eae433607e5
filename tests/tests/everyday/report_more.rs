//! The rest of what CML's programs do, and what they never did: pull requests, re-runs, checkouts, metrics, plots, gates.

use cml_e2e::desk::{Desk, WORKFLOW_TOKEN, sim_with_workflow_token};
use cml_e2e::sim::Sim;
use cml_world::{Fault, FaultKind, SimSettings};

/// A checkout whose commit the simulated GitHub has.
async fn checkout(sim: &Sim) -> Desk {
    let desk = Desk::on_push(sim, "unset");
    desk.write("repo/model.json", b"{\"accuracy\": 0.8}\n");
    let _ = desk.git(&["init", "-q", "repo"]).await;
    let _ = desk.git(&["-C", "repo", "add", "."]).await;
    let _ = desk.git(&["-C", "repo", "commit", "-qm", "one"]).await;
    let sha = desk.git(&["-C", "repo", "rev-parse", "HEAD"]).await;
    sim.know_commit(&sha, "refs/heads/main");
    desk.with("GITHUB_SHA", &sha)
}

async fn in_repo(desk: &Desk, line: &[&str]) -> cml_e2e::runner::Ran {
    let script = "cd repo && exec \"$@\"";
    let program = desk.path("bin").join(line[0]).display().to_string();
    let mut all = vec!["-c", script, "sh", program.as_str()];
    all.extend(&line[1..]);
    desk.user.run_program("sh", &all).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_is_made_of_what_a_job_has_changed_without_touching_the_checkout() {
    let sim = Sim::start().await;
    let desk = checkout(&sim).await;
    let before = desk.git(&["-C", "repo", "config", "--list", "--local"]).await;
    let ran = in_repo(&desk, &["cml-pr", "."]).await.expect_code(0);
    assert_eq!(ran.stdout, "", "nothing has changed");
    assert!(ran.stderr.contains("nothing has changed"), "{ran:#?}");

    // What git would commit counts, not the bytes as they lie there.
    desk.write("repo/.gitattributes", b"*.json text eol=crlf\n");
    let _ = desk.git(&["-C", "repo", "add", ".gitattributes"]).await;
    desk.write("repo/model.json", b"{\"accuracy\": 0.9}\r\n");
    desk.write("repo/plots/roc.svg", b"<svg/>");
    desk.write("repo/other.txt", b"not asked for");
    let ran =
        in_repo(&desk, &["cml-pr", "model.json", "plots", "--md", "--title", "Better"]).await.expect_code(0);
    let pulls = sim.pulls();
    let [pull] = pulls.as_slice() else { panic!("one pull request: {pulls:#?}") };
    assert_eq!(ran.stdout, format!("[CML's Pull Request]({}/pull/{})\n", sim.repo_url(), pull.number));
    assert!(
        pull.head.starts_with("main-cml-pr-") && pull.base == "main" && pull.title == "Better",
        "{pull:#?}"
    );
    assert_eq!(sim.file_at(&pull.head_sha, "model.json").as_deref(), Some(&b"{\"accuracy\": 0.9}\n"[..]));
    assert_eq!(sim.file_at(&pull.head_sha, "plots/roc.svg").as_deref(), Some(&b"<svg/>"[..]));
    assert_eq!(sim.file_at(&pull.head_sha, "other.txt"), None);
    let again = in_repo(&desk, &["cml", "pr", "create", "model.json", "plots"]).await.expect_code(0);
    assert_eq!(again.stdout, format!("{}/pull/{}\n", sim.repo_url(), pull.number), "the same one");
    assert_eq!(sim.pulls().len(), 1);
    assert_eq!(desk.git(&["-C", "repo", "config", "--list", "--local"]).await, before);
    assert!(!before.contains(cml_e2e::secrets::TOKEN));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_is_merged_later_or_at_once_as_github_allows() {
    let sim = Sim::start_with(SimSettings { auto_merge: true, ..SimSettings::default() }).await;
    let desk = checkout(&sim).await;
    desk.write("repo/model.json", b"{\"accuracy\": 0.9}\n");
    let _ = in_repo(&desk, &["cml-pr", "model.json", "--squash"]).await.expect_code(0);
    let pull = sim.pulls().remove(0);
    assert!(pull.auto_merge.is_some() || pull.merge_commit.is_some(), "{pull:#?}");
    let ran = in_repo(&desk, &["cml-pr", "model.json", "--squash", "--rebase"]).await.expect_code(1);
    assert!(ran.stderr.contains("cannot be used with"), "{ran:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_that_cannot_be_merged_later_stays_open_and_its_address_is_printed() {
    let error = |kind: &str, message: &str| {
        let body = serde_json::json!({"data": null, "errors": [{"type": kind, "message": message}]});
        FaultKind::Answer { status: 200, headers: Vec::new(), body: body.to_string() }
    };
    let status = |status| FaultKind::Status(status, r#"{"message":"no"}"#.to_owned());
    let answers = [
        status(401),
        status(403),
        status(404),
        status(502),
        error("FORBIDDEN", "Resource not accessible by integration"),
        error("UNPROCESSABLE", "Pull request Pull request is in unstable status"),
        error("RATE_LIMITED", "API rate limit exceeded"),
    ];
    for kind in answers {
        let sim = Sim::start_with(SimSettings { auto_merge: true, ..SimSettings::default() }).await;
        let desk = checkout(&sim).await;
        desk.write("repo/model.json", b"{\"accuracy\": 0.9}\n");
        sim.fail_next(Fault {
            method: "POST".to_owned(),
            path_contains: "graphql".to_owned(),
            kind: kind.clone(),
            times: 9,
        });
        let ran = in_repo(&desk, &["cml-pr", "model.json", "--squash"]).await;
        let pull = sim.pulls().remove(0);
        assert!(pull.merge_commit.is_none(), "{kind:?}: {pull:#?}");
        let url = format!("{}/pull/{}", sim.repo_url(), pull.number);
        assert_eq!(ran.stdout, format!("{url}\n"), "{kind:?}: {ran:#?}");
        assert!(ran.code != Some(0) && ran.stderr.contains("was not merged"), "{kind:?}: {ran:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_with_nothing_to_wait_for_is_merged_at_once() {
    let sim = Sim::start().await;
    let desk = checkout(&sim).await;
    desk.write("repo/model.json", b"{\"accuracy\": 0.9}\n");
    let _ = in_repo(&desk, &["cml-pr", "model.json", "--squash"]).await.expect_code(0);
    assert!(sim.pulls()[0].merge_commit.is_some(), "auto-merge is not configured: {:#?}", sim.pulls());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkout_is_made_ready_and_keeps_its_secrets_out_of_gits_configuration() {
    let sim = Sim::start().await;
    let desk = checkout(&sim).await;
    desk.write("repo/model.json", b"{\"accuracy\": 0.9}\n");
    let _ = desk.git(&["-C", "repo", "commit", "-qam", "two"]).await;
    let origin = format!("file://{}", desk.path("repo").display());
    let _ = desk.git(&["clone", "-q", "--depth=1", &origin, "shallow"]).await;
    let script = "cd shallow && exec \"$1\" ci --unshallow";
    let cml = desk.path("bin/cml").display().to_string();
    let _ = desk.user.run_program("sh", &["-c", script, "sh", &cml]).await.expect_code(0);
    assert_eq!(desk.git(&["-C", "shallow", "rev-list", "--count", "HEAD"]).await, "2");
    let config = std::fs::read_to_string(desk.path("shallow/.git/config")).expect("there");
    assert!(config.contains("Olivaw[bot]") && !config.contains(cml_e2e::secrets::TOKEN), "{config}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_cannot_run_itself_again_and_another_one_can() {
    let sim = Sim::start().await;
    let desk = Desk::on_push(&sim, "unset");
    let ran = desk.run(&["cml", "workflow", "rerun"]).await.expect_code(1);
    assert!(ran.stderr.contains("is the one that this step belongs to"), "{ran:#?}");
    let run = sim
        .queue_workflow("on: push\njobs: {work: {runs-on: [nowhere], steps: [{run: 'true'}]}}\n")
        .expect("good");
    let _ = desk.run(&["cml", "workflow", "rerun", "--id", &run.0.to_string()]).await.expect_code(0);
    let calls = sim.calls();
    assert!(
        calls.iter().any(|call| call.ends_with("/cancel"))
            && calls.iter().any(|call| call.ends_with("/rerun")),
        "{calls:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tensorboard_dev_is_gone_and_the_message_says_what_works() {
    let sim = Sim::start().await;
    let desk = Desk::on_push(&sim, "unset");
    let ran = desk.run(&["cml-tensorboard-dev", "--logdir", "logs", "--md"]).await.expect_code(1);
    assert!(
        ran.stdout.is_empty() && ran.stderr.contains("shut down") && ran.stderr.contains("cml-report plot"),
        "{ran:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_compared_with_another_branch_or_file() {
    let sim = Sim::start().await;
    let desk = checkout(&sim).await;
    let _ = desk.git(&["-C", "repo", "switch", "-qc", "change"]).await;
    desk.write("repo/model.json", b"{\"accuracy\": 0.9}\n");
    let ran = in_repo(&desk, &["cml-report", "metrics", "model.json", "--base", "main"]).await.expect_code(0);
    assert!(ran.stdout.contains("| Metric | main | this | Change |"), "{ran:#?}");
    assert!(ran.stdout.contains("| accuracy | 0.8 | 0.9 | ▲ +0.1"), "{ran:#?}");
    desk.write("repo/old.json", b"{\"accuracy\": 0.95, \"loss\": NaN}\n");
    let ran = in_repo(&desk, &["cml-report", "metrics", "old.json", "model.json"]).await.expect_code(0);
    assert!(ran.stdout.contains("| Metric | old.json | model.json | Change |"), "{ran:#?}");
    let ran =
        in_repo(&desk, &["cml-report", "metrics", "model.json", "--base", "nowhere"]).await.expect_code(1);
    assert!(ran.stderr.contains("no such branch") && ran.stderr.contains("fetch-depth: 0"), "{ran:#?}");
    desk.write("repo/bad.json", b"{\"a\": 1, \"a\": 2}\n");
    let ran = in_repo(&desk, &["cml-report", "metrics", "bad.json"]).await.expect_code(1);
    assert!(ran.stderr.contains("bad.json:1:"), "{ran:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_fails_when_metrics_are_not_good_enough_and_says_so_in_a_check_run() {
    let sim = sim_with_workflow_token().await;
    let desk = checkout(&sim).await.with("REPO_TOKEN", WORKFLOW_TOKEN);
    let _ = desk.git(&["-C", "repo", "switch", "-qc", "change"]).await;
    desk.write("repo/model.json", b"{\"accuracy\": 0.79}\n");
    let line =
        ["cml-report", "check", "model.json", "--require", "accuracy >= 0.7", "--no-worse-than", "main"];
    let ran = in_repo(&desk, &line).await.expect_code(1);
    assert!(ran.stderr.contains("accuracy is 0.79") && ran.stderr.contains("main has 0.8"), "{ran:#?}");
    let with: Vec<&str> = line.iter().copied().chain(["--tolerance", "2%", "--check-run"]).collect();
    let ran = in_repo(&desk, &with).await.expect_code(0);
    assert!(ran.stdout.contains("accuracy"), "{ran:#?}");
    let checks = sim.check_runs();
    assert_eq!((checks[0].name.as_str(), checks[0].conclusion.as_deref()), ("Model check", Some("success")));
    let ran = in_repo(&desk, &["cml-report", "check", "model.json", "--require", "acuracy > 1"])
        .await
        .expect_code(1);
    assert!(ran.stderr.contains("accuracy"), "the near name: {ran:#?}");
    let ran = in_repo(&desk, &["cml-report", "check", "model.json", "--require", "accuracy >> 1"])
        .await
        .expect_code(2);
    assert!(ran.stderr.contains('^'), "a caret: {ran:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn plots_are_drawn_of_columns_as_svg_or_png() {
    let sim = Sim::start().await;
    let desk = Desk::on_push(&sim, "unset");
    desk.write("log.csv", b"step,loss,val\n1,0.9,1.0\n2,0.5,0.7\n3,0.4,\n4,0.3,0.6\n");
    assert_eq!(
        desk.says(&["cml-report", "plot", "log.csv", "-x", "step", "-y", "loss,val", "-o", "loss.svg"]).await,
        "loss.svg"
    );
    assert!(std::fs::read_to_string(desk.path("loss.svg")).expect("there").starts_with("<svg"));
    desk.write("scores.csv", b"label,score\n1,0.9\n0,0.2\n1,0.6\n0,0.7\n");
    let line =
        ["cml-report", "plot", "scores.csv", "--kind", "roc", "-x", "label", "-y", "score", "-o", "roc.png"];
    assert_eq!(desk.says(&line).await, "roc.png");
    assert!(std::fs::read(desk.path("roc.png")).expect("there").starts_with(b"\x89PNG"));
    for (line, words) in [
        (vec!["cml-report", "plot", "log.csv", "-x", "step", "-y", "los", "-o", "a.svg"], "loss"),
        (vec!["cml-report", "plot", "log.csv", "-x", "step", "-y", "loss", "-o", "a.gif"], ".svg or .png"),
        (vec!["cml-report", "plot", "none.csv", "-x", "step", "-y", "loss"], "cannot read none.csv"),
    ] {
        let ran = desk.run(&line).await;
        assert!(ran.code != Some(0) && ran.stderr.contains(words), "{ran:#?}");
    }
}
