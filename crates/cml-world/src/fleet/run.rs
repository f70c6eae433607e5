//! One seed, one history: faults first, then calm, in which everything must come to rest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cml_controller::{Controller, DesiredState, MachineTemplates, Mailbox, ReconcileReport, Settings};
use cml_planner::{Action, Plan, PlanningInput, WaitReason, is_refused, plan};
use cml_spec::{Forks, Spec};
use jiff::{SignedDuration, Timestamp};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::cloud::SimCloud;
use super::fault::{Fault, Faults};
use super::fault_point::{Life, Shared, milliseconds};
use super::forge::SimForge;
use super::github_model::SimJob;
use super::journal::{Lines, SimJournal};
use super::mutant::Mutant;
use super::rng::Rng;
use super::specs;
use super::stranger::{self, Stranger};
use super::world::World;

/// Time after which faults end.
const STORM_SECONDS: i64 = specs::JOBS_WITHIN + 1800;
/// Time within which everything must be at rest afterwards: all jobs through the smallest pool, and the longest
/// deadline.
const CALM_SECONDS: i64 = 16 * 3600;
/// Interval between polls of all jobs.
const POLL_EVERY: SignedDuration = SignedDuration::from_secs(60);
/// Interval between checks for rest.
const REST_EVERY: Duration = Duration::from_secs(60);
/// Number of consecutive checks for which the world must stay at rest.
const REST_LOOKS: u32 = 2;

/// Configuration of a history.
#[derive(Clone, Debug, Default)]
pub struct RunConfig {
    /// The seed.
    pub seed: u64,
    /// Number of jobs.
    pub jobs: usize,
    /// The mutant, if any.
    pub mutant: Option<Mutant>,
    /// Whether to keep a log of the history.
    pub log: bool,
    /// These faults with their rates per thousand, instead of those that the seed draws.
    pub only: Option<Vec<(Fault, i64)>>,
}

/// Result of a history.
#[derive(Clone, Debug, Default)]
pub struct RunResult {
    /// The seed.
    pub seed: u64,
    /// Broken laws, each with its time.
    pub violations: Vec<String>,
    /// How often each fault was observed.
    pub met: BTreeMap<Fault, u64>,
    /// Number of machines that lived.
    pub lives: usize,
    /// Log of everything that happened, if it was kept.
    pub log: String,
}

/// Runs a history.
#[must_use]
pub fn run(what: &RunConfig) -> RunResult {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    match runtime {
        Ok(runtime) => runtime.block_on(live(what)),
        Err(error) => RunResult {
            seed: what.seed,
            violations: vec![format!("no history: {error}")],
            ..RunResult::default()
        },
    }
}

async fn live(what: &RunConfig) -> RunResult {
    let mut chance = Rng::new(what.seed);
    let faults = match &what.only {
        Some(armed) => Faults::only(armed),
        None => Faults::draw(&mut chance),
    };
    let mut wanted = specs::draw(&mut chance, faults.is_armed(Fault::TwoTypes));
    let strangers = Stranger::armed(&faults);
    Stranger::refuse(&strangers, &mut wanted);
    let mut jobs = specs::jobs(&mut chance, &wanted, what.jobs, &strangers);
    if faults.is_armed(Fault::NoLabels) {
        for job in jobs.iter_mut().filter(|_| chance.per_mille(50)) {
            job.labels.clear();
        }
    }
    let processes = if faults.is_armed(Fault::TwoControllers) { 2 } else { 1 };
    let mut world = World::new(what.seed, faults, wanted, what.mutant);
    world.budgets = Stranger::budgets(&strangers);
    if what.log {
        world.log = Some(String::new());
    }
    if world.faults.is_armed(Fault::MoreDisks) {
        world.market.image_gib = 75;
        world.market.told_gib = if world.is(Mutant::OneDisk) { 0 } else { 75 };
        world.faults.meet(Fault::MoreDisks);
    }
    begin(&mut world, jobs, processes);
    let shared = Shared::new(world);
    let lines: Lines = Arc::new(Mutex::new(Vec::new()));
    let stop = CancellationToken::new();
    let (wanted, recipes) = {
        let world = shared.now();
        let wanted: Vec<Spec> = world.specs.iter().map(|spec| mutated(spec, world.mutant)).collect();
        let recipes = Arc::new(specs::recipes(&wanted, &world.market.regions()));
        (wanted, recipes)
    };
    let run = |number: usize| {
        process(shared.clone(), lines.clone(), number, wanted.clone(), recipes.clone(), stop.clone())
    };
    match processes {
        1 => tokio::join!(biased; time(&shared, &lines, &stop), run(0)).0,
        _ => tokio::join!(biased; time(&shared, &lines, &stop), run(0), run(1)).0,
    }
    let mut world = shared.now();
    if processes == 2 {
        world.faults.meet(Fault::TwoControllers);
    }
    RunResult {
        seed: what.seed,
        violations: world.violations.clone(),
        met: world.faults.met.clone(),
        lives: world.machines.iter().filter(|machine| !machine.by_hand).count(),
        log: world.log.take().unwrap_or_default(),
    }
}

pub(crate) fn begin(world: &mut World, jobs: Vec<SimJob>, processes: usize) {
    world.processes.resize_with(processes, Default::default);
    for job in jobs {
        if let Some(stranger) = job.stranger {
            world.faults.meet(stranger.fault());
        }
        if job.labels.is_empty() {
            world.faults.meet(Fault::NoLabels);
        }
        world.plan_job(job);
    }
}

/// Advances the time, ends the faults, and checks for rest.
async fn time(shared: &Shared, lines: &Lines, stop: &CancellationToken) {
    let mut rest_looks = 0;
    loop {
        sleep(REST_EVERY).await;
        let mut world = shared.now();
        if world.calm_since.is_none() {
            if world.second() >= STORM_SECONDS {
                world.begin_calm();
            }
            continue;
        }
        let unrest = {
            let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            world.unrest(&lines)
        };
        rest_looks = if unrest.is_empty() { rest_looks + 1 } else { 0 };
        let calm_for = world.second() - world.calm_since.unwrap_or(0) / 1000;
        let is_over = rest_looks >= REST_LOOKS || calm_for > CALM_SECONDS || !world.violations.is_empty();
        if is_over {
            for left in unrest.into_iter().take(5).filter(|_| calm_for > CALM_SECONDS) {
                world.violate("rest", &left);
            }
            let lines = lines.lock().unwrap_or_else(PoisonError::into_inner).clone();
            world.last_laws(&lines);
            stop.cancel();
            return;
        }
    }
}

/// Runs one process: starts, crashes, is started again.
pub(crate) async fn process(
    shared: Shared,
    lines: Lines,
    number: usize,
    wanted: Vec<Spec>,
    recipes: Arc<MachineTemplates>,
    stop: CancellationToken,
) {
    if number > 0 {
        sleep(Duration::from_secs(7)).await;
    }
    while !stop.is_cancelled() {
        let life = Life::new(&shared, number);
        tokio::select! {
            biased;
            () = life.death() => {}
            () = live_once(&life, &lines, &wanted, &recipes, &stop) => {}
        }
        let down = {
            let mut world = shared.now();
            world.processes[number].news = None;
            world.processes[number].github_time = None;
            world.processes[number].life = None;
            world.processes[number].dying = false;
            world.chance.between(500, 90_000)
        };
        if !stop.is_cancelled() {
            sleep(milliseconds(down)).await;
        }
    }
}

async fn live_once(
    life: &Life,
    lines: &Lines,
    wanted: &[Spec],
    recipes: &Arc<MachineTemplates>,
    stop: &CancellationToken,
) {
    let (shared, number) = (&life.shared, life.process);
    let news = Arc::new(Mailbox::default());
    shared.now().processes[number].news = Some(news.clone());
    let journal = SimJournal { lines: lines.clone(), life: life.clone() };
    let cloud = SimCloud { life: life.clone() };
    let forge = SimForge { life: life.clone() };
    let clock = || shared.now().wall(number);
    let new_id = || shared.now().new_id(number);
    let on_step = |told: &ReconcileReport<'_>| {
        let step = told.outcome;
        let mut world = shared.now();
        for waiting in &step.waiting {
            world.refused.entry(kind_of(&waiting.why)).or_default().insert(waiting.job);
        }
        world.reasons = step.waiting.iter().map(|waiting| (waiting.job, waiting.why.to_string())).collect();
        if step.waiting.iter().any(|waiting| matches!(waiting.why, WaitReason::Budget { .. })) {
            world.faults.meet(Fault::OverBudget);
        }
    };
    let decide = |observed: &PlanningInput, now: Timestamp| {
        let mutant = shared.now().mutant;
        let plan = match mutant {
            Some(Mutant::ReserveForStrangers) => reserving_for_strangers(observed, now),
            _ => plan(observed, now),
        };
        shared.now().watch_strangers(observed, &plan, now);
        plan
    };
    let budgets = {
        let world = shared.now();
        if world.is(Mutant::NoBudget) { Vec::new() } else { world.budgets.clone() }
    };
    let settings = Settings {
        wanted: DesiredState { specs: wanted.to_vec(), budgets, templates: recipes.clone() },
        name: None,
        poll_every: POLL_EVERY,
        clock: &clock,
        new_id: &new_id,
        plan: &decide,
        on_step: &on_step,
    };
    let Ok(controller) = Controller::open(&cloud, &forge, journal, settings) else { return };
    if let Err(error) = controller.run(&news, stop).await {
        shared.now().violate("journal", &error.to_string());
        // It would be started again forever.
        stop.cancel();
    }
}

/// Returns the kind of a wait reason in two words, for counting.
fn kind_of(why: &WaitReason) -> &'static str {
    match why {
        WaitReason::NoSpec { .. } | WaitReason::NoLabels | WaitReason::NoGroup { .. } => "no spec",
        WaitReason::Policy { .. } => "policy",
        WaitReason::Full { .. } => "pool full",
        WaitReason::Budget { .. } => "budget",
        WaitReason::Refused { .. } => "no capacity",
        WaitReason::NothingForSale { .. } => "nothing for sale",
        WaitReason::GitHubSilent => "GitHub silent",
        WaitReason::WrongClock { .. } => "wrong clock",
    }
}

/// Returns the plan of a mutant that reserves free machines for refused jobs, and buys them none.
fn reserving_for_strangers(observed: &PlanningInput, now: Timestamp) -> Plan {
    let mut as_ours = observed.clone();
    let mut strangers = BTreeSet::new();
    for job in as_ours.jobs.iter_mut().flatten() {
        if is_refused(&observed.specs, &observed.offers, job) {
            strangers.insert(job.id);
            *job = stranger::sign(job.clone(), None);
        }
    }
    let mut plan = plan(&as_ours, now);
    let is_for_them =
        |action: &Action| matches!(action, Action::Launch { job: Some(job), .. } if strangers.contains(job));
    plan.actions.retain(|action| !is_for_them(action));
    plan
}

/// Returns the spec that a mutated process uses.
fn mutated(spec: &Spec, mutant: Option<Mutant>) -> Spec {
    let mut spec = spec.clone();
    match mutant {
        Some(Mutant::NoRerunCap) => spec.reruns.max = 1000,
        Some(Mutant::NoBudget) => spec.budget = None,
        Some(Mutant::ServeForks) => spec.allow.forks = Forks::Always,
        _ => {}
    }
    spec
}
