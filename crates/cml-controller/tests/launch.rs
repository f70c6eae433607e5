//! A launch and a reaping where regions, architectures and lists are as AWS and GitHub have them.
#![allow(missing_docs)]

mod outside;

use cml_cloud::{Arch, Deadline, Driver, Market, OfferQuery, SpotPolicy};
use cml_controller::{
    Event, Failure, LaunchPlan, MachineTemplate, Outcome, Reason, Reuse, RunnerMode, RunnerPackageSource,
    launch, reap,
};
use cml_github::{GitHubTime, Runner, RunnerDownload, RunnerGroup};
use cml_journal::MemoryJournal;
use cml_spec::Setup;
use jiff::SignedDuration;
use outside::{Answer, Outside, at, id, instance, offer};
use tokio_util::sync::CancellationToken;

fn download(architecture: &str) -> RunnerDownload {
    let download_url = format!("https://example.invalid/{architecture}.tar.gz");
    serde_json::from_value(serde_json::json!({
        "os": "linux", "architecture": architecture, "download_url": download_url, "filename": "runner.tar.gz",
    }))
    .expect("a package")
}

fn order(reuse: Reuse) -> LaunchPlan {
    let query = OfferQuery {
        regions: vec!["us-west-2".to_owned(), "us-east-1".to_owned()],
        types: Vec::new(),
        needs: None,
        gpu: None,
        spot: SpotPolicy::Prefer,
        spot_price_max: None,
        network: cml_cloud::Network::default(),
        image: cml_cloud::Image::default(),
        disk_gib: None,
        cache_snapshot: None,
    };
    let recipe = MachineTemplate {
        spec: "launch".to_owned(),
        labels: vec!["gpu-77".to_owned()],
        default_labels: true,
        group: RunnerGroup::Id(1),
        mode: RunnerMode::Ephemeral,
        query,
        image: cml_cloud::Image::default(),
        network: cml_cloud::Network::default(),
        instance_profile: None,
        tags: std::collections::BTreeMap::new(),
        boot_timeout: SignedDuration::from_mins(10),
        idle_timeout: Some(SignedDuration::from_mins(5)),
        setup: Setup::default(),
        packages: RunnerPackageSource::Cached(vec![download("x64"), download("arm64")]),
    };
    LaunchPlan {
        launch: id(1),
        runner_name: id(1).runner_name(),
        deadline: Deadline(at(7200)),
        reuse,
        template: recipe,
    }
}

async fn launched(outside: &Outside, order: &LaunchPlan) -> (Result<Outcome, Failure>, Vec<String>) {
    let skipped = std::sync::Mutex::new(Vec::new());
    let tell = |event: Event| {
        if let Event::RegionSkipped { error } = event {
            skipped.lock().expect("whole").push(error.to_string());
        }
    };
    let stop = CancellationToken::new();
    let clock = || at(0);
    let journal = MemoryJournal::default();
    let outcome = launch(order, outside, outside, journal, &clock, &tell, &stop).await;
    (outcome, skipped.into_inner().expect("whole"))
}

fn bought_in(outcome: &Result<Outcome, Failure>) -> &str {
    match outcome {
        Ok(Outcome::Launched(launch)) => &launch.region,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_runner_is_registered_with_the_labels_that_github_does_not_add() {
    let outside = Outside::selling(vec![offer("us-east-1", Arch::X64, Driver::Nvidia, Market::Spot)]);
    let (outcome, _) = launched(&outside, &order(Reuse::Never)).await;
    assert_eq!(bought_in(&outcome), "us-east-1");
    assert_eq!(outside.registrations(), ["self-hosted linux x64 gpu-77"]);
    let asked = outside.requests();
    assert_eq!(asked[0].controller, "launch", "no daemon takes it for its own");
}

#[tokio::test(start_paused = true)]
async fn another_architecture_is_registered_and_rendered_anew() {
    let mut outside = Outside::selling(vec![
        offer("us-east-1", Arch::Arm64, Driver::None, Market::Spot),
        offer("us-east-1", Arch::X64, Driver::None, Market::OnDemand),
    ]);
    outside.answers = vec![Answer::Capacity];
    let (outcome, _) = launched(&outside, &order(Reuse::Never)).await;
    assert_eq!(bought_in(&outcome), "us-east-1");
    let expected = ["self-hosted linux arm64 gpu-77", "self-hosted linux x64 gpu-77"];
    assert_eq!(outside.registrations(), expected);
    assert_eq!(outside.removed(), [1], "the one that nothing will use is gone");
    let scripts = outside.scripts();
    assert!(scripts[0].contains("arm64.tar.gz") && scripts[1].contains("x64.tar.gz"));
    assert!(scripts[1].contains("registration-2") && !scripts[1].contains("registration-1"));
}

#[tokio::test(start_paused = true)]
async fn a_region_that_denies_or_refuses_is_left_for_the_next_one() {
    for answer in [Answer::Denied, Answer::Invalid] {
        let mut outside = Outside::selling(vec![
            offer("us-west-2", Arch::X64, Driver::Nvidia, Market::Spot),
            offer("us-east-1", Arch::X64, Driver::Nvidia, Market::Spot),
        ]);
        outside.answers = vec![answer];
        let (outcome, skipped) = launched(&outside, &order(Reuse::Never)).await;
        assert_eq!(bought_in(&outcome), "us-east-1", "{answer:?}");
        assert_eq!(skipped.len(), 1, "{skipped:?}");
        assert_eq!(outside.registrations().len(), 1, "the registration is as good as before");
    }
}

#[tokio::test(start_paused = true)]
async fn a_region_that_gives_no_answer_is_left_and_a_machine_of_it_could_not_register() {
    let mut outside = Outside::selling(vec![
        offer("us-west-2", Arch::X64, Driver::Nvidia, Market::Spot),
        offer("us-east-1", Arch::X64, Driver::Nvidia, Market::Spot),
    ]);
    outside.answers = vec![Answer::Silence; 5];
    let (outcome, _) = launched(&outside, &order(Reuse::Never)).await;
    assert_eq!(bought_in(&outcome), "us-east-1");
    assert_eq!(outside.removed(), [1]);
    assert_eq!(outside.registrations().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_registration_whose_answer_was_lost_is_made_again() {
    let mut outside = Outside::selling(vec![offer("us-east-1", Arch::X64, Driver::Nvidia, Market::Spot)]);
    outside.unanswered = 2;
    let (outcome, _) = launched(&outside, &order(Reuse::Never)).await;
    assert_eq!(bought_in(&outcome), "us-east-1");
    assert_eq!(outside.removed(), [1, 2], "what was registered without an answer");
}

/// `--name` may be anything: what somebody else has registered under it is theirs, whether its machine is connected or not.
#[tokio::test(start_paused = true)]
async fn a_stranger_s_runner_of_the_same_name_stays_though_github_stumbles() {
    for online in [true, false] {
        let mut outside = Outside::selling(vec![offer("us-east-1", Arch::X64, Driver::Nvidia, Market::Spot)]);
        outside.unanswered = 2;
        outside.has_runner(77, "gpu-box", "self-hosted", online);
        let named = LaunchPlan { runner_name: "gpu-box".to_owned(), ..order(Reuse::Never) };
        let (outcome, _) = launched(&outside, &named).await;
        let failure = outcome.expect_err("the name is taken");
        assert!(matches!(failure.reason, Reason::NameTaken { .. }), "{failure:?}");
        assert_eq!(outside.removed(), Vec::<u64>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_still_shows_a_removed_runner_does_not_take_its_name() {
    let mut outside = Outside::selling(vec![offer("us-east-1", Arch::X64, Driver::Nvidia, Market::Spot)]);
    let (name, labels) = ("gpu-box".to_owned(), Vec::new());
    outside.ghost = Some(Runner { id: 77, name: name.clone(), online: false, busy: false, labels });
    let (outcome, _) = launched(&outside, &LaunchPlan { runner_name: name, ..order(Reuse::Never) }).await;
    assert_eq!(bought_in(&outcome), "us-east-1");
}

#[tokio::test(start_paused = true)]
async fn a_machine_whose_answer_was_lost_is_found_and_taken() {
    let mut outside = Outside::selling(vec![
        offer("us-west-2", Arch::X64, Driver::Nvidia, Market::Spot),
        offer("us-east-1", Arch::X64, Driver::Nvidia, Market::Spot),
    ]);
    outside.answers = vec![Answer::Lost, Answer::Silence, Answer::Silence, Answer::Silence, Answer::Silence];
    let (outcome, _) = launched(&outside, &order(Reuse::Never)).await;
    assert_eq!(bought_in(&outcome), "us-west-2");
    assert!(outside.removed().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_machine_whose_answer_was_lost_is_found_though_the_repeat_of_its_call_is_refused() {
    for refused in [Answer::Denied, Answer::Invalid] {
        let mut outside = Outside::selling(vec![
            offer("us-west-2", Arch::X64, Driver::Nvidia, Market::Spot),
            offer("us-east-1", Arch::X64, Driver::Nvidia, Market::Spot),
        ]);
        outside.answers = vec![Answer::Lost, refused];
        let (outcome, _) = launched(&outside, &order(Reuse::Never)).await;
        assert_eq!(bought_in(&outcome), "us-west-2", "{refused:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_when_every_region_has_failed_the_launch_fails_and_tells_all_reasons() {
    let mut outside = Outside::selling(vec![
        offer("us-west-2", Arch::X64, Driver::Nvidia, Market::Spot),
        offer("us-east-1", Arch::X64, Driver::Nvidia, Market::Spot),
    ]);
    outside.closed = vec!["ap-east-1".to_owned()];
    outside.answers = vec![Answer::Denied; 2];
    let (outcome, _) = launched(&outside, &order(Reuse::Never)).await;
    let failure = outcome.expect_err("nothing is sold");
    let words = failure.to_string();
    assert!(matches!(failure.reason, Reason::Cloud(_)), "{words}");
    for region in ["ap-east-1", "us-west-2", "us-east-1"] {
        assert!(words.contains(region), "{region}: {words}");
    }
    assert_eq!(outside.removed(), [1], "nothing is left");
}

#[tokio::test(start_paused = true)]
async fn a_runner_without_the_default_labels_is_not_reused_by_jobs_that_ask_for_them() {
    let outside = Outside::selling(vec![offer("us-east-1", Arch::X64, Driver::None, Market::Spot)]);
    outside.has_runner(50, "bare", "gpu-77", true);
    let (outcome, _) = launched(&outside, &order(Reuse::Online)).await;
    assert!(matches!(outcome, Ok(Outcome::Launched(_))), "{outcome:?}");
    let outside = Outside::selling(Vec::new());
    outside.has_runner(51, "by-config", "self-hosted Linux X64 gpu-77", true);
    let (outcome, _) = launched(&outside, &order(Reuse::Online)).await;
    assert!(matches!(&outcome, Ok(Outcome::Reused { runner, .. }) if runner == "by-config"), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn reaping_asks_github_of_the_one_runner_that_its_list_lacks() {
    let outside = Outside::selling(Vec::new());
    outside.has_machine(instance(id(7), "us-east-1"));
    outside.has_runner(7, &id(7).runner_name(), "self-hosted gpu", true);
    outside.list_lacks(7);
    let filter = cml_cloud::InstanceFilter::default();
    let grace = SignedDuration::from_mins(15);
    let report = reap(&filter, at(3000), grace, false, &outside, &outside).await.expect("is asked");
    assert!(report.instances.is_empty(), "{report:?}");
    outside.forgets(7);
    let report = reap(&filter, at(3000), grace, false, &outside, &outside).await.expect("is asked");
    assert_eq!(report.instances.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn reaping_leaves_registrations_whose_machine_may_be_in_a_region_that_does_not_answer() {
    let mut outside = Outside::selling(Vec::new());
    outside.has_runner(7, &id(7).runner_name(), "self-hosted gpu", false);
    outside.closed = vec!["us-west-2".to_owned()];
    let filter = cml_cloud::InstanceFilter::default();
    let grace = SignedDuration::from_mins(15);
    let report = reap(&filter, at(3000), grace, false, &outside, &outside).await.expect("is asked");
    assert!(report.runners.is_empty() && report.silent.len() == 1, "{report:?}");
    outside.closed.clear();
    let report = reap(&filter, at(3000), grace, false, &outside, &outside).await.expect("is asked");
    assert_eq!(report.runners, [id(7).runner_name()]);
}

/// GitHub says that it is two days ago.
fn two_days_ago() -> GitHubTime {
    GitHubTime { at: at(-2 * 86_400), received: tokio::time::Instant::now() }
}

#[tokio::test(start_paused = true)]
async fn by_a_clock_that_is_wrong_nothing_is_launched_and_nothing_stays() {
    let mut outside = Outside::selling(vec![offer("us-east-1", Arch::X64, Driver::Nvidia, Market::Spot)]);
    outside.time = Some(two_days_ago());
    let (outcome, _) = launched(&outside, &order(Reuse::Never)).await;
    let failure = outcome.expect_err("its deadline would be two days late");
    assert_eq!(
        failure.to_string(),
        "this machine's clock is 172800 s ahead of GitHub's: nothing is launched by it"
    );
    assert!(outside.requests().is_empty() && failure.left_behind.is_empty());
    assert_eq!(outside.removed(), [1], "its registration");
}

#[tokio::test(start_paused = true)]
async fn by_a_clock_that_is_wrong_no_machine_is_late() {
    let mut outside = Outside::selling(Vec::new());
    outside.has_machine(instance(id(7), "us-east-1"));
    outside.time = Some(two_days_ago());
    let filter = cml_cloud::InstanceFilter::default();
    let grace = SignedDuration::from_mins(15);
    let report = reap(&filter, at(9000), grace, false, &outside, &outside).await.expect("is asked");
    assert!(report.instances.is_empty() && report.wrong_clock.is_some(), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_between_two_tries_is_heard_and_nothing_is_bought_after_it() {
    let mut outside = Outside::selling(vec![offer("us-east-1", Arch::X64, Driver::Nvidia, Market::Spot)]);
    outside.answers = vec![Answer::Silence];
    let stop = CancellationToken::new();
    let tell = |event: Event| {
        if matches!(event, Event::Repeating { .. }) {
            stop.cancel();
        }
    };
    let (order, journal) = (order(Reuse::Never), MemoryJournal::default());
    let outcome = launch(&order, &outside, &outside, journal, &|| at(0), &tell, &stop).await;
    assert!(outcome.is_err(), "{outcome:?}");
    assert_eq!(outside.requests().len(), 1);
    assert_eq!(outside.removed(), [1], "its registration");
}
