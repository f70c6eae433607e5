//! Lists that change while they are read: existing entries are found, or the list counts as unread.
#![allow(missing_docs)]

use std::collections::BTreeSet;

use cml_github::{Auth, CommentTarget, GitHub, GitHubErrorKind, JitRequest, Location, RunnerGroup};
use cml_world::{Fault, FaultKind, ListChange, Shift, SimGitHub, SimSettings};
use secrecy::SecretString;

const TOKEN: &str = "the-token-of-these-tests";
const WORKFLOW: &str = "name: train\non: push\njobs:\n  one:\n    runs-on: [self-hosted, gpu]\n    steps:\n      - run: 'true'\n";

async fn world() -> (SimGitHub, GitHub) {
    let settings = SimSettings { token: TOKEN.to_owned(), ..SimSettings::default() };
    let world = SimGitHub::start(settings).await.expect("listens");
    let location = Location::find(Some(&world.repo_url()), &|_| None, None).expect("is understood");
    let github = GitHub::new(location, Auth::Token(SecretString::from(TOKEN))).expect("is made");
    (world, github)
}

async fn register(github: &GitHub, name: &str) -> u64 {
    let request = JitRequest {
        name: name.to_owned(),
        labels: vec!["gpu".to_owned()],
        group: RunnerGroup::Id(1),
        work_folder: None,
    };
    github.jit_runner(&request).await.expect("registers").id
}

/// A hundred runners of others, and this program's own, which is the only one on the second page.
async fn a_page_of_others_and_ours(github: &GitHub) -> u64 {
    for number in 0..100 {
        register(github, &format!("other-{number}")).await;
    }
    register(github, "cml-ours").await
}

fn shift(path: &str, query: &str, change: ListChange, times: u32) -> Shift {
    Shift { path_ends: path.to_owned(), query_contains: query.to_owned(), page: 1, change, times }
}

#[tokio::test]
async fn a_runner_that_moves_to_the_page_before_is_found() {
    let (world, github) = world().await;
    let ours = a_page_of_others_and_ours(&github).await;
    world.shift(shift("/actions/runners", "", ListChange::OldestRunnerGoes, 1));
    let found = github.runners(None).await.expect("lists");
    assert!(found.iter().any(|runner| runner.id == ours), "ours is missing of {}", found.len());
    assert_eq!(found.len(), 100);
}

#[tokio::test]
async fn a_runner_that_moves_up_is_found_even_where_their_number_stays_the_same() {
    let (world, github) = world().await;
    let ours = a_page_of_others_and_ours(&github).await;
    world.shift(shift("/actions/runners", "", ListChange::OldestRunnerIsReplaced, 1));
    let found = github.runners(None).await.expect("lists");
    assert!(found.iter().any(|runner| runner.id == ours), "ours is missing of {}", found.len());
    assert_eq!(found.len(), 101);
}

#[tokio::test]
async fn a_list_that_never_stands_still_is_no_list() {
    let (world, github) = world().await;
    a_page_of_others_and_ours(&github).await;
    world.shift(shift("/actions/runners", "", ListChange::OldestRunnerIsReplaced, u32::MAX));
    let error = github.runners(None).await.expect_err("changes at every reading");
    assert_eq!(error.kind, GitHubErrorKind::Transient);
    assert_eq!(error.to_string(), "listing the runners of acme/vision: the list changed while it was read");
}

#[tokio::test]
async fn one_name_is_looked_up_beside_a_list_that_never_stands_still() {
    let (world, github) = world().await;
    let ours = a_page_of_others_and_ours(&github).await;
    world.shift(shift("/actions/runners", "per_page=100&page", ListChange::OldestRunnerIsReplaced, u32::MAX));
    let found = github.find_by_name("CML-ours").await.expect("answers").expect("is there");
    assert_eq!(found.id, ours);
    assert_eq!(github.find_by_name("cml-nobody").await.expect("answers"), None);
}

#[tokio::test]
async fn where_no_runner_can_be_seen_none_is_gone() {
    let (world, github) = world().await;
    let ours = register(&github, "cml-ours").await;
    let blind = Fault {
        method: "GET".to_owned(),
        path_contains: "/actions/runners".to_owned(),
        kind: FaultKind::Status(404, r#"{"message":"Not Found"}"#.to_owned()),
        times: 2,
    };
    world.fail_next(blind);
    let error = github.runner(ours).await.expect_err("the credentials see nothing");
    assert_eq!(error.kind, GitHubErrorKind::NotFound);
    github.remove_runner(ours).await.expect("removes");
    assert_eq!(github.runner(ours).await.expect("answers"), None);
}

#[tokio::test]
async fn a_run_that_moves_to_the_page_before_is_found() {
    let (world, github) = world().await;
    for _ in 0..101 {
        world.queue_workflow(WORKFLOW).expect("is queued");
    }
    // The newest is first: the oldest is alone on the second page.
    let oldest = world.jobs().first().expect("jobs").id;
    world.shift(shift("/actions/runs", "status=queued", ListChange::NewestRunIsCancelled, 1));
    let polled = github.jobs(&[], &BTreeSet::new()).await.expect("lists");
    assert!(polled.jobs.iter().any(|job| job.id == oldest), "the oldest of {} is missing", polled.jobs.len());
    assert_eq!(polled.jobs.len(), 100);
    assert!(polled.unseen.is_empty(), "{:?}", polled.unseen);
}

#[tokio::test]
async fn jobs_of_a_list_of_runs_that_never_stands_still_are_found_and_no_absence_counts() {
    let (world, github) = world().await;
    for _ in 0..120 {
        world.queue_workflow(WORKFLOW).expect("is queued");
    }
    world.shift(shift("/actions/runs", "status=queued", ListChange::NewestRunIsCancelled, u32::MAX));
    let polled = github.jobs(&[], &BTreeSet::new()).await.expect("lists");
    assert!(polled.jobs.len() >= 100, "{}", polled.jobs.len());
    assert_eq!(polled.unseen, BTreeSet::from(["acme/vision".to_owned()]));
}

#[tokio::test]
async fn a_comment_that_moves_to_the_page_before_is_found() {
    let (world, github) = world().await;
    let on = CommentTarget::Issue(world.open_issue());
    for number in 0..101 {
        github.create_comment(&on, &format!("comment {number}")).await.expect("writes");
    }
    world.shift(shift("/comments", "", ListChange::OldestCommentGoes, 1));
    let found = github.comments(&on).await.expect("lists");
    assert!(
        found.iter().any(|comment| comment.body == "comment 100"),
        "the last of {} is missing",
        found.len()
    );
    assert_eq!(found.len(), 100);
}

#[tokio::test]
async fn a_comment_is_written_where_the_answer_has_nothing_but_its_id() {
    let (world, github) = world().await;
    let bare = FaultKind::StatusAfterDoing(201, r#"{"id":7}"#.to_owned());
    world.fail_next(Fault {
        method: "POST".to_owned(),
        path_contains: "/comments".to_owned(),
        kind: bare,
        times: 1,
    });
    let written =
        github.create_comment(&CommentTarget::Issue(world.open_issue()), "hello").await.expect("is written");
    assert_eq!(written.id, 7);
}
