//! The client against the simulated GitHub, over real HTTP.
#![allow(missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use cml_github::{
    Auth, GitHub, GitHubErrorKind, JitRequest, Location, MergeMethod, Pull, Removal, RunnerGroup, TrackedJob,
};
use cml_world::{Fault, FaultKind, SimApp, SimGitHub, SimSettings, TokenGrant, Webhook};
use secrecy::{ExposeSecret, SecretString};

const TOKEN: &str = "the-token-of-these-tests";
/// Created for these tests with `openssl genrsa -traditional 2048`; it gives access to nothing.
const APP_KEY: &str = include_str!("app_key.pem");

async fn world() -> SimGitHub {
    start(SimSettings::default()).await
}

async fn start(settings: SimSettings) -> SimGitHub {
    SimGitHub::start(SimSettings { token: TOKEN.to_owned(), ..settings }).await.expect("listens")
}

fn client(world: &SimGitHub, url: &str, token: &str) -> GitHub {
    let location = Location::find(Some(url), &|_| None, None).expect("is understood");
    assert_eq!(location.api.as_str().trim_end_matches('/'), world.api_url().trim_end_matches('/'));
    GitHub::new(location, Auth::Token(SecretString::from(token))).expect("is made")
}

fn repository(world: &SimGitHub) -> GitHub {
    client(world, &world.repo_url(), TOKEN)
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

fn calls(world: &SimGitHub, method: &str, path: &str) -> usize {
    world.exchanges().iter().filter(|it| it.method == method && it.path.contains(path)).count()
}

/// Checks that all requests conform to GitHub's own description.
fn keeps_the_contract(world: &SimGitHub) {
    let violations = cml_world::contract::violations(&world.exchanges());
    assert!(violations.is_empty(), "{violations:#?}");
}

#[tokio::test]
async fn a_runner_is_registered_found_and_removed_in_every_scope() {
    let world = world().await;
    let web = world.web_url();
    for url in [world.repo_url(), format!("{web}/acme"), format!("{web}/enterprises/acme-inc")] {
        let github = client(&world, &url, TOKEN);
        let made = github.jit_runner(&request("cml-one")).await.expect(&url);
        assert!(!made.encoded.expose_secret().is_empty());
        assert!(!format!("{made:?}").contains(made.encoded.expose_secret()), "the blob is in Debug");
        let found = github.runner(made.id).await.expect(&url).expect("is there");
        assert_eq!((found.name.as_str(), found.online, found.busy), ("cml-one", false, false));
        assert!(found.labels.contains(&"gpu".to_owned()));
        assert_eq!(github.runners(Some("cml-one")).await.expect(&url).len(), 1);
        assert_eq!(github.remove_runner(made.id).await.expect(&url), Removal::Removed);
        assert_eq!(github.remove_runner(made.id).await.expect(&url), Removal::AlreadyGone);
        assert_eq!(github.runner(made.id).await.expect(&url), None);
        assert_eq!(github.remove_runner_by_name("cml-one").await.expect(&url), Removal::AlreadyGone);
        assert!(!github.registration_token().await.expect(&url).expose_secret().is_empty());
        assert!(github.runner_packages().await.expect(&url).iter().any(|it| it.os == "linux"));
    }
    keeps_the_contract(&world);
}

#[tokio::test]
async fn a_list_of_several_pages_is_read_whole_with_credentials_on_each() {
    let world = world().await;
    let github = repository(&world);
    for number in 0..205 {
        github.jit_runner(&request(&format!("cml-{number}"))).await.expect("registers");
    }
    assert_eq!(github.runners(None).await.expect("lists").len(), 205);
    // Every page but the last is read twice: an entry removed from one of them would have moved the others.
    assert_eq!(calls(&world, "GET", "/actions/runners"), 5);
    keeps_the_contract(&world);
}

#[tokio::test]
async fn a_name_in_use_is_told_apart() {
    let world = world().await;
    let github = repository(&world);
    github.jit_runner(&request("cml-one")).await.expect("registers");
    let error = github.jit_runner(&request("CML-One")).await.expect_err("is taken");
    assert_eq!(error.kind, GitHubErrorKind::NameTaken);
    keeps_the_contract(&world);
}

#[tokio::test]
async fn a_bad_token_and_a_missing_permission_say_what_to_do() {
    let read_only = BTreeMap::from([("administration".to_owned(), "read".to_owned())]);
    let grant =
        TokenGrant { token: "weak".to_owned(), login: "mona".to_owned(), permissions: Some(read_only) };
    let world = start(SimSettings { tokens: vec![grant], ..SimSettings::default() }).await;

    let bad = client(&world, &world.repo_url(), "no-such-token");
    let error = bad.jit_runner(&request("cml-one")).await.expect_err("is refused");
    assert_eq!(error.kind, GitHubErrorKind::BadCredentials);
    assert_eq!(
        error.to_string(),
        "registering a runner for acme/vision: GitHub answered 401: Bad credentials"
    );
    assert!(error.hint.expect("a hint").contains("expired or revoked"));

    let weak = client(&world, &world.repo_url(), "weak");
    let error = weak.jit_runner(&request("cml-one")).await.expect_err("is refused");
    assert_eq!(error.kind, GitHubErrorKind::Forbidden);
    assert!(error.hint.expect("a hint").contains("dministration"));

    let elsewhere = client(&world, &format!("{}/acme/nothing", world.web_url()), TOKEN);
    let error = elsewhere.jit_runner(&request("cml-one")).await.expect_err("is not there");
    assert_eq!(error.kind, GitHubErrorKind::NotFound);
    assert!(
        error
            .hint
            .expect("a hint")
            .contains("acme/nothing does not exist, or the credentials may not see it")
    );
    assert!(world.runners().is_empty());
}

#[tokio::test]
async fn a_registration_with_an_unknown_outcome_is_never_repeated() {
    let world = world().await;
    let github = repository(&world);
    for kind in
        [FaultKind::Status(503, "{}".to_owned()), FaultKind::DropBeforeDoing, FaultKind::DropAfterDoing]
    {
        let before = calls(&world, "POST", "generate-jitconfig");
        world.fail_next(fault("POST", "generate-jitconfig", kind.clone(), 1));
        let error = github.jit_runner(&request("cml-one")).await.expect_err("fails");
        assert_eq!(error.kind, GitHubErrorKind::Transient, "{kind:?}");
        assert_eq!(calls(&world, "POST", "generate-jitconfig") - before, 1, "{kind:?}");
    }
    assert_eq!(github.remove_runner_by_name("cml-one").await.expect("removes"), Removal::Removed);
}

#[tokio::test]
async fn reads_and_removals_survive_stumbles() {
    let world = world().await;
    let github = repository(&world);
    let made = github.jit_runner(&request("cml-one")).await.expect("registers");
    world.fail_next(fault("GET", "/actions/runners", FaultKind::Status(502, "<html>".to_owned()), 2));
    assert_eq!(github.runners(None).await.expect("lists").len(), 1);
    world.fail_next(fault("DELETE", "/actions/runners", FaultKind::DropAfterDoing, 1));
    assert_eq!(github.remove_runner(made.id).await.expect("removes"), Removal::AlreadyGone);
}

#[tokio::test]
async fn a_short_rate_limit_is_waited_for_and_a_long_one_told() {
    let world = world().await;
    let github = repository(&world);
    let limit = |seconds: &str| FaultKind::Answer {
        status: 403,
        headers: vec![("retry-after".to_owned(), seconds.to_owned())],
        body: r#"{"message":"You have exceeded a secondary rate limit"}"#.to_owned(),
    };
    world.fail_next(fault("POST", "generate-jitconfig", limit("1"), 1));
    let started = Instant::now();
    github.jit_runner(&request("cml-one")).await.expect("registers in the end");
    assert!(started.elapsed() >= Duration::from_secs(1));

    world.fail_next(fault("GET", "/actions/runners", limit("1800"), 1));
    let error = github.runners(None).await.expect_err("is not waited for");
    assert!(matches!(error.kind, GitHubErrorKind::RateLimited { .. }), "{error:?}");
}

/// The simulated GitHub is an Enterprise Server: GraphQL is at `/api/graphql`, and `/api/v3/graphql` does not exist.
#[tokio::test]
async fn graphql_is_found_beside_the_rest_api_with_a_token_and_with_an_app() {
    let permissions: BTreeMap<String, String> =
        ["contents", "pull_requests", "metadata"].map(|name| (name.to_owned(), "write".to_owned())).into();
    let app = SimApp { id: 4711, installation_id: 99, permissions };
    let settings = SimSettings { auto_merge: true, app: Some(app), ..SimSettings::default() };
    let world = start(settings).await;
    let location = Location::find(Some(&world.repo_url()), &|_| None, None).expect("is understood");
    let key = SecretString::from(APP_KEY);
    let app = Auth::App { app_id: 4711, private_key_pem: key, installation_id: None };
    let by_app = GitHub::new(location, app).expect("is made");
    let pull =
        Pull { number: 1, state: "open".to_owned(), html_url: String::new(), node_id: "PR_none".to_owned() };
    for github in [repository(&world), by_app] {
        let error = github.enable_auto_merge(&pull, MergeMethod::Squash).await.expect_err("no such one");
        assert_eq!(error.kind, GitHubErrorKind::NotFound, "{error}");
        assert!(error.cause.contains("Could not resolve to a node"), "{error}");
    }
    assert_eq!(calls(&world, "POST", "/graphql"), 2);
}

#[tokio::test]
async fn an_app_finds_its_installation_and_gets_a_token_once() {
    let permissions = BTreeMap::from([
        ("administration".to_owned(), "write".to_owned()),
        ("metadata".to_owned(), "read".to_owned()),
    ]);
    let app = SimApp { id: 4711, installation_id: 99, permissions };
    let world = start(SimSettings { app: Some(app), ..SimSettings::default() }).await;
    let location = Location::find(Some(&world.repo_url()), &|_| None, None).expect("is understood");
    let auth = |app_id, pem: &str| Auth::App {
        app_id,
        private_key_pem: SecretString::from(pem),
        installation_id: None,
    };
    let github = GitHub::new(location.clone(), auth(4711, APP_KEY)).expect("is made");
    for name in ["cml-one", "cml-two"] {
        github.jit_runner(&request(name)).await.expect("registers");
    }
    assert_eq!(calls(&world, "POST", "access_tokens"), 1);
    assert_eq!(calls(&world, "GET", "/installation"), 1);
    keeps_the_contract(&world);

    let stranger = GitHub::new(location.clone(), auth(1, APP_KEY)).expect("is made");
    let error = stranger.jit_runner(&request("cml-three")).await.expect_err("is unknown");
    assert_eq!(error.kind, GitHubErrorKind::BadCredentials);
    let error = GitHub::new(location, auth(4711, "no key")).expect_err("is no key");
    assert_eq!(error.kind, GitHubErrorKind::BadCredentials);
    assert!(error.hint.expect("a hint").contains("--app-key-file"));
}

#[tokio::test]
async fn what_answers_in_githubs_place_is_told_without_its_words() {
    let world = world().await;
    let github = repository(&world);
    world.fail_next(fault(
        "POST",
        "generate-jitconfig",
        FaultKind::Status(201, "secret=hunter2".to_owned()),
        1,
    ));
    let error = github.jit_runner(&request("cml-one")).await.expect_err("is no JSON");
    assert_eq!(error.kind, GitHubErrorKind::Invalid);
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}

#[tokio::test]
async fn nobody_listening_is_told_as_such() {
    let world = world().await;
    let github = repository(&world);
    drop(world);
    let error = github.jit_runner(&request("cml-one")).await.expect_err("fails");
    assert_eq!(error.kind, GitHubErrorKind::Transient);
    assert!(error.hint.is_some());
}

#[tokio::test]
async fn jobs_that_wait_are_found_followed_and_run_again_once_their_run_is_over() {
    let world = world().await;
    let github = repository(&world);
    let workflow = "name: train\non: push\njobs:\n  one:\n    runs-on: [self-hosted, gpu]\n    steps:\n      - run: 'true'\n";
    let run = world.queue_workflow(workflow).expect("is queued");
    let all = BTreeSet::new();
    let jobs = github.jobs(&[], &all).await.expect("lists").jobs;
    assert_eq!(jobs.len(), 1, "{jobs:#?}");
    assert_eq!((jobs[0].status.as_str(), jobs[0].name.as_str(), jobs[0].attempt), ("queued", "one", 1));
    assert_eq!(jobs[0].labels, ["self-hosted", "gpu"]);
    assert_eq!((jobs[0].run.repository.as_str(), jobs[0].run.event.as_str()), ("acme/vision", "push"));
    let followed =
        TrackedJob { repository: "acme/vision".to_owned(), run_id: jobs[0].run_id, job: jobs[0].id };
    assert_eq!(
        github.jobs(std::slice::from_ref(&followed), &all).await.expect("lists").jobs.len(),
        1,
        "none counts twice"
    );
    let error = github.rerun("acme/vision", jobs[0].run_id, None).await.expect_err("the run is active");
    assert_eq!(error.kind, GitHubErrorKind::Forbidden);
    let since = jiff::civil::date(2020, 1, 1);
    assert!(github.finished_jobs(since).await.expect("lists").is_empty(), "run {run} is not over");
    keeps_the_contract(&world);
}

#[tokio::test]
async fn an_organizations_jobs_are_found_in_its_repositories_and_a_poll_that_finds_nothing_new_is_free() {
    let world = world().await;
    let workflow = "name: train\non: push\njobs:\n  one:\n    runs-on: [self-hosted, gpu]\n    steps:\n      - run: 'true'\n";
    world.queue_workflow(workflow).expect("is queued");
    let github = client(&world, &format!("{}/acme", world.web_url()), TOKEN);
    let all = BTreeSet::new();
    let first = github.jobs(&[], &all).await.expect("lists");
    assert_eq!(first.jobs.len(), 1, "{first:#?}");
    let before = world.exchanges().len();
    assert_eq!(github.jobs(&[], &all).await.expect("lists").jobs, first.jobs);
    let again: Vec<u16> = world.exchanges()[before..].iter().map(|it| it.status).collect();
    assert!(again.len() >= 7 && again.iter().all(|status| *status == 304), "{again:?}");

    let before = world.exchanges().len();
    let only = BTreeSet::from(["acme/vision".to_owned(), "other/thing".to_owned()]);
    assert_eq!(github.jobs(&[], &only).await.expect("lists").jobs, first.jobs);
    let asked = &world.exchanges()[before..];
    assert!(asked.iter().all(|it| it.path.contains("/repos/acme/vision/actions/")), "{asked:#?}");

    world.fail_next(fault(
        "GET",
        "/repos/acme/vision/actions/runs",
        FaultKind::Status(404, "{}".to_owned()),
        1,
    ));
    let blind = github.jobs(&[], &all).await.expect("lists");
    assert!(blind.jobs.is_empty());
    assert!(blind.unseen.contains("acme/vision"), "{blind:?}");
    keeps_the_contract(&world);

    let enterprise = client(&world, &format!("{}/enterprises/acme-corp", world.web_url()), TOKEN);
    let error = enterprise.jobs(&[], &all).await.expect_err("GitHub has no such list");
    assert!(error.hint.expect("a hint").contains("an organization or a repository"));
}

#[tokio::test]
async fn an_app_has_lost_webhooks_delivered_again() {
    // A port without a listener, until later.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let hook = Webhook { url: format!("http://{address}/hook"), secret: "secret".to_owned() };
    let app = SimApp { id: 4711, installation_id: 99, permissions: BTreeMap::new() };
    let world = start(SimSettings { app: Some(app), webhook: Some(hook), ..SimSettings::default() }).await;
    let workflow =
        "name: train\non: push\njobs:\n  one:\n    runs-on: gpu\n    steps:\n      - run: 'true'\n";
    world.queue_workflow(workflow).expect("is queued");
    let location = Location::find(Some(&world.repo_url()), &|_| None, None).expect("is understood");
    let auth =
        Auth::App { app_id: 4711, private_key_pem: SecretString::from(APP_KEY), installation_id: None };
    let github = GitHub::new(location, auth).expect("is made");
    #[allow(clippy::disallowed_methods, reason = "a JWT carries the time")]
    let in_a_minute = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(61);
    let listener = tokio::net::TcpListener::bind(address).await.expect("is free again");
    let asked = async {
        loop {
            if github.redeliver_failed(in_a_minute).await.expect("lists") > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asked).await.expect("the failure shows");
    tokio::time::timeout(Duration::from_secs(20), listener.accept()).await.expect("it comes").expect("well");
    assert_eq!(
        github.redeliver_failed(in_a_minute + jiff::SignedDuration::from_hours(3)).await.expect("lists"),
        0
    );
    assert!(!repository(&world).may_redeliver());
    keeps_the_contract(&world);
}

#[tokio::test]
async fn a_runner_group_is_found_by_its_name() {
    let world = start(SimSettings { runner_groups: vec!["GPUs".to_owned()], ..SimSettings::default() }).await;
    let github = client(&world, &format!("{}/acme", world.web_url()), TOKEN);
    let named = |name: &str| RunnerGroup::Named(name.to_owned());
    assert_eq!(github.group_id(&named("gpus")).await.expect("is there"), 2);
    let error = github.group_id(&named("tpus")).await.expect_err("is not there");
    assert!(error.hint.expect("a hint").contains("there are: Default, GPUs"));
    github.jit_runner(&JitRequest { group: named("gpus"), ..request("cml-one") }).await.expect("registers");
    let exchanges = world.exchanges();
    let asked = exchanges.iter().find(|it| it.path.ends_with("generate-jitconfig")).expect("was asked");
    let asked: serde_json::Value = serde_json::from_slice(&asked.request_body).expect("is JSON");
    assert_eq!(asked["runner_group_id"], 2);
    let error = repository(&world).group_id(&named("gpus")).await.expect_err("a repository has none");
    assert_eq!(error.kind, GitHubErrorKind::Invalid);
    keeps_the_contract(&world);
}
