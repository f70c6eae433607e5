//! The state of a launch that is not over.

use cml_cloud::{Deadline, Disk, InstanceId, LaunchId, Market, Offer, SpotPrice, UsdPerHour};
use cml_planner::{JobId, LaunchRecord, UNSEEN_GRACE};
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;

use crate::billing::{BillableUsage, EndReason, TimeRange};
use crate::event::JobFacts;
use crate::ledger::{CostCategory, LedgerEntry, Waste, final_category, split, sum};

/// One launch that is not over.
#[derive(Clone, Debug)]
pub struct LaunchView<'a> {
    /// The launch.
    pub launch: LaunchId,
    /// Name of its pool.
    pub spec: &'a str,
    /// The job that it was made for.
    pub job: Option<JobId>,
    /// Time of the decision.
    pub intended_at: Timestamp,
    /// The time after which its machine must not exist.
    pub deadline: Deadline,
    /// Time of the purchase, the machine and the offer.
    pub bought: Option<(Timestamp, &'a InstanceId, &'a Offer)>,
    /// Time at which the cloud announced an interruption.
    pub notice_at: Option<Timestamp>,
    /// Changes of its activity with their times, from the moment its runner was online.
    pub activity: Vec<(Timestamp, CostCategory)>,
}

/// The state of one launch, as derived from the journal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LaunchState {
    /// Sequence number of the record that began it.
    pub(crate) line: i64,
    pub(crate) spec: String,
    pub(crate) labels: Vec<String>,
    pub(crate) region: Option<String>,
    /// The process that executes it.
    pub(crate) writer: Option<String>,
    /// Whether the cloud was called.
    pub(crate) is_called: bool,
    pub(crate) job: Option<JobId>,
    /// Facts of that job.
    pub(crate) facts: Option<JobFacts>,
    pub(crate) intended_at: Timestamp,
    pub(crate) deadline: Deadline,
    pub(crate) price: UsdPerHour,
    pub(crate) disk: Option<Disk>,
    pub(crate) vcpus: u32,
    pub(crate) bought: Option<(Timestamp, InstanceId, Offer)>,
    /// Price changes, the oldest first.
    pub(crate) prices: Vec<(Timestamp, UsdPerHour)>,
    pub(crate) notice_at: Option<Timestamp>,
    /// Changes of its activity with their times, since it was first online.
    pub(crate) activity: Vec<(Timestamp, RunnerActivity)>,
    /// Runs that were ended by a stop from outside.
    pub(crate) stopped: Vec<TimeRange>,
    /// Time of its latest restart, while it runs again.
    pub(crate) started_again_at: Option<Timestamp>,
    /// How it ended, while its bill waits for prices.
    pub(crate) ended: Option<ObservedEnd>,
}

/// An end that the cloud has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ObservedEnd {
    pub(crate) end: EndReason,
    pub(crate) started_at: Timestamp,
    pub(crate) ended_at: Timestamp,
}

/// Activity of a runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunnerActivity {
    Idle,
    Work(Option<JobId>),
    /// Its machine was stopped, and no report of it has arrived since.
    Stopped,
}

impl RunnerActivity {
    pub(crate) fn share(self) -> CostCategory {
        match self {
            Self::Idle => CostCategory::Idle,
            Self::Work(job) => CostCategory::Work(job),
            Self::Stopped => CostCategory::Waste(Waste::Stopped),
        }
    }
}

/// How a machine ended, or that it still exists.
pub(crate) struct EndFacts {
    pub(crate) end: EndReason,
    pub(crate) lives: bool,
    pub(crate) started_at: Option<Timestamp>,
    /// Time by the cloud's clock, where it is reported.
    pub(crate) ended_at: Option<Timestamp>,
    /// Prices of its time are unknown.
    pub(crate) lacks_prices: bool,
    /// Time by this process's clock.
    pub(crate) seen_at: Timestamp,
}

impl LaunchState {
    /// Creates the state of a launch that was just decided; facts about its job and its money are added later.
    pub(crate) fn new(
        line: i64,
        spec: &str,
        labels: &[String],
        intended_at: Timestamp,
        deadline: Deadline,
    ) -> Self {
        Self {
            line,
            spec: spec.to_owned(),
            labels: labels.to_vec(),
            region: None,
            writer: None,
            is_called: false,
            job: None,
            facts: None,
            intended_at,
            deadline,
            price: UsdPerHour(Decimal::ZERO),
            disk: None,
            vcpus: 0,
            bought: None,
            prices: Vec::new(),
            notice_at: None,
            activity: Vec::new(),
            stopped: Vec::new(),
            started_again_at: None,
            ended: None,
        }
    }

    pub(crate) fn buy(&mut self, at: Timestamp, instance: &InstanceId, offer: &Offer) {
        match &mut self.bought {
            None => {
                self.disk = offer.disk.or(self.disk);
                self.bought = Some((at, instance.clone(), offer.clone()));
            }
            // Its list price may become known only later.
            Some((_, known, bought)) if known == instance && bought.price.is_none() => {
                bought.clone_from(offer);
            }
            Some(_) => {}
        }
    }

    pub(crate) fn view(&self, launch: LaunchId) -> LaunchView<'_> {
        LaunchView {
            launch,
            spec: &self.spec,
            job: self.job,
            intended_at: self.intended_at,
            deadline: self.deadline,
            bought: self.bought.as_ref().map(|(at, instance, offer)| (*at, instance, offer)),
            notice_at: self.notice_at,
            activity: self.activity.iter().map(|(at, doing)| (*at, doing.share())).collect(),
        }
    }

    pub(crate) fn record_activity(&mut self, at: Timestamp, doing: RunnerActivity) {
        match (self.activity.last_mut(), doing) {
            // The runner's job can become known later than the fact that it has one.
            (Some((_, last @ RunnerActivity::Work(None))), RunnerActivity::Work(Some(_))) => *last = doing,
            (Some((_, last)), _) if *last == doing => {}
            (Some((_, RunnerActivity::Work(Some(_)))), RunnerActivity::Work(None)) => {}
            _ => self.activity.push((at, doing)),
        }
    }

    /// Records that it no longer runs but still exists.
    pub(crate) fn stop(&mut self, started_at: Option<Timestamp>, at: Timestamp) {
        if self.is_stopped() {
            return;
        }
        let bought_at = self.bought.as_ref().map(|(bought_at, ..)| *bought_at);
        let Some(from) = self.started_again_at.take().or(started_at).or(bought_at) else { return };
        self.stopped.push(TimeRange { from, to: at });
        self.activity.push((at, RunnerActivity::Stopped));
    }

    /// Records a restart. An observation may be older than the stop: it then reports a start that was already known.
    pub(crate) fn start_again(&mut self, at: Timestamp) {
        if self.is_stopped() && self.stopped.last().is_some_and(|run| at >= run.to) {
            self.started_again_at = Some(at);
        }
    }

    /// Returns the job that its runner has, as far as is known.
    pub(crate) fn works_on(&self) -> Option<JobId> {
        match self.activity.last()? {
            (_, RunnerActivity::Work(job)) => *job,
            (_, RunnerActivity::Idle | RunnerActivity::Stopped) => None,
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        !self.stopped.is_empty() && self.started_again_at.is_none()
    }

    pub(crate) fn reprice(&mut self, change: &SpotPrice) {
        if self.is_in_pool_of(change) && self.prices.iter().all(|(known, _)| *known != change.since) {
            self.prices.push((change.since, change.price));
            self.prices.sort_by_key(|(since, _)| *since);
        }
    }

    pub(crate) fn is_in_pool_of(&self, change: &SpotPrice) -> bool {
        self.bought.as_ref().is_some_and(|(.., offer)| {
            offer.market == Market::Spot
                && (&offer.region, &offer.zone, &offer.instance_type)
                    == (&change.region, &change.zone, &change.instance_type)
        })
    }

    /// Returns the planner's view.
    pub(crate) fn record(&self, id: LaunchId) -> LaunchRecord {
        let last = self.activity.last();
        LaunchRecord {
            id,
            spec: self.spec.clone(),
            labels: self.labels.clone(),
            region: self.region.clone(),
            repository: self.facts.as_ref().map(|facts| facts.repository.clone()),
            actor: self.facts.as_ref().map(|facts| facts.actor.clone()),
            intended_at: self.intended_at,
            watched_for: SignedDuration::ZERO,
            shows_within: UNSEEN_GRACE,
            deadline: self.deadline,
            bought: self.bought.as_ref().map(|(.., offer)| offer.clone()),
            price: self.price,
            disk: self.disk,
            vcpus: self.vcpus,
            online_at: self.activity.first().map(|(at, _)| *at),
            idle_since: last.filter(|(_, doing)| *doing == RunnerActivity::Idle).map(|(at, _)| *at),
            busy_unknown_since: last
                .filter(|(_, doing)| *doing == RunnerActivity::Work(None))
                .map(|(at, _)| *at),
            notice_at: self.notice_at,
            is_stopped: self.is_stopped(),
        }
    }

    /// Merges in the end that the cloud has shown: it holds even though the cloud may have forgotten the machine since.
    pub(crate) fn with_observed_end(&self, how: &EndFacts) -> EndFacts {
        match self.ended {
            Some(seen) => EndFacts {
                // The cloud's reason for the end can arrive after the end itself.
                end: if how.end == EndReason::TakenBack { how.end } else { seen.end },
                started_at: Some(seen.started_at),
                ended_at: Some(seen.ended_at),
                ..*how
            },
            None => EndFacts { ..*how },
        }
    }

    /// Returns the ledger entry; `None` for a launch that never had a machine. Times are the cloud's where it reports
    /// them, else this process's.
    pub(crate) fn entry(&self, launch: LaunchId, how: &EndFacts) -> Option<LedgerEntry> {
        let how = &self.with_observed_end(how);
        let (seen_at, _, offer) = self.bought.as_ref()?;
        let began = self.stopped.first().map(|run| run.from).or(how.started_at).unwrap_or(*seen_at);
        let to = how.ended_at.unwrap_or(how.seen_at);
        let mut runs = self.stopped.clone();
        if !self.is_stopped() {
            let from = self.started_again_at.unwrap_or(began);
            runs.push(TimeRange { from, to: to.max(from) });
        }
        // The cloud's price history, else the price assumed at the purchase.
        let thought = || vec![(began, offer.price.unwrap_or(self.price))];
        let tenure = BillableUsage {
            market: offer.market,
            prices: if self.prices.is_empty() { thought() } else { self.prices.clone() },
            runs,
            end: how.end,
            disk: self.disk.map(|disk| (disk, TimeRange { from: began, to: to.max(began) })),
        };
        let online = self.activity.iter().any(|(_, doing)| *doing != RunnerActivity::Stopped);
        // A machine that still exists may yet come online.
        let first = if online || how.lives {
            CostCategory::Boot
        } else {
            CostCategory::Waste(Waste::NeverRegistered)
        };
        let mut shares = vec![(began, first)];
        shares.extend(self.activity.iter().map(|(at, doing)| (*at, doing.share())));
        if let Some((_, share)) = shares.last_mut() {
            *share = final_category(*share, how.end, !how.lives && to >= self.deadline.0);
        }
        let mut parts = split(&tenure, to, &shares);
        if how.lives {
            // A machine that still exists will reach the minimum of one minute.
            parts.retain(|part| part.category != CostCategory::Waste(Waste::Minimum));
        }
        Some(LedgerEntry {
            launch,
            spec: self.spec.clone(),
            job: self.job,
            offer: offer.clone(),
            from: began,
            to,
            cost: sum(&parts),
            estimated: how.started_at.is_none() || how.ended_at.is_none() || how.lacks_prices,
            usage: tenure,
            segments: parts,
            is_priced_by_history: !self.prices.is_empty(),
        })
    }
}
