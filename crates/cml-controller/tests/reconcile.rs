//! What one observation after another makes of the journal.
#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::time::Duration;

use cml_cloud::{
    Arch, CloudError, Deadline, ErrorKind, Instance, InstanceId, InstanceState, LaunchId, Launched, Market,
    Offer, OfferFailure, Resources, SpotPolicy, Usd, UsdPerHour,
};
use cml_controller::reconcile::{Clocks, Command, LaunchError, Observation, Reconciler};
use cml_journal::{CostCategory, MemoryJournal, SqliteJournal, Waste};
use cml_planner::{Job, JobId, JobState, RunnerStatus};
use cml_spec::{Allow, Idle, Limits, Reruns, Spec};
use jiff::{SignedDuration, Timestamp};

const BEGIN: i64 = 1_800_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(BEGIN + second).expect("in range")
}

fn now(second: i64) -> Clocks {
    Clocks { wall: at(second), uptime: Duration::from_secs(u64::try_from(second).expect("positive")) }
}

fn id(number: u128) -> LaunchId {
    LaunchId::new(ulid::Ulid::from_parts(u64::try_from(BEGIN * 1000).expect("positive"), number))
}

fn spec() -> Spec {
    Spec {
        name: "gpu".to_owned(),
        labels: vec!["gpu".to_owned()],
        default_labels: true,
        group: None,
        spot: SpotPolicy::Prefer,
        max: 1,
        min: 0,
        warm: Vec::new(),
        idle: Idle::After(SignedDuration::from_mins(5)),
        max_lifetime: SignedDuration::from_hours(1),
        boot_timeout: SignedDuration::from_mins(10),
        budget: None,
        allow: Allow::default(),
        reruns: Reruns { max: 1, last_on_demand: false },
    }
}

fn instance(launch: LaunchId, state: InstanceState) -> Instance {
    Instance {
        id: InstanceId(format!("i-{launch}")),
        launch: Some(launch),
        spec: Some("gpu".to_owned()),
        state,
        region: "us-east-1".to_owned(),
        zone: Some("us-east-1a".to_owned()),
        instance_type: "g5.xlarge".to_owned(),
        market: Market::Spot,
        started_at: at(0),
        ended_at: None,
        deadline: Some(Deadline(at(3600))),
        owner: Some("acme/vision".to_owned()),
        controller: Some("pools".to_owned()),
        runner_name: Some(launch.runner_name()),
        ended_because: None,
        is_interrupted: false,
    }
}

fn job(state: JobState, runner: Option<LaunchId>) -> Job {
    Job {
        id: JobId(7),
        run_id: 70,
        attempt: 1,
        name: "train".to_owned(),
        repository: "acme/vision".to_owned(),
        labels: vec!["self-hosted".to_owned(), "gpu".to_owned()],
        group: None,
        event: "push".to_owned(),
        from_fork: false,
        actor: "mona".to_owned(),
        workflow: "train".to_owned(),
        branch: "main".to_owned(),
        queued_at: at(0),
        state,
        runner: runner.map(|launch| launch.runner_name()),
        interruptions: 0,
    }
}

fn look(jobs: Vec<Job>, instances: Vec<Instance>, runners: Vec<RunnerStatus>) -> Observation {
    let offer = Offer {
        region: "us-east-1".to_owned(),
        zone: Some("us-east-1a".to_owned()),
        instance_type: "g5.xlarge".to_owned(),
        market: Market::Spot,
        price: Some(UsdPerHour("0.36".parse().expect("a number"))),
        resources: Resources { vcpus: 4, memory_mib: 16_384, gpu: None, arch: Arch::X64 },
        driver: cml_cloud::Driver::None,
        quota: None,
        disk: None,
    };
    Observation {
        jobs: Some(jobs),
        instances: Some(instances),
        runners: Some(runners),
        offers: BTreeMap::from([("gpu".to_owned(), vec![offer])]),
        prices_are_whole: true,
        ..Observation::default()
    }
}

fn fleet() -> Reconciler<MemoryJournal> {
    let mut fleet = Reconciler::open(MemoryJournal::default(), vec![spec()]).expect("opens");
    fleet.name(Some("pools"), at(0), &String::new).expect("is named");
    fleet
}

#[test]
fn a_machine_that_no_line_explains_is_taken_in_counted_and_billed() {
    let mut fleet = fleet();
    let queued = job(JobState::Queued, None);
    let mut step = |second, jobs, instances| {
        let observation = look(jobs, instances, Vec::new());
        fleet
            .reconcile(observation, now(second), &cml_planner::plan, &mut || id(99))
            .expect("the journal is there")
    };
    // The journal was lost. The pool may have one machine, and has it: nothing is launched beside it.
    let running = instance(id(1), InstanceState::Running);
    assert_eq!(step(0, vec![queued.clone()], vec![running]).commands, []);
    let mut gone = instance(id(1), InstanceState::Terminated);
    gone.ended_at = Some(at(1800));
    let orders = step(1900, vec![queued], vec![gone.clone()]).commands;
    assert!(matches!(orders.as_slice(), [Command::Launch { .. }]), "now there is room: {orders:?}");
    // It may show for an hour more: it is not found once again.
    let _ = step(2000, Vec::new(), vec![gone]);
    let entries: Vec<String> = fleet.state().ledger().iter().map(|entry| entry.cost.to_string()).collect();
    assert_eq!(entries, ["$0.18"]);
}

#[test]
fn two_controllers_cannot_both_spend_the_last_dollar() {
    // One machine may cost 0.36 USD in its hour: the budget pays for one.
    let budget = Limits::of_day(Usd("0.5".parse().expect("a number")));
    let spec = Spec { max: 9, budget: Some(budget), ..spec() };
    let jobs = [7, 8].map(|id| Job { id: JobId(id), ..job(JobState::Queued, None) });
    for round in 0..20_u128 {
        let path =
            std::env::temp_dir().join(format!("cml-two-controllers-{}-{round}.db", std::process::id()));
        let open = || SqliteJournal::open(&path).expect("opens");
        let fleets =
            [open(), open()].map(|journal| Reconciler::open(journal, vec![spec.clone()]).expect("opens"));
        let together = std::sync::Barrier::new(2);
        let launches: usize = std::thread::scope(|scope| {
            let decide = |(number, mut fleet): (u128, Reconciler<SqliteJournal>)| {
                let (together, jobs) = (&together, jobs.to_vec());
                scope.spawn(move || {
                    together.wait();
                    let observation = look(jobs, Vec::new(), Vec::new());
                    let step = fleet
                        .reconcile(observation, now(0), &cml_planner::plan, &mut || id(round * 10 + number))
                        .expect("is written");
                    step.commands.iter().filter(|order| matches!(order, Command::Launch { .. })).count()
                })
            };
            let threads: Vec<_> = (1..).zip(fleets).map(decide).collect();
            threads.into_iter().map(|thread| thread.join().expect("finishes")).sum()
        });
        assert_eq!(launches, 1, "round {round}: the money pays for one machine");
        for ending in ["", "-wal", "-shm"] {
            drop(std::fs::remove_file(format!("{}{ending}", path.display())));
        }
    }
}

#[test]
fn a_machine_that_somebody_stops_costs_its_disk_only_until_it_is_started_again() {
    let mut fleet = fleet();
    let mut step = |second, state, started, ended| {
        let mut machine = instance(id(1), state);
        (machine.started_at, machine.ended_at) = (at(started), ended);
        fleet
            .reconcile(
                look(Vec::new(), vec![machine], Vec::new()),
                now(second),
                &cml_planner::plan,
                &mut || id(99),
            )
            .expect("steps");
    };
    step(0, InstanceState::Running, 0, None);
    step(1010, InstanceState::Stopped, 0, Some(at(1000)));
    step(2000, InstanceState::Stopped, 0, Some(at(1000)));
    // An observation that is older than the stop tells of a start that was known: it is none.
    step(2500, InstanceState::Running, 0, None);
    step(2600, InstanceState::Stopped, 0, Some(at(1000)));
    // EC2 tells the time of the last start only.
    step(3010, InstanceState::Running, 3000, None);
    step(4010, InstanceState::Terminated, 3000, Some(at(4000)));
    let [entry] = fleet.state().ledger() else { panic!("{:?}", fleet.state().ledger()) };
    assert_eq!((entry.from, entry.to), (at(0), at(4000)));
    // 0.36 USD an hour for twice 1000 s.
    assert_eq!(entry.cost.to_string(), "$0.2");
    let stopped: Vec<_> =
        entry.segments.iter().filter(|part| part.category == CostCategory::Waste(Waste::Stopped)).collect();
    assert!(matches!(stopped.as_slice(), [part] if part.span.from == at(1000)), "{:?}", entry.segments);
}

#[test]
fn a_job_that_was_lost_before_anybody_saw_it_begin_is_asked_after_and_runs_again() {
    let mut fleet = fleet();
    let mut ids = 0;
    let mut new_id = || {
        ids += 1;
        id(ids)
    };
    let mut step = |second, jobs: Vec<Job>, instances| {
        let observation = look(jobs, instances, Vec::new());
        fleet
            .reconcile(observation, now(second), &cml_planner::plan, &mut new_id)
            .expect("the journal is there")
            .commands
    };
    let orders = step(0, vec![job(JobState::Queued, None)], Vec::new());
    assert!(matches!(orders.as_slice(), [Command::Launch { .. }]), "{orders:?}");
    // Bought, taken back at work, and no look in between.
    let mut gone = instance(id(1), InstanceState::Terminated);
    gone.is_interrupted = true;
    gone.ended_at = Some(at(100));
    let _ = step(110, vec![job(JobState::Queued, None)], vec![gone.clone()]);
    let _ = step(125, vec![job(JobState::Queued, None)], vec![gone.clone()]);
    let failed = || vec![job(JobState::Failed { run_over: true }, Some(id(1)))];
    let orders = step(140, failed(), vec![gone.clone()]);
    let again = Command::Rerun { repository: "acme/vision".to_owned(), run_id: 70, only: Some(JobId(7)) };
    assert_eq!(orders, [again], "GitHub said that it ran on the machine that was lost");
    assert_eq!(fleet.tracked_jobs().len(), 1, "and is asked until the re-run shows");
    let observation = Observation { untold: vec![JobId(7)], ..look(Vec::new(), vec![gone], Vec::new()) };
    let _ = fleet
        .reconcile(observation, now(170), &cml_planner::plan, &mut || id(50))
        .expect("the journal is there");
    assert!(fleet.tracked_jobs().is_empty(), "a later attempt has begun");
    assert_eq!(fleet.state().started_by(70, 2), Some("mona"));
}

#[test]
fn a_runner_that_is_connected_keeps_its_launch_alive_though_the_cloud_shows_nothing() {
    let mut fleet = fleet();
    let mut step = |second, runners| {
        let observation = look(vec![job(JobState::Queued, None)], Vec::new(), runners);
        fleet
            .reconcile(observation, now(second), &cml_planner::plan, &mut || id(1))
            .expect("the journal is there")
            .commands
    };
    assert_eq!(step(0, Vec::new()).len(), 1);
    let busy =
        RunnerStatus { id: 3, name: id(1).runner_name(), online: true, busy: true, labels: Vec::new() };
    assert_eq!(step(400, vec![busy.clone()]), [], "it was not given up after five minutes");
    assert_eq!(step(2000, vec![busy]), []);
}

#[test]
fn a_machine_whose_answer_was_lost_costs_what_its_own_type_costs_by_the_list() {
    let spec = Spec { spot: SpotPolicy::Never, ..spec() };
    let mut fleet = Reconciler::open(MemoryJournal::default(), vec![spec]).expect("opens");
    let mut step = |second, instances| {
        let mut observation = look(vec![job(JobState::Queued, None)], instances, Vec::new());
        let offers = observation.offers.get_mut("gpu").expect("offers");
        offers[0].market = Market::OnDemand;
        let dearer = Offer {
            instance_type: "g6.xlarge".to_owned(),
            price: Some(UsdPerHour("0.72".parse().expect("a number"))),
            ..offers[0].clone()
        };
        offers.push(dearer);
        fleet
            .reconcile(observation, now(second), &cml_planner::plan, &mut || id(1))
            .expect("the journal is there");
    };
    step(0, Vec::new());
    let mut machine = instance(id(1), InstanceState::Running);
    machine.market = Market::OnDemand;
    step(20, vec![machine.clone()]);
    (machine.state, machine.ended_at) = (InstanceState::Terminated, Some(at(1000)));
    step(1010, vec![machine]);
    let costs: Vec<String> = fleet.state().ledger().iter().map(|entry| entry.cost.to_string()).collect();
    assert_eq!(costs, ["$0.1"], "0.36 USD an hour for 1000 s");
}

#[test]
fn a_machine_of_another_controller_is_not_taken_in() {
    let mut fleet = fleet();
    for controller in [Some("launch"), Some("another-daemon"), None] {
        let mut machine = instance(id(1), InstanceState::Running);
        machine.controller = controller.map(str::to_owned);
        let observation = look(vec![job(JobState::Queued, None)], vec![machine], Vec::new());
        let plan = fleet.dry_run(observation, now(0)).expect("is planned");
        assert!(fleet.state().launches().is_empty(), "{controller:?}");
        assert_eq!(plan.actions.len(), 1, "{controller:?}: the pool may still have its one machine");
    }
}

#[test]
fn a_controller_keeps_its_name_and_what_it_was_called_before_stays_its_own() {
    let mut fleet = Reconciler::open(MemoryJournal::default(), vec![spec()]).expect("opens");
    let name = |fleet: &mut Reconciler<_>, given: Option<&str>| {
        fleet.name(given, at(0), &|| "made-up".to_owned()).expect("is named")
    };
    assert_eq!(name(&mut fleet, None), "made-up");
    assert_eq!(fleet.name(None, at(1), &|| "another".to_owned()).expect("is named"), "made-up");
    assert_eq!(name(&mut fleet, Some("pools")), "pools");
    assert_eq!(name(&mut fleet, None), "pools");
    for tag in ["made-up", "pools"] {
        assert!(fleet.state().is_ours(id(9), Some(tag)), "{tag}");
    }
    assert!(!fleet.state().is_ours(id(9), Some("launch")));
}

/// One process's fleet over a journal that others have open too.
fn shared(path: &std::path::Path) -> Reconciler<SqliteJournal> {
    Reconciler::open(SqliteJournal::open(path).expect("opens"), vec![spec()]).expect("is read")
}

/// What a fleet orders while job 7 is queued and no machine shows.
fn orders(
    fleet: &mut Reconciler<SqliteJournal>,
    second: i64,
    new: u128,
    lag: Option<SignedDuration>,
) -> usize {
    let mut observation = look(vec![job(JobState::Queued, None)], Vec::new(), Vec::new());
    observation.shows_within = lag.into_iter().map(|lag| ("us-east-1".to_owned(), lag)).collect();
    fleet
        .reconcile(observation, now(second), &cml_planner::plan, &mut || id(new))
        .expect("steps")
        .commands
        .len()
}

#[test]
fn the_job_of_a_process_that_was_killed_before_its_call_is_served_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("journal.db");
    let mut killed = shared(&path);
    assert_eq!(orders(&mut killed, 0, 1, None), 1);
    let mut other = shared(&path);
    assert_eq!(orders(&mut other, 5, 2, None), 0, "who decided it lives, and may call at any moment");
    drop(killed);
    assert_eq!(orders(&mut other, 20, 3, None), 1, "nobody calls for it any more");
}

#[test]
fn what_a_process_that_was_killed_may_have_bought_is_waited_for_as_long_as_its_cloud_takes_to_show_it() {
    for (lag, waits) in [(None, true), (Some(SignedDuration::ZERO), false)] {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("journal.db");
        let mut killed = shared(&path);
        assert_eq!(orders(&mut killed, 0, 1, lag), 1);
        assert!(killed.record_call(id(1), at(1)).expect("is written"));
        drop(killed);
        let mut next = shared(&path);
        assert_eq!(orders(&mut next, 20, 2, lag) == 0, waits, "{lag:?}");
        if waits {
            assert_eq!(orders(&mut next, 200, 3, lag), 0);
            assert_eq!(orders(&mut next, 321, 4, lag), 1, "it has not bought anything");
        }
    }
}

#[test]
fn what_a_process_bought_just_before_it_was_killed_is_not_missed_by_a_look_that_was_under_way() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("journal.db");
    let lag = Some(SignedDuration::ZERO);
    let (mut killed, mut other) = (shared(&path), shared(&path));
    assert_eq!(orders(&mut killed, 0, 1, lag), 1);
    assert!(killed.record_call(id(1), at(1)).expect("is written"));
    assert_eq!(orders(&mut other, 5, 2, lag), 0);
    drop(killed);
    let mut older = look(vec![job(JobState::Queued, None)], Vec::new(), Vec::new());
    older.begun = Some(Duration::from_secs(10));
    older.shows_within = BTreeMap::from([("us-east-1".to_owned(), SignedDuration::ZERO)]);
    let step = other.reconcile(older, now(13), &cml_planner::plan, &mut || id(3)).expect("steps");
    assert_eq!(step.commands, [], "its machine may have come since");
    assert_eq!(orders(&mut other, 20, 4, lag), 1, "the next look shows none");
}

#[test]
fn a_launch_that_was_given_up_is_not_called_any_more() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("journal.db");
    let (mut one, mut other) = (shared(&path), shared(&path));
    assert_eq!(orders(&mut one, 0, 1, None), 1);
    assert_eq!(orders(&mut other, 0, 2, None), 0);
    assert_eq!(orders(&mut other, 301, 3, None), 1, "it was never seen");
    assert!(!one.record_call(id(1), at(302)).expect("is read"));
}

#[test]
fn what_was_bought_since_the_look_was_begun_is_not_gone_for_not_being_in_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut fleet = shared(&dir.path().join("journal.db"));
    let at_once = Some(SignedDuration::ZERO);
    assert_eq!(orders(&mut fleet, 10, 1, at_once), 1);
    assert!(fleet.record_call(id(1), at(10)).expect("is written"));
    let machine = instance(id(1), InstanceState::Running);
    let launched = Ok(cml_cloud::Launched {
        id: machine.id.clone(),
        offer: look(Vec::new(), Vec::new(), Vec::new()).offers["gpu"][0].clone(),
        failures: Vec::new(),
    });
    fleet.record_launch(id(1), &[], &launched, at(11)).expect("is written");
    let mut older = look(vec![job(JobState::Queued, None)], Vec::new(), Vec::new());
    older.begun = Some(Duration::from_secs(9));
    older.shows_within = BTreeMap::from([("us-east-1".to_owned(), SignedDuration::ZERO)]);
    let step = fleet.reconcile(older, now(12), &cml_planner::plan, &mut || id(2)).expect("steps");
    assert_eq!(step.commands, [], "the machine is on its way");
}

#[test]
fn what_one_way_to_buy_was_refused_for_is_not_held_against_its_region() {
    let mut fleet = fleet();
    let offers = sold();
    let failure = |offer: &Offer| OfferFailure {
        offer: Some(offer.clone()),
        kind: ErrorKind::Denied,
        code: "UnauthorizedOperation".to_owned(),
        message: "with an explicit deny in a service control policy".to_owned(),
        hint: None,
    };
    let launched = Launched {
        id: InstanceId("i-1".to_owned()),
        offer: offers[1].clone(),
        failures: vec![failure(&offers[0])],
    };
    fleet.record_launch(id(1), &offers, &Ok(launched), at(0)).expect("is written");
    let refusals = fleet.state().refusals();
    assert_eq!(refusals.len(), 1);
    assert_eq!((refusals[0].instance_type.as_str(), refusals[0].of_region), ("g5.xlarge", false));
    assert!(refusals[0].cause.as_deref().is_some_and(|cause| cause.contains("service control policy")));
    let whole = CloudError::new(ErrorKind::Denied, "launching", "UnauthorizedOperation: no");
    fleet.record_launch(id(2), &offers, &Err(LaunchError::Cloud(whole)), at(0)).expect("is written");
    assert!(fleet.state().refusals().iter().all(|refusal| refusal.of_region));
}

/// Two types that one call asks for.
fn sold() -> Vec<Offer> {
    let first = look(Vec::new(), Vec::new(), Vec::new()).offers["gpu"][0].clone();
    vec![first.clone(), Offer { instance_type: "g6.xlarge".to_owned(), ..first }]
}

#[test]
fn what_people_cure_is_tried_again_at_once_after_a_restart_and_after_a_changed_configuration() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("journal.db");
    let wants = |fleet: &mut Reconciler<SqliteJournal>| {
        let observation = look(vec![job(JobState::Queued, None)], Vec::new(), Vec::new());
        fleet.dry_run(observation, now(60)).expect("is planned").actions.len()
    };
    for (kind, cured) in [(ErrorKind::Invalid, 1), (ErrorKind::Denied, 1), (ErrorKind::Capacity, 0)] {
        let open =
            || Reconciler::open(SqliteJournal::open(&path).expect("opens"), vec![spec()]).expect("is read");
        let mut fleet = open();
        let offers = look(Vec::new(), Vec::new(), Vec::new()).offers["gpu"].clone();
        let error = CloudError::new(kind, "launching", "no");
        fleet.record_launch(id(1), &offers, &Err(LaunchError::Cloud(error)), at(30)).expect("is written");
        assert_eq!(wants(&mut fleet), 0, "{kind:?}");
        fleet.retry_refused();
        assert_eq!(wants(&mut fleet), cured, "{kind:?}: the configuration changed");
        assert_eq!(wants(&mut open()), cured, "{kind:?}: the daemon restarted");
    }
}

#[test]
fn of_a_strangers_job_nothing_is_learned_however_it_ends_but_that_it_had_a_machine() {
    let strangers = |id, state, runner| Job { id: JobId(id), from_fork: true, ..job(state, runner) };
    let mut spec = spec();
    spec.allow.forks = cml_spec::Forks::Never;
    let mut fleet = Reconciler::open(MemoryJournal::default(), vec![spec]).expect("opens");
    let failed = JobState::Failed { run_over: true };
    let states = [JobState::Queued, JobState::Waiting, JobState::Running, JobState::Over, failed];
    for (number, state) in states.into_iter().enumerate() {
        let jobs = vec![strangers(100 + number as u64, state, None)];
        let observation = look(jobs, Vec::new(), Vec::new());
        let _ = fleet.reconcile(observation, now(0), &cml_planner::plan, &mut || id(1)).expect("is decided");
    }
    assert!(fleet.state().gaps_seconds().is_empty() && !fleet.state().knows(JobId(104)));
    let taken = vec![strangers(200, failed, Some(id(1)))];
    let observation = look(taken, Vec::new(), Vec::new());
    let _ = fleet.reconcile(observation, now(1), &cml_planner::plan, &mut || id(1)).expect("is decided");
    assert!(fleet.state().knows(JobId(200)), "GitHub gave it a machine of ours");
}

#[test]
fn a_machine_whose_price_nobody_knew_costs_what_the_list_says_later_or_is_an_estimate() {
    for (is_sold_again, cost, estimated) in [(true, "$0.1", false), (false, "$0.2", true)] {
        let spec = Spec { spot: SpotPolicy::Never, ..spec() };
        let mut fleet = Reconciler::open(MemoryJournal::default(), vec![spec]).expect("opens");
        let mut step = |second, instances: Vec<Instance>, is_sold: bool| {
            let mut observation = look(vec![job(JobState::Queued, None)], instances, Vec::new());
            let offers = observation.offers.get_mut("gpu").expect("offers");
            offers[0].market = Market::OnDemand;
            let dearer = Offer {
                instance_type: "g6.xlarge".to_owned(),
                price: Some(UsdPerHour("0.72".parse().expect("a number"))),
                ..offers[0].clone()
            };
            offers.push(dearer);
            if !is_sold {
                offers.clear();
            }
            fleet
                .reconcile(observation, now(second), &cml_planner::plan, &mut || id(1))
                .expect("the journal is there");
        };
        step(0, Vec::new(), true);
        let mut machine = instance(id(1), InstanceState::Running);
        machine.market = Market::OnDemand;
        step(20, vec![machine.clone()], false);
        step(40, vec![machine.clone()], is_sold_again);
        (machine.state, machine.ended_at) = (InstanceState::Terminated, Some(at(1000)));
        step(1010, vec![machine], is_sold_again);
        let [entry] = fleet.state().ledger() else { panic!("one entry") };
        assert_eq!((entry.cost.to_string().as_str(), entry.estimated), (cost, estimated));
    }
}

#[test]
fn a_run_that_the_daemon_has_asked_for_is_whose_the_interrupted_attempt_was_and_no_other_run_is() {
    let mut spec = spec();
    spec.allow.actors = vec!["mona".to_owned()];
    let mut journal = MemoryJournal::default();
    let asked = cml_journal::Event::RerunAsked { run_id: 70, attempt: 2, actor: "mona".to_owned() };
    assert!(cml_journal::Journal::append(&mut journal, 0, at(0), &[asked]).is_ok());
    let mut fleet = Reconciler::open(journal, vec![spec]).expect("opens");
    let mut launches = |run_id, attempt, actor: &str| {
        let job = Job { run_id, attempt, actor: actor.to_owned(), ..job(JobState::Queued, None) };
        let observation = look(vec![job], Vec::new(), Vec::new());
        fleet.dry_run(observation, now(1)).expect("is planned").actions.len()
    };
    assert_eq!(launches(70, 2, "cml-runner[bot]"), 1);
    assert_eq!(launches(71, 2, "cml-runner[bot]"), 0);
    assert_eq!(launches(70, 1, "mallory"), 0);
}
