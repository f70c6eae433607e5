//! What the plan does, one behaviour a test.
#![allow(missing_docs)]

mod world;

use cml_cloud::{Market, SpotPolicy};
use cml_planner::{
    Action, Job, JobState, PlanningInput, RefusalKind, Spending, TerminationReason, day_of, plan,
};
use cml_spec::{Budget, Forks, Idle, Limits, Warm, Whose};
use jiff::{SignedDuration, Timestamp};
use world::{Doing, at, budget, job, machine, now, offers, refusal, spec, usd, world};

fn shown(observed: &cml_planner::PlanningInput) -> String {
    plan(observed, now()).to_string()
}

fn launches(observed: &cml_planner::PlanningInput) -> usize {
    let is_launch = |action: &&Action| matches!(action, Action::Launch { .. });
    plan(observed, now()).actions.iter().filter(is_launch).count()
}

fn causes(observed: &cml_planner::PlanningInput) -> Vec<TerminationReason> {
    let cause = |action: &Action| match action {
        Action::Terminate { cause, .. } | Action::RemoveRunner { cause, .. } => Some(*cause),
        _ => None,
    };
    plan(observed, now()).actions.iter().filter_map(cause).collect()
}

#[test]
fn a_queued_job_gets_a_launch_with_every_offer_of_the_best_region_and_market() {
    let mut world = world(vec![spec("gpu", "cml gpu")]);
    world.jobs.get_or_insert_default().push(job(1, "self-hosted GPU"));
    insta::assert_snapshot!(shown(&world), @"launch gpu for job 1: spot g5.xlarge in us-east-1a at $0.4/h, spot g5.xlarge in us-east-1b at $0.5/h; gone by 2027-01-15T09:00:00Z");
}

#[test]
fn machines_that_are_free_or_on_their_way_are_taken_before_any_launch() {
    let gpu = spec("gpu", "cml gpu");
    for doing in [Doing::Asked, Doing::Booting, Doing::Idle(10)] {
        let mut world = world(vec![gpu.clone()]);
        machine(&mut world, &gpu, 1, 100, doing);
        world.jobs.get_or_insert_default().push(job(1, "gpu"));
        assert_eq!(shown(&world), "nothing to do\n", "{doing:?}");
        world.jobs.get_or_insert_default().push(job(2, "gpu"));
        assert_eq!(launches(&world), 1, "{doing:?}: the second job needs another one");
    }
}

#[test]
fn busy_finished_and_noticed_machines_serve_nobody() {
    let gpu = spec("gpu", "cml gpu");
    for doing in [Doing::Busy, Doing::Done] {
        let mut world = world(vec![gpu.clone()]);
        machine(&mut world, &gpu, 1, 100, doing);
        world.jobs.get_or_insert_default().push(job(1, "gpu"));
        assert_eq!(launches(&world), 1, "{doing:?}");
    }
    let mut world = world(vec![gpu.clone()]);
    machine(&mut world, &gpu, 1, 100, Doing::Idle(10));
    world.launches[0].notice_at = Some(at(-5));
    world.jobs.get_or_insert_default().push(job(1, "gpu"));
    assert_eq!(launches(&world), 1, "a machine under notice is given no job");
}

#[test]
fn a_job_goes_to_the_spec_with_the_fewest_other_labels() {
    let mut world = world(vec![spec("a-big", "cml gpu big"), spec("small", "cml gpu")]);
    world.jobs.get_or_insert_default().push(job(1, "gpu"));
    assert!(shown(&world).starts_with("launch small for job 1"));
}

#[test]
fn a_job_that_nobody_serves_is_told_why() {
    let mut picky = spec("gpu", "cml gpu");
    picky.allow.events = vec!["push".to_owned()];
    let mut world = world(vec![picky]);
    let mut fork = job(1, "gpu");
    fork.from_fork = true;
    let mut event = job(2, "gpu");
    event.event = "issue_comment".to_owned();
    world.jobs = Some(vec![fork, event, job(3, "tpu")]);
    insta::assert_snapshot!(shown(&world), @r"
    job 1 waits: pool gpu does not run code from forks
    job 2 waits: pool gpu does not run jobs of the event issue_comment
    job 3 waits: no pool has all of its labels: gpu lacks tpu
    ");
    world.specs[0].allow.forks = Forks::Always;
    assert_eq!(launches(&world), 1);
}

#[test]
fn the_oldest_jobs_come_first_and_the_limit_counts_everything_that_lives() {
    let mut gpu = spec("gpu", "cml gpu");
    gpu.max = 3;
    let mut world = world(vec![gpu.clone()]);
    machine(&mut world, &gpu, 1, 100, Doing::Busy);
    machine(&mut world, &gpu, 2, 400, Doing::Done);
    world.jobs = Some(vec![job(9, "gpu"), job(1, "gpu"), job(5, "gpu")]);
    let shown = shown(&world);
    assert!(shown.contains("launch gpu for job 1"), "{shown}");
    assert!(
        shown.contains("job 5 waits: pool gpu is at its limit (3)") && shown.contains("job 9 waits"),
        "{shown}"
    );
}

#[test]
fn a_broken_spec_or_a_refused_job_holds_up_nobody_else() {
    let mut world = world(vec![spec("dry", "cml gpu"), spec("cpu", "cml cpu")]);
    world.offers.insert("dry".to_owned(), Vec::new());
    world.jobs = Some(vec![job(1, "gpu"), job(2, "cpu")]);
    insta::assert_snapshot!(shown(&world), @r"
    launch cpu for job 2: spot g5.xlarge in us-east-1a at $0.4/h, spot g5.xlarge in us-east-1b at $0.5/h; gone by 2027-01-15T09:00:00Z
    job 1 waits: no instance type, zone or subnet matches pool dry
    ");
}

#[test]
fn another_spec_that_may_serve_the_job_helps_out() {
    let mut world = world(vec![spec("dry", "gpu"), spec("rich", "gpu big")]);
    world.offers.insert("dry".to_owned(), Vec::new());
    world.jobs.get_or_insert_default().push(job(1, "gpu"));
    assert!(shown(&world).starts_with("launch rich for job 1"));
}

#[test]
fn budgets_count_what_is_spent_and_what_every_machine_may_still_cost() {
    let mut gpu = spec("gpu", "cml gpu");
    // One machine promises at most 0.5 USD/h for one hour.
    gpu.budget = budget("1.2");
    let mut world = world(vec![gpu.clone()]);
    world.jobs = Some(vec![job(1, "gpu"), job(2, "gpu"), job(3, "gpu")]);
    assert_eq!(launches(&world), 2);
    insta::assert_snapshot!(shown(&world).lines().last().expect("a line"), @"job 3 waits: over budget: gpu allows $1.2 a day ($0 spent, counted until 2027-01-16 00:00 UTC; $1 reserved by machines until each ends); one machine can cost $0.5 by its deadline");
    world.spent.push(spending(now(), "0.5"));
    assert_eq!(launches(&world), 1);
    machine(&mut world, &gpu, 1, 100, Doing::Busy);
    assert_eq!(launches(&world), 0);
}

/// What one machine of the GPU spec for acme/vision and mona has cost, gone at this time.
fn spending(at: Timestamp, cost: &str) -> Spending {
    let (repository, actor) = (Some("acme/vision".to_owned()), Some("mona".to_owned()));
    Spending { day: day_of(at), spec: "gpu".to_owned(), repository, actor, cost: world::usd(cost) }
}

#[test]
fn budgets_of_repositories_and_persons_hold_over_all_specs_and_in_their_own_periods() {
    let limits = |day: Option<&str>, week: Option<&str>, month: Option<&str>| Limits {
        day: day.map(world::usd),
        week: week.map(world::usd),
        month: month.map(world::usd),
        warn_at_percent: 80,
    };
    let mut world = world(vec![spec("gpu", "cml gpu")]);
    world.jobs = Some(vec![job(1, "gpu")]);
    let with = |world: &PlanningInput, whose: Whose, limits: Limits| {
        let budgets = vec![Budget { whose, limits }];
        shown(&PlanningInput { budgets, ..world.clone() })
    };
    let repository = |name: &str| Whose::Repository(Some(name.to_owned()));
    // The beginning of these tests is a Friday, the 15th.
    world.spent = vec![spending(at(-2 * 86_400), "3"), spending(at(-10 * 86_400), "20")];
    assert!(with(&world, repository("Acme/Vision"), limits(Some("0.4"), None, None)).contains("waits"));
    assert!(with(&world, repository("acme/other"), limits(Some("0.4"), None, None)).contains("launch"));
    assert!(with(&world, Whose::Repository(None), limits(Some("0.6"), None, None)).contains("launch"));
    assert!(with(&world, Whose::Actor(None), limits(None, Some("3.6"), None)).contains("launch"));
    assert!(with(&world, Whose::Actor(None), limits(None, Some("3.4"), None)).contains("waits"));
    assert!(
        with(&world, Whose::Actor(Some("hubot".into())), limits(None, Some("3.4"), None)).contains("launch")
    );
    assert!(with(&world, repository("acme/vision"), limits(None, None, Some("23.6"))).contains("launch"));
    let told = with(&world, repository("acme/vision"), limits(None, None, Some("23.4")));
    insta::assert_snapshot!(told, @"job 1 waits: over budget: repository acme/vision allows $23.4 a month ($23 spent, counted until 2027-02-01 00:00 UTC; $0 reserved by machines until each ends); one machine can cost $0.5 by its deadline");
}

#[test]
fn what_never_fits_is_told_as_such() {
    let mut gpu = spec("gpu", "cml gpu");
    gpu.budget = budget("0.3");
    let mut world = world(vec![gpu]);
    world.jobs = Some(vec![job(1, "gpu")]);
    assert!(
        shown(&world).contains("one machine can cost $0.5 by its deadline, more than the whole budget"),
        "{}",
        shown(&world)
    );
    for offers in world.offers.values_mut() {
        offers.iter_mut().for_each(|offer| offer.price = None);
    }
    assert!(shown(&world).contains("the price of a machine is unknown"), "{}", shown(&world));
}

#[test]
fn who_comes_near_a_limit_is_told_before_it_is_reached() {
    let mut gpu = spec("gpu", "cml gpu");
    gpu.budget = Some(Limits { warn_at_percent: 60, ..Limits::of_day(world::usd("1")) });
    let mut world = world(vec![gpu.clone()]);
    assert_eq!(plan(&world, now()).near_limit, []);
    world.jobs = Some(vec![job(1, "gpu")]);
    assert_eq!(plan(&world, now()).near_limit, [], "half of it is promised");
    world.spent.push(spending(now(), "0.1"));
    let near = plan(&world, now()).near_limit;
    assert_eq!(near.len(), 1);
    assert_eq!((near[0].spent, near[0].promised), (world::usd("0.1"), world::usd("0.5")));
}

#[test]
fn refused_pools_are_left_alone_then_other_regions_then_on_demand_then_a_reason() {
    let mut world = world(vec![spec("gpu", "cml gpu")]);
    world.jobs.get_or_insert_default().push(job(1, "gpu"));
    let all = offers();
    world.refusals.push(refusal(&all[0], RefusalKind::Capacity, 1, -60));
    assert!(shown(&world).contains("spot g5.xlarge in us-east-1b"));
    world.refusals.push(refusal(&all[1], RefusalKind::Capacity, 1, -60));
    assert!(shown(&world).contains("spot g5.xlarge in us-west-2a"));
    world.refusals.push(refusal(&all[2], RefusalKind::Capacity, 2, -200));
    assert!(shown(&world).contains("on-demand g5.xlarge in us-east-1a"));
    world.refusals.push(refusal(&all[3], RefusalKind::Invalid, 1, -60));
    insta::assert_snapshot!(shown(&world), @"job 1 waits: gpu: the cloud has no such machine at the moment; tried again at 08:02:00 UTC");
    assert!(
        plan(&world, at(121)).to_string().contains("spot g5.xlarge in us-east-1a"),
        "and it is tried again"
    );
}

#[test]
fn a_quota_holds_for_its_class_until_usage_falls() {
    let gpu = spec("gpu", "cml gpu");
    let mut world = world(vec![gpu.clone()]);
    machine(&mut world, &gpu, 1, 100, Doing::Busy);
    world.jobs.get_or_insert_default().push(job(1, "gpu"));
    world.refusals.push(refusal(&offers()[0], RefusalKind::Quota { vcpus_in_use: 4 }, 1, -60));
    assert!(shown(&world).contains("us-west-2a"), "the whole class in that region: {}", shown(&world));
    world.launches.clear();
    world.instances = Some(Vec::new());
    world.runners = Some(Vec::new());
    assert!(shown(&world).contains("us-east-1a"), "usage has fallen");
}

#[test]
fn spot_only_never_pays_the_list_price() {
    let mut gpu = spec("gpu", "cml gpu");
    gpu.spot = SpotPolicy::Only;
    let mut world = world(vec![gpu]);
    world
        .offers
        .insert("gpu".to_owned(), offers().into_iter().filter(|it| it.market == Market::OnDemand).collect());
    world.jobs.get_or_insert_default().push(job(1, "gpu"));
    assert!(shown(&world).contains("no instance type, zone or subnet matches"));
}

#[test]
fn deadlines_end_everything_and_idleness_only_the_idle() {
    let gpu = spec("gpu", "cml gpu");
    for doing in [Doing::Booting, Doing::Busy, Doing::Idle(1), Doing::Done] {
        let mut world = world(vec![gpu.clone()]);
        // It powers itself off at its deadline; help comes five minutes later.
        machine(&mut world, &gpu, 1, 3900, doing);
        assert_eq!(causes(&world), [TerminationReason::Deadline], "{doing:?}");
    }
    let mut idle = world(vec![gpu.clone()]);
    machine(&mut idle, &gpu, 1, 1000, Doing::Idle(299));
    assert_eq!(causes(&idle), []);
    machine(&mut idle, &gpu, 2, 1000, Doing::Idle(300));
    assert_eq!(causes(&idle), [TerminationReason::Idle]);
}

#[test]
fn not_knowing_whether_it_is_busy_means_busy() {
    let gpu = spec("gpu", "cml gpu");
    let mut world = world(vec![gpu.clone()]);
    machine(&mut world, &gpu, 1, 1000, Doing::Idle(900));
    world.runners = None;
    assert_eq!(causes(&world), []);
    let mut offline = self::world::world(vec![gpu.clone()]);
    machine(&mut offline, &gpu, 1, 1000, Doing::Idle(900));
    offline.runners.as_mut().expect("known")[0].online = false;
    assert_eq!(causes(&offline), [], "offline is no proof of idleness");
}

#[test]
fn a_machine_whose_runner_never_comes_is_ended_after_its_own_chance() {
    let gpu = spec("gpu", "cml gpu");
    let mut world = world(vec![gpu.clone()]);
    machine(&mut world, &gpu, 1, 890, Doing::Booting);
    assert_eq!(causes(&world), []);
    machine(&mut world, &gpu, 2, 910, Doing::Booting);
    assert_eq!(causes(&world), [TerminationReason::NeverRegistered]);
}

#[test]
fn what_is_left_on_one_side_only_is_cleared() {
    let gpu = spec("gpu", "cml gpu");
    let mut world = world(vec![gpu.clone()]);
    machine(&mut world, &gpu, 1, 2000, Doing::Booting);
    world.instances = Some(Vec::new());
    assert_eq!(causes(&world), [TerminationReason::NoMachine]);
    world.instances = None;
    assert_eq!(causes(&world), [], "the cloud could not be asked");
    let mut stranger = self::world::world(vec![gpu.clone()]);
    machine(&mut stranger, &gpu, 1, 2000, Doing::Idle(1000));
    stranger.launches.clear();
    assert_eq!(causes(&stranger), [], "a machine that nobody remembers lives until its deadline");
    stranger.instances.as_mut().expect("known")[0].deadline = None;
    assert_eq!(causes(&stranger), []);
    stranger.instances.as_mut().expect("known")[0].started_at = at(-6 * 86_400);
    assert_eq!(causes(&stranger), [TerminationReason::Deadline], "but not for ever without one");
}

#[test]
fn warm_machines_are_kept_in_their_hours_and_jobs_come_before_them() {
    let mut gpu = spec("gpu", "cml gpu");
    // The test's now is a Friday, 08:00 UTC.
    gpu.warm = vec![Warm { count: 2, hours: Some("Mon-Fri 07:00-19:00 UTC".parse().expect("hours")) }];
    gpu.max = 3;
    let mut world = world(vec![gpu.clone()]);
    assert_eq!(launches(&world), 2);
    world.jobs = Some(vec![job(1, "gpu"), job(2, "gpu")]);
    let shown = shown(&world);
    assert!(shown.contains("job 1:") && shown.contains("job 2:"), "{shown}");
    assert_eq!(shown.matches("to be kept ready").count(), 1, "{shown}");
    world.jobs = Some(Vec::new());
    machine(&mut world, &gpu, 1, 1000, Doing::Idle(900));
    machine(&mut world, &gpu, 2, 1000, Doing::Idle(900));
    assert_eq!(causes(&world), []);
    world.specs[0].warm[0].hours = Some("Sat 07:00-19:00 UTC".parse().expect("hours"));
    assert_eq!(causes(&world), [TerminationReason::Idle, TerminationReason::Idle]);
    world.specs[0].min = 1;
    assert_eq!(causes(&world), [TerminationReason::Idle], "the minimum stays");
}

#[test]
fn an_idle_machine_that_a_job_waits_for_is_kept() {
    let mut gpu = spec("gpu", "cml gpu");
    gpu.idle = Idle::After(SignedDuration::from_secs(1));
    let mut world = world(vec![gpu.clone()]);
    machine(&mut world, &gpu, 1, 1000, Doing::Idle(900));
    world.jobs.get_or_insert_default().push(job(1, "gpu"));
    assert_eq!(shown(&world), "nothing to do\n");
}

#[test]
fn an_interrupted_job_runs_again_once_github_allows_and_not_for_ever() {
    let mut world = world(vec![spec("gpu", "cml gpu")]);
    let mut lost = job(1, "gpu");
    lost.state = JobState::Interrupted { may_rerun: false };
    lost.interruptions = 1;
    world.jobs.get_or_insert_default().push(lost);
    assert_eq!(shown(&world), "nothing to do\n");
    world.jobs.as_mut().expect("known")[0].state = JobState::Interrupted { may_rerun: true };
    insta::assert_snapshot!(shown(&world), @"run job 1 of run 10 again (re-run 1): the cloud took its machine back");
    world.jobs.as_mut().expect("known")[0].interruptions = 3;
    assert_eq!(shown(&world), "nothing to do\n");
    world.jobs.as_mut().expect("known")[0].state = JobState::Queued;
    world.jobs.as_mut().expect("known")[0].interruptions = 2;
    assert!(shown(&world).contains("on-demand"), "the last re-run is not left to the spot market");
}

#[test]
fn a_job_that_a_policy_refuses_is_not_run_again() {
    let mut gpu = spec("gpu", "cml gpu");
    gpu.allow.actors = vec!["mona".to_owned()];
    let mut world = world(vec![gpu]);
    let mut lost = job(1, "gpu");
    lost.state = JobState::Interrupted { may_rerun: true };
    (lost.interruptions, lost.actor) = (1, "mallory".to_owned());
    world.jobs.get_or_insert_default().push(lost);
    assert_eq!(shown(&world), "nothing to do\n", "the re-run would be the daemon's, and allowed");
    world.jobs.as_mut().expect("known")[0].actor = "mona".to_owned();
    assert!(shown(&world).starts_with("run job 1 of run 10 again"));
}

#[test]
fn a_launch_that_the_cloud_never_showed_counts_until_it_cannot_come_any_more() {
    let gpu = spec("gpu", "cml gpu");
    let mut world = world(vec![gpu.clone()]);
    machine(&mut world, &gpu, 1, 299, Doing::Asked);
    world.jobs.get_or_insert_default().push(job(1, "gpu"));
    assert_eq!(launches(&world), 0);
    // A clock that is put forward makes no launch old.
    assert_eq!(plan(&world, at(1000)).actions.len(), 0);
    world.launches[0].watched_for = SignedDuration::from_secs(301);
    assert_eq!(launches(&world), 1);
}

#[test]
fn while_github_is_silent_no_machine_is_ended_for_not_registering_and_none_is_bought() {
    let gpu = spec("gpu", "cml gpu");
    let mut world = world(vec![gpu.clone()]);
    machine(&mut world, &gpu, 1, 1000, Doing::Booting);
    assert_eq!(causes(&world), [TerminationReason::NeverRegistered]);
    world.runners = None;
    assert_eq!(causes(&world), []);
    world.jobs = Some(vec![job(1, "gpu"), job(2, "gpu")]);
    insta::assert_snapshot!(shown(&world), @"job 2 waits: GitHub does not answer, so no runner can be registered; retried with every observation");
}

#[test]
fn the_interrupted_jobs_of_one_run_run_again_together() {
    let mut world = world(vec![spec("gpu", "cml gpu")]);
    for id in [1, 2] {
        let mut lost = job(id, "gpu");
        (lost.run_id, lost.interruptions) = (7, 1);
        lost.state = JobState::Interrupted { may_rerun: true };
        world.jobs.get_or_insert_default().push(lost);
    }
    insta::assert_snapshot!(shown(&world), @"run jobs 1, 2 of run 7 again (re-run 1): the cloud took their machines back");
}

#[test]
fn a_job_for_githubs_own_machines_is_nobodys_concern() {
    let mut world = world(vec![spec("gpu", "cml gpu")]);
    world.jobs = Some(vec![job(1, "ubuntu-latest"), job(2, "self-hosted ubuntu-box")]);
    insta::assert_snapshot!(shown(&world), @"job 2 waits: no pool has all of its labels: gpu lacks ubuntu-box");
    world.specs.push(spec("own", "ubuntu-latest"));
    world.offers.insert("own".to_owned(), offers());
    assert_eq!(launches(&world), 1, "but for a spec that serves it");
}

#[test]
fn a_refused_job_reserves_no_machine_and_holds_no_idle_one_back() {
    let mut gpu = spec("gpu", "cml gpu");
    gpu.warm = vec![Warm { count: 1, hours: None }];
    let mut world = world(vec![gpu.clone()]);
    machine(&mut world, &gpu, 1, 1000, Doing::Idle(900));
    for id in 1..9 {
        let fork = Job { from_fork: true, ..job(id, "gpu") };
        world.jobs.get_or_insert_default().push(fork);
    }
    let told = shown(&world);
    assert!(!told.contains("launch"), "{told}");
    assert_eq!(told.matches("pool gpu does not run code from forks").count(), 8, "{told}");
    world.jobs.get_or_insert_default().push(job(10, "gpu"));
    assert_eq!(launches(&world), 1, "the kept one is for job 10, and one more is kept ready");
    world.specs[0].warm.clear();
    assert_eq!(launches(&world), 0, "the idle one is for job 10");
    world.jobs.get_or_insert_default().pop();
    assert_eq!(causes(&world), [TerminationReason::Idle], "no job that may have it is queued");
}

#[test]
fn a_job_that_one_spec_refuses_is_served_by_another_and_leaves_the_first_ones_machines_alone() {
    let mut ours = spec("ours", "cml");
    ours.warm = vec![Warm { count: 1, hours: None }];
    let mut any = spec("open", "cml extra");
    any.allow.forks = Forks::Always;
    let mut world = world(vec![ours.clone(), any]);
    machine(&mut world, &ours, 1, 100, Doing::Idle(10));
    world.jobs = Some(vec![Job { from_fork: true, ..job(1, "cml") }]);
    let told = shown(&world);
    assert!(told.starts_with("launch open for job 1") && told.matches("launch").count() == 1, "{told}");
}

#[test]
fn who_is_over_a_limit_of_their_own_gets_only_what_they_have_paid_for() {
    let gpu = spec("gpu", "cml gpu");
    let mut world = world(vec![gpu.clone()]);
    let whose = Whose::Repository(Some("Acme/Vision".to_owned()));
    world.budgets = vec![Budget { whose, limits: Limits::of_day(usd("1")) }];
    world.spent = vec![spending(now(), "0.9")];
    machine(&mut world, &gpu, 1, 100, Doing::Booting);
    (world.launches[0].repository, world.launches[0].actor) = (None, None);
    let other = Job { repository: "acme/other".to_owned(), ..job(2, "gpu") };
    world.jobs = Some(vec![job(1, "gpu"), other]);
    let told = shown(&world);
    assert!(
        told.starts_with("job 1 waits: over budget: repository acme/vision allows")
            && !told.contains("launch"),
        "{told}"
    );
    world.launches[0].repository = Some("acme/vision".to_owned());
    world.launches[0].actor = Some("mona".to_owned());
    let told = shown(&world);
    assert!(told.starts_with("launch gpu for job 2") && !told.contains("job 1"), "{told}");
}
