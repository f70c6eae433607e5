//! Reconstruction of machines without a journal: GitHub's jobs show when each machine existed, the runner's name
//! contains the launch and the requested type, and the price book has the price.
//!
//! The launch id contains the time of the launch. A machine ends shortly after its last job. What no source records is
//! left out: machines that never got a job, and interruptions.

use std::collections::BTreeMap;

use cml_cloud::{Arch, Deadline, Disk, InstanceId, LaunchId, Market, Offer, Resources, UsdPerHour};
use cml_journal::{EndReason, Event, JobFacts};
use cml_planner::JobId;
use cml_prices::Book;
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;

/// Time from the end of the last job until the machine is off: the runner's own shutdown, and the system's.
const POWER_OFF: SignedDuration = SignedDuration::from_secs(20);

/// A job that ran on a runner of this controller, as GitHub reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastJob {
    /// GitHub's id.
    pub id: u64,
    /// Its unchanging properties.
    pub facts: JobFacts,
    /// Name of the runner that ran it.
    pub runner: String,
    /// Time of its arrival.
    pub came: Timestamp,
    /// Time of its start.
    pub began: Timestamp,
    /// Time of its end.
    pub ended: Timestamp,
}

/// Assumptions about machines whose runner's name does not contain the purchase.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assumed {
    /// The region.
    pub region: String,
    /// The type; without it, a machine of unknown type is left out.
    pub instance_type: Option<String>,
    /// The market; `None`: spot.
    pub market: Option<Market>,
    /// Root disk, GiB.
    pub disk_gib: u32,
}

/// Result of a reconstruction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reconstructed {
    /// Events as a journal would have them, in the order of time.
    pub events: Vec<(Timestamp, Event)>,
    /// Number of machines that were left out because their type is unknown.
    pub without_type: usize,
}

/// Reconstructs machines from GitHub's jobs. `bought` are offers from journals, by launch; those need no guess.
#[must_use]
pub fn reconstruct(
    jobs: &[PastJob],
    bought: &BTreeMap<LaunchId, Offer>,
    assumed: &Assumed,
    book: &Book,
) -> Reconstructed {
    let mut machines: BTreeMap<LaunchId, Vec<&PastJob>> = BTreeMap::new();
    for job in jobs {
        if let Some(launch) = LaunchId::from_runner_name(&job.runner) {
            machines.entry(launch).or_default().push(job);
        }
    }
    let mut all = Reconstructed::default();
    for (launch, mut jobs) in machines {
        jobs.sort_by_key(|job| (job.began, job.id));
        let known = bought.get(&launch).cloned();
        match known.or_else(|| guessed(launch, &jobs[0].runner, assumed, book)) {
            Some(offer) => all.events.extend(life(launch, &jobs, &offer)),
            None => all.without_type += 1,
        }
    }
    all.events.sort_by_key(|(at, _)| *at);
    all
}

/// Returns the offer from the runner's name, else the assumed one.
fn guessed(launch: LaunchId, runner: &str, assumed: &Assumed, book: &Book) -> Option<Offer> {
    let (kind, market) = LaunchId::asked_for(runner);
    let instance_type = kind.or(assumed.instance_type.clone())?;
    let market = market.or(assumed.market).unwrap_or(Market::Spot);
    let (region, at) = (assumed.region.clone(), launch.made_at());
    let quote = match market {
        Market::Spot => book.spot(&region, None, &instance_type, at),
        Market::OnDemand => book.on_demand(&region, &instance_type, at),
    };
    let facts = cml_prices::find(&instance_type);
    let unknown = Resources { vcpus: 0, memory_mib: 0, gpu: None, arch: Arch::X64 };
    let disk = Disk { gib: assumed.disk_gib, price: book.volume_gib_month(&region).price };
    Some(Offer {
        zone: None,
        market,
        price: quote.map(|quote| quote.price),
        resources: facts.map_or(unknown, |facts| facts.resources.clone()),
        disk: Some(disk),
        quota: None,
        driver: cml_cloud::Driver::None,
        region,
        instance_type,
    })
}

/// Returns a machine's life as its journal would have it. Its times are GitHub's, not the cloud's: all of it is an
/// estimate.
fn life(launch: LaunchId, jobs: &[&PastJob], offer: &Offer) -> Vec<(Timestamp, Event)> {
    let began = launch.made_at();
    let last = jobs.iter().map(|job| job.ended).max().unwrap_or(began);
    let gone = last.checked_add(POWER_OFF).unwrap_or(last).max(began);
    let first = jobs.first().map(|job| JobId(job.id));
    let mut events: Vec<(Timestamp, Event)> = jobs
        .iter()
        .map(|job| {
            let came =
                Event::JobCame { job: JobId(job.id), spec: "launch".to_owned(), facts: job.facts.clone() };
            (job.came.min(began), came)
        })
        .collect();
    events.push((
        began,
        Event::LaunchIntended {
            launch,
            spec: "launch".to_owned(),
            labels: Vec::new(),
            region: Some(offer.region.clone()),
            job: first,
            // Much later than the end: the deadline did not end the machine.
            deadline: Deadline(gone.checked_add(SignedDuration::from_hours(24)).unwrap_or(gone)),
            price: offer.price.unwrap_or(UsdPerHour(Decimal::ZERO)),
            disk: offer.disk,
            vcpus: offer.resources.vcpus,
            writer: None,
        },
    ));
    let instance = InstanceId(launch.runner_name());
    events.push((began, Event::LaunchBought { launch, instance, offer: offer.clone() }));
    for (number, job) in jobs.iter().enumerate() {
        // GitHub's times are whole seconds: the first job may seem to begin before its launch.
        events.push((job.began.max(began), Event::RunnerBusy { launch, job: Some(JobId(job.id)) }));
        // A machine that ran several jobs waits between them.
        if number + 1 < jobs.len() {
            events.push((job.ended, Event::RunnerIdle { launch }));
        }
    }
    events.push((
        gone,
        Event::InstanceGone {
            launch,
            end: EndReason::Ours,
            started_at: None,
            ended_at: None,
            lacks_prices: false,
        },
    ));
    events
}
