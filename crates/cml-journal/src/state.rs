//! What the journal amounts to.

use std::collections::BTreeMap;

use cml_cloud::{Deadline, InstanceId, LaunchId, Market, Offer, Usd, UsdPerHour};
use cml_fleet::{JobId, LaunchRecord, Refusal, RefusalKind};
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;

use crate::bill::{End, bill};
use crate::event::Event;
use crate::ledger::{Entry, Share, divide};
use crate::sqlite::Line;

/// Gaps that are remembered of each spec.
const GAPS_MAX: usize = 200;

/// The fold of all lines so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    launches: BTreeMap<LaunchId, Life>,
    ledger: Vec<Entry>,
    refusals: BTreeMap<Pool, Refusal>,
    arrivals: BTreeMap<String, Arrivals>,
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
    notice_at: Option<Timestamp>,
    /// What it has been doing since when, since it was first online.
    doing: Vec<(Timestamp, Doing)>,
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
                    notice_at: None,
                    doing: Vec::new(),
                };
                self.launches.entry(*launch).or_insert(life);
            }
            Event::LaunchBought { launch, instance, offer } => {
                self.refusals.remove(&pool_of(offer));
                if let Some(life) = self.launches.get_mut(launch) {
                    life.bought.get_or_insert_with(|| (at, instance.clone(), offer.clone()));
                }
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
            Event::InstanceGone { launch, end } => {
                let ended = self.launches.remove(launch);
                self.ledger.extend(ended.and_then(|life| closed(*launch, life, at, *end)));
            }
            Event::JobCame { job, spec } => self.arrivals.entry(spec.clone()).or_default().add(*job, at),
        }
    }

    fn does(&mut self, launch: LaunchId, at: Timestamp, doing: Doing) {
        if let Some(life) = self.launches.get_mut(&launch)
            && life.doing.last().is_none_or(|(_, last)| *last != doing)
        {
            life.doing.push((at, doing));
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

    /// Launches that are not over, as the planner wants them.
    #[must_use]
    pub fn launches(&self) -> Vec<LaunchRecord> {
        let record = |(id, life): (&LaunchId, &Life)| LaunchRecord {
            id: *id,
            spec: life.spec.clone(),
            labels: life.labels.clone(),
            intended_at: life.intended_at,
            deadline: life.deadline,
            bought: life.bought.as_ref().map(|(.., offer)| offer.clone()),
            price: life.price,
            vcpus: life.vcpus,
            online_at: life.doing.first().map(|(at, _)| *at),
            idle_since: life.doing.last().filter(|(_, doing)| *doing == Doing::Idle).map(|(at, _)| *at),
            notice_at: life.notice_at,
        };
        self.launches.iter().map(record).collect()
    }

    /// The job that a launch was made for.
    #[must_use]
    pub fn job_of(&self, launch: LaunchId) -> Option<JobId> {
        self.launches.get(&launch)?.job
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

/// The ledger's entry of a machine that is gone; none for a launch that never had one.
fn closed(launch: LaunchId, life: Life, to: Timestamp, end: End) -> Option<Entry> {
    let (from, _, offer) = life.bought?;
    let price = offer.price.unwrap_or(life.price);
    let cost = bill(offer.market, price, from, to, end);
    let mut stretches: Vec<(Share, SignedDuration)> = Vec::new();
    let mut since = from;
    let mut share = if life.doing.is_empty() { Share::Waste } else { Share::Boot };
    for (at, doing) in &life.doing {
        stretches.push((share, at.duration_since(since).max(SignedDuration::ZERO)));
        since = *at;
        share = match doing {
            Doing::Idle => Share::Idle,
            Doing::Work(job) => Share::Work(*job),
        };
    }
    stretches.push((share, to.duration_since(since).max(SignedDuration::ZERO)));
    Some(Entry { launch, spec: life.spec, from, to, cost, shares: divide(cost, &stretches) })
}
