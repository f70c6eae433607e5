//! A small world with a truth of its own: machines, runners and jobs in virtual time, and faults by chance. One seed is one
//! history.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use cml_cloud::{
    Arch, CloudError, Deadline, ErrorKind, Instance, InstanceId, InstanceState, LaunchId, Launched, Market,
    Offer, OfferFailure, Resources, SpotPolicy, UsdPerHour,
};
use cml_controller::fleet::{Look, Order};
use cml_fleet::{Job, JobId, JobState, KnownRunner};
use cml_journal::{Event, Journal, JournalError, Line, Seen};
use cml_spec::{Allow, Idle, Reruns, Spec};
use jiff::{SignedDuration, Timestamp};

pub(crate) const BEGIN: i64 = 1_800_000_000;
/// A machine's own timers are seconds late at most.
const OWN_SLACK: i64 = 5;

/// A small generator: the same numbers for the same seed, everywhere.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    pub(crate) fn below(&mut self, end: i64) -> i64 {
        i64::try_from(self.next() % u64::try_from(end.max(1)).expect("positive")).expect("small")
    }

    pub(crate) fn percent(&mut self, percent: i64) -> bool {
        self.below(100) < percent
    }
}

/// How often each fault fires, in percent; drawn per seed, so that histories differ in kind.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) capacity: i64,
    pub(crate) answer_lost: i64,
    pub(crate) never_boots: i64,
    pub(crate) dies: i64,
    pub(crate) taken_back: i64,
    pub(crate) cloud_silent: i64,
    pub(crate) github_silent: i64,
    pub(crate) crash: i64,
    pub(crate) shows_late: i64,
    pub(crate) job_cancelled: i64,
    pub(crate) killed_by_hand: i64,
}

impl Faults {
    pub(crate) fn draw(chance: &mut Chance) -> Self {
        // A site is armed or not for the whole run.
        let mut site = |most: i64| if chance.percent(40) { 1 + chance.below(most) } else { 0 };
        Self {
            capacity: site(60),
            answer_lost: site(40),
            never_boots: site(30),
            dies: site(3),
            taken_back: site(3),
            cloud_silent: site(30),
            github_silent: site(30),
            crash: site(20),
            shows_late: site(50),
            job_cancelled: site(2),
            killed_by_hand: site(2),
        }
    }
}

/// One journal that several processes have open, in memory. Sometimes another of them is faster.
#[derive(Clone)]
pub(crate) struct Shared {
    lines: Rc<RefCell<Vec<Line>>>,
    chance: Rc<RefCell<Chance>>,
    /// How often another process is faster, percent.
    overtaken: Rc<Cell<i64>>,
    pub(crate) met: Rc<Cell<bool>>,
}

impl Shared {
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed ^ 0xfeed);
        let overtaken = if chance.percent(40) { 1 + chance.below(30) } else { 0 };
        Self {
            lines: Rc::default(),
            chance: Rc::new(RefCell::new(chance)),
            overtaken: Rc::new(Cell::new(overtaken)),
            met: Rc::default(),
        }
    }

    pub(crate) fn calm(&self) {
        self.overtaken.set(0);
    }
}

impl Journal for Shared {
    fn append(&mut self, seen: Seen, at: Timestamp, events: &[Event]) -> Result<Seen, JournalError> {
        let mut lines = self.lines.borrow_mut();
        let mut last = lines.last().map_or(0, |line| line.number);
        if self.overtaken.get() > 0 && self.chance.borrow_mut().percent(self.overtaken.get()) {
            self.met.set(true);
            last += 1;
            let event = Event::JobCame { job: JobId(0), spec: "another".to_owned() };
            lines.push(Line { number: last, at, event });
        }
        if last != seen {
            return Err(JournalError::Overtaken { seen, last });
        }
        for event in events {
            last += 1;
            lines.push(Line { number: last, at, event: event.clone() });
        }
        Ok(last)
    }

    fn after(&self, seen: Seen) -> Result<Vec<Line>, JournalError> {
        Ok(self.lines.borrow().iter().filter(|line| line.number > seen).cloned().collect())
    }
}

struct Machine {
    launch: LaunchId,
    id: InstanceId,
    offer: Offer,
    labels: Vec<String>,
    deadline: Deadline,
    started: i64,
    shows_at: i64,
    online_at: Option<i64>,
    /// It powers itself off when nothing has come by then.
    boot_limit: i64,
    idle_limit: i64,
    idle_since: i64,
    job: Option<JobId>,
    ended_at: Option<i64>,
    taken_back: bool,
    registered: bool,
}

impl Machine {
    fn is_alive(&self) -> bool {
        self.ended_at.is_none()
    }
}

struct Work {
    job: Job,
    length: i64,
    runs_on: Option<usize>,
    ends_at: i64,
    done: bool,
}

/// The truth.
pub(crate) struct World {
    pub(crate) now: i64,
    pub(crate) chance: Chance,
    pub(crate) faults: Faults,
    pub(crate) met: BTreeSet<&'static str>,
    pub(crate) violations: Vec<String>,
    machines: Vec<Machine>,
    jobs: Vec<Work>,
    pub(crate) specs: Vec<Spec>,
    ids: u128,
}

pub(crate) fn spec(name: &str, labels: &[&str], max: u32) -> Spec {
    Spec {
        name: name.to_owned(),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        group: None,
        spot: SpotPolicy::Prefer,
        max,
        min: 0,
        warm: Vec::new(),
        idle: Idle::After(SignedDuration::from_secs(300)),
        max_lifetime: SignedDuration::from_hours(2),
        boot_timeout: SignedDuration::from_secs(300),
        budget: None,
        allow: Allow::default(),
        reruns: Reruns { max: 3, last_on_demand: true },
    }
}

fn offers() -> Vec<Offer> {
    let offer = |zone: &str, market, price: &str| Offer {
        region: zone[..zone.len() - 1].to_owned(),
        zone: Some(zone.to_owned()),
        instance_type: "g5.xlarge".to_owned(),
        market,
        price: Some(UsdPerHour(price.parse().expect("a number"))),
        resources: Resources { vcpus: 4, memory_mib: 16_384, gpu: None, arch: Arch::X64 },
    };
    vec![
        offer("us-east-1a", Market::Spot, "0.4"),
        offer("us-east-1b", Market::Spot, "0.5"),
        offer("us-west-2a", Market::Spot, "0.6"),
        offer("us-east-1a", Market::OnDemand, "1.0"),
    ]
}

impl World {
    pub(crate) fn new(seed: u64, jobs: usize) -> Self {
        let mut chance = Chance::new(seed);
        let faults = Faults::draw(&mut chance);
        let specs = vec![spec("gpu", &["cml", "gpu"], 6), spec("cpu", &["cml", "cpu"], 3)];
        let mut world = Self {
            now: 0,
            chance,
            faults,
            met: BTreeSet::new(),
            violations: Vec::new(),
            machines: Vec::new(),
            jobs: Vec::new(),
            specs,
            ids: 0,
        };
        for number in 0..jobs {
            let label = if world.chance.percent(70) { "gpu" } else { "cpu" };
            let queued = world.chance.below(4 * 3600);
            let length = 20 + world.chance.below(1500);
            let id = u64::try_from(number).expect("small") + 1;
            let job = Job {
                id: JobId(id),
                run_id: id * 10,
                repository: "acme/vision".to_owned(),
                labels: vec!["self-hosted".to_owned(), label.to_owned()],
                group: None,
                event: "push".to_owned(),
                from_fork: false,
                actor: "mona".to_owned(),
                queued_at: at(queued),
                state: JobState::Queued,
                interruptions: 0,
            };
            world.jobs.push(Work { job, length, runs_on: None, ends_at: 0, done: false });
        }
        world
    }

    pub(crate) fn new_id(&mut self) -> LaunchId {
        self.ids += 1;
        let milliseconds = u64::try_from((BEGIN + self.now) * 1000).expect("after 1970");
        LaunchId::new(ulid::Ulid::from_parts(milliseconds, self.ids))
    }

    fn meet(&mut self, fault: &'static str, percent: i64) -> bool {
        let fires = percent > 0 && self.chance.percent(percent);
        if fires {
            self.met.insert(fault);
        }
        fires
    }

    pub(crate) fn crashes(&mut self) -> bool {
        self.meet("crash", self.faults.crash)
    }

    /// Faults stop: what follows must converge.
    pub(crate) fn calm(&mut self) {
        self.faults = Faults::default();
    }

    /// What the controller is shown.
    pub(crate) fn look(&mut self) -> Look {
        let cloud = !self.meet("cloud silent", self.faults.cloud_silent);
        let github = !self.meet("GitHub silent", self.faults.github_silent);
        let now = self.now;
        // The cloud forgets what ended an hour ago.
        let shown =
            |machine: &&Machine| now >= machine.shows_at && machine.ended_at.is_none_or(|at| now - at < 3600);
        let instances = self.machines.iter().filter(shown).map(as_instance).collect();
        let registered = |machine: &Machine| machine.registered;
        let runners = self.machines.iter().enumerate().filter(|(_, it)| registered(it));
        let runners = runners
            .map(|(number, machine)| KnownRunner {
                id: u64::try_from(number).expect("small"),
                name: machine.launch.runner_name(),
                online: machine.is_alive() && machine.online_at.is_some_and(|at| at <= now),
                busy: machine.is_alive() && machine.job.is_some(),
            })
            .collect();
        let jobs =
            self.jobs.iter().filter(|it| !it.done && it.job.queued_at <= at(now)).map(|it| it.job.clone());
        let offers: BTreeMap<String, Vec<Offer>> =
            self.specs.iter().map(|spec| (spec.name.clone(), offers())).collect();
        Look {
            jobs: jobs.collect(),
            instances: cloud.then_some(instances),
            runners: github.then_some(runners),
            offers,
        }
    }

    /// Carries an order out; a launch has an outcome.
    pub(crate) fn carry_out(&mut self, order: &Order) -> Option<(LaunchId, Result<Launched, CloudError>)> {
        match order {
            Order::Launch { launch, spec, offers, deadline } => {
                Some((*launch, self.launch(*launch, spec, offers, *deadline)))
            }
            Order::Terminate { instance, runner, .. } => {
                self.terminate(instance, *runner);
                None
            }
            Order::RemoveRunner { runner } => {
                let machine = &mut self.machines[usize::try_from(*runner).expect("an index")];
                machine.registered = machine.registered && machine.is_alive() && machine.job.is_some();
                None
            }
            Order::Rerun { job, .. } => {
                let queued_at = at(self.now);
                let work = self.jobs.iter_mut().find(|work| work.job.id == *job).expect("a known job");
                work.job.state = JobState::Queued;
                work.job.queued_at = queued_at;
                None
            }
        }
    }

    fn launch(
        &mut self,
        launch: LaunchId,
        spec: &str,
        offers: &[Offer],
        deadline: Deadline,
    ) -> Result<Launched, CloudError> {
        let mut failures = Vec::new();
        let mut sold = None;
        for offer in offers {
            if self.meet("capacity", self.faults.capacity) {
                failures.push(OfferFailure {
                    offer: Some(offer.clone()),
                    kind: ErrorKind::Capacity,
                    code: "InsufficientInstanceCapacity".to_owned(),
                    message: String::new(),
                });
            } else {
                sold = Some(offer.clone());
                break;
            }
        }
        let Some(offer) = sold else {
            return Err(CloudError::new(ErrorKind::Capacity, "launching", "none").failures(failures));
        };
        let spec = self.specs.iter().find(|known| known.name == spec).expect("a known spec").clone();
        let boots = !self.meet("never boots", self.faults.never_boots);
        let late = if self.meet("shows late", self.faults.shows_late) { 60 } else { 0 };
        let boot = 20 + self.chance.below(100);
        let id = InstanceId(format!("i-{:017x}", self.machines.len()));
        self.machines.push(Machine {
            launch,
            id: id.clone(),
            offer: offer.clone(),
            labels: spec.labels.clone(),
            deadline,
            started: self.now,
            shows_at: self.now + late,
            online_at: boots.then_some(self.now + boot),
            boot_limit: self.now + spec.boot_timeout.as_secs(),
            idle_limit: 600,
            idle_since: self.now + boot,
            job: None,
            ended_at: None,
            taken_back: false,
            registered: true,
        });
        self.check_limits();
        if self.meet("answer lost", self.faults.answer_lost) {
            return Err(CloudError::new(ErrorKind::Transient, "launching", "no answer"));
        }
        Ok(Launched { id, offer, failures })
    }

    /// L4, by the truth: never two machines of a launch, never more than the limit.
    fn check_limits(&mut self) {
        let mut launches = BTreeSet::new();
        for machine in &self.machines {
            if !launches.insert(machine.launch) {
                self.violations.push(format!("L4: two machines of launch {}", machine.launch));
            }
        }
        for spec in &self.specs {
            let alive = self.machines.iter().filter(|it| it.is_alive() && it.labels == spec.labels).count();
            if alive > usize::try_from(spec.max).expect("small") {
                self.violations.push(format!("L4: {alive} machines of {} at {}", spec.name, self.now));
            }
        }
    }

    fn terminate(&mut self, instance: &InstanceId, runner: Option<u64>) {
        let now = self.now;
        let Some(index) = self.machines.iter().position(|it| it.id == *instance) else { return };
        let machine = &mut self.machines[index];
        if !machine.is_alive() {
            return;
        }
        let due = at(now) >= machine.deadline.0;
        // GitHub refuses to remove a runner at work: then the machine stays, but for its deadline.
        if runner.is_some() && machine.job.is_some() && !due {
            self.met.insert("a job came while idle");
            return;
        }
        if machine.job.is_some() && !due {
            self.violations.push(format!("L3: {instance} was ended at work at {now}"));
        }
        machine.registered = false;
        self.end(index, false);
    }

    /// A machine is gone; its job has lost it.
    fn end(&mut self, index: usize, taken_back: bool) {
        let now = self.now;
        let machine = &mut self.machines[index];
        machine.ended_at = Some(now);
        machine.taken_back = taken_back;
        if let Some(id) = machine.job.take() {
            let work = self.jobs.iter_mut().find(|work| work.job.id == id).expect("a known job");
            work.runs_on = None;
            if taken_back {
                work.job.interruptions += 1;
                work.job.state = JobState::Interrupted { may_rerun: true };
                // More often than the spec allows: it stays failed.
                work.done = work.job.interruptions > 3;
            } else {
                // A job that failed otherwise is its owner's to run again.
                work.done = true;
            }
        }
    }

    /// Lets time pass.
    pub(crate) fn advance(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.now += 1;
            self.tick();
        }
    }

    fn tick(&mut self) {
        let now = self.now;
        for index in 0..self.jobs.len() {
            if self.jobs[index].runs_on.is_some() && now >= self.jobs[index].ends_at {
                let machine = self.jobs[index].runs_on.take().expect("runs");
                self.jobs[index].done = true;
                // A single-use runner: it is gone from GitHub, and its machine powers off.
                self.machines[machine].job = None;
                self.machines[machine].registered = false;
                self.end(machine, false);
            } else if self.jobs[index].job.state == JobState::Queued && !self.jobs[index].done {
                let came = self.jobs[index].job.queued_at <= at(now);
                if came && now % 30 == 0 && self.meet("job cancelled", self.faults.job_cancelled) {
                    self.jobs[index].done = true;
                }
            }
        }
        for index in 0..self.machines.len() {
            if !self.machines[index].is_alive() {
                continue;
            }
            let machine = &self.machines[index];
            let online = machine.online_at.is_some_and(|at| at <= now);
            let due = at(now) >= machine.deadline.0;
            let unborn = !online && now >= machine.boot_limit;
            let bored = online
                && machine.job.is_none()
                && now - machine.idle_since.max(machine.started) >= machine.idle_limit;
            // Machines meet their fate once a minute; a person ends none at work.
            let fated = now % 60 == 0;
            let at_work = machine.job.is_some();
            let is_spot = machine.offer.market == Market::Spot;
            let by_itself = due || unborn || bored;
            if by_itself
                || (fated && self.meet("dies", self.faults.dies))
                || (fated && !at_work && self.meet("killed by hand", self.faults.killed_by_hand))
            {
                self.end(index, false);
            } else if fated && is_spot && self.meet("taken back", self.faults.taken_back) {
                self.end(index, true);
            }
            let machine = &self.machines[index];
            if machine.is_alive() && now > machine.deadline.0.as_second() - BEGIN + OWN_SLACK {
                self.violations.push(format!("L1: {} outlives its deadline", machine.id));
            }
        }
        self.assign();
    }

    /// GitHub gives the oldest fitting job to any runner that is free: not to the one that was meant for it.
    fn assign(&mut self) {
        let now = self.now;
        for index in 0..self.machines.len() {
            let machine = &self.machines[index];
            let free = machine.is_alive() && machine.registered && machine.job.is_none();
            if !free || machine.online_at.is_none_or(|online| online > now) {
                continue;
            }
            let fits = |work: &&mut Work| {
                let asks = work.job.labels.iter().filter(|label| *label != "self-hosted");
                !work.done
                    && work.job.state == JobState::Queued
                    && work.job.queued_at <= at(now)
                    && asks.into_iter().all(|label| machine.labels.contains(label))
            };
            let Some(work) =
                self.jobs.iter_mut().filter(fits).min_by_key(|work| (work.job.queued_at, work.job.id))
            else {
                continue;
            };
            work.job.state = JobState::Running;
            work.runs_on = Some(index);
            work.ends_at = now + work.length;
            let id = work.job.id;
            self.machines[index].job = Some(id);
        }
    }

    /// Jobs that are not over.
    pub(crate) fn open_jobs(&self) -> Vec<JobId> {
        self.jobs.iter().filter(|work| !work.done).map(|work| work.job.id).collect()
    }

    pub(crate) fn alive(&self) -> usize {
        self.machines.iter().filter(|machine| machine.is_alive()).count()
    }

    pub(crate) fn lives(&self) -> usize {
        self.machines.len()
    }

    /// Registrations of machines that are gone.
    pub(crate) fn orphans(&self) -> usize {
        self.machines.iter().filter(|machine| machine.registered && !machine.is_alive()).count()
    }
}

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(BEGIN + second).expect("in range")
}

fn as_instance(machine: &Machine) -> Instance {
    let ended = machine.ended_at.is_some();
    Instance {
        id: machine.id.clone(),
        launch: Some(machine.launch),
        state: if ended { InstanceState::Terminated } else { InstanceState::Running },
        region: machine.offer.region.clone(),
        zone: machine.offer.zone.clone(),
        instance_type: machine.offer.instance_type.clone(),
        market: machine.offer.market,
        started_at: at(machine.started),
        deadline: Some(machine.deadline),
        owner: None,
        runner_name: Some(machine.launch.runner_name()),
        ended_because: machine.taken_back.then(|| "Server.SpotInstanceTermination".to_owned()),
    }
}
