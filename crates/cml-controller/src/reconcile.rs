//! Reconciles: derives events from an observation, plans, commits the plan to the journal, returns commands.
//!
//! Nothing here waits or calls: the caller brings the observation and executes the commands. So the same code runs in the daemon
//! and in the simulated world, and dropping it at any point is the same as a crash.

mod launch_age;
mod log;
mod refusals;
mod types;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cml_cloud::{Deadline, ErrorKind, LaunchId, Launched, Offer};
use cml_github::TrackedJob;
use cml_journal::{Event, Journal, JournalError, State};
use cml_planner::{
    Action, Job, JobId, JobState, LaunchRecord, Plan, PlanningInput, Refusal, RefusalKind, has_reruns,
    labels, plan, same_quota,
};
use cml_spec::{Budget, Spec};
use jiff::Timestamp;

use crate::derive_events::{derive_events, new_jobs};
use launch_age::{Stage, stage};
pub(crate) use log::span;
use refusals::{Refused, curable, refusals};
pub use types::{Clocks, Command, LaunchError, Observation, Planner, Reconciliation};

/// The journal, its fold, and what is wanted.
pub struct Reconciler<J> {
    journal: J,
    state: State,
    specs: Vec<Spec>,
    budgets: Vec<Budget>,
    /// Refusals that a person may have fixed since (a permission, a key of the configuration): these offers have no cooldown.
    cured: Vec<Refusal>,
    /// Since when this process has known each launch's stage, by its uptime.
    watched: BTreeMap<LaunchId, (Stage, Duration)>,
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

    /// The specs in force.
    pub fn specs(&self) -> &[Spec] {
        &self.specs
    }

    /// Replaces the specs. Machines of removed specs are terminated when they are idle.
    pub fn set_specs(&mut self, specs: Vec<Spec>) {
        self.specs = specs;
    }

    /// Lifts the cooldown of what the cloud refused for a reason that a changed configuration may have removed.
    pub fn retry_refused(&mut self) {
        self.cured = curable(&self.state);
    }

    /// Replaces the budgets of repositories and people.
    pub fn set_budgets(&mut self, budgets: Vec<Budget>) {
        self.budgets = budgets;
    }

    /// Failed jobs whose state the next observation must contain.
    #[must_use]
    pub fn tracked_jobs(&self) -> Vec<TrackedJob> {
        let follow = |job: &JobId| {
            let facts = self.state.facts(*job)?;
            Some(TrackedJob { repository: facts.repository.clone(), run_id: facts.run_id, job: job.0 })
        };
        self.state.interrupted().iter().chain(self.state.suspects()).filter_map(follow).collect()
    }

    /// Returns the name that this controller's machines are tagged with: the given name, else the journal's, else a new one. It
    /// is in the journal then.
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

    /// The fold of the journal.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Drops ledger entries from memory. The journal keeps them; a daemon that runs for months would collect every machine ever.
    pub fn forget_ledger(&mut self) {
        self.state.take_ledger();
    }

    /// Derives events from an observation, plans and commits. On a conflict no command is returned: observe again.
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

    /// Launches machines for jobs that have come since an observation. The observation is older than the journal: only the arrival of
    /// jobs is derived from it, and it ends no machine.
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

    /// Appends the plan's intents and the settled events, and returns the commands.
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

    /// Derives events from an observation and returns the plan, without committing it.
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

    /// Records the outcome of a launch call for these offers. An unknown outcome shows in the next observations.
    ///
    /// # Errors
    /// [`JournalError`]; the next observations show the outcome anyway.
    pub fn record_launch(
        &mut self,
        launch: LaunchId,
        asked: &[Offer],
        outcome: &Result<Launched, LaunchError>,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        let events = self.launch_events(launch, asked, outcome, now);
        // What happened stays true when another process has appended: read its records, then append.
        while !self.append(now, &events)? {}
        Ok(())
    }

    /// Sets the actor of jobs that this controller re-ran to the actor of the interrupted attempt. GitHub names the owner of the
    /// token that asked, whom a policy may not allow and no budget means. The code of every attempt is the first one's.
    /// <https://docs.github.com/en/actions/how-tos/manage-workflow-runs/re-run-workflows-and-jobs>
    fn with_starters(&self, mut observation: Observation) -> Observation {
        for job in observation.jobs.iter_mut().flatten() {
            if let Some(actor) = self.state.started_by(job.run_id, job.attempt) {
                actor.clone_into(&mut job.actor);
            }
        }
        observation
    }

    /// Records that the runner of a launch is online, without a job.
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
                // A machine that exists anyway will show; if none does in time, the launch counts as failed.
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

    /// Returns false on a conflict; the other process's records are read then.
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

    /// Restores launch ids of machines whose tags a person has removed: the journal knows what was launched by its instance id.
    fn with_lost_tags(&self, mut observation: Observation) -> Observation {
        for instance in observation.instances.iter_mut().flatten() {
            if instance.launch.is_none() {
                instance.launch = self.state.launch_of(&instance.id);
            }
        }
        observation
    }

    /// Records that the cloud is about to be called for a launch. False when the launch was given up: then it must not be called.
    ///
    /// # Errors
    /// [`JournalError`]; then it must not be called either.
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

    /// This controller's launches among everything that shows.
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
