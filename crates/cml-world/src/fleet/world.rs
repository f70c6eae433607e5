//! The truth of a simulated world: what exists, what happens next, and what has happened.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use cml_cloud::LaunchId;
use cml_controller::Mailbox;
use cml_github::GitHubTime;
use cml_planner::{Job, JobId};
use cml_spec::{Budget, Spec};
use jiff::Timestamp;

use super::cloud::Buckets;
use super::fault::{Fault, Faults};
use super::github_model::{Run, SimJob, SimRunner};
use super::machine::Machine;
use super::market::Market;
use super::mutant::Mutant;
use super::rng::Rng;

/// Second 0 of every world.
pub(crate) const BEGIN: i64 = 1_800_000_000;
/// The GitHub scope.
pub(crate) const OWNER: &str = "acme/vision";
/// Interval at which chance may change outages, clocks and people's actions.
const WEATHER_EVERY: i64 = 60_000;

/// A future event of the simulated world.
#[derive(Clone, Debug)]
pub(crate) enum SimEvent {
    JobComes(usize),
    JobMayRun(usize),
    JobEnds { job: usize, machine: usize },
    JobFails(usize),
    JobCancelled(usize),
    JobTimesOut(usize),
    Boots(usize),
    BootLimit(usize),
    IdleLimit { machine: usize, since: i64 },
    Vanishes { machine: usize, since: i64 },
    Deadline(usize),
    PowersOff(usize),
    Dies(usize),
    Hangs(usize),
    Taken(usize),
    Gone(usize),
    MarketTick,
    Weather,
    Webhook { process: usize, job: Box<Job> },
}

/// One process that runs the controller.
#[derive(Default)]
pub(crate) struct Process {
    pub(crate) news: Option<Arc<Mailbox>>,
    /// Error of its clock, seconds.
    pub(crate) skew_seconds: i64,
    /// Its current life; none while it is down.
    pub(crate) life: Option<String>,
    /// The time in GitHub's last answer to this life.
    pub(crate) github_time: Option<GitHubTime>,
    /// Whether it crashes at the next point where it waits.
    pub(crate) dying: bool,
    /// The millisecond until which the whole process is paused.
    pub(crate) paused_until: i64,
    pub(crate) calls_this_minute: (i64, u32),
}

/// The truth.
pub(crate) struct World {
    /// Milliseconds since second 0.
    pub(crate) now: i64,
    pub(crate) chance: Rng,
    pub(crate) faults: Faults,
    queue: BTreeMap<(i64, u64), SimEvent>,
    queued: u64,
    pub(crate) log: Option<String>,
    pub(crate) violations: Vec<String>,
    pub(crate) specs: Vec<Spec>,
    pub(crate) budgets: Vec<Budget>,
    pub(crate) market: Market,
    pub(crate) machines: Vec<Machine>,
    /// The machine that each client token has bought.
    pub(crate) tokens: BTreeMap<String, usize>,
    pub(crate) buckets: Buckets,
    pub(crate) jobs: Vec<SimJob>,
    pub(crate) runs: BTreeMap<u64, Run>,
    pub(crate) runners: BTreeMap<u64, SimRunner>,
    pub(crate) next_runner: u64,
    pub(crate) processes: Vec<Process>,
    /// The job that a launch was decided for, according to the journal.
    pub(crate) meant: BTreeMap<LaunchId, Option<JobId>>,
    pub(crate) cloud_down_until: i64,
    pub(crate) github_down_until: i64,
    /// Whether machines may be listed late in this world.
    pub(crate) shows_late: bool,
    /// Regions that do not answer, with the time when they do again.
    pub(crate) silent_until: BTreeMap<String, i64>,
    /// Periods in which regions did not answer, milliseconds.
    pub(crate) silences: Vec<(String, std::ops::Range<i64>)>,
    /// A region that the account has not enabled.
    pub(crate) not_enabled: Option<String>,
    /// A region in which a policy denies launches.
    pub(crate) no_launches: Option<String>,
    /// The controller's name in the tags of its machines.
    pub(crate) controller: Option<String>,
    /// Runners of the last list.
    pub(crate) listed: BTreeSet<u64>,
    pub(crate) unassigned_until: i64,
    /// Points spent in this minute at GitHub.
    pub(crate) points: (i64, u32),
    pub(crate) mutant: Option<Mutant>,
    pub(crate) calm_since: Option<i64>,
    pub(crate) had_no_faults: bool,
    /// The last reasons that a process gave for jobs without a machine.
    pub(crate) reasons: BTreeMap<JobId, String>,
    /// Jobs that were ever refused, by the kind of reason.
    pub(crate) refused: BTreeMap<&'static str, BTreeSet<JobId>>,
    /// Registrations and machines that were made by hand: not ours to manage.
    pub(crate) by_hand: BTreeSet<u64>,
    pub(crate) ids: u128,
}

impl World {
    pub(crate) fn new(seed: u64, faults: Faults, specs: Vec<Spec>, mutant: Option<Mutant>) -> Self {
        let mut chance = Rng::new(seed ^ 0x5eed);
        let market = Market::open(&mut chance, &faults);
        let had_no_faults = faults.none();
        let shows_late = faults.is_armed(Fault::ShowsLate);
        let mut world = Self {
            now: 0,
            chance,
            faults,
            queue: BTreeMap::new(),
            queued: 0,
            log: None,
            violations: Vec::new(),
            specs,
            budgets: Vec::new(),
            market,
            machines: Vec::new(),
            tokens: BTreeMap::new(),
            buckets: Buckets::default(),
            jobs: Vec::new(),
            runs: BTreeMap::new(),
            runners: BTreeMap::new(),
            next_runner: 1,
            processes: Vec::new(),
            meant: BTreeMap::new(),
            cloud_down_until: 0,
            github_down_until: 0,
            shows_late,
            silent_until: BTreeMap::new(),
            silences: Vec::new(),
            not_enabled: None,
            no_launches: None,
            controller: None,
            listed: BTreeSet::new(),
            unassigned_until: 0,
            points: (0, 0),
            mutant,
            calm_since: None,
            had_no_faults,
            reasons: BTreeMap::new(),
            refused: BTreeMap::new(),
            by_hand: BTreeSet::new(),
            ids: 0,
        };
        world.draw_regions();
        world.after(0, SimEvent::MarketTick);
        world.after(WEATHER_EVERY, SimEvent::Weather);
        world
    }

    pub(crate) fn second(&self) -> i64 {
        self.now.div_euclid(1000)
    }

    pub(crate) fn calm(&self) -> bool {
        self.calm_since.is_some()
    }

    pub(crate) fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// Appends to the log of the history, if one is kept.
    pub(crate) fn note(&mut self, text: impl FnOnce() -> String) {
        let now = self.now;
        if let Some(log) = &mut self.log {
            let line = text();
            writeln!(log, "{:>6}.{:03} {line}", now.div_euclid(1000), now.rem_euclid(1000)).ok();
        }
    }

    pub(crate) fn violate(&mut self, law: &str, what: &str) {
        let text = format!("{law} at {} s: {what}", self.second());
        self.note(|| format!("VIOLATION {text}"));
        if self.violations.len() < 20 {
            self.violations.push(text);
        }
    }

    pub(crate) fn fires(&mut self, fault: Fault) -> bool {
        let fires = self.faults.fires(fault, &mut self.chance);
        if fires {
            self.note(|| format!("fault: {}", fault.word()));
        }
        fires
    }

    /// Schedules an event in so many milliseconds from now.
    pub(crate) fn after(&mut self, milliseconds: i64, what: SimEvent) {
        self.queued += 1;
        self.queue.insert((self.now + milliseconds.max(0), self.queued), what);
    }

    /// Runs all events that are due, each at its own time, and checks the laws after each.
    pub(crate) fn advance(&mut self, now: i64) {
        while let Some(entry) = self.queue.first_entry() {
            let at = entry.key().0;
            if at > now {
                break;
            }
            let what = entry.remove();
            self.now = self.now.max(at);
            self.happen(what);
            self.assign();
            self.watch_laws();
        }
        self.now = self.now.max(now);
    }

    fn happen(&mut self, what: SimEvent) {
        match what {
            SimEvent::JobComes(job) => self.job_comes(job),
            SimEvent::JobMayRun(job) => self.job_may_run(job),
            SimEvent::JobEnds { job, machine } => self.job_ends(job, machine),
            SimEvent::JobFails(job) => self.job_fails(job),
            SimEvent::JobCancelled(job) => self.job_cancelled(job),
            SimEvent::JobTimesOut(job) => self.job_times_out(job),
            SimEvent::Boots(machine) => self.boots(machine),
            SimEvent::BootLimit(machine) => self.boot_limit(machine),
            SimEvent::IdleLimit { machine, since } => self.idle_limit(machine, since),
            SimEvent::Vanishes { machine, since } => self.vanishes(machine, since),
            SimEvent::Deadline(machine) => self.deadline(machine),
            SimEvent::PowersOff(machine) => self.powers_off(machine, "its job is done"),
            SimEvent::Dies(machine) => self.dies(machine),
            SimEvent::Hangs(machine) => self.hangs(machine),
            SimEvent::Taken(machine) => self.taken(machine),
            SimEvent::Gone(machine) => self.gone(machine),
            SimEvent::MarketTick => self.market_tick(),
            SimEvent::Weather => {
                self.weather();
                self.after(WEATHER_EVERY, SimEvent::Weather);
            }
            SimEvent::Webhook { process, job } => self.deliver(process, *job),
        }
    }

    /// Draws what people, outages and clocks do from time to time.
    fn weather(&mut self) {
        if self.calm() {
            return;
        }
        let minutes = |world: &mut Self, most: i64| world.chance.between(60_000, most * 60_000);
        // Outages are rare and long.
        if self.chance.per_mille(50) && self.fires(Fault::CloudDown) {
            self.cloud_down_until = self.now + minutes(self, 20);
        }
        if self.chance.per_mille(50) && self.fires(Fault::GitHubDown) {
            self.github_down_until = self.now + minutes(self, 30);
        }
        if self.chance.per_mille(50) && self.fires(Fault::NotAssigned) {
            self.unassigned_until = self.now + minutes(self, 15);
        }
        if self.chance.per_mille(60) && self.fires(Fault::ClockStep) {
            // Less than the skew that counts as wrong.
            let step = self.chance.between(-240, 240);
            if let Some(process) = self.processes.first_mut() {
                process.skew_seconds = step;
            }
        }
        if self.chance.per_mille(60) && self.fires(Fault::ClockWrong) {
            // By ten minutes to three days, until a person corrects it.
            let off = self.chance.between(600, 3 * 86_400);
            let step = if self.chance.per_mille(500) { off } else { -off };
            if let Some(process) = self.processes.first_mut() {
                process.skew_seconds = if process.skew_seconds.abs() > 300 { 0 } else { step };
            }
        }
        if self.chance.per_mille(60) && self.fires(Fault::HandMade) {
            self.make_by_hand();
        }
        if self.chance.per_mille(60) && self.fires(Fault::OtherController) {
            self.make_by_another();
        }
        if self.chance.per_mille(60) && self.fires(Fault::RegionFails) {
            let regions = self.market.regions();
            let (region, until) = (self.chance.pick(&regions).clone(), self.now + minutes(self, 30));
            self.note(|| format!("{region} gives no answer until {} s", until / 1000));
            self.silences.push((region.clone(), self.now..until));
            self.silent_until.insert(region, until);
        }
        for machine in 0..self.machines.len() {
            if !self.machines[machine].lives() || self.machines[machine].by_hand {
                continue;
            }
            if self.machines[machine].job.is_none() && self.fires(Fault::HandKilled) {
                self.ends(machine, false, false, "a person ended it");
            } else if self.machines[machine].is_tagged && self.fires(Fault::TagsRemoved) {
                self.machines[machine].is_tagged = false;
            }
        }
    }

    /// Starts a new life of a process and returns its name.
    pub(crate) fn start_process(&mut self, process: usize) -> String {
        self.ids += 1;
        let name = format!("{process}-{}", self.ids);
        if let Some(known) = self.processes.get_mut(process) {
            known.life = Some(name.clone());
        }
        name
    }

    /// Returns the time on a process's clock.
    pub(crate) fn wall(&self, process: usize) -> Timestamp {
        let skew = self.processes.get(process).map_or(0, |process| process.skew_seconds);
        Timestamp::from_millisecond((BEGIN + skew) * 1000 + self.now).unwrap_or(Timestamp::MAX)
    }

    pub(crate) fn new_id(&mut self, process: usize) -> LaunchId {
        self.ids += 1;
        let milliseconds = u64::try_from(self.wall(process).as_millisecond()).unwrap_or(0);
        LaunchId::new(ulid::Ulid::from_parts(milliseconds, self.ids))
    }

    /// Draws the regions that are closed to this account for the whole history: people do not enable them meanwhile.
    fn draw_regions(&mut self) {
        let mut regions = self.market.regions();
        // At least one is open, and sells everything in some zone.
        regions.sort_by_key(|region| !self.market.sells_all_in(region));
        let mut closed = regions.iter().skip(1);
        if self.faults.is_armed(Fault::RegionDenied) {
            self.not_enabled = closed.next().cloned();
        }
        if self.faults.is_armed(Fault::LaunchDenied) {
            self.no_launches = closed.next().cloned();
        }
    }

    /// Ends all faults: everything must come to rest afterwards.
    pub(crate) fn begin_calm(&mut self) {
        self.note(|| "calm".to_owned());
        self.faults.calm();
        self.market.calm();
        self.calm_since = Some(self.now);
        (self.cloud_down_until, self.github_down_until, self.unassigned_until) = (0, 0, 0);
        self.silent_until.clear();
        for process in &mut self.processes {
            process.skew_seconds = 0;
        }
        // Paused and hung machines and processes continue.
        for machine in 0..self.machines.len() {
            if self.machines[machine].is_going() {
                self.after(1000, SimEvent::Gone(machine));
            }
        }
    }
}

/// Returns a second of the world as a time.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(BEGIN + second).unwrap_or(Timestamp::MAX)
}
