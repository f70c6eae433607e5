//! What the plan makes of GitHub and the cloud as they are: labels, other controllers, regions that fail, answers that contradict.
#![allow(missing_docs)]

#[allow(dead_code, reason = "the other tests need more of it")]
mod world;

use cml_cloud::Market;
use cml_planner::{Action, JobState, PlanningInput, Refusal, RefusalKind, TerminationReason, plan};
use world::{Doing, at, job, machine, now, offers, refusal, spec, words, world};

fn shown(observed: &PlanningInput) -> String {
    plan(observed, now()).to_string()
}

fn launches(observed: &PlanningInput) -> usize {
    let is_launch = |action: &&Action| matches!(action, Action::Launch { .. });
    plan(observed, now()).actions.iter().filter(is_launch).count()
}

fn causes(observed: &PlanningInput) -> Vec<TerminationReason> {
    let cause = |action: &Action| match action {
        Action::Terminate { cause, .. } | Action::RemoveRunner { cause, .. } => Some(*cause),
        _ => None,
    };
    plan(observed, now()).actions.iter().filter_map(cause).collect()
}

fn lent(launch_number: u128, world: &mut PlanningInput, spec: &cml_spec::Spec, doing: Doing) {
    let launch = machine(world, spec, launch_number, 1000, doing);
    world.launches.retain(|record| record.id != launch);
    world.ours.remove(&launch);
}

#[test]
fn a_machine_of_another_controller_is_neither_ended_nor_counted_before_its_deadline() {
    let mut gpu = spec("gpu", "cml gpu");
    gpu.max = 1;
    for doing in [Doing::Booting, Doing::Idle(900), Doing::Busy, Doing::Done] {
        let mut world = world(vec![gpu.clone()]);
        lent(1, &mut world, &gpu, doing);
        world.jobs = Some(vec![job(1, "self-hosted gpu")]);
        assert_eq!(causes(&world), [], "{doing:?}");
        assert_eq!(launches(&world), 1, "{doing:?}: it fills no pool of ours");
        // Its machine may be about to show: its registration is not ours to remove.
        world.instances = Some(Vec::new());
        assert_eq!(causes(&world), [], "{doing:?}");
    }
    let mut late = world(vec![gpu.clone()]);
    let launch = machine(&mut late, &gpu, 1, 4000, Doing::Idle(900));
    late.launches.clear();
    late.ours.remove(&launch);
    assert_eq!(causes(&late), [TerminationReason::Deadline], "its deadline is everybody's");
}

#[test]
fn a_machine_of_a_pool_that_is_gone_from_the_file_winds_down() {
    let gpu = spec("gpu", "cml gpu");
    let mut world = world(vec![gpu.clone()]);
    machine(&mut world, &gpu, 1, 1000, Doing::Idle(1));
    world.specs.clear();
    assert_eq!(causes(&world), [TerminationReason::Idle]);
    world.jobs = Some(vec![job(1, "gpu")]);
    assert_eq!(
        causes(&world),
        [TerminationReason::Idle],
        "what no pool serves keeps no machine, for any number of jobs"
    );
}

#[test]
fn a_runner_takes_a_job_by_the_labels_that_github_lists() {
    let gpu = spec("gpu", "cml gpu");
    let mut world = world(vec![gpu.clone()]);
    machine(&mut world, &gpu, 1, 100, Doing::Idle(10));
    world.jobs = Some(vec![job(1, "self-hosted gpu"), job(2, "self-hosted linux x64 gpu")]);
    assert_eq!(launches(&world), 1, "one takes it, the other gets a machine");
    // Registered by something that left out what GitHub does not add.
    world.runners.as_mut().expect("known")[0].labels = words("cml gpu");
    world.jobs = Some(vec![job(1, "self-hosted gpu")]);
    assert_eq!(launches(&world), 1, "that runner never gets this job");
    world.specs[0].default_labels = false;
    insta::assert_snapshot!(shown(&world), @"job 1 waits: no pool has all of its labels: gpu lacks self-hosted");
    world.jobs = Some(vec![job(1, "gpu")]);
    assert_eq!(shown(&world), "nothing to do\n");
}

#[test]
fn the_architecture_of_what_is_for_sale_decides() {
    let mut world = world(vec![spec("any", "cml")]);
    let arm = |mut offer: cml_cloud::Offer| {
        offer.resources.arch = cml_cloud::Arch::Arm64;
        offer
    };
    world.offers.insert("any".to_owned(), offers().into_iter().map(arm).collect());
    world.jobs = Some(vec![job(1, "self-hosted x64 cml"), job(2, "self-hosted cml")]);
    insta::assert_snapshot!(shown(&world).lines().last().expect("a line"), @"job 1 waits: no pool has all of its labels: any lacks x64");
    assert_eq!(launches(&world), 1);
    // Of both architectures the one that the job asks for is bought, though the other one is cheaper.
    let mut both = offers();
    both.iter_mut().skip(1).for_each(|offer| offer.resources.arch = cml_cloud::Arch::Arm64);
    world.offers.insert("any".to_owned(), both);
    world.jobs = Some(vec![job(1, "self-hosted arm64 cml")]);
    assert!(
        shown(&world).starts_with("launch any for job 1: spot g5.xlarge in us-east-1b"),
        "{}",
        shown(&world)
    );
}

#[test]
fn a_job_without_labels_is_nobodys_unless_its_group_says_otherwise() {
    let mut gpu = spec("gpu", "cml gpu");
    gpu.group = Some("big".to_owned());
    let mut world = world(vec![gpu.clone()]);
    machine(&mut world, &gpu, 1, 100, Doing::Idle(10));
    world.jobs = Some(vec![job(1, "")]);
    insta::assert_snapshot!(shown(&world), @"job 1 waits: it has no labels: it is for GitHub-hosted runners or for a runner group; runs-on needs the labels of a pool");
    for (group, launches_expected) in [("big", 1), ("other", 0)] {
        let in_group = |id| cml_planner::Job { group: Some(group.to_owned()), ..job(id, "") };
        world.jobs = Some(vec![in_group(1), in_group(2)]);
        assert_eq!(launches(&world), launches_expected, "{group}");
    }
    insta::assert_snapshot!(shown(&world).lines().last().expect("a line"), @"job 2 waits: no pool with its labels is in the runner group other");
}

#[test]
fn the_offers_of_one_call_are_of_one_driver() {
    let mut world = world(vec![spec("gpu", "cml gpu")]);
    let mut mixed = offers();
    mixed[1].driver = cml_cloud::Driver::Nvidia;
    world.offers.insert("gpu".to_owned(), mixed);
    world.jobs = Some(vec![job(1, "gpu")]);
    insta::assert_snapshot!(shown(&world), @"launch gpu for job 1: spot g5.xlarge in us-east-1a at $0.4/h; gone by 2027-01-15T09:00:00Z");
}

#[test]
fn a_quota_holds_for_what_the_provider_counts_together_and_for_nothing_else() {
    let mut world = world(vec![spec("it", "it")]);
    let of = |instance_type: &str, quota: Option<&str>| {
        let mut offer = world::offer(instance_type, "us-east-1a", Market::Spot, "0.4");
        offer.quota = quota.map(str::to_owned);
        offer
    };
    let met = RefusalKind::Quota { vcpus_in_use: 0 };
    let is_open = |refused: &cml_cloud::Offer, asked: &cml_cloud::Offer, world: &mut PlanningInput| {
        world.refusals = vec![refusal(refused, met, 1, -100)];
        world.offers.insert("it".to_owned(), vec![asked.clone()]);
        world.jobs = Some(vec![job(1, "it")]);
        launches(world) == 1
    };
    let (standard, trn, inf) = (Some("Standard"), Some("Trn"), Some("Inf"));
    let mut open = |refused, asked| is_open(&refused, &asked, &mut world);
    assert!(!open(of("m7i.xlarge", standard), of("t3.xlarge", standard)));
    assert!(
        open(of("t3.xlarge", standard), of("trn1.2xlarge", trn)),
        "a shared first letter is no shared quota"
    );
    assert!(open(of("inf2.xlarge", inf), of("i4i.xlarge", standard)));
    assert!(open(of("m7i.xlarge", None), of("m7i.2xlarge", None)), "without a quota a type counts alone");
    assert!(!open(of("m7i.xlarge", None), of("m7i.xlarge", None)));
}

#[test]
fn a_machine_in_a_region_that_does_not_answer_is_neither_gone_nor_replaced() {
    let mut gpu = spec("gpu", "cml gpu");
    gpu.max = 1;
    let mut world = world(vec![gpu.clone()]);
    machine(&mut world, &gpu, 1, 2000, Doing::Booting);
    world.instances = Some(Vec::new());
    world.jobs = Some(vec![job(1, "gpu"), job(2, "gpu")]);
    assert_eq!(
        (launches(&world), causes(&world)),
        (1, vec![TerminationReason::NoMachine]),
        "its region says that it is gone"
    );
    world.silent_regions = ["us-east-1".to_owned()].into();
    assert_eq!((launches(&world), causes(&world)), (0, Vec::new()));
    world.silent_regions = ["us-west-2".to_owned()].into();
    assert_eq!(launches(&world), 1, "another region's silence is no matter");
    // Nobody knows where it was asked for.
    (world.launches[0].bought, world.launches[0].region) = (None, None);
    assert_eq!(launches(&world), 0);
    world.launches[0].deadline = cml_cloud::Deadline(at(-2 * 3600));
    assert_eq!(launches(&world), 1, "but none outlives its deadline, and silence may last");
}

#[test]
fn a_region_that_fails_is_named_where_nothing_is_for_sale() {
    let mut world = world(vec![spec("gpu", "cml gpu")]);
    world.offers.insert("gpu".to_owned(), Vec::new());
    let why = ["us-west-2: 503", "ap-east-1: AuthFailure"].map(str::to_owned).to_vec();
    world.unanswered.insert("gpu".to_owned(), why);
    world.jobs = Some(vec![job(1, "gpu")]);
    insta::assert_snapshot!(shown(&world), @"job 1 waits: gpu: us-west-2: 503; ap-east-1: AuthFailure");
    world.offers.insert("gpu".to_owned(), offers());
    assert_eq!(launches(&world), 1);
}

#[test]
fn a_region_that_gave_no_answer_to_a_launch_is_asked_after_the_others() {
    let mut world = world(vec![spec("gpu", "cml gpu")]);
    world.jobs = Some(vec![job(1, "gpu")]);
    world.refusals = vec![of_region(refusal(&offers()[0], RefusalKind::Silent, 1, -320))];
    insta::assert_snapshot!(shown(&world), @"launch gpu for job 1: spot g5.xlarge in us-west-2a at $0.6/h; gone by 2027-01-15T09:00:00Z");
    world.offers.insert("gpu".to_owned(), offers()[..2].to_vec());
    assert_eq!(launches(&world), 1, "rather there than nowhere");
}

fn of_region(refusal: Refusal) -> Refusal {
    Refusal { of_region: true, ..refusal }
}

fn said(refusal: Refusal, cause: &str) -> Refusal {
    Refusal { cause: Some(cause.to_owned()), ..refusal }
}

#[test]
fn a_request_that_the_cloud_did_not_take_is_made_again_after_a_quarter_of_an_hour() {
    let mut world = world(vec![spec("gpu", "cml gpu")]);
    world.jobs = Some(vec![job(1, "gpu")]);
    let refused = |seconds| offers().iter().map(|it| refusal(it, RefusalKind::Invalid, 1, seconds)).collect();
    world.refusals = refused(-60);
    world.refusals[0].cause = Some("InvalidKMSKey.InvalidState: the key is disabled".to_owned());
    insta::assert_snapshot!(shown(&world), @"job 1 waits: gpu: the cloud does not take the request; tried again at 08:14:00 UTC; us-east-1: InvalidKMSKey.InvalidState: the key is disabled");
    world.refusals = refused(-15 * 60);
    assert_eq!(launches(&world), 1);
}

#[test]
fn one_way_to_buy_that_is_refused_leaves_the_others_of_its_region() {
    for kind in [RefusalKind::Denied, RefusalKind::Throttled, RefusalKind::Silent, RefusalKind::Invalid] {
        let mut world = world(vec![spec("gpu", "cml gpu")]);
        world.jobs = Some(vec![job(1, "gpu")]);
        world.refusals = vec![refusal(&offers()[0], kind, 1, -1)];
        assert!(shown(&world).contains("spot g5.xlarge in us-east-1b"), "{kind:?}: {}", shown(&world));
        world.refusals = offers()[..2].iter().map(|it| refusal(it, kind, 1, -1)).collect();
        world.offers.insert("gpu".to_owned(), [&offers()[..2], &offers()[3..]].concat());
        assert!(shown(&world).contains("on-demand g5.xlarge in us-east-1a"), "{kind:?}: {}", shown(&world));
    }
}

#[test]
fn a_job_whose_launches_are_refused_says_where_and_in_the_clouds_words() {
    let mut world = world(vec![spec("gpu", "cml gpu")]);
    world.jobs = Some(vec![job(1, "gpu")]);
    let policy = "UnauthorizedOperation: with an explicit deny in a service control policy";
    let denied = |offer| of_region(said(refusal(offer, RefusalKind::Denied, 1, -60), policy));
    world.refusals = vec![
        denied(&offers()[0]),
        said(refusal(&offers()[2], RefusalKind::Capacity, 1, -60), "InsufficientInstanceCapacity"),
    ];
    insta::assert_snapshot!(shown(&world), @"job 1 waits: gpu: the cloud has no such machine at the moment; tried again at 08:02:00 UTC; us-east-1: UnauthorizedOperation: with an explicit deny in a service control policy");
}

#[test]
fn a_job_that_is_in_progress_on_a_runner_makes_it_busy_whatever_the_list_of_runners_says() {
    let gpu = spec("gpu", "cml gpu");
    for doing in [Doing::Idle(900), Doing::Done, Doing::Booting] {
        let mut world = world(vec![gpu.clone()]);
        let launch = machine(&mut world, &gpu, 1, 1000, doing);
        assert_ne!(causes(&world), [], "{doing:?}");
        let mut running = job(1, "gpu");
        (running.state, running.runner) = (JobState::Running, Some(launch.runner_name()));
        world.jobs = Some(vec![running.clone()]);
        assert_eq!(causes(&world), [], "{doing:?}");
        world.runners = Some(Vec::new());
        assert_eq!(causes(&world), [], "{doing:?}, and missing from the list");
    }
    let mut over = world(vec![gpu.clone()]);
    let launch = machine(&mut over, &gpu, 1, 1000, Doing::Busy);
    let done =
        cml_planner::Job { state: JobState::Over, runner: Some(launch.runner_name()), ..job(1, "gpu") };
    over.jobs = Some(vec![done]);
    assert_eq!(causes(&over), [], "a runner that says that it is busy is");
}

#[test]
fn a_runner_that_ended_without_a_job_leaves_its_job_to_another_machine() {
    let gpu = spec("gpu", "cml gpu");
    let mut world = world(vec![gpu.clone()]);
    machine(&mut world, &gpu, 1, 100, Doing::Idle(1));
    world.jobs = Some(vec![job(1, "gpu")]);
    assert_eq!(launches(&world), 0);
    world.runners = Some(Vec::new());
    assert_eq!(launches(&world), 1);
}
