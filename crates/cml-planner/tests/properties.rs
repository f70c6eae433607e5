//! What holds for every plan, whatever the world looks like.
#![allow(missing_docs)]

mod world;

use std::collections::{BTreeMap, BTreeSet};

use cml_cloud::Market;
use cml_planner::{
    Action, JobId, JobState, PlanningInput, RefusalKind, Spending, TerminationReason, day_of, plan,
};
use cml_spec::{Allow, Budget, Forks, Limits, Spec, Warm, Whose};
use proptest::prelude::*;
use world::{Doing, budget, job, machine, now, offers, refusal, spec, world};

fn specs() -> impl Strategy<Value = Vec<Spec>> {
    let one = (0_u32..6, 0_u32..3, 0_u32..3, prop::option::of(0_u32..5), any::<bool>());
    prop::collection::vec(one, 3).prop_map(|all| {
        let labels = ["cml gpu", "cml gpu big", "cml cpu"];
        all.into_iter()
            .zip(labels)
            .enumerate()
            .map(|(number, ((max, min, warm, dollars, _), labels))| {
                let mut spec = spec(&format!("spec-{number}"), labels);
                (spec.max, spec.min) = (max, min);
                spec.warm = vec![Warm { count: warm, hours: None }];
                spec.budget = dollars.and_then(|dollars| budget(&dollars.to_string()));
                spec
            })
            .collect()
    })
}

fn doing() -> impl Strategy<Value = Doing> {
    prop_oneof![
        Just(Doing::Asked),
        Just(Doing::Booting),
        (0_i64..2000).prop_map(Doing::Idle),
        Just(Doing::Busy),
        Just(Doing::Done),
    ]
}

prop_compose! {
    fn worlds()(
        specs in specs(),
        jobs in prop::collection::vec((prop::sample::select(vec!["gpu", "cml", "big", "cpu", "tpu"]), 0_u32..4, 0..3_u8), 0..12),
        machines in prop::collection::vec((0_usize..3, 0_i64..5000, doing()), 0..12),
        refused in prop::collection::vec((0_usize..4, 1_u32..5, -4000_i64..0, 0..3_u8), 0..5),
        blind in (prop::bool::weighted(0.1), prop::bool::weighted(0.1)),
    ) -> PlanningInput {
        let mut world = world(specs.clone());
        for (number, (labels, interruptions, state)) in jobs.into_iter().enumerate() {
            let mut job = job(u64::try_from(number).expect("small"), labels);
            job.interruptions = interruptions;
            job.state = match state {
                0 => JobState::Interrupted { may_rerun: interruptions % 2 == 0 },
                _ => JobState::Queued,
            };
            world.jobs.get_or_insert_default().push(job);
        }
        for (number, (of, age, doing)) in machines.into_iter().enumerate() {
            machine(&mut world, &specs[of], number as u128 + 1, age, doing);
        }
        for (of, in_a_row, when, kind) in refused {
            let kind = [RefusalKind::Capacity, RefusalKind::Quota { vcpus_in_use: 4 }, RefusalKind::Invalid][usize::from(kind)];
            world.refusals.push(refusal(&offers()[of], kind, in_a_row, when));
        }
        if blind.0 { world.instances = None; }
        if blind.1 { world.runners = None; }
        world
    }
}

fn launches(actions: &[Action]) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for action in actions {
        if let Action::Launch { spec, .. } = action {
            *counts.entry(spec.clone()).or_default() += 1;
        }
    }
    counts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn the_same_world_gives_the_same_plan(world in worlds()) {
        prop_assert_eq!(plan(&world, now()), plan(&world.clone(), now()));
    }

    /// L4: caps hold against everything that lives, is on its way or may still show.
    #[test]
    fn no_plan_goes_over_a_limit(world in worlds()) {
        let plan = plan(&world, now());
        for (name, more) in launches(&plan.actions) {
            let spec = world.specs.iter().find(|spec| spec.name == name).expect("a known spec");
            let alive = world.launches.iter().filter(|it| it.spec == name).filter(|it| {
                let shows = world.instances.iter().flatten().any(|instance| instance.launch == Some(it.id));
                shows || world.instances.is_none() || now().duration_since(it.intended_at).as_secs() <= 300
            });
            prop_assert!(u32::try_from(alive.count()).expect("small") + more <= spec.max, "{name}\n{plan}");
        }
    }

    /// L3: a busy machine is ended by its deadline only.
    #[test]
    fn nobody_is_killed_at_work(world in worlds()) {
        for action in plan(&world, now()).actions {
            let Action::Terminate { runner: Some(runner), cause, instance, .. } = action else { continue };
            let busy = world.runners.iter().flatten().any(|it| it.id == runner && it.busy);
            prop_assert!(!busy || cause == TerminationReason::Deadline, "{instance}: {cause}");
        }
        if world.runners.is_none() {
            let idle = plan(&world, now()).actions.iter().any(|it| matches!(it, Action::Terminate { cause: TerminationReason::Idle, .. }));
            prop_assert!(!idle, "GitHub could not be asked");
        }
    }

    /// L8: what is refused changes nothing, and says why.
    #[test]
    fn strangers_are_free(
        world in worlds(),
        strangers in prop::collection::vec((prop::sample::select(vec!["gpu", "cml", "big", "cpu"]), 0_usize..5, 0_u64..20), 1..8),
    ) {
        let mut world = world;
        for spec in &mut world.specs {
            spec.allow = Allow {
                forks: Forks::Never,
                events: vec!["push".to_owned()],
                actors: vec!["mona".to_owned(), "hubot".to_owned()],
                repositories: vec!["acme/vision".to_owned(), "acme/poor".to_owned()],
            };
        }
        let limits = Limits::of_day(world::usd("5"));
        for (repository, actor) in [("acme/poor", "mona"), ("acme/vision", "hubot")] {
            let (spec, day) = (world.specs[0].name.clone(), day_of(now()));
            let (repository, actor) = (Some(repository.to_owned()), Some(actor.to_owned()));
            world.spent.push(Spending { day, spec, repository, actor, cost: world::usd("5") });
        }
        let poor = [Whose::Repository(Some("acme/poor".to_owned())), Whose::Actor(Some("hubot".to_owned()))];
        world.budgets = poor.into_iter().map(|whose| Budget { whose, limits }).collect();
        let alone = plan(&world, now());
        let mut ids = Vec::new();
        for (number, (labels, rule, age)) in strangers.into_iter().enumerate() {
            let mut job = job(1_000 + u64::try_from(number).expect("small"), labels);
            job.queued_at = world::at(-600 + i64::try_from(age).expect("small"));
            match rule {
                0 => job.from_fork = true,
                1 => job.event = "issue_comment".to_owned(),
                2 => job.actor = "mallory".to_owned(),
                3 => job.repository = "acme/other".to_owned(),
                _ if age % 2 == 0 => job.repository = "acme/poor".to_owned(),
                _ => job.actor = "hubot".to_owned(),
            }
            ids.push(job.id);
            world.jobs.get_or_insert_default().push(job);
        }
        let with_them = plan(&world, now());
        prop_assert_eq!(&with_them.actions, &alone.actions);
        for id in ids {
            prop_assert!(with_them.waiting.iter().any(|waiting| waiting.job == id), "{} has no reason\n{}", id, with_them);
        }
    }

    /// L2: every queued job has a machine to come, a launch, or a reason.
    #[test]
    fn nobody_starves_in_silence(world in worlds()) {
        let plan = plan(&world, now());
        let queued: BTreeSet<JobId> =
            world.jobs.iter().flatten().filter(|job| job.state == JobState::Queued).map(|job| job.id).collect();
        let mut told: BTreeSet<JobId> = plan.waiting.iter().map(|waiting| waiting.job).collect();
        let launched: BTreeSet<JobId> = plan.actions.iter().filter_map(|action| match action {
            Action::Launch { job, .. } => *job,
            _ => None,
        }).collect();
        prop_assert!(told.is_disjoint(&launched), "a job is launched for and refused at once");
        told.extend(launched);
        prop_assert!(told.is_subset(&queued));
        let free = world.launches.len();
        prop_assert!(queued.len() - told.len() <= free, "{} jobs are forgotten\n{plan}", queued.len() - told.len());
    }

    #[test]
    fn a_launch_is_one_region_one_market_and_never_of_what_was_just_refused(world in worlds()) {
        for action in plan(&world, now()).actions {
            let Action::Launch { offers, deadline, .. } = action else { continue };
            let first = offers.first().expect("something to buy");
            prop_assert!(offers.iter().all(|it| (&it.region, it.market) == (&first.region, first.market)));
            prop_assert!(!deadline.passed(now()));
            for offer in &offers {
                let fresh = world.refusals.iter().any(|it| {
                    it.zone == offer.zone && it.market == offer.market && it.kind == RefusalKind::Capacity
                        && now().duration_since(it.at).as_secs() < 180
                });
                prop_assert!(!fresh, "{offer:?}");
            }
        }
    }

    /// What is done once is not planned again: carrying out the ends leaves none for the next observation.
    #[test]
    fn ends_are_planned_once(world in worlds()) {
        let ended: BTreeSet<String> = plan(&world, now()).actions.iter().filter_map(|action| match action {
            Action::Terminate { instance, .. } => Some(instance.to_string()),
            _ => None,
        }).collect();
        let mut after = world;
        for instance in after.instances.iter_mut().flatten().filter(|it| ended.contains(&it.id.0)) {
            instance.state = cml_cloud::InstanceState::Terminated;
        }
        let again = plan(&after, now());
        let repeated = again.actions.iter().any(|action| {
            matches!(action, Action::Terminate { instance, .. } if ended.contains(&instance.0))
        });
        prop_assert!(!repeated);
    }

    #[test]
    fn spot_only_specs_buy_spot_only(world in worlds()) {
        let mut world = world;
        for spec in &mut world.specs {
            spec.spot = cml_cloud::SpotPolicy::Only;
        }
        for action in plan(&world, now()).actions {
            if let Action::Launch { offers, .. } = action {
                prop_assert!(offers.iter().all(|offer| offer.market == Market::Spot));
            }
        }
    }
}
