//! One look after another: learn what changed, plan, write the intents, give orders.
//!
//! Nothing here waits or calls: whoever drives it brings an observation at the world and carries the orders out. So the same code
//! runs under the daemon and in a simulated world, and dropping it at any point is a crash.

mod launch_age;
mod log;
mod refusals;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cml_cloud::{
    CloudError, Deadline, ErrorKind, Instance, InstanceId, LaunchId, Launched, Offer, SpotPrice,
};
use cml_github::TrackedJob;
use cml_journal::{Event, Journal, JournalError, State};
use cml_planner::{
    Action, Balance, Job, JobId, JobState, LaunchRecord, Plan, PlanningInput, Refusal, RefusalKind,
    RunnerStatus, TerminationReason, Waiting, has_reruns, labels, plan, same_quota,
};
use cml_spec::{Budget, Spec};
use jiff::{SignedDuration, Timestamp};

use crate::derive_events::{derive_events, new_jobs};
use launch_age::{Stage, stage};
pub(crate) use log::span;
use refusals::{Refused, curable, refusals};

/// What the world shows. Whatever could not be asked is none.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// How long the process had run when the observation was begun; none: it is of now. What was bought since does not show in it.
    pub begun: Option<Duration>,
    /// Jobs that are not over, failed ones that are followed ([`Reconciler::tracked_jobs`]), and those that ended not long ago; none
    /// when GitHub could not be asked.
    pub jobs: Option<Vec<Job>>,
    /// Jobs that GitHub was asked for by name ([`Reconciler::tracked_jobs`]) and did not tell of: they need no re-run any more.
    pub untold: Vec<JobId>,
    /// All machines of ours.
    pub instances: Option<Vec<Instance>>,
    /// Regions that could not be asked: nothing is known of the machines there.
    pub silent_regions: BTreeSet<String>,
    /// How late machines may show that these regions have sold; for any other, [`UNSEEN_GRACE`].
    pub shows_within: BTreeMap<String, SignedDuration>,
    /// Machines that still run and that the cloud has said it will take back.
    pub taken_back: Vec<InstanceId>,
    /// All runners.
    pub runners: Option<Vec<RunnerStatus>>,
    /// What each spec could buy.
    pub offers: BTreeMap<String, Vec<Offer>>,
    /// Why regions of a spec could not say what they sell, each with its name.
    pub unanswered: BTreeMap<String, Vec<String>>,
    /// Changes of spot prices.
    pub spot_prices: Vec<SpotPrice>,
    /// Nothing is missing among them: machines that ended can be billed.
    pub prices_are_whole: bool,
}

/// Why a launch came to nothing.
#[derive(Debug)]
pub enum LaunchError {
    /// The cloud was called; [`ErrorKind::Transient`] leaves it open what came of it.
    Cloud(CloudError),
    /// The cloud was not called: why, in words.
    NotAttempted(String),
}

/// One call to make. What becomes of a launch is told to [`Reconciler::record_launch`]; the rest shows in the next observation.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
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
        /// Its runner's id, if GitHub's list has it.
        runner: Option<u64>,
        /// Its runner's name.
        name: Option<String>,
        /// Why.
        cause: TerminationReason,
    },
    /// Remove a registration.
    RemoveRunner {
        /// GitHub's id.
        runner: u64,
    },
    /// Run jobs of a run again.
    Rerun {
        /// `owner/name`.
        repository: String,
        /// The run.
        run_id: u64,
        /// The one job; none for all that failed.
        only: Option<JobId>,
    },
}

/// What came of one observation.
#[derive(Clone, Debug, Default)]
pub struct Reconciliation {
    /// Calls to make.
    pub commands: Vec<Command>,
    /// Jobs that get nothing now, and why.
    pub waiting: Vec<Waiting>,
    /// Accounts near their limits.
    pub near_limit: Vec<Balance>,
    /// When the same world is worth another look, by the clock alone.
    pub next_look_at: Option<Timestamp>,
}

/// Decides: [`cml_planner::plan()`].
pub type Planner<'a> = &'a (dyn Fn(&PlanningInput, Timestamp) -> Plan + Sync);

/// The reconciler, as far as it is decided.
pub struct Reconciler<J> {
    journal: J,
    state: State,
    specs: Vec<Spec>,
    budgets: Vec<Budget>,
    /// Refusals that a person may have cured since: a permission, a key of the configuration. They are tried again at once.
    cured: Vec<Refusal>,
    /// Since when this process knows of each launch's stage, by its own up time.
    watched: BTreeMap<LaunchId, (Stage, Duration)>,
}

/// Now, by two clocks.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// What the clock on the wall says; people and NTP may set it.
    pub wall: Timestamp,
    /// How long this process runs.
    pub uptime: Duration,
}

impl<J: Journal> Reconciler<J> {
    /// Reads the journal.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(journal: J, specs: Vec<Spec>) -> Result<Self, JournalError> {
        let state = State::of(&journal.read_after(0)?);
        let known = |record: LaunchRecord| (record.id, (stage(&state, &journal, &record), Duration::ZERO));
        let watched = state.launches().into_iter().map(known).collect();
        let cured = curable(&state);
        Ok(Self { journal, state, specs, budgets: Vec::new(), cured, watched })
    }

    /// What is wanted.
    pub fn specs(&self) -> &[Spec] {
        &self.specs
    }

    /// Takes other specs from now on. Machines of specs that are gone are let go when they are idle.
    pub fn set_specs(&mut self, specs: Vec<Spec>) {
        self.specs = specs;
    }

    /// Tries again at once what the cloud refused for a reason that a changed configuration may have removed.
    pub fn retry_refused(&mut self) {
        self.cured = curable(&self.state);
    }

    /// Takes other budgets of repositories and persons from now on.
    pub fn set_budgets(&mut self, budgets: Vec<Budget>) {
        self.budgets = budgets;
    }

    /// Failed jobs that the next observation has to tell of.
    #[must_use]
    pub fn tracked_jobs(&self) -> Vec<TrackedJob> {
        let follow = |job: &JobId| {
            let facts = self.state.facts(*job)?;
            Some(TrackedJob { repository: facts.repository.clone(), run_id: facts.run_id, job: job.0 })
        };
        self.state.interrupted().iter().chain(self.state.suspects()).filter_map(follow).collect()
    }

    /// What this controller's machines are tagged with: the name that is given, else the journal's own, else a new one. It is
    /// in the journal then.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn name(
        &mut self,
        given: Option<&str>,
        now: Timestamp,
        new_name: &dyn Fn() -> String,
    ) -> Result<String, JournalError> {
        loop {
            self.catch_up()?;
            if let Some(known) = self.state.controller().filter(|known| given.is_none_or(|it| it == *known)) {
                return Ok(known.to_owned());
            }
            let name = given.map_or_else(new_name, str::to_owned);
            self.append(now, &[Event::ControllerNamed { name }])?;
        }
    }

    /// What is known.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Lets go of what the journal keeps anyway: a daemon of months would collect every machine that ever was.
    pub fn forget_ledger(&mut self) {
        self.state.take_ledger();
    }

    /// Takes in an observation and decides. When another process decides at the same time, nothing is ordered: look again.
    ///
    /// # Errors
    /// [`JournalError`]; then nothing may be called.
    pub fn reconcile(
        &mut self,
        observation: Observation,
        clocks: Clocks,
        plan: Planner<'_>,
        new_id: &mut dyn FnMut() -> LaunchId,
    ) -> Result<Reconciliation, JournalError> {
        let now = clocks.wall;
        self.catch_up()?;
        let observation = self.with_starters(self.with_lost_tags(observation));
        let known = self.launch_ages(clocks.uptime, &observation);
        let learned = derive_events(&self.state, &known, &self.specs, &observation, now);
        if !self.append(now, &learned)? {
            return Ok(Reconciliation::default());
        }
        let observed = self.planning_input(observation, clocks);
        let plan = plan(&observed, now);
        let used_up = no_more_reruns(&observed);
        self.commit_plan(plan, used_up, now, new_id)
    }

    /// Launches for jobs that were heard of since an observation. What it showed is older than what the journal knows: nothing is
    /// learned from it but that they came, and nothing is ended by it.
    ///
    /// # Errors
    /// As [`Reconciler::reconcile`].
    pub fn react(
        &mut self,
        observation: Observation,
        clocks: Clocks,
        plan: Planner<'_>,
        new_id: &mut dyn FnMut() -> LaunchId,
    ) -> Result<Reconciliation, JournalError> {
        let now = clocks.wall;
        self.catch_up()?;
        let observation = self.with_starters(observation);
        let came = new_jobs(&self.state, &self.specs, &observation);
        if !self.append(now, &came)? {
            return Ok(Reconciliation::default());
        }
        let observed = self.planning_input(self.with_lost_tags(observation), clocks);
        let mut plan = plan(&observed, now);
        plan.actions.retain(|action| matches!(action, Action::Launch { job: Some(_), .. }));
        self.commit_plan(plan, Vec::new(), now, new_id)
    }

    /// Writes what is about to be done and what is decided for good, and gives the orders.
    fn commit_plan(
        &mut self,
        plan: Plan,
        settled: Vec<Event>,
        now: Timestamp,
        new_id: &mut dyn FnMut() -> LaunchId,
    ) -> Result<Reconciliation, JournalError> {
        let mut orders = Vec::new();
        let mut intents = settled;
        for action in plan.actions {
            orders.push(match action {
                Action::Launch { spec, job, offers, deadline } => {
                    let launch = new_id();
                    intents.extend(self.intent(launch, &spec, job, &offers, deadline));
                    Command::Launch { launch, spec, offers, deadline }
                }
                Action::Terminate { region, instance, runner, name, cause } => {
                    Command::Terminate { region, instance, runner, name, cause }
                }
                Action::RemoveRunner { runner, .. } => Command::RemoveRunner { runner },
                Action::Rerun { repository, run_id, jobs, attempt, actor, .. } => {
                    let attempt = attempt + 1;
                    if self.state.started_by(run_id, attempt).is_none() {
                        intents.push(Event::RerunAsked { run_id, attempt, actor });
                    }
                    let only = if jobs.len() == 1 { jobs.first().copied() } else { None };
                    Command::Rerun { repository, run_id, only }
                }
            });
        }
        // The intents are durable before any call is made.
        if !self.append(now, &intents)? {
            return Ok(Reconciliation::default());
        }
        let Plan { waiting, near_limit, next_look_at, .. } = plan;
        Ok(Reconciliation { commands: orders, waiting, near_limit, next_look_at })
    }

    /// Takes in an observation and says what would be done. Nothing is intended.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn dry_run(&mut self, observation: Observation, clocks: Clocks) -> Result<Plan, JournalError> {
        self.catch_up()?;
        let observation = self.with_starters(self.with_lost_tags(observation));
        let known = self.launch_ages(clocks.uptime, &observation);
        let learned = derive_events(&self.state, &known, &self.specs, &observation, clocks.wall);
        self.append(clocks.wall, &learned)?;
        let observed = self.planning_input(observation, clocks);
        Ok(plan(&observed, clocks.wall))
    }

    /// Takes in what became of a launch call for these offers. An unknown outcome is learned from the next observations.
    ///
    /// # Errors
    /// [`JournalError`]; the next observations will tell all the same.
    pub fn record_launch(
        &mut self,
        launch: LaunchId,
        asked: &[Offer],
        outcome: &Result<Launched, LaunchError>,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        let events = self.launch_events(launch, asked, outcome, now);
        // What happened is true whoever else has written: read theirs, then append.
        while !self.append(now, &events)? {}
        Ok(())
    }

    /// A job of a run that was asked for here is whose the interrupted attempt was: GitHub names whose token asked, whom a policy
    /// may not allow and no budget means. The code of an attempt is the first one's always.
    /// <https://docs.github.com/en/actions/how-tos/manage-workflow-runs/re-run-workflows-and-jobs>
    fn with_starters(&self, mut observation: Observation) -> Observation {
        for job in observation.jobs.iter_mut().flatten() {
            if let Some(actor) = self.state.started_by(job.run_id, job.attempt) {
                actor.clone_into(&mut job.actor);
            }
        }
        observation
    }

    /// Takes in that the runner of a launch is online, without a job.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn record_online(&mut self, launch: LaunchId, now: Timestamp) -> Result<(), JournalError> {
        while !self.append(now, &[Event::RunnerIdle { launch }])? {}
        Ok(())
    }

    fn launch_events(
        &self,
        launch: LaunchId,
        asked: &[Offer],
        outcome: &Result<Launched, LaunchError>,
        now: Timestamp,
    ) -> Vec<Event> {
        let (refused, last) = match outcome {
            Ok(launched) => {
                let (instance, offer) = (launched.id.clone(), launched.offer.clone());
                (refusals(&launched.failures, None), Some(Event::LaunchBought { launch, instance, offer }))
            }
            Err(LaunchError::NotAttempted(why)) => {
                (Vec::new(), Some(Event::LaunchFailed { launch, why: why.clone() }))
            }
            Err(LaunchError::Cloud(error)) => {
                // What was bought all the same will show, or nothing does until it counts as never bought.
                let is_unknown = error.kind == ErrorKind::Transient;
                let failed = Event::LaunchFailed { launch, why: error.to_string() };
                (refusals(&error.failures, Some((error, asked))), (!is_unknown).then_some(failed))
            }
        };
        let in_use = |offer: &Offer| {
            let same = |record: &LaunchRecord| {
                record.bought.as_ref().is_some_and(|bought| same_quota(bought, offer))
            };
            self.state.launches().iter().filter(|record| same(record)).map(|record| record.vcpus).sum()
        };
        let event = |Refused { offer, kind, of_region, cause }: Refused| {
            let kind = RefusalKind::of(kind, in_use(&offer));
            let Offer { region, zone, instance_type, market, quota, .. } = offer;
            let (cause, in_a_row, at) = (Some(cause), 1, now);
            let refusal =
                Refusal { region, zone, instance_type, market, quota, kind, of_region, cause, in_a_row, at };
            Event::Refused { refusal }
        };
        refused.into_iter().map(event).chain(last).collect()
    }

    fn catch_up(&mut self) -> Result<(), JournalError> {
        let lines = self.journal.read_after(self.state.seen())?;
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
            Err(JournalError::Conflict { .. }) => false,
            Err(error) => return Err(error),
        };
        if appended {
            log::log(&self.state, events, now);
        }
        self.catch_up()?;
        Ok(appended)
    }

    fn intent(
        &mut self,
        launch: LaunchId,
        spec: &str,
        job: Option<JobId>,
        offers: &[Offer],
        deadline: Deadline,
    ) -> Option<Event> {
        let wanted = self.specs.iter().find(|known| known.name == spec)?;
        let arch = offers.first().map(|offer| offer.resources.arch);
        let labels = labels::registered(&wanted.labels, wanted.default_labels, arch);
        let price = offers.iter().filter_map(|offer| offer.price).max();
        let zero = cml_cloud::UsdPerHour(rust_decimal::Decimal::ZERO);
        Some(Event::LaunchIntended {
            launch,
            spec: spec.to_owned(),
            labels,
            region: offers.first().map(|offer| offer.region.clone()),
            job,
            deadline,
            price: price.unwrap_or(zero),
            disk: offers.iter().find_map(|offer| offer.disk),
            vcpus: offers.iter().map(|offer| offer.resources.vcpus).max().unwrap_or(0),
            writer: self.journal.writer(),
        })
    }

    /// A person may have taken the tags off a machine: what we bought is known by its id.
    fn with_lost_tags(&self, mut observation: Observation) -> Observation {
        for instance in observation.instances.iter_mut().flatten() {
            if instance.launch.is_none() {
                instance.launch = self.state.launch_of(&instance.id);
            }
        }
        observation
    }

    /// Takes in that the cloud is called for a launch now. False when the launch has been given up meanwhile: then it must not be.
    ///
    /// # Errors
    /// [`JournalError`]; then it must not be either.
    pub fn record_call(&mut self, launch: LaunchId, now: Timestamp) -> Result<bool, JournalError> {
        loop {
            self.catch_up()?;
            if !self.state.is_open(launch) {
                return Ok(false);
            }
            if self.append(now, &[Event::LaunchCalled { launch }])? {
                return Ok(true);
            }
        }
    }

    /// Launches that show anywhere and are this controller's.
    fn own_launches(&self, observation: &Observation) -> BTreeSet<LaunchId> {
        let of_machines = observation.instances.iter().flatten();
        let of_machines = of_machines.filter_map(|it| Some((it.launch?, it.controller.as_deref())));
        let of_runners = observation.runners.iter().flatten();
        let of_runners = of_runners.filter_map(|it| Some((LaunchId::from_runner_name(&it.name)?, None)));
        let all = of_machines.chain(of_runners);
        all.filter(|(launch, tag)| self.state.is_ours(*launch, *tag)).map(|(launch, _)| launch).collect()
    }

    fn planning_input(&mut self, observation: Observation, clocks: Clocks) -> PlanningInput {
        let launches = self.launch_ages(clocks.uptime, &observation);
        let now = clocks.wall;
        let as_known = |mut job: Job| {
            job.interruptions = self.state.interruptions(job.run_id, &job.name);
            if let JobState::Failed { run_over } = job.state
                && self.state.interrupted().contains(&job.id)
            {
                job.state = JobState::Interrupted { may_rerun: run_over };
            }
            job
        };
        let ours = self.own_launches(&observation);
        PlanningInput {
            specs: self.specs.clone(),
            ours,
            unanswered: observation.unanswered,
            jobs: observation.jobs.map(|jobs| jobs.into_iter().map(as_known).collect()),
            launches,
            instances: observation.instances,
            silent_regions: observation.silent_regions,
            runners: observation.runners,
            offers: observation.offers,
            refusals: self.state.refusals().into_iter().filter(|it| !self.cured.contains(it)).collect(),
            budgets: self.budgets.clone(),
            spent: self.state.spent(now),
            gaps_seconds: self.state.gaps_seconds(),
        }
    }
}

/// Interrupted jobs whose run is over and that have used all their re-runs.
fn no_more_reruns(observed: &PlanningInput) -> Vec<Event> {
    let used_up =
        |job: &&Job| job.state == JobState::Interrupted { may_rerun: true } && !has_reruns(observed, job);
    let jobs = observed.jobs.iter().flatten().filter(used_up);
    jobs.map(|job| Event::JobSettled { job: job.id }).collect()
}
