//! A launch that is not over.

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
    pub activity: Vec<(Timestamp, CostCategory)>,
}

/// What the journal says of one launch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LaunchState {
    /// The line that began it.
    pub(crate) line: i64,
    pub(crate) spec: String,
    pub(crate) labels: Vec<String>,
    pub(crate) region: Option<String>,
    /// Who carries it out.
    pub(crate) writer: Option<String>,
    /// The cloud was called.
    pub(crate) is_called: bool,
    pub(crate) job: Option<JobId>,
    /// Of that job.
    pub(crate) facts: Option<JobFacts>,
    pub(crate) intended_at: Timestamp,
    pub(crate) deadline: Deadline,
    pub(crate) price: UsdPerHour,
    pub(crate) disk: Option<Disk>,
    pub(crate) vcpus: u32,
    pub(crate) bought: Option<(Timestamp, InstanceId, Offer)>,
    /// Changes of its price, the oldest first.
    pub(crate) prices: Vec<(Timestamp, UsdPerHour)>,
    pub(crate) notice_at: Option<Timestamp>,
    /// What it has been doing since when, since it was first online.
    pub(crate) activity: Vec<(Timestamp, RunnerActivity)>,
    /// Runs that somebody has stopped.
    pub(crate) stopped: Vec<TimeRange>,
    /// When it was started again, while it runs again.
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

/// What a runner does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunnerActivity {
    Idle,
    Work(Option<JobId>),
    /// Its machine was stopped, and nothing has been heard of it since.
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

/// How a machine ended, or that it lives.
pub(crate) struct EndFacts {
    pub(crate) end: EndReason,
    pub(crate) lives: bool,
    pub(crate) started_at: Option<Timestamp>,
    /// By the cloud's clock, where it says so.
    pub(crate) ended_at: Option<Timestamp>,
    /// Prices of its time are not known.
    pub(crate) lacks_prices: bool,
    /// By ours.
    pub(crate) seen_at: Timestamp,
}

impl LaunchState {
    /// A launch that was just decided; what is known of its job and its money is added.
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
            // What it costs by the list may be known only later.
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
            // Which job it is shows later than that it has one.
            (Some((_, last @ RunnerActivity::Work(None))), RunnerActivity::Work(Some(_))) => *last = doing,
            (Some((_, last)), _) if *last == doing => {}
            (Some((_, RunnerActivity::Work(Some(_)))), RunnerActivity::Work(None)) => {}
            _ => self.activity.push((at, doing)),
        }
    }

    /// It does not run any more, and is still there.
    pub(crate) fn stop(&mut self, started_at: Option<Timestamp>, at: Timestamp) {
        if self.is_stopped() {
            return;
        }
        let bought_at = self.bought.as_ref().map(|(bought_at, ..)| *bought_at);
        let Some(from) = self.started_again_at.take().or(started_at).or(bought_at) else { return };
        self.stopped.push(TimeRange { from, to: at });
        self.activity.push((at, RunnerActivity::Stopped));
    }

    /// A look may be older than the stop: the start that it tells of is one that was known.
    pub(crate) fn start_again(&mut self, at: Timestamp) {
        if self.is_stopped() && self.stopped.last().is_some_and(|run| at >= run.to) {
            self.started_again_at = Some(at);
        }
    }

    /// The job that its runner has, as far as is known.
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

    /// The planner's view.
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

    /// What the cloud has shown of the end holds, though it may have forgotten the machine since.
    pub(crate) fn with_observed_end(&self, how: &EndFacts) -> EndFacts {
        match self.ended {
            Some(seen) => EndFacts {
                // The cloud's words for the end can come after it.
                end: if how.end == EndReason::TakenBack { how.end } else { seen.end },
                started_at: Some(seen.started_at),
                ended_at: Some(seen.ended_at),
                ..*how
            },
            None => EndFacts { ..*how },
        }
    }

    /// The ledger's entry; none for a launch that never had a machine. Times are the cloud's where it says them, else ours.
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
        // What the cloud's history says, else what was thought when it was bought.
        let thought = || vec![(began, offer.price.unwrap_or(self.price))];
        let tenure = BillableUsage {
            market: offer.market,
            prices: if self.prices.is_empty() { thought() } else { self.prices.clone() },
            runs,
            end: how.end,
            disk: self.disk.map(|disk| (disk, TimeRange { from: began, to: to.max(began) })),
        };
        let online = self.activity.iter().any(|(_, doing)| *doing != RunnerActivity::Stopped);
        // One that lives may still come online.
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
            // It will live out its minute.
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
