//! Derives events: what an observation shows and the journal does not contain yet.

use std::collections::BTreeMap;

use cml_cloud::{Instance, InstanceState, LaunchId, Market, Offer, Resources, SpotPrice};
use cml_journal::{EndReason, Event, JobFacts, State};
use cml_planner::{Job, JobId, JobState, LaunchRecord, RunnerStatus, is_refused, labels, spec_for};
use cml_spec::Spec;
use jiff::{SignedDuration, Timestamp};

use crate::reconcile::Observation;

/// Returns everything new in this observation, in an order in which it can be applied.
/// `known` are the launches that are not over.
pub(crate) fn derive_events(
    state: &State,
    known: &[LaunchRecord],
    specs: &[Spec],
    observation: &Observation,
    now: Timestamp,
) -> Vec<Event> {
    let mut events = new_jobs(state, specs, observation);
    events.extend(new_prices(state, observation));
    // Before the events of machines: an interruption that shows now is not settled by an answer to an older request.
    events.extend(resolved_jobs(state, observation));
    events.extend(resolved_suspects(state, observation));
    let instances = by_launch(observation);
    let runners: BTreeMap<LaunchId, &RunnerStatus> = observation
        .runners
        .iter()
        .flatten()
        .filter_map(|runner| Some((LaunchId::from_runner_name(&runner.name)?, runner)))
        .collect();
    let jobs: BTreeMap<LaunchId, &Job> = observation
        .jobs
        .iter()
        .flatten()
        .filter(|job| matches!(job.state, JobState::Running | JobState::Over | JobState::Failed { .. }))
        .filter_map(|job| Some((LaunchId::from_runner_name(job.runner.as_deref()?)?, job)))
        .collect();
    for record in known {
        let evidence = LaunchEvidence {
            instance: instances.get(&record.id).copied(),
            has_notice: instances.get(&record.id).is_some_and(|it| observation.taken_back.contains(&it.id)),
            runner: runners.get(&record.id).copied(),
            job: jobs.get(&record.id).copied(),
            would_show: observation.instances.is_some()
                && record.would_show(&observation.silent_regions, now),
            sold: instances.get(&record.id).and_then(|instance| current_offer(observation, instance)),
            prices_are_whole: observation.prices_are_whole,
            now,
        };
        launch_events(state, record, &evidence, &mut events);
    }
    for (launch, instance) in &instances {
        if known.iter().all(|record| record.id != *launch) && !state.is_over(*launch) {
            events.extend(adopted_instance(state, *launch, instance, specs, observation));
        }
    }
    events
}

/// Returns one instance of each launch: the living one, where a dead one still shows too.
fn by_launch(observation: &Observation) -> BTreeMap<LaunchId, &Instance> {
    let mut instances: BTreeMap<LaunchId, &Instance> = BTreeMap::new();
    for instance in observation.instances.iter().flatten() {
        let Some(launch) = instance.launch else { continue };
        let known = instances.entry(launch).or_insert(instance);
        if instance.is_alive() {
            *known = instance;
        }
    }
    instances
}

/// Returns jobs that were not known before. A job that a policy refuses is not recorded, so it does not count as an arrival either
/// (L8), unless GitHub gives it a machine.
pub(crate) fn new_jobs(state: &State, specs: &[Spec], observation: &Observation) -> Vec<Event> {
    let came = |job: &Job| {
        // A stranger may cancel its jobs, too: only one of our machines makes a job known.
        let had_machine = job.runner.as_deref().and_then(LaunchId::from_runner_name).is_some();
        if state.knows(job.id) || (!had_machine && is_refused(specs, &observation.offers, job)) {
            return None;
        }
        let spec = spec_for(specs, &observation.offers, job)?;
        Some(Event::JobCame { job: job.id, spec: spec.name.clone(), facts: JobFacts::of(job) })
    };
    observation.jobs.iter().flatten().filter_map(came).collect()
}

/// Returns changes of prices that our machines are billed by.
fn new_prices(state: &State, observation: &Observation) -> Vec<Event> {
    let mut new: Vec<&SpotPrice> =
        observation.spot_prices.iter().filter(|price| state.is_new_price(price)).collect();
    new.sort_by_key(|price| price.since);
    let event = |price: &SpotPrice| Event::SpotPrice {
        region: price.region.clone(),
        zone: price.zone.clone(),
        instance_type: price.instance_type.clone(),
        since: price.since,
        price: price.price,
    };
    new.into_iter().map(event).collect()
}

/// What an observation shows of one launch.
struct LaunchEvidence<'a> {
    instance: Option<&'a Instance>,
    /// The cloud has announced an interruption.
    has_notice: bool,
    runner: Option<&'a RunnerStatus>,
    /// The job that its runner has or had.
    job: Option<&'a Job>,
    /// Its region has answered: if it existed, it would show.
    would_show: bool,
    /// The current offer of such a machine.
    sold: Option<&'a Offer>,
    prices_are_whole: bool,
    now: Timestamp,
}

/// How long the bill of a machine waits for the prices that it is made of.
const WAIT_FOR_PRICES: SignedDuration = SignedDuration::from_mins(30);

fn launch_events(
    state: &State,
    record: &LaunchRecord,
    evidence: &LaunchEvidence<'_>,
    events: &mut Vec<Event>,
) {
    let launch = record.id;
    if let (Some(instance), None) = (evidence.instance, &record.bought) {
        // The call's answer was lost, or the calling process was killed.
        // On demand, the price is the type's list price. On spot, the dearest offer that was asked for is what it may cost, and
        // not this machine's price: the price history has that.
        let listed = evidence.sold.filter(|offer| offer.market == Market::OnDemand);
        let price = listed.and_then(|offer| offer.price);
        let offer = Offer { price, disk: record.disk, ..as_offer(instance, evidence.sold) };
        let id = instance.id.clone();
        events.push(Event::LaunchBought { launch, instance: id, offer });
        // Its prices are asked for from the next observation on; if it has ended already, that observation bills it.
        return;
    }
    events.extend(late_list_price(record, evidence));
    events.extend(runner_activity(state, record, evidence));
    let taken_back = evidence.instance.is_some_and(|it| it.is_interrupted);
    let gone = match evidence.instance {
        Some(instance) => instance.state == InstanceState::Terminated,
        // A runner that is connected runs somewhere, though a person may have removed the tags of its machine.
        None => {
            let is_connected = evidence.runner.is_some_and(|runner| runner.online || runner.busy);
            evidence.would_show && record.watched_for > record.shows_within && !is_connected
        }
    };
    if !gone {
        let leaving = evidence.instance.is_some_and(|it| it.state == InstanceState::Stopping);
        events.extend(stopped_or_started(record, evidence.instance));
        if (evidence.has_notice || (taken_back && leaving)) && record.notice_at.is_none() {
            events.push(Event::NoticeSeen { launch });
        }
        return;
    }
    if evidence.instance.is_none() && record.bought.is_none() {
        let why = "the cloud never showed a machine".to_owned();
        events.push(Event::LaunchFailed { launch, why });
        return;
    }
    let is_spot = record.bought.as_ref().is_some_and(|offer| offer.market == Market::Spot);
    // EC2's reason for the end can be missing; its notice was clear.
    let end = if taken_back || (is_spot && record.notice_at.is_some()) {
        EndReason::TakenBack
    } else {
        EndReason::Ours
    };
    let ended_at = evidence.instance.and_then(|instance| instance.ended_at);
    let is_fresh = ended_at.is_some_and(|at| evidence.now.duration_since(at) < WAIT_FOR_PRICES);
    // Its prices were not asked for if another process has recorded it since.
    let were_asked = record.watched_for >= SignedDuration::ZERO;
    if is_spot && is_fresh && !(evidence.prices_are_whole && were_asked) {
        if let (Some(instance), Some(ended_at), false) =
            (evidence.instance, ended_at, state.has_ended(launch))
        {
            events.push(Event::InstanceEnded { launch, end, started_at: instance.started_at, ended_at });
        }
        return;
    }
    events.push(Event::InstanceGone {
        launch,
        end,
        started_at: evidence.instance.map(|instance| instance.started_at),
        ended_at,
        lacks_prices: if is_spot { !evidence.prices_are_whole } else { lacks_list_price(record, evidence) },
    });
}

/// Returns the list price of an on-demand machine, once its region lists offers again.
fn late_list_price(record: &LaunchRecord, evidence: &LaunchEvidence<'_>) -> Option<Event> {
    let (bought, instance, sold) = (record.bought.as_ref()?, evidence.instance?, evidence.sold?);
    if bought.market == Market::Spot || bought.price.is_some() || sold.price.is_none() {
        return None;
    }
    let offer = Offer { price: sold.price, disk: bought.disk, ..as_offer(instance, Some(sold)) };
    Some(Event::LaunchBought { launch: record.id, instance: instance.id.clone(), offer })
}

fn lacks_list_price(record: &LaunchRecord, evidence: &LaunchEvidence<'_>) -> bool {
    record.bought.as_ref().is_some_and(|offer| offer.price.is_none())
        && late_list_price(record, evidence).is_none()
}

/// Returns that a person has stopped a machine, or started it again.
fn stopped_or_started(record: &LaunchRecord, instance: Option<&Instance>) -> Option<Event> {
    let (launch, instance) = (record.id, instance?);
    match instance.state {
        InstanceState::Stopped if !record.is_stopped => Some(Event::InstanceStopped {
            launch,
            started_at: Some(instance.started_at),
            stopped_at: instance.ended_at,
        }),
        InstanceState::Pending | InstanceState::Running if record.is_stopped => {
            Some(Event::InstanceStarted { launch, started_at: instance.started_at })
        }
        _ => None,
    }
}

/// Returns whether the runner is idle or at work, and on which job.
fn runner_activity(state: &State, record: &LaunchRecord, evidence: &LaunchEvidence<'_>) -> Option<Event> {
    let launch = record.id;
    let job: Option<JobId> = evidence.job.map(|job| job.id);
    match evidence.runner {
        Some(runner) if runner.busy => {
            let is_news = record.online_at.is_none()
                || record.idle_since.is_some()
                || (job.is_some() && state.job_of(launch) != job);
            is_news.then_some(Event::RunnerBusy { launch, job })
        }
        Some(runner) if runner.online && record.idle_since.is_none() && job.is_none() => {
            Some(Event::RunnerIdle { launch })
        }
        // A job that came and went between two observations.
        _ if job.is_some() && state.job_of(launch) != job => Some(Event::RunnerBusy { launch, job }),
        _ => None,
    }
}

/// Returns one of our machines that no record explains, if its tags suffice. Machines of other controllers are not ours.
fn adopted_instance(
    state: &State,
    launch: LaunchId,
    instance: &Instance,
    specs: &[Spec],
    observation: &Observation,
) -> Option<Event> {
    let (spec, deadline) = (instance.spec.clone()?, instance.deadline?);
    if !instance.is_alive() || !state.is_ours(launch, instance.controller.as_deref()) {
        return None;
    }
    // Its price and resources are those that such a machine has now.
    let sold = current_offer(observation, instance);
    let arch = sold.map(|offer| offer.resources.arch);
    let labels = specs
        .iter()
        .find(|known| known.name == spec)
        .map(|known| labels::registered(&known.labels, known.default_labels, arch));
    let price = sold.and_then(|offer| offer.price);
    Some(Event::InstanceFound {
        launch,
        spec,
        labels: labels.unwrap_or_default(),
        deadline,
        instance: instance.id.clone(),
        offer: Offer { price, ..as_offer(instance, sold) },
        started_at: instance.started_at,
    })
}

/// Returns interrupted jobs that GitHub does not list any more: a later attempt has begun, or they are gone.
fn resolved_jobs(state: &State, observation: &Observation) -> Vec<Event> {
    let open = |job: &&JobId| state.interrupted().contains(*job) || state.suspects().contains(*job);
    let gone = observation.untold.iter().filter(open);
    gone.map(|job| Event::JobSettled { job: *job }).collect()
}

/// Returns jobs of which it was not known whether they ran on an interrupted machine, and GitHub's answer shows it now.
fn resolved_suspects(state: &State, observation: &Observation) -> Vec<Event> {
    let was_lost = |runner: &String| {
        LaunchId::from_runner_name(runner)
            .is_some_and(|launch| state.unattributed_interruptions().contains_key(&launch))
    };
    let told = |job: &Job| {
        if !state.suspects().contains(&job.id) {
            return None;
        }
        let was_there = job.runner.as_ref().is_some_and(was_lost);
        match job.state {
            JobState::Failed { .. } if was_there => Some(Event::JobInterrupted { job: job.id }),
            JobState::Failed { .. } => Some(Event::JobSettled { job: job.id }),
            JobState::Running if job.runner.is_some() && !was_there => {
                Some(Event::JobSettled { job: job.id })
            }
            // It may fail later, since GitHub takes ten minutes to notice; or what is known of it is old.
            _ => None,
        }
    };
    observation.jobs.iter().flatten().filter_map(told).collect()
}

/// Returns the current offer of such a machine.
fn current_offer<'a>(observation: &'a Observation, instance: &Instance) -> Option<&'a Offer> {
    let alike = |offer: &&Offer| {
        (&offer.region, &offer.instance_type, offer.market)
            == (&instance.region, &instance.instance_type, instance.market)
    };
    observation.offers.values().flatten().filter(alike).max_by_key(|offer| offer.zone == instance.zone)
}

/// Reconstructs the offer that was launched, from the instance and the current offer of such a machine. Its price is not known.
pub(crate) fn as_offer(instance: &Instance, sold: Option<&Offer>) -> Offer {
    let unknown = Resources { vcpus: 0, memory_mib: 0, gpu: None, arch: cml_cloud::Arch::X64 };
    Offer {
        region: instance.region.clone(),
        zone: instance.zone.clone(),
        instance_type: instance.instance_type.clone(),
        market: instance.market,
        price: None,
        resources: sold.map_or(unknown, |offer| offer.resources.clone()),
        disk: sold.and_then(|offer| offer.disk),
        quota: sold.and_then(|offer| offer.quota.clone()),
        driver: sold.map_or(cml_cloud::Driver::None, |offer| offer.driver),
    }
}
