//! What the journal amounts to.

use std::collections::{BTreeMap, BTreeSet};

use cml_cloud::{Deadline, InstanceId, LaunchId, Market, Offer, SpotPrice, Usd, UsdPerHour};
use cml_fleet::{JobId, LaunchRecord, Refusal, RefusalKind};
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;

use crate::bill::{End, bill};
use crate::event::{Event, JobFacts};
use crate::ledger::{Entry, Share, divide};
use crate::sqlite::Line;

/// Gaps that are remembered of each spec.
const GAPS_MAX: usize = 200;
/// Jobs that are remembered, the latest ones: GitHub's ids grow.
const JOBS_MAX: usize = 20_000;
/// GitHub gives up a job that has waited for this.
const QUEUE_LIMIT: SignedDuration = SignedDuration::from_hours(24);
/// A job is heard of within this, or never.
const UNCLEAR_FOR: SignedDuration = SignedDuration::from_hours(1);
/// Jobs that are asked after for one machine that was lost with a job nobody knows.
const SUSPECTS_MAX: usize = 50;
/// Launches that are over and remembered, the latest ones: a machine that shows again after its end is not a new one.
const OVER_MAX: usize = 20_000;

/// The fold of all lines so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    launches: BTreeMap<LaunchId, Life>,
    ledger: Vec<Entry>,
    refusals: BTreeMap<Pool, Refusal>,
    arrivals: BTreeMap<String, Arrivals>,
    jobs: BTreeMap<JobId, JobFacts>,
    /// Jobs that lost their machine and may have to run again.
    interrupted: BTreeSet<JobId>,
    /// Jobs that came and were not seen on any machine of ours, with when they came.
    unplaced: BTreeMap<JobId, Timestamp>,
    /// Launches whose machine the cloud took back without it being known which job it had.
    unclear: BTreeMap<LaunchId, Timestamp>,
    /// Jobs that may have been on such a machine.
    suspects: BTreeSet<JobId>,
    /// How often a job of a run has lost its machine, over all attempts.
    interruptions: BTreeMap<(u64, String), u32>,
    over: BTreeSet<LaunchId>,
    seen: i64,
}

/// A launch that is not over.
#[derive(Clone, Debug, PartialEq)]
struct Life {
    spec: String,
    labels: Vec<String>,
    job: Option<JobId>,
    intended_at: Timestamp,
    deadline: Deadline,
    price: UsdPerHour,
    vcpus: u32,
    bought: Option<(Timestamp, InstanceId, Offer)>,
    /// Changes of its price, the oldest first.
    prices: Vec<(Timestamp, UsdPerHour)>,
    notice_at: Option<Timestamp>,
    /// What it has been doing since when, since it was first online.
    doing: Vec<(Timestamp, Doing)>,
}

/// One launch that is not over.
#[derive(Clone, Debug)]
pub struct LifeView<'a> {
    /// The launch.
    pub launch: LaunchId,
    /// Its spec.
    pub spec: &'a str,
    /// The job it was made for.
    pub job: Option<JobId>,
    /// When it was decided.
    pub intended_at: Timestamp,
    /// When its machine must be gone.
    pub deadline: Deadline,
    /// When what was bought.
    pub bought: Option<(Timestamp, &'a InstanceId, &'a Offer)>,
    /// When the cloud announced to take it back.
    pub notice_at: Option<Timestamp>,
    /// What it has been doing since when, from the moment its runner was online.
    pub doing: Vec<(Timestamp, Share)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Idle,
    Work(Option<JobId>),
}

type Pool = (String, Option<String>, String, Market);

#[derive(Clone, Debug, Default, PartialEq)]
struct Arrivals {
    last: Option<(JobId, Timestamp)>,
    gaps_seconds: Vec<u64>,
}

impl State {
    /// The state after these lines.
    #[must_use]
    pub fn of(lines: &[Line]) -> Self {
        let mut state = Self::default();
        state.apply_all(lines);
        state
    }

    /// Takes in further lines.
    pub fn apply_all(&mut self, lines: &[Line]) {
        for line in lines {
            self.apply(line);
        }
    }

    /// Takes in the next line. One that says what is known already changes nothing.
    pub fn apply(&mut self, line: &Line) {
        if line.number <= self.seen {
            return;
        }
        self.seen = line.number;
        let at = line.at;
        match &line.event {
            Event::LaunchIntended { launch, spec, labels, job, deadline, price, vcpus } => {
                let life = Life {
                    spec: spec.clone(),
                    labels: labels.clone(),
                    job: *job,
                    intended_at: at,
                    deadline: *deadline,
                    price: *price,
                    vcpus: *vcpus,
                    bought: None,
                    prices: Vec::new(),
                    notice_at: None,
                    doing: Vec::new(),
                };
                self.launches.entry(*launch).or_insert(life);
            }
            Event::LaunchBought { launch, instance, offer } => {
                self.refusals.remove(&pool_of(offer));
                if let Some(life) = self.launches.get_mut(launch) {
                    life.buy(at, instance, offer);
                }
            }
            Event::InstanceFound { launch, spec, labels, deadline, instance, offer, started_at } => {
                let price = offer.price.unwrap_or(UsdPerHour(Decimal::ZERO));
                let mut life = Life {
                    spec: spec.clone(),
                    labels: labels.clone(),
                    job: None,
                    intended_at: *started_at,
                    deadline: *deadline,
                    price,
                    vcpus: offer.resources.vcpus,
                    bought: None,
                    prices: Vec::new(),
                    notice_at: None,
                    doing: Vec::new(),
                };
                life.buy(*started_at, instance, offer);
                self.launches.entry(*launch).or_insert(life);
            }
            Event::LaunchFailed { launch, .. } => {
                self.launches.remove(launch);
            }
            Event::Refused { refusal } => self.refuse(refusal),
            Event::RunnerIdle { launch } => self.does(*launch, at, Doing::Idle),
            Event::RunnerBusy { launch, job } => self.does(*launch, at, Doing::Work(*job)),
            Event::NoticeSeen { launch } => {
                if let Some(life) = self.launches.get_mut(launch) {
                    life.notice_at.get_or_insert(at);
                }
            }
            Event::InstanceGone { launch, end, started_at, ended_at } => {
                if let Some(life) = self.launches.remove(launch) {
                    self.over.insert(*launch);
                    if self.over.len() > OVER_MAX {
                        self.over.pop_first();
                    }
                    match (end, life.doing.last()) {
                        (End::TakenBack, Some((_, Doing::Work(Some(job))))) => self.interrupt(*job),
                        (End::TakenBack, _) => self.suspect(*launch, at),
                        _ => {}
                    }
                    self.ledger.extend(closed(*launch, life, *started_at, (*ended_at, at), *end));
                }
            }
            Event::SpotPrice { region, zone, instance_type, since, price } => {
                let of_pool = |offer: &Offer| {
                    (&offer.region, &offer.zone, &offer.instance_type, offer.market)
                        == (region, zone, instance_type, Market::Spot)
                };
                for life in self.launches.values_mut() {
                    if life.bought.as_ref().is_some_and(|(.., offer)| of_pool(offer))
                        && life.prices.iter().all(|(known, _)| known != since)
                    {
                        life.prices.push((*since, *price));
                        life.prices.sort_by_key(|(since, _)| *since);
                    }
                }
            }
            Event::JobCame { job, spec, facts } => {
                self.arrivals.entry(spec.clone()).or_default().add(*job, at);
                self.jobs.insert(*job, facts.clone());
                self.unplaced.insert(*job, at);
                // It may have come and gone before it was heard of.
                self.unclear.retain(|_, lost| at.duration_since(*lost) < UNCLEAR_FOR);
                if !self.unclear.is_empty() {
                    self.suspects.insert(*job);
                }
                if self.jobs.len() > JOBS_MAX
                    && let Some((oldest, _)) = self.jobs.pop_first()
                {
                    self.unplaced.remove(&oldest);
                }
            }
            Event::JobInterrupted { job } => {
                self.interrupt(*job);
            }
            Event::JobSettled { job } => {
                self.interrupted.remove(job);
                self.suspects.remove(job);
            }
        }
    }

    fn interrupt(&mut self, job: JobId) {
        self.suspects.remove(&job);
        self.interrupted.insert(job);
        if let Some(facts) = self.jobs.get(&job) {
            *self.interruptions.entry((facts.run_id, facts.name.clone())).or_default() += 1;
        }
    }

    /// Any job that came not long ago and was seen nowhere may have been on this machine: GitHub will tell.
    fn suspect(&mut self, launch: LaunchId, now: Timestamp) {
        let since = now.checked_sub(QUEUE_LIMIT).unwrap_or(now);
        let recent = self.unplaced.iter().rev().filter(|(_, came)| **came > since).map(|(job, _)| *job);
        let suspects: Vec<JobId> = recent.take(SUSPECTS_MAX).collect();
        self.unclear.insert(launch, now);
        self.suspects.extend(suspects);
    }

    fn does(&mut self, launch: LaunchId, at: Timestamp, doing: Doing) {
        let Some(life) = self.launches.get_mut(&launch) else { return };
        if let Doing::Work(Some(job)) = doing {
            self.unplaced.remove(&job);
        }
        match (life.doing.last_mut(), doing) {
            // Which job it is shows later than that it has one.
            (Some((_, last @ Doing::Work(None))), Doing::Work(Some(_))) => *last = doing,
            (Some((_, last)), _) if *last == doing => {}
            (Some((_, Doing::Work(Some(_)))), Doing::Work(None)) => {}
            _ => life.doing.push((at, doing)),
        }
    }

    /// Refusals in a row are counted here: whoever saw this one may not know of the others.
    fn refuse(&mut self, refusal: &Refusal) {
        let key =
            (refusal.region.clone(), refusal.zone.clone(), refusal.instance_type.clone(), refusal.market);
        let same =
            |known: &Refusal| std::mem::discriminant(&known.kind) == std::mem::discriminant(&refusal.kind);
        let before = self.refusals.get(&key).filter(|known| same(known)).map_or(0, |known| known.in_a_row);
        let in_a_row = if refusal.kind == RefusalKind::Capacity { before + 1 } else { 1 };
        self.refusals.insert(key, Refusal { in_a_row, ..refusal.clone() });
    }

    /// The last line that is taken in.
    #[must_use]
    pub fn seen(&self) -> i64 {
        self.seen
    }

    /// Launches that are not over, as the planner wants them, but for how long they are watched.
    #[must_use]
    pub fn launches(&self) -> Vec<LaunchRecord> {
        let record = |(id, life): (&LaunchId, &Life)| LaunchRecord {
            id: *id,
            spec: life.spec.clone(),
            labels: life.labels.clone(),
            intended_at: life.intended_at,
            watched_for: SignedDuration::ZERO,
            deadline: life.deadline,
            bought: life.bought.as_ref().map(|(.., offer)| offer.clone()),
            price: life.price,
            vcpus: life.vcpus,
            online_at: life.doing.first().map(|(at, _)| *at),
            idle_since: life.doing.last().filter(|(_, doing)| *doing == Doing::Idle).map(|(at, _)| *at),
            busy_unknown_since: match life.doing.last() {
                Some((at, Doing::Work(None))) => Some(*at),
                _ => None,
            },
            notice_at: life.notice_at,
        };
        self.launches.iter().map(record).collect()
    }

    /// Launches that are not over, with what each has been doing: for people to look at.
    pub fn lives(&self) -> impl Iterator<Item = LifeView<'_>> {
        self.launches.iter().map(|(launch, life)| LifeView {
            launch: *launch,
            spec: &life.spec,
            job: life.job,
            intended_at: life.intended_at,
            deadline: life.deadline,
            bought: life.bought.as_ref().map(|(at, instance, offer)| (*at, instance, offer)),
            notice_at: life.notice_at,
            doing: life
                .doing
                .iter()
                .map(|(at, doing)| match doing {
                    Doing::Idle => (*at, Share::Idle),
                    Doing::Work(job) => (*at, Share::Work(*job)),
                })
                .collect(),
        })
    }

    /// True while there is no launch and nothing to follow.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.launches.is_empty() && self.interrupted.is_empty() && self.suspects.is_empty()
    }

    /// The job that a launch was made for. GitHub may have given its runner another one.
    #[must_use]
    pub fn meant_for(&self, launch: LaunchId) -> Option<JobId> {
        self.launches.get(&launch)?.job
    }

    /// The job that a launch's runner has, as far as is known.
    #[must_use]
    pub fn works_on(&self, launch: LaunchId) -> Option<JobId> {
        match self.launches.get(&launch)?.doing.last()? {
            (_, Doing::Work(job)) => *job,
            (_, Doing::Idle) => None,
        }
    }

    /// From when on the spot prices of a launch are not known: the last change that is, or its purchase.
    #[must_use]
    pub fn prices_known_until(&self, launch: LaunchId) -> Option<Timestamp> {
        let life = self.launches.get(&launch)?;
        life.prices.last().map(|(since, _)| *since).or(life.bought.as_ref().map(|(at, ..)| *at))
    }

    /// True for a spot price that concerns a machine and is not known for it.
    #[must_use]
    pub fn lacks(&self, price: &SpotPrice) -> bool {
        self.launches.values().any(|life| {
            let in_pool = |offer: &Offer| {
                offer.market == Market::Spot
                    && (&offer.region, &offer.zone, &offer.instance_type)
                        == (&price.region, &price.zone, &price.instance_type)
            };
            life.bought.as_ref().is_some_and(|(.., offer)| in_pool(offer))
                && life.prices.iter().all(|(known, _)| *known != price.since)
        })
    }

    /// True for a launch whose machine has been seen to end.
    #[must_use]
    pub fn is_over(&self, launch: LaunchId) -> bool {
        self.over.contains(&launch)
    }

    /// The launch that a machine was bought for.
    #[must_use]
    pub fn launch_of(&self, instance: &InstanceId) -> Option<LaunchId> {
        let is_it = |life: &Life| life.bought.as_ref().is_some_and(|(_, id, _)| id == instance);
        self.launches.iter().find(|(_, life)| is_it(life)).map(|(launch, _)| *launch)
    }

    /// Machines that were bought and are not known to be gone.
    pub fn machines(&self) -> impl Iterator<Item = (LaunchId, &InstanceId, &Offer)> {
        self.launches.iter().filter_map(|(launch, life)| {
            life.bought.as_ref().map(|(_, instance, offer)| (*launch, instance, offer))
        })
    }

    /// What stays the same of a job that came.
    #[must_use]
    pub fn facts(&self, job: JobId) -> Option<&JobFacts> {
        self.jobs.get(&job)
    }

    /// True once the job has come.
    #[must_use]
    pub fn knows(&self, job: JobId) -> bool {
        self.jobs.contains_key(&job)
    }

    /// Jobs that lost their machine and are not settled.
    #[must_use]
    pub fn interrupted(&self) -> &BTreeSet<JobId> {
        &self.interrupted
    }

    /// Jobs that may have been on a machine that the cloud took back.
    #[must_use]
    pub fn suspects(&self) -> &BTreeSet<JobId> {
        &self.suspects
    }

    /// Launches whose machine the cloud took back without it being known which job it had.
    #[must_use]
    pub fn unclear(&self) -> &BTreeMap<LaunchId, Timestamp> {
        &self.unclear
    }

    /// How often this job of this run has lost its machine, over all attempts.
    #[must_use]
    pub fn interruptions(&self, run_id: u64, name: &str) -> u32 {
        self.interruptions.get(&(run_id, name.to_owned())).copied().unwrap_or(0)
    }

    /// What was refused and not sold since.
    #[must_use]
    pub fn refusals(&self) -> Vec<Refusal> {
        self.refusals.values().cloned().collect()
    }

    /// Machines that are gone, in the order in which they went.
    #[must_use]
    pub fn ledger(&self) -> &[Entry] {
        &self.ledger
    }

    /// What each spec has spent on machines that went on the UTC day of `now`.
    #[must_use]
    pub fn spent_today(&self, now: Timestamp) -> BTreeMap<String, Usd> {
        let day = |at: Timestamp| at.as_second().div_euclid(86_400);
        let mut spent: BTreeMap<String, Usd> = BTreeMap::new();
        for entry in self.ledger.iter().filter(|entry| day(entry.to) == day(now)) {
            spent.entry(entry.spec.clone()).or_insert(Usd(Decimal::ZERO)).0 += entry.cost.0;
        }
        spent
    }

    /// Seconds between the arrivals of each spec's jobs, the latest last.
    #[must_use]
    pub fn gaps_seconds(&self) -> BTreeMap<String, Vec<u64>> {
        self.arrivals.iter().map(|(spec, it)| (spec.clone(), it.gaps_seconds.clone())).collect()
    }
}

fn pool_of(offer: &Offer) -> Pool {
    (offer.region.clone(), offer.zone.clone(), offer.instance_type.clone(), offer.market)
}

impl Arrivals {
    fn add(&mut self, job: JobId, at: Timestamp) {
        if let Some((last, before)) = self.last {
            if last == job {
                return;
            }
            self.gaps_seconds.push(u64::try_from(at.duration_since(before).as_secs()).unwrap_or(0));
            let over = self.gaps_seconds.len().saturating_sub(GAPS_MAX);
            self.gaps_seconds.drain(..over);
        }
        self.last = Some((job, at));
    }
}

impl Life {
    fn buy(&mut self, at: Timestamp, instance: &InstanceId, offer: &Offer) {
        if self.bought.is_none() {
            self.bought = Some((at, instance.clone(), offer.clone()));
        }
    }
}

/// The ledger's entry of a machine that is gone; none for a launch that never had one. Times are the cloud's where it says
/// them, else ours.
fn closed(
    launch: LaunchId,
    life: Life,
    started_at: Option<Timestamp>,
    (ended_at, seen_gone_at): (Option<Timestamp>, Timestamp),
    end: End,
) -> Option<Entry> {
    let (seen_at, _, offer) = life.bought?;
    let (from, to) = (started_at.unwrap_or(seen_at), ended_at.unwrap_or(seen_gone_at));
    // What the cloud's history says, else what was thought when it was bought.
    let thought = [(from, offer.price.unwrap_or(life.price))];
    let prices = if life.prices.is_empty() { &thought[..] } else { &life.prices };
    let cost = bill(offer.market, prices, from, to, end);
    let mut stretches: Vec<(Share, SignedDuration)> = Vec::new();
    let mut since = from;
    let mut share = if life.doing.is_empty() { Share::Waste } else { Share::Boot };
    for (at, doing) in &life.doing {
        let at = (*at).clamp(from, to.max(from));
        stretches.push((share, at.duration_since(since).max(SignedDuration::ZERO)));
        since = at;
        share = match doing {
            Doing::Idle => Share::Idle,
            Doing::Work(job) => Share::Work(*job),
        };
    }
    stretches.push((share, to.duration_since(since).max(SignedDuration::ZERO)));
    let estimated = started_at.is_none() || ended_at.is_none();
    let shares = divide(cost, &stretches);
    Some(Entry { launch, spec: life.spec, from, to, cost, estimated, shares })
}
