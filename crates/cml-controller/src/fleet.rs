//! One look after another: learn what changed, plan, write the intents, give orders.
//!
//! Nothing here waits or calls: whoever drives it brings a look at the world and carries the orders out. So the same code
//! runs under the daemon and in a simulated world, and dropping it at any point is a crash.

use std::collections::BTreeMap;

use cml_cloud::{
    CloudError, Deadline, Instance, InstanceId, InstanceState, LaunchId, Launched, Offer, Resources,
};
use cml_fleet::{
    Action, Cause, Job, JobId, KnownRunner, LaunchRecord, Observed, Refusal, RefusalKind, UNSEEN_GRACE,
    Waiting, plan,
};
use cml_journal::{End, Event, Journal, JournalError, State};
use cml_spec::Spec;
use jiff::Timestamp;

/// What the world shows. Whatever could not be asked is none.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// Jobs that are not over, and interrupted ones.
    pub jobs: Vec<Job>,
    /// All machines of ours.
    pub instances: Option<Vec<Instance>>,
    /// All runners.
    pub runners: Option<Vec<KnownRunner>>,
    /// What each spec could buy.
    pub offers: BTreeMap<String, Vec<Offer>>,
}

/// One call to make. What becomes of a launch is told to [`Fleet::launched`]; the rest shows in the next look.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Obtain a machine; its intent is in the journal.
    Launch {
        /// The decision.
        launch: LaunchId,
        /// Its spec.
        spec: String,
        /// From any of these.
        offers: Vec<Offer>,
        /// When it must be gone.
        deadline: Deadline,
    },
    /// End a machine, its registration first: GitHub refuses that while it has a job.
    Terminate {
        /// Region.
        region: String,
        /// The machine.
        instance: InstanceId,
        /// Its runner's id, if it is registered.
        runner: Option<u64>,
        /// Why.
        cause: Cause,
    },
    /// Remove a registration.
    RemoveRunner {
        /// GitHub's id.
        runner: u64,
    },
    /// Run a job again.
    Rerun {
        /// The job.
        job: JobId,
        /// Its run.
        run_id: u64,
    },
}

/// What came of one look.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// Calls to make.
    pub orders: Vec<Order>,
    /// Jobs that get nothing now, and why.
    pub waiting: Vec<Waiting>,
}

/// The fleet, as far as it is decided.
pub struct Fleet<J> {
    journal: J,
    state: State,
    specs: Vec<Spec>,
}

impl<J: Journal> Fleet<J> {
    /// Reads the journal.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(journal: J, specs: Vec<Spec>) -> Result<Self, JournalError> {
        let state = State::of(&journal.after(0)?);
        Ok(Self { journal, state, specs })
    }

    /// What is known.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Takes in a look and decides. When another process decides at the same time, nothing is ordered: look again.
    ///
    /// # Errors
    /// [`JournalError`]; then nothing may be called.
    pub fn step(
        &mut self,
        look: Look,
        now: Timestamp,
        new_id: &mut dyn FnMut() -> LaunchId,
    ) -> Result<Step, JournalError> {
        self.catch_up()?;
        let learned = self.learn(&look, now);
        if !self.append(now, &learned)? {
            return Ok(Step::default());
        }
        let observed = self.observed(look, now);
        let plan = plan(&observed, now);
        let mut orders = Vec::new();
        let mut intents = Vec::new();
        for action in plan.actions {
            orders.push(match action {
                Action::Launch { spec, job, offers, deadline } => {
                    let launch = new_id();
                    intents.extend(self.intent(launch, &spec, job, &offers, deadline));
                    Order::Launch { launch, spec, offers, deadline }
                }
                Action::Terminate { region, instance, runner, cause } => {
                    Order::Terminate { region, instance, runner, cause }
                }
                Action::RemoveRunner { runner, .. } => Order::RemoveRunner { runner },
                Action::Rerun { job, run_id, .. } => Order::Rerun { job, run_id },
            });
        }
        // The intents are durable before any call is made.
        if !self.append(now, &intents)? {
            return Ok(Step::default());
        }
        Ok(Step { orders, waiting: plan.waiting })
    }

    /// Takes in what became of a launch call. An unknown outcome is learned from the next looks.
    ///
    /// # Errors
    /// [`JournalError`]; the next looks will tell all the same.
    pub fn launched(
        &mut self,
        launch: LaunchId,
        outcome: Result<Launched, CloudError>,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        let (failures, mut events) = match outcome {
            Ok(launched) => {
                let event = Event::LaunchBought { launch, instance: launched.id, offer: launched.offer };
                (launched.failures, vec![event])
            }
            Err(error) if error.kind == cml_cloud::ErrorKind::Transient => return Ok(()),
            Err(error) => {
                let event = Event::LaunchFailed { launch, why: error.to_string() };
                (error.failures, vec![event])
            }
        };
        let in_use = self.state.launches().iter().filter(|it| it.bought.is_some()).map(|it| it.vcpus).sum();
        for failure in failures {
            let (Some(offer), Some(kind)) = (failure.offer, RefusalKind::of(failure.kind, in_use)) else {
                continue;
            };
            let refusal = Refusal {
                region: offer.region,
                zone: offer.zone,
                instance_type: offer.instance_type,
                market: offer.market,
                kind,
                in_a_row: 1,
                at: now,
            };
            events.insert(0, Event::Refused { refusal });
        }
        // What happened is true whoever else has written: read theirs, then append.
        while !self.append(now, &events)? {}
        Ok(())
    }

    fn catch_up(&mut self) -> Result<(), JournalError> {
        let lines = self.journal.after(self.state.seen())?;
        self.state.apply_all(&lines);
        Ok(())
    }

    /// False when another process has written meanwhile; its lines are taken in then.
    fn append(&mut self, now: Timestamp, events: &[Event]) -> Result<bool, JournalError> {
        if events.is_empty() {
            return Ok(true);
        }
        let appended = match self.journal.append(self.state.seen(), now, events) {
            Ok(_) => true,
            Err(JournalError::Overtaken { .. }) => false,
            Err(error) => return Err(error),
        };
        self.catch_up()?;
        Ok(appended)
    }

    fn intent(
        &self,
        launch: LaunchId,
        spec: &str,
        job: Option<JobId>,
        offers: &[Offer],
        deadline: Deadline,
    ) -> Option<Event> {
        let labels = self.specs.iter().find(|known| known.name == spec)?.labels.clone();
        let price = offers.iter().filter_map(|offer| offer.price).max();
        let zero = cml_cloud::UsdPerHour(rust_decimal::Decimal::ZERO);
        Some(Event::LaunchIntended {
            launch,
            spec: spec.to_owned(),
            labels,
            job,
            deadline,
            price: price.unwrap_or(zero),
            vcpus: offers.iter().map(|offer| offer.resources.vcpus).max().unwrap_or(0),
        })
    }

    /// What this look shows and the journal does not say yet.
    fn learn(&self, look: &Look, now: Timestamp) -> Vec<Event> {
        let mut instances: BTreeMap<LaunchId, &Instance> = BTreeMap::new();
        for instance in look.instances.iter().flatten() {
            let Some(launch) = instance.launch else { continue };
            let known = instances.entry(launch).or_insert(instance);
            if instance.is_alive() {
                *known = instance;
            }
        }
        let runners: BTreeMap<LaunchId, &KnownRunner> = look
            .runners
            .iter()
            .flatten()
            .filter_map(|runner| Some((LaunchId::from_runner_name(&runner.name)?, runner)))
            .collect();
        let mut events = Vec::new();
        for record in self.state.launches() {
            let instance = instances.get(&record.id).copied();
            let runner = runners.get(&record.id).copied();
            self.learn_of(&record, instance, runner, look.instances.is_some(), now, &mut events);
        }
        events
    }

    fn learn_of(
        &self,
        record: &LaunchRecord,
        instance: Option<&Instance>,
        runner: Option<&KnownRunner>,
        cloud_answered: bool,
        now: Timestamp,
        events: &mut Vec<Event>,
    ) {
        let launch = record.id;
        if let (Some(instance), None) = (instance, &record.bought) {
            // The call's answer was lost, or who made it was killed.
            let (id, offer) = (instance.id.clone(), as_offer(instance, record));
            events.push(Event::LaunchBought { launch, instance: id, offer });
        }
        match runner {
            Some(runner) if runner.busy && (record.online_at.is_none() || record.idle_since.is_some()) => {
                events.push(Event::RunnerBusy { launch, job: self.state.job_of(launch) });
            }
            Some(runner) if runner.busy => {}
            Some(runner) if runner.online && record.idle_since.is_none() => {
                events.push(Event::RunnerIdle { launch });
            }
            _ => {}
        }
        let gone = match instance {
            Some(instance) => instance.state == InstanceState::Terminated,
            None => cloud_answered && now.duration_since(record.intended_at) > UNSEEN_GRACE,
        };
        if !gone {
            return;
        }
        if instance.is_none() && record.bought.is_none() {
            let why = "the cloud never showed a machine".to_owned();
            events.push(Event::LaunchFailed { launch, why });
            return;
        }
        let words = instance.and_then(|instance| instance.ended_because.as_deref()).unwrap_or_default();
        let taken_back = record.notice_at.is_some() || words.contains("Server.Spot");
        events.push(Event::InstanceGone { launch, end: if taken_back { End::TakenBack } else { End::Ours } });
    }

    fn observed(&self, look: Look, now: Timestamp) -> Observed {
        Observed {
            specs: self.specs.clone(),
            jobs: look.jobs,
            launches: self.state.launches(),
            instances: look.instances,
            runners: look.runners,
            offers: look.offers,
            refusals: self.state.refusals(),
            spent_today: self.state.spent_today(now),
            gaps_seconds: self.state.gaps_seconds(),
        }
    }
}

/// What must have been bought, from what the cloud shows.
fn as_offer(instance: &Instance, record: &LaunchRecord) -> Offer {
    Offer {
        region: instance.region.clone(),
        zone: instance.zone.clone(),
        instance_type: instance.instance_type.clone(),
        market: instance.market,
        price: Some(record.price),
        resources: Resources { vcpus: record.vcpus, memory_mib: 0, gpu: None, arch: cml_cloud::Arch::X64 },
    }
}
