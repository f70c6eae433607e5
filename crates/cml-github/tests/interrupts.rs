//! A stop ends every wait; requests in progress are awaited, and calls that undo something continue.
#![allow(missing_docs)]

use std::time::{Duration, Instant};

use cml_github::{Auth, GitHub, GitHubErrorKind, JitRequest, Location, Removal, RunnerGroup};
use cml_world::{Fault, FaultKind, SimGitHub, SimSettings};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

const TOKEN: &str = "the-token-of-these-tests";
/// Shorter than any wait in these tests.
const AT_ONCE: Duration = Duration::from_secs(10);

async fn world() -> (SimGitHub, GitHub, CancellationToken) {
    let settings = SimSettings { token: TOKEN.to_owned(), ..SimSettings::default() };
    let world = SimGitHub::start(settings).await.expect("listens");
    let location = Location::find(Some(&world.repo_url()), &|_| None, None).expect("is understood");
    let stop = CancellationToken::new();
    let github = GitHub::new(location, Auth::Token(SecretString::from(TOKEN))).expect("is made");
    (world, github.stopping(stop.clone()), stop)
}

fn request(name: &str) -> JitRequest {
    JitRequest {
        name: name.to_owned(),
        labels: vec!["gpu".to_owned()],
        group: RunnerGroup::Id(1),
        work_folder: None,
    }
}

fn fault(method: &str, path: &str, kind: FaultKind, times: u32) -> Fault {
    Fault { method: method.to_owned(), path_contains: path.to_owned(), kind, times }
}

fn asked(world: &SimGitHub, path: &str) -> usize {
    world.exchanges().iter().filter(|it| it.path.contains(path)).count()
}

/// Stops once GitHub has been called.
async fn stop_once_asked(world: &SimGitHub, path: &str, stop: &CancellationToken) {
    while asked(world, path) == 0 {
        tokio::task::yield_now().await;
    }
    stop.cancel();
}

#[tokio::test]
async fn a_signal_ends_the_wait_of_a_rate_limit_and_nothing_is_registered_after_it() {
    let (world, github, stop) = world().await;
    world.fail_next(fault("POST", "generate-jitconfig", FaultKind::secondary_rate_limit(60), 1));
    let began = Instant::now();
    let request = request("cml-one");
    let (made, ()) =
        tokio::join!(github.jit_runner(&request), stop_once_asked(&world, "generate-jitconfig", &stop));
    assert_eq!(made.expect_err("is interrupted").kind, GitHubErrorKind::Interrupted);
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    let error = github.jit_runner(&request).await.expect_err("nothing is begun any more");
    assert_eq!(error.kind, GitHubErrorKind::Interrupted);
    assert_eq!(asked(&world, "generate-jitconfig"), 1);
    assert!(world.runners().is_empty());
}

#[tokio::test]
async fn a_signal_ends_the_repeats_of_a_read() {
    let (world, github, stop) = world().await;
    world.fail_next(fault("GET", "/actions/runners", FaultKind::secondary_rate_limit(60), 1));
    let began = Instant::now();
    let (list, ()) = tokio::join!(github.runners(None), stop_once_asked(&world, "/actions/runners", &stop));
    assert_eq!(list.expect_err("is interrupted").kind, GitHubErrorKind::Interrupted);
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_signal_ends_the_wait_of_the_pace() {
    let (world, github, stop) = world().await;
    let github = github.paced(1);
    github.jit_runner(&request("cml-one")).await.expect("the first goes at once");
    let began = Instant::now();
    let second = request("cml-two");
    let (made, ()) =
        tokio::join!(github.jit_runner(&second), stop_once_asked(&world, "generate-jitconfig", &stop));
    assert_eq!(made.expect_err("is interrupted").kind, GitHubErrorKind::Interrupted);
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    assert_eq!(world.runners().len(), 1);
}

#[tokio::test]
async fn a_registration_that_is_under_way_is_awaited_and_taken_back_after_a_signal() {
    let (world, github, stop) = world().await;
    world.fail_next(fault("POST", "generate-jitconfig", FaultKind::Delay(Duration::from_millis(300)), 1));
    let request = request("cml-one");
    let cancel = async {
        while world.runners().is_empty() {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    let (made, ()) = tokio::join!(github.jit_runner(&request), cancel);
    let id = made.expect("its answer is awaited").id;
    // GitHub fails once, and the call is retried all the same.
    world.fail_next(fault("DELETE", "/actions/runners", FaultKind::Status(502, "{}".to_owned()), 1));
    assert_eq!(github.remove_runner(id).await.expect("is removed"), Removal::Removed);
    world.fail_next(fault("GET", "/actions/runners", FaultKind::Status(502, "{}".to_owned()), 1));
    assert_eq!(github.remove_runner_by_name("cml-one").await.expect("looks"), Removal::AlreadyGone);
}
