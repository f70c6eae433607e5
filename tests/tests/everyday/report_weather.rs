//! Reports under failures: the network, GitHub's limits, and tokens that may only read.

use std::time::Duration;

use cml_e2e::desk::{Desk, PNG};
use cml_e2e::sim::Sim;
use cml_e2e::wait;
use cml_world::{Fault, FaultKind, SimSettings, TokenGrant};
use rustix::process::Signal;

/// The head repositories of pull requests from forks; one that is deleted has no name.
const FORKS: [Option<&str>; 2] = [Some("mallory/vision"), None];

fn fault(path: &str, kind: FaultKind, times: u32) -> Fault {
    Fault { method: "POST".to_owned(), path_contains: path.to_owned(), kind, times }
}

async fn on_pull(sim: &Sim) -> Desk {
    let sha = sim.commit_files(&[("train.py", b"pass\n")], "change");
    let number = sim.open_pull(Some(&sha));
    let desk = Desk::on_pull(sim, number, &sha, Some("acme/vision"));
    desk.write("roc.png", PNG);
    desk.write("report.md", b"# Report\n\n![](roc.png)\n");
    desk
}

fn blobs(sim: &Sim) -> usize {
    sim.calls().iter().filter(|call| call.ends_with("/git/blobs")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_whose_answer_was_lost_is_not_written_twice() {
    for kind in [
        FaultKind::StatusAfterDoing(502, "bad gateway".to_owned()),
        FaultKind::DropAfterDoing,
        FaultKind::Status(502, "bad gateway".to_owned()),
        FaultKind::DropBeforeDoing,
    ] {
        let sim = Sim::start().await;
        let desk = on_pull(&sim).await;
        sim.fail_next(fault("/comments", kind.clone(), 1));
        let url = desk.run(&["cml-send-comment", "report.md"]).await.expect_code(0).stdout;
        let comments = sim.comments();
        assert_eq!(comments.len(), 1, "{kind:?}: {comments:#?}");
        assert_eq!(url.trim(), comments[0].url);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_failed_between_upload_and_comment_posts_once_when_it_is_run_again() {
    let sim = Sim::start().await;
    let desk = on_pull(&sim).await;
    sim.fail_next(fault("/comments", FaultKind::Status(500, "{}".to_owned()), 2));
    let ran = desk.run(&["cml-send-comment", "report.md"]).await.expect_code(1);
    assert!(ran.stderr.contains("has trouble of its own") && ran.stdout.is_empty(), "{ran:#?}");
    assert_eq!((sim.comments().len(), blobs(&sim)), (0, 1));
    let _ = desk.says(&["cml-send-comment", "report.md"]).await;
    assert_eq!((sim.comments().len(), blobs(&sim)), (1, 1), "the image was there already");
}

#[tokio::test(flavor = "multi_thread")]
async fn githubs_secondary_limit_is_waited_for() {
    let sim = Sim::start().await;
    let desk = on_pull(&sim).await;
    sim.fail_next(fault("/comments", FaultKind::secondary_rate_limit(1), 1));
    sim.fail_next(fault("/git/blobs", FaultKind::secondary_rate_limit(1), 1));
    let _ = desk.run(&["cml-send-comment", "report.md"]).await.expect_code(0);
    assert_eq!(sim.comments().len(), 1);
}

fn comments_only() -> SimSettings {
    let grant = TokenGrant {
        token: "comments-only".to_owned(),
        login: "bot".to_owned(),
        permissions: Some(
            [("contents", "read"), ("issues", "write"), ("pull_requests", "write")]
                .map(|(name, right)| (name.to_owned(), right.to_owned()))
                .into(),
        ),
    };
    SimSettings { tokens: vec![grant], ..SimSettings::default() }
}

fn reads_only() -> SimSettings {
    let grant = TokenGrant {
        token: "reads-only".to_owned(),
        login: "github-actions[bot]".to_owned(),
        permissions: Some(
            ["contents", "issues", "pull_requests", "checks", "metadata"]
                .map(|name| (name.to_owned(), "read".to_owned()))
                .into(),
        ),
    };
    SimSettings { tokens: vec![grant], ..SimSettings::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_from_a_fork_gets_its_report_in_the_step_summary() {
    for fork in FORKS {
        gets_its_report_in_the_step_summary(fork).await;
    }
}

async fn gets_its_report_in_the_step_summary(fork: Option<&str>) {
    let sim = Sim::start_with(reads_only()).await;
    let sha = sim.commit_files(&[("train.py", b"pass\n")], "change");
    let number = sim.open_pull(Some(&sha));
    let desk = Desk::on_pull(&sim, number, &sha, fork).with("REPO_TOKEN", "reads-only");
    let summary = desk.path("summary.md");
    let desk = desk.with("GITHUB_STEP_SUMMARY", &summary.display().to_string());
    desk.write("roc.png", PNG);
    let ran = desk.run(&["cml-publish", "roc.png", "--md"]).await.expect_code(0);
    assert_eq!(ran.stdout, "*roc.png: not published, a pull request from a fork may only read*\n");
    assert!(ran.stderr.starts_with("::warning::"), "{ran:#?}");
    desk.write("report.md", b"# Report\n\naccuracy 0.9\n\n![](roc.png)\n");
    let ran = desk.run(&["cml-send-comment", "report.md"]).await.expect_code(0);
    assert!(ran.stderr.contains("the report is in the step summary"), "{ran:#?}");
    assert!(std::fs::read_to_string(&summary).expect("written").contains("accuracy 0.9"));
    // A token that is a secret is not there at all.
    let desk = desk.without("REPO_TOKEN");
    let ran = desk.run(&["cml-publish", "roc.png", "--md"]).await.expect_code(0);
    assert_eq!(ran.stdout, "*roc.png: not published, a pull request from a fork may only read*\n");
    desk.write("report.md", b"accuracy 0.95\n");
    let _ = desk.run(&["cml-send-comment", "report.md"]).await.expect_code(0);
    assert!(std::fs::read_to_string(&summary).expect("written").contains("accuracy 0.95"));
    let desk = desk.without("GITHUB_STEP_SUMMARY");
    let ran = desk.run(&["cml-send-comment", "report.md"]).await.expect_code(1);
    assert!(ran.stderr.contains("no GitHub token"), "nowhere to put it: {ran:#?}");
    assert!(sim.comments().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_report_in_a_pull_request_from_a_fork_is_followed_in_the_step_summary() {
    let tokens = [Some("reads-only"), None];
    for (fork, token) in FORKS.into_iter().flat_map(|fork| tokens.map(|token| (fork, token))) {
        let sim = Sim::start_with(reads_only()).await;
        let sha = sim.commit_files(&[("train.py", b"pass\n")], "change");
        let number = sim.open_pull(Some(&sha));
        let desk = Desk::on_pull(&sim, number, &sha, fork);
        let desk = match token {
            Some(token) => desk.with("REPO_TOKEN", token),
            None => desk.without("REPO_TOKEN"),
        };
        let summary = desk.write("summary.md", b"of another command\n");
        let desk = desk.with("GITHUB_STEP_SUMMARY", &summary.display().to_string());
        desk.write("report.md", b"epoch 1\n");
        let watching = desk.start(&["cml-send-comment", "report.md", "--watch"]);
        let says = async |text: &str| {
            wait::until_true(&format!("the summary says {text}"), Duration::from_secs(20), async || {
                std::fs::read_to_string(&summary).is_ok_and(|now| now == text)
            })
            .await;
        };
        says("of another command\nepoch 1\n").await;
        desk.write("report.md", b"epoch 2\n\n- better\n");
        says("of another command\nepoch 2\n\n- better\n").await;
        desk.write("report.md", b"epoch 3\n");
        watching.signal(Signal::TERM);
        let ran = watching.finish().await.expect_code(0);
        assert_eq!(ran.stderr.matches("the report is in the step summary instead").count(), 1, "{ran:#?}");
        says("of another command\nepoch 3\n").await;
        assert!(sim.comments().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_may_only_read_elsewhere_is_an_error_that_names_the_permission() {
    let sim = Sim::start_with(reads_only()).await;
    let desk = on_pull(&sim).await.with("REPO_TOKEN", "reads-only");
    desk.write("report.md", b"no images\n");
    let ran = desk.run(&["cml-send-comment", "report.md"]).await.expect_code(1);
    for word in ["403", "pull-requests: write"] {
        assert!(ran.stderr.contains(word), "no {word:?} in {ran:#?}");
    }
    let ran = desk.run(&["cml-send-github-check", "report.md"]).await.expect_code(1);
    assert!(ran.stderr.contains("checks: write"), "{ran:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_whose_files_may_not_be_published_is_written_without_them() {
    let sim = Sim::start_with(comments_only()).await;
    let desk = on_pull(&sim).await.with("REPO_TOKEN", "comments-only");
    let ran = desk.run(&["cml-send-comment", "report.md"]).await.expect_code(0);
    assert!(
        ran.stderr.contains("files are not published") && ran.stderr.contains("contents: write"),
        "{ran:#?}"
    );
    assert!(sim.comments()[0].body.contains("![](roc.png)"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_report_that_may_not_be_written_ends_and_does_not_hammer_github() {
    let sim = Sim::start_with(reads_only()).await;
    let desk = on_pull(&sim).await.with("REPO_TOKEN", "reads-only");
    desk.write("report.md", b"no images\n");
    let ran = desk.run(&["cml-send-comment", "report.md", "--watch"]).await.expect_code(1);
    assert!(ran.stderr.contains("403"), "{ran:#?}");
    assert_eq!(sim.calls().iter().filter(|call| call.starts_with("POST")).count(), 1, "{:#?}", sim.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_report_is_posted_even_when_the_whole_cannot_be_published() {
    let sim = Sim::start_with(comments_only()).await;
    let desk = on_pull(&sim).await.with("REPO_TOKEN", "comments-only");
    desk.write("report.md", "A line.\n".repeat(20_000).as_bytes());
    let ran = desk.run(&["cml-send-comment", "report.md"]).await.expect_code(0);
    assert!(ran.stderr.contains("the whole is nowhere: "), "{ran:#?}");
    let comments = sim.comments();
    assert!(comments.len() == 1 && comments[0].body.contains("could not be published"), "{}", comments.len());
}
