//! The state: a fold of the journal.

use std::collections::{BTreeMap, BTreeSet};

use cml_cloud::{Deadline, InstanceId, LaunchId, Market, Offer, SpotPrice, UsdPerHour};
use cml_planner::{JobId, LaunchRecord, Refusal, RefusalKind, Spending};
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;

use crate::arrivals::Arrivals;
use crate::billing::EndReason;
use crate::event::{Event, JobFacts};
use crate::launch_state::{EndFacts, LaunchState, LaunchView, ObservedEnd, RunnerActivity};
use crate::ledger::LedgerEntry;
use crate::spent::Spent;
use crate::sqlite::Record;

/// Maximum number of jobs that are remembered, the latest ones: GitHub's ids increase.
const JOBS_MAX: usize = 20_000;
/// GitHub gives up a job that has waited for this long.
const QUEUE_LIMIT: SignedDuration = SignedDuration::from_hours(24);
/// A job is reported within this time, or never.
const UNCLEAR_FOR: SignedDuration = SignedDuration::from_hours(1);
/// Maximum number of jobs that are checked for one machine that was lost with an unknown job.
const SUSPECTS_MAX: usize = 50;
/// Maximum number of re-runs that are remembered, of the latest runs: GitHub's ids increase.
const RERUNS_MAX: usize = 2_000;
/// Maximum number of launches that are over and remembered, the latest ones: a machine that reappears after its end is
/// not a new one.
const OVER_MAX: usize = 20_000;

/// The fold of all records so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    launches: BTreeMap<LaunchId, LaunchState>,
    ledger: Vec<LedgerEntry>,
    spent: Spent,
    refusals: BTreeMap<Pool, Refusal>,
    arrivals: BTreeMap<String, Arrivals>,
    jobs: BTreeMap<JobId, JobFacts>,
    /// Jobs that lost their machine and may have to be re-run.
    interrupted: BTreeSet<JobId>,
    /// Jobs that arrived and were not seen on any machine of this controller, with their time of arrival.
    unplaced: BTreeMap<JobId, Timestamp>,
    /// Launches whose machine the cloud interrupted while its job was unknown.
    unclear: BTreeMap<LaunchId, Timestamp>,
    /// Jobs that may have run on such a machine.
    suspects: BTreeSet<JobId>,
    /// Number of machines that a job of a run has lost, over all attempts.
    interruptions: BTreeMap<(u64, String), u32>,
    /// Runs that this controller has asked GitHub to re-run: the attempt from which on, and the actor of the attempt
    /// before.
    reruns: BTreeMap<u64, (u32, String)>,
    over: BTreeSet<LaunchId>,
    /// Launches that were decided here, the latest ones, whether or not they succeeded.
    own: BTreeSet<LaunchId>,
    /// The controller's current name, and its earlier ones.
    names: Vec<String>,
    seen: i64,
}

type Pool = (String, Option<String>, String, Market);

impl State {
    /// Returns the state after these records.
    #[must_use]
    pub fn of(lines: &[Record]) -> Self {
        let mut state = Self::default();
        state.apply_all(lines);
        state
    }

    /// Applies further records.
    pub fn apply_all(&mut self, lines: &[Record]) {
        for line in lines {
            self.apply(line);
        }
    }

    /// Applies the next record. A record of something already known changes nothing.
    pub fn apply(&mut self, line: &Record) {
        if line.seq <= self.seen {
            return;
        }
        self.seen = line.seq;
        let at = line.at;
        match &line.event {
            Event::LaunchIntended {
                launch,
                spec,
                labels,
                region,
                job,
                deadline,
                price,
                disk,
                vcpus,
                writer,
            } => {
                self.own.insert(*launch);
                if self.own.len() > OVER_MAX {
                    self.own.pop_first();
                }
                let mut life = LaunchState::new(line.seq, spec, labels, at, *deadline);
                life.facts = job.and_then(|job| self.jobs.get(&job)).cloned();
                life.region.clone_from(region);
                life.writer.clone_from(writer);
                (life.job, life.price, life.disk, life.vcpus) = (*job, *price, *disk, *vcpus);
                self.launches.entry(*launch).or_insert(life);
            }
            Event::LaunchCalled { launch } => {
                if let Some(life) = self.launches.get_mut(launch) {
                    life.is_called = true;
                }
            }
            Event::ControllerNamed { name } => {
                self.names.retain(|known| known != name);
                self.names.push(name.clone());
            }
            Event::LaunchBought { launch, instance, offer } => {
                self.refusals.remove(&pool_of(offer));
                if let Some(life) = self.launches.get_mut(launch) {
                    life.buy(at, instance, offer);
                }
            }
            Event::InstanceFound { launch, spec, labels, deadline, instance, offer, started_at } => {
                let price = offer.price.unwrap_or(UsdPerHour(Decimal::ZERO));
                let mut life = LaunchState::new(line.seq, spec, labels, *started_at, *deadline);
                (life.price, life.vcpus) = (price, offer.resources.vcpus);
                life.buy(*started_at, instance, offer);
                self.launches.entry(*launch).or_insert(life);
            }
            Event::LaunchFailed { launch, .. } => {
                self.launches.remove(launch);
            }
            Event::Refused { refusal } => self.refuse(refusal),
            Event::RunnerIdle { launch } => self.record_activity(*launch, at, RunnerActivity::Idle),
            Event::RunnerBusy { launch, job } => {
                self.record_activity(*launch, at, RunnerActivity::Work(*job));
            }
            Event::NoticeSeen { launch } => {
                if let Some(life) = self.launches.get_mut(launch) {
                    life.notice_at.get_or_insert(at);
                }
            }
            Event::InstanceStopped { launch, started_at, stopped_at } => {
                if let Some(life) = self.launches.get_mut(launch) {
                    life.stop(*started_at, stopped_at.unwrap_or(at));
                }
            }
            Event::InstanceStarted { launch, started_at } => {
                if let Some(life) = self.launches.get_mut(launch) {
                    life.start_again(*started_at);
                }
            }
            Event::InstanceEnded { launch, end, started_at, ended_at } => {
                if let Some(life) = self.launches.get_mut(launch) {
                    life.ended.get_or_insert(ObservedEnd {
                        end: *end,
                        started_at: *started_at,
                        ended_at: *ended_at,
                    });
                }
            }
            Event::InstanceGone { launch, end, started_at, ended_at, lacks_prices } => {
                let how = EndFacts {
                    end: *end,
                    lives: false,
                    started_at: *started_at,
                    ended_at: *ended_at,
                    lacks_prices: *lacks_prices,
                    seen_at: at,
                };
                self.is_gone(*launch, &how);
            }
            Event::SpotPrice { region, zone, instance_type, since, price } => {
                let change = SpotPrice {
                    region: region.clone(),
                    zone: zone.clone(),
                    instance_type: instance_type.clone(),
                    since: *since,
                    price: *price,
                };
                self.launches.values_mut().for_each(|life| life.reprice(&change));
            }
            Event::JobCame { job, spec, facts } => {
                self.arrivals.entry(spec.clone()).or_default().add(*job, at);
                self.jobs.insert(*job, facts.clone());
                self.unplaced.insert(*job, at);
                // The job may have arrived and ended before it was reported.
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
            Event::RerunAsked { run_id, attempt, actor } => {
                self.reruns.entry(*run_id).or_insert_with(|| (*attempt, actor.clone()));
                if self.reruns.len() > RERUNS_MAX {
                    self.reruns.pop_first();
                }
            }
            Event::JobSettled { job } => {
                self.interrupted.remove(job);
                self.suspects.remove(job);
            }
        }
    }

    fn is_gone(&mut self, launch: LaunchId, how: &EndFacts) {
        let Some(life) = self.launches.remove(&launch) else { return };
        self.over.insert(launch);
        if self.over.len() > OVER_MAX {
            self.over.pop_first();
        }
        match (life.with_observed_end(how).end, life.activity.last()) {
            (EndReason::TakenBack, Some((_, RunnerActivity::Work(Some(job))))) => self.interrupt(*job),
            (EndReason::TakenBack, _) => self.mark_suspects(launch, how.seen_at),
            _ => {}
        }
        if let Some(entry) = life.entry(launch, how) {
            self.spent.add(&entry, life.facts.as_ref(), &self.jobs);
            self.ledger.push(entry);
        }
    }

    fn interrupt(&mut self, job: JobId) {
        self.suspects.remove(&job);
        self.interrupted.insert(job);
        if let Some(facts) = self.jobs.get(&job) {
            *self.interruptions.entry((facts.run_id, facts.name.clone())).or_default() += 1;
        }
    }

    /// Marks every recent job that was seen on no machine: it may have been on this one, which GitHub will show.
    fn mark_suspects(&mut self, launch: LaunchId, now: Timestamp) {
        let since = now.checked_sub(QUEUE_LIMIT).unwrap_or(now);
        let recent = self.unplaced.iter().rev().filter(|(_, came)| **came > since).map(|(job, _)| *job);
        let suspects: Vec<JobId> = recent.take(SUSPECTS_MAX).collect();
        self.unclear.insert(launch, now);
        self.suspects.extend(suspects);
    }

    fn record_activity(&mut self, launch: LaunchId, at: Timestamp, doing: RunnerActivity) {
        let Some(life) = self.launches.get_mut(&launch) else { return };
        if let RunnerActivity::Work(Some(job)) = doing {
            self.unplaced.remove(&job);
        }
        life.record_activity(at, doing);
    }

    /// Records a refusal. Consecutive refusals are counted here: the process that observed this one may not know of the
    /// others.
    fn refuse(&mut self, refusal: &Refusal) {
        let key =
            (refusal.region.clone(), refusal.zone.clone(), refusal.instance_type.clone(), refusal.market);
        let same =
            |known: &Refusal| std::mem::discriminant(&known.kind) == std::mem::discriminant(&refusal.kind);
        let before = self.refusals.get(&key).filter(|known| same(known)).map_or(0, |known| known.in_a_row);
        let in_a_row = if refusal.kind == RefusalKind::Capacity { before + 1 } else { 1 };
        self.refusals.insert(key, Refusal { in_a_row, ..refusal.clone() });
    }

    /// Returns the sequence number of the last applied record.
    #[must_use]
    pub fn seen(&self) -> i64 {
        self.seen
    }

    /// Returns the launches that are not over, as the planner needs them, except for how long they have been watched.
    #[must_use]
    pub fn launches(&self) -> Vec<LaunchRecord> {
        let record = |(id, life): (&LaunchId, &LaunchState)| {
            let mut record = life.record(*id);
            // While it works, that job's repository and actor pay, whichever job it was bought for.
            if let Some(facts) = life.works_on().and_then(|job| self.jobs.get(&job)) {
                record.repository = Some(facts.repository.clone());
                record.actor = Some(facts.actor.clone());
            }
            record
        };
        self.launches.iter().map(record).collect()
    }

    /// Returns the launches that are not over, with their activity, for display.
    pub fn launch_views(&self) -> impl Iterator<Item = LaunchView<'_>> {
        self.launches.iter().map(|(launch, life)| life.view(*launch))
    }

    /// Returns one of them.
    #[must_use]
    pub fn launch_view(&self, launch: LaunchId) -> Option<LaunchView<'_>> {
        self.launches.get(&launch).map(|life| life.view(launch))
    }

    /// Returns true while there is no launch and nothing to follow.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.launches.is_empty() && self.interrupted.is_empty() && self.suspects.is_empty()
    }

    /// Returns the job that a launch was made for. GitHub may have assigned another one to its runner.
    #[must_use]
    pub fn meant_for(&self, launch: LaunchId) -> Option<JobId> {
        self.launches.get(&launch)?.job
    }

    /// Returns the job that a launch's runner has, as far as is known.
    #[must_use]
    pub fn job_of(&self, launch: LaunchId) -> Option<JobId> {
        self.launches.get(&launch)?.works_on()
    }

    /// Returns the time after which the spot prices of a launch are unknown: the last known change, or its purchase.
    #[must_use]
    pub fn prices_known_until(&self, launch: LaunchId) -> Option<Timestamp> {
        let life = self.launches.get(&launch)?;
        life.prices.last().map(|(since, _)| *since).or(life.bought.as_ref().map(|(at, ..)| *at))
    }

    /// Returns true for a spot price that concerns a machine and is not yet recorded for it.
    #[must_use]
    pub fn is_new_price(&self, price: &SpotPrice) -> bool {
        let is_news = |life: &LaunchState| life.prices.iter().all(|(known, _)| *known != price.since);
        self.launches.values().any(|life| life.is_in_pool_of(price) && is_news(life))
    }

    /// Returns the name that this controller's machines are tagged with.
    #[must_use]
    pub fn controller(&self) -> Option<&str> {
        self.names.last().map(String::as_str)
    }

    /// Returns true for a launch that was decided here, or whose machine is tagged with a name of this controller.
    #[must_use]
    pub fn is_ours(&self, launch: LaunchId, controller: Option<&str>) -> bool {
        self.launches.contains_key(&launch)
            || self.own.contains(&launch)
            || self.over.contains(&launch)
            || controller.is_some_and(|tagged| self.names.iter().any(|name| name == tagged))
    }

    /// Returns true for a launch whose machine has been seen to end.
    #[must_use]
    pub fn is_over(&self, launch: LaunchId) -> bool {
        self.over.contains(&launch)
    }

    /// Returns true for a launch whose machine has been seen to end, and whose bill waits for prices.
    #[must_use]
    pub fn has_ended(&self, launch: LaunchId) -> bool {
        self.launches.get(&launch).is_some_and(|life| life.ended.is_some())
    }

    /// Returns true for a launch that was decided and is not over.
    #[must_use]
    pub fn is_open(&self, launch: LaunchId) -> bool {
        self.launches.contains_key(&launch)
    }

    /// Returns the process that executes a launch that is not over, where it is known, and whether it has called the
    /// cloud.
    #[must_use]
    pub fn writer_of(&self, launch: LaunchId) -> Option<(&str, bool)> {
        let life = self.launches.get(&launch)?;
        Some((life.writer.as_deref()?, life.is_called))
    }

    /// Returns the launch that a machine was bought for.
    #[must_use]
    pub fn launch_of(&self, instance: &InstanceId) -> Option<LaunchId> {
        let is_it = |life: &LaunchState| life.bought.as_ref().is_some_and(|(_, id, _)| id == instance);
        self.launches.iter().find(|(_, life)| is_it(life)).map(|(launch, _)| *launch)
    }

    /// Returns the machines that were bought and are not known to have ended.
    pub fn instances(&self) -> impl Iterator<Item = (LaunchId, &InstanceId, &Offer)> {
        self.launches.iter().filter_map(|(launch, life)| {
            life.bought.as_ref().map(|(_, instance, offer)| (*launch, instance, offer))
        })
    }

    /// Returns the unchanging properties of a job that arrived.
    #[must_use]
    pub fn facts(&self, job: JobId) -> Option<&JobFacts> {
        self.jobs.get(&job)
    }

    /// Returns true once the job has arrived.
    #[must_use]
    pub fn knows(&self, job: JobId) -> bool {
        self.jobs.contains_key(&job)
    }

    /// Returns the jobs that lost their machine and are not settled.
    #[must_use]
    pub fn interrupted(&self) -> &BTreeSet<JobId> {
        &self.interrupted
    }

    /// Returns the jobs that may have run on an interrupted machine.
    #[must_use]
    pub fn suspects(&self) -> &BTreeSet<JobId> {
        &self.suspects
    }

    /// Returns the launches whose machine the cloud interrupted while its job was unknown.
    #[must_use]
    pub fn unattributed_interruptions(&self) -> &BTreeMap<LaunchId, Timestamp> {
        &self.unclear
    }

    /// Returns how often this job of this run has lost its machine, over all attempts.
    #[must_use]
    pub fn interruptions(&self, run_id: u64, name: &str) -> u32 {
        self.interruptions.get(&(run_id, name.to_owned())).copied().unwrap_or(0)
    }

    /// Returns the actor of an attempt that this controller asked for, or of any later attempt of that run; `None` for
    /// all others.
    #[must_use]
    pub fn started_by(&self, run_id: u64, attempt: u32) -> Option<&str> {
        let (since, actor) = self.reruns.get(&run_id)?;
        (attempt >= *since).then_some(actor.as_str())
    }

    /// Returns the refusals that no purchase has followed.
    #[must_use]
    pub fn refusals(&self) -> Vec<Refusal> {
        self.refusals.values().cloned().collect()
    }

    /// Returns the machines that have ended, in the order of their ends.
    #[must_use]
    pub fn ledger(&self) -> &[LedgerEntry] {
        &self.ledger
    }

    /// Returns the machines that exist, billed up to now, with their deadlines. A machine whose deadline has passed
    /// without an observed end is billed until the deadline: no machine outlives it (L1).
    #[must_use]
    pub fn running(&self, now: Timestamp) -> Vec<(LedgerEntry, Deadline)> {
        let entry = |(launch, life): (&LaunchId, &LaunchState)| {
            let until = now.min(life.deadline.0);
            let how = EndFacts {
                end: EndReason::Ours,
                lives: true,
                started_at: None,
                ended_at: Some(until),
                lacks_prices: false,
                seen_at: now,
            };
            Some((life.entry(*launch, &how)?, life.deadline))
        };
        self.launches.iter().filter_map(entry).collect()
    }

    /// Returns the sequence number of the record that began the oldest launch that is not over: reading from there on
    /// finds all launches that are not over.
    #[must_use]
    pub fn oldest_line(&self) -> Option<i64> {
        self.launches.values().map(|life| life.line).min()
    }

    /// Removes and returns the ledger entries so far; the caller keeps them. Recent spending is still known.
    pub fn take_ledger(&mut self) -> Vec<LedgerEntry> {
        std::mem::take(&mut self.ledger)
    }

    /// Returns the spending on machines that have ended, by the UTC day of their end: of this month, and of this week.
    #[must_use]
    pub fn spent(&self, now: Timestamp) -> Vec<Spending> {
        self.spent.since_last_month(now)
    }

    /// Returns the seconds between the arrivals of each pool's jobs, the latest last.
    #[must_use]
    pub fn gaps_seconds(&self) -> BTreeMap<String, Vec<u64>> {
        self.arrivals.iter().map(|(spec, it)| (spec.clone(), it.gaps_seconds().to_vec())).collect()
    }
}

fn pool_of(offer: &Offer) -> Pool {
    (offer.region.clone(), offer.zone.clone(), offer.instance_type.clone(), offer.market)
}
