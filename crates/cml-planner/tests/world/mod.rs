//! Small worlds to plan for.

use std::collections::BTreeMap;

use cml_cloud::{
    Arch, Deadline, Instance, InstanceId, InstanceState, LaunchId, Market, Offer, Resources, SpotPolicy, Usd,
    UsdPerHour,
};
use cml_planner::{
    Job, JobId, JobState, LaunchRecord, PlanningInput, Refusal, RefusalKind, RunnerStatus, UNSEEN_GRACE,
    labels,
};
use cml_spec::{Allow, Idle, Limits, Reruns, Spec};
use jiff::{SignedDuration, Timestamp};

pub(crate) const NOW_SECOND: i64 = 1_800_000_000;

/// The time of a test, so many seconds after its beginning.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(NOW_SECOND + seconds).expect("in range")
}

pub(crate) fn now() -> Timestamp {
    at(0)
}

pub(crate) fn usd(text: &str) -> Usd {
    Usd(text.parse().expect("a number"))
}

pub(crate) fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

pub(crate) fn spec(name: &str, labels: &str) -> Spec {
    Spec {
        name: name.to_owned(),
        labels: words(labels),
        default_labels: true,
        group: None,
        spot: SpotPolicy::Prefer,
        max: 10,
        min: 0,
        warm: Vec::new(),
        idle: Idle::After(SignedDuration::from_mins(5)),
        max_lifetime: SignedDuration::from_hours(1),
        boot_timeout: SignedDuration::from_mins(10),
        budget: None,
        allow: Allow::default(),
        reruns: Reruns { max: 2, last_on_demand: true },
    }
}

pub(crate) fn budget(per_day: &str) -> Option<Limits> {
    Some(Limits::of_day(usd(per_day)))
}

pub(crate) fn job(id: u64, labels: &str) -> Job {
    Job {
        id: JobId(id),
        run_id: id * 10,
        attempt: 1,
        name: "train".to_owned(),
        runner: None,
        repository: "acme/vision".to_owned(),
        labels: words(labels),
        group: None,
        event: "push".to_owned(),
        from_fork: false,
        actor: "mona".to_owned(),
        workflow: "train".to_owned(),
        branch: "main".to_owned(),
        queued_at: at(-600 + i64::try_from(id).expect("small")),
        state: JobState::Queued,
        interruptions: 0,
    }
}

pub(crate) fn launch_id(number: u128, made_at_second: i64) -> LaunchId {
    let milliseconds = u64::try_from((NOW_SECOND + made_at_second) * 1000).expect("after 1970");
    LaunchId::new(ulid::Ulid::from_parts(milliseconds, number))
}

pub(crate) fn offer(instance_type: &str, zone: &str, market: Market, price: &str) -> Offer {
    Offer {
        region: zone.trim_end_matches(|c: char| c.is_ascii_lowercase()).to_owned(),
        zone: Some(zone.to_owned()),
        instance_type: instance_type.to_owned(),
        market,
        price: Some(UsdPerHour(price.parse().expect("a number"))),
        resources: Resources { vcpus: 4, memory_mib: 16_384, gpu: None, arch: Arch::X64 },
        driver: cml_cloud::Driver::None,
        quota: None,
        disk: None,
    }
}

/// Spot in two zones of one region and in another region, then on-demand.
pub(crate) fn offers() -> Vec<Offer> {
    vec![
        offer("g5.xlarge", "us-east-1a", Market::Spot, "0.4"),
        offer("g5.xlarge", "us-east-1b", Market::Spot, "0.5"),
        offer("g5.xlarge", "us-west-2a", Market::Spot, "0.6"),
        offer("g5.xlarge", "us-east-1a", Market::OnDemand, "1.0"),
    ]
}

pub(crate) fn refusal(offer: &Offer, kind: RefusalKind, in_a_row: u32, seconds: i64) -> Refusal {
    Refusal {
        region: offer.region.clone(),
        zone: offer.zone.clone(),
        instance_type: offer.instance_type.clone(),
        market: offer.market,
        quota: offer.quota.clone(),
        kind,
        of_region: false,
        cause: None,
        in_a_row,
        at: at(seconds),
    }
}

/// A world with these specs, each with all offers, and nothing else; cloud and GitHub have answered.
pub(crate) fn world(specs: Vec<Spec>) -> PlanningInput {
    let offers = specs.iter().map(|spec| (spec.name.clone(), offers())).collect::<BTreeMap<_, _>>();
    PlanningInput {
        specs,
        offers,
        jobs: Some(Vec::new()),
        instances: Some(Vec::new()),
        runners: Some(Vec::new()),
        ..PlanningInput::default()
    }
}

/// What a machine is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    /// Decided; the cloud shows nothing yet.
    Asked,
    Booting,
    /// Idle for so many seconds.
    Idle(i64),
    Busy,
    /// Its runner is gone from GitHub.
    Done,
}

/// What a runner of this spec has.
pub(crate) fn registered(spec: &Spec) -> Vec<String> {
    labels::registered(&spec.labels, spec.default_labels, Some(Arch::X64))
}

/// Adds one machine that was launched so many seconds ago.
pub(crate) fn machine(
    world: &mut PlanningInput,
    spec: &Spec,
    number: u128,
    age_seconds: i64,
    doing: Doing,
) -> LaunchId {
    let id = launch_id(number, -age_seconds);
    let deadline = Deadline(at(-age_seconds).checked_add(spec.max_lifetime).expect("in range"));
    let online = !matches!(doing, Doing::Asked | Doing::Booting);
    let bought = offers().remove(0);
    world.ours.insert(id);
    world.launches.push(LaunchRecord {
        id,
        spec: spec.name.clone(),
        labels: registered(spec),
        region: Some("us-east-1".to_owned()),
        repository: Some("acme/vision".to_owned()),
        actor: Some("mona".to_owned()),
        intended_at: at(-age_seconds),
        watched_for: SignedDuration::from_secs(age_seconds),
        shows_within: UNSEEN_GRACE,
        deadline,
        price: bought.price.expect("a price"),
        disk: None,
        vcpus: 4,
        bought: (doing != Doing::Asked).then_some(bought),
        online_at: online.then(|| at(-age_seconds + 60)),
        idle_since: match doing {
            Doing::Idle(seconds) => Some(at(-seconds)),
            _ => None,
        },
        busy_unknown_since: None,
        notice_at: None,
        is_stopped: false,
    });
    if doing != Doing::Asked {
        world.instances.as_mut().expect("known").push(Instance {
            spec: Some(spec.name.clone()),
            ended_at: None,
            id: InstanceId(format!("i-{number:017x}")),
            launch: Some(id),
            state: InstanceState::Running,
            region: "us-east-1".to_owned(),
            zone: Some("us-east-1a".to_owned()),
            instance_type: "g5.xlarge".to_owned(),
            market: Market::Spot,
            started_at: at(-age_seconds),
            deadline: Some(deadline),
            owner: None,
            controller: None,
            runner_name: Some(id.runner_name()),
            ended_because: None,
            is_interrupted: false,
        });
    }
    if doing != Doing::Done && doing != Doing::Asked {
        world.runners.as_mut().expect("known").push(RunnerStatus {
            id: u64::try_from(number).expect("small"),
            name: id.runner_name(),
            online,
            busy: doing == Doing::Busy,
            labels: registered(spec),
        });
    }
    id
}
