//! What-if for a user: these pools and these jobs, on the simulated cloud without any fault except the interruptions of
//! a real spot market.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cml_cloud::{Market as Buying, Network, OfferQuery, Usd};
use cml_planner::spec_for;
use cml_spec::Spec;
use jiff::Timestamp;
use rust_decimal::Decimal;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::fault::Faults;
use super::fault_point::Shared;
use super::github_model::{Phase, SimJob};
use super::journal::Lines;
use super::market::{Kind, Market};
use super::run::{begin, process};
use super::specs::recipe;
use super::stranger::Stranger;
use super::world::World;

/// Interval between checks for rest.
const LOOK_EVERY: Duration = Duration::from_secs(300);
/// Time between the beginning of the history and the first job.
const LEAD_SECONDS: i64 = 600;

/// A job of the past, or a hypothetical one.
#[derive(Clone, Debug, PartialEq)]
pub struct PastJob {
    /// Time at which it was queued.
    pub queued_at: Timestamp,
    /// Labels it asks for.
    pub labels: Vec<String>,
    /// How long it runs, seconds.
    pub seconds: i64,
    /// Whether its code is from a fork.
    pub from_fork: bool,
}

/// A pool with the machines that it may use.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The spec.
    pub spec: Spec,
    /// Regions.
    pub regions: Vec<String>,
    /// Instance types; each must be among the kinds.
    pub types: Vec<String>,
    /// Root disk, GiB.
    pub disk_gib: u32,
}

/// Input of a what-if.
#[derive(Clone, Debug)]
pub struct WhatIf {
    /// The specs.
    pub wishes: Vec<Wish>,
    /// The types that are sold, by name.
    pub kinds: BTreeMap<String, Kind>,
    /// The jobs.
    pub jobs: Vec<PastJob>,
    /// Seed for the point of the market's history where it begins, and for all other chance.
    pub seed: u64,
}

/// Figures of one pool.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Jobs of this pool.
    pub jobs: usize,
    /// Completed jobs among them.
    pub done: usize,
    /// Times from queued to started, seconds, sorted.
    pub waits_seconds: Vec<i64>,
    /// Machines bought.
    pub machines: usize,
    /// On-demand machines among them.
    pub on_demand: usize,
    /// Jobs that were interrupted on the spot market.
    pub interruptions: usize,
    /// The cloud's bill.
    pub cost: Decimal,
    /// Part of the cost that was paid while no job ran that completed.
    pub wasted: Decimal,
    /// The bill by day, from the first job's day on.
    pub cost_by_day: BTreeMap<i64, Decimal>,
}

impl Figures {
    /// Returns the wait that this percentage of the jobs did not exceed, seconds.
    #[must_use]
    pub fn wait_seconds(&self, percent: usize) -> Option<i64> {
        let last = self.waits_seconds.len().checked_sub(1)?;
        self.waits_seconds.get(last * percent / 100).copied()
    }

    /// Returns the cloud's bill.
    #[must_use]
    pub fn cost(&self) -> Usd {
        Usd(self.cost)
    }
}

/// Result of a what-if.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// By spec.
    pub specs: BTreeMap<String, Figures>,
    /// Jobs that no pool serves.
    pub unserved: usize,
    /// Jobs that were refused temporarily or permanently, by the kind of reason.
    pub refused: BTreeMap<&'static str, usize>,
    /// Whether it was cancelled.
    pub is_partial: bool,
}

/// Runs a what-if. `progress` is called with the progress from 0 to 1; `cancelled` stops it.
///
/// # Errors
/// When there is no job, or the runtime cannot start.
pub fn what_if(
    asked: &WhatIf,
    progress: &(dyn Fn(f64) + Sync),
    cancelled: &AtomicBool,
) -> Result<Outcome, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    // Warnings of the simulated controller are of no interest to the user.
    let quiet = tracing::subscriber::NoSubscriber::default();
    tracing::subscriber::with_default(quiet, || runtime.block_on(live(asked, progress, cancelled)))
}

async fn live(
    asked: &WhatIf,
    progress: &(dyn Fn(f64) + Sync),
    cancelled: &AtomicBool,
) -> Result<Outcome, String> {
    let first = asked.jobs.iter().map(|job| job.queued_at).min().ok_or("there is no job to simulate")?;
    let second = |at: Timestamp| LEAD_SECONDS + at.as_second() - first.as_second();
    let last = asked.jobs.iter().map(|job| second(job.queued_at)).max().unwrap_or(0);
    let wanted: Vec<Spec> = asked.wishes.iter().map(|wish| wish.spec.clone()).collect();
    let mut world = World::new(asked.seed, Faults::default(), wanted.clone(), None);
    let regions: BTreeSet<String> = asked.wishes.iter().flat_map(|wish| wish.regions.clone()).collect();
    let regions: Vec<String> = regions.into_iter().collect();
    let first_tick = world.chance.below(20_000);
    world.market = Market::of(&regions, asked.kinds.clone(), first_tick);
    let jobs = asked.jobs.iter().enumerate().map(|(number, job)| SimJob {
        run: u64::try_from(number).unwrap_or(0) + 1,
        attempt: 1,
        name: "job".to_owned(),
        labels: job.labels.clone(),
        stranger: job.from_fork.then_some(Stranger::Fork),
        phase: Phase::Hidden,
        queued: second(job.queued_at),
        length: job.seconds.max(1),
        runner: None,
        started: None,
        succeeded: false,
        cancelled: false,
        lost_by: None,
    });
    begin(&mut world, jobs.collect(), 1);
    let recipes = asked.wishes.iter().map(|wish| {
        let query = OfferQuery {
            regions: wish.regions.clone(),
            types: wish.types.clone(),
            needs: None,
            gpu: None,
            spot: wish.spec.spot,
            spot_price_max: None,
            network: Network::default(),
            image: cml_cloud::Image::default(),
            disk_gib: Some(wish.disk_gib),
            cache_snapshot: None,
        };
        (wish.spec.name.clone(), recipe(&wish.spec, query))
    });
    let recipes = Arc::new(recipes.collect());
    let shared = Shared::new(world);
    let lines: Lines = Arc::new(Mutex::new(Vec::new()));
    let stop = CancellationToken::new();
    tokio::join!(
        biased;
        watch(&shared, last, progress, cancelled, &stop),
        process(shared.clone(), lines, 0, wanted, recipes, stop.clone()),
    );
    let world = shared.now();
    let mut outcome = figures(&world);
    outcome.is_partial = cancelled.load(Ordering::Relaxed);
    Ok(outcome)
}

/// Waits until every job is completed and every machine that is not kept warm is gone.
async fn watch(
    shared: &Shared,
    last: i64,
    progress: &(dyn Fn(f64) + Sync),
    cancelled: &AtomicBool,
    stop: &CancellationToken,
) {
    loop {
        sleep(LOOK_EVERY).await;
        let world = shared.now();
        #[allow(clippy::cast_precision_loss, reason = "a bar for people to look at")]
        progress((world.second() as f64 / last.max(1) as f64).min(1.0));
        let over = world.jobs.iter().all(|job| matches!(job.phase, Phase::Over | Phase::Failed));
        let kept: u32 = world
            .specs
            .iter()
            .map(|spec| spec.min.max(spec.warm.iter().map(|warm| warm.count).max().unwrap_or(0)))
            .sum();
        let alive = world.machines.iter().filter(|machine| machine.lives()).count();
        let at_rest = over && alive <= usize::try_from(kept).unwrap_or(usize::MAX);
        // Interrupted jobs are re-run for at most as long as GitHub keeps them queued.
        let is_late = world.second() > last + 3 * 86_400;
        if cancelled.load(Ordering::Relaxed) || (at_rest && world.second() > last) || is_late {
            stop.cancel();
            return;
        }
    }
}

fn figures(world: &World) -> Outcome {
    let mut outcome = Outcome::default();
    for spec in &world.specs {
        outcome.specs.insert(spec.name.clone(), Figures::default());
    }
    for (index, job) in world.jobs.iter().enumerate() {
        let told = world.told(index);
        let Some(spec) = spec_for(&world.specs, &BTreeMap::new(), &told) else {
            outcome.unserved += 1;
            continue;
        };
        let figures = outcome.specs.entry(spec.name.clone()).or_default();
        figures.jobs += usize::from(job.attempt == 1);
        figures.done += usize::from(job.succeeded);
        figures.interruptions += usize::from(job.lost_by == Some(true));
        if job.attempt == 1 {
            figures.waits_seconds.extend(job.started.map(|started| started - job.queued));
        }
    }
    for machine in &world.machines {
        let figures = outcome.specs.entry(machine.spec.clone()).or_default();
        figures.machines += 1;
        figures.on_demand += usize::from(machine.offer.market == Buying::OnDemand);
        let end = machine.ended.map_or(world.second(), |end| end.second);
        let bill = world.bill_until(machine, end);
        figures.cost += bill;
        *figures.cost_by_day.entry(machine.started.div_euclid(86_400)).or_default() += bill;
        let lived = Decimal::from((end - machine.started).max(1));
        let worked: i64 = world
            .jobs
            .iter()
            .filter(|job| job.succeeded && job.runner.as_ref() == Some(&machine.runner_name))
            .map(|job| job.length)
            .sum();
        figures.wasted += bill * (Decimal::ONE - (Decimal::from(worked) / lived).min(Decimal::ONE));
    }
    for figures in outcome.specs.values_mut() {
        figures.waits_seconds.sort_unstable();
    }
    outcome.refused = world.refused.iter().map(|(why, jobs)| (*why, jobs.len())).collect();
    outcome
}
