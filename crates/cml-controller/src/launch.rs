//! One launch: registration, machine, runner online; or a complete undo.
//!
//! The reconciler chooses the offers, as in the daemon: one spec, one job, at most one machine.

use std::collections::BTreeMap;
use std::time::Duration;

use cml_bootstrap::{Registration, RunnerPackage};
use cml_cloud::{
    Arch, Cloud, CloudError, Deadline, ErrorKind, Instance, InstanceId, Launched, Offer, RegionFailure,
};
use cml_github::{Removal, Runner};
use cml_journal::{Journal, JournalError};
use cml_planner::{Job, JobId, JobState, labels};
use cml_spec::{Allow, Forks, Idle, Reruns, Spec};
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::event::Event;
use crate::failure::{Failure, Reason};
use crate::forge::Forge;
use crate::launch_plan::{LaunchPlan, Reuse};
use crate::readiness::{Wait, until_online};
use crate::reconcile::{self, Clocks, LaunchError, Observation, Reconciler};
use crate::steps::{LaunchSteps, RegistrationOutcome};
use crate::undo_log::{RegisteredRunner, UndoLog, remove_runner};

/// The controller's name of machines that are launched without a daemon. No daemon has this name.
pub const LAUNCH: &str = "launch";

/// How often a decision is taken again while other processes with the same launch id write to its journal.
const DECISIONS_MAX: u32 = 5;

/// The result of a launch.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// An existing runner serves the request.
    Reused {
        /// Its name.
        runner: String,
        /// Its labels.
        labels: Vec<String>,
    },
    /// A new machine, its runner online.
    Launched(Box<Launch>),
}

/// A machine with its runner online.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The runner's name.
    pub runner: String,
    /// The machine.
    pub instance: InstanceId,
    /// The offer; none when another process launched it.
    pub offer: Option<Offer>,
    /// Region, for later calls.
    pub region: String,
    /// Its deadline.
    pub deadline: Deadline,
}

/// Launches one machine for one launch plan, or leaves nothing. The journal belongs to this launch alone.
///
/// `stop` cancels it: calls under way are awaited (their outcome must be known for the undo), pauses are not.
///
/// # Errors
/// [`Failure`] with a reason to branch on, after the undo.
pub async fn launch<C: Cloud, F: Forge, J: Journal>(
    order: &LaunchPlan,
    cloud: &C,
    forge: &F,
    journal: J,
    clock: Clock<'_>,
    tell: &(dyn Fn(Event) + Sync),
    stop: &CancellationToken,
) -> Result<Outcome, Failure> {
    if let Some(runner) = reusable(order, forge).await? {
        tell(Event::Reusing { runner: runner.name.clone() });
        return Ok(Outcome::Reused { runner: runner.name, labels: runner.labels });
    }
    let reconciler = Reconciler::open(journal, Vec::new()).map_err(Reason::Journal)?;
    let mut made = UndoLog::default();
    let steps = LaunchSteps {
        plan: order,
        controller: LAUNCH,
        cloud,
        forge,
        clock,
        on_event: tell,
        stop,
        may_retry: &|| true,
    };
    let mut one = SingleLaunch { steps, reconciler, clock };
    match one.run(&mut made).await {
        Ok(outcome) => Ok(outcome),
        Err(reason) => {
            if !made.is_empty() {
                tell(Event::Undoing);
            }
            let left_behind = made.undo(cloud, forge).await;
            Err(Failure { reason: reason.or_interrupted(), left_behind })
        }
    }
}

/// Returns an existing runner that serves the plan, if the plan allows one.
async fn reusable<F: Forge>(order: &LaunchPlan, forge: &F) -> Result<Option<Runner>, Reason> {
    if order.reuse == Reuse::Never {
        return Ok(None);
    }
    let runners = forge.runners(None).await.map_err(Reason::GitHub)?;
    // The labels that a job would ask for, without the architecture: the existing runner's will do.
    let wanted = labels::registered(&order.template.labels, order.template.default_labels, None);
    let fits = |runner: &Runner| {
        let labels_fit = labels::serves(&runner.labels, &wanted);
        runner.online && labels_fit && (order.reuse == Reuse::Online || !runner.busy)
    };
    let same_name = |runner: &Runner| runner.name.eq_ignore_ascii_case(&order.runner_name);
    Ok(runners.into_iter().find(|runner| fits(runner) || (order.reuse == Reuse::Online && same_name(runner))))
}

/// A machine that was launched here, or by another process with the same launch id.
enum Purchase {
    Here(Box<Launched>),
    AlreadyLaunched(Box<Instance>, RegisteredRunner),
}

/// Registration and package for a machine of one architecture.
struct Ready {
    arch: Arch,
    registration: Registration,
    package: RunnerPackage,
}

enum Prepared {
    Here(Ready),
    AlreadyLaunched(Box<Instance>, RegisteredRunner),
}

/// A reconciler of one launch.
struct SingleLaunch<'a, C, F, J> {
    steps: LaunchSteps<'a, C, F>,
    reconciler: Reconciler<J>,
    clock: Clock<'a>,
}

impl<C: Cloud, F: Forge, J: Journal> SingleLaunch<'_, C, F, J> {
    async fn run(&mut self, made: &mut UndoLog) -> Result<Outcome, Reason> {
        let (order, cloud) = (self.steps.plan, self.steps.cloud);
        // Asking for offers changes nothing, so a stop need not wait for the answer.
        let sold = tokio::select! {
            biased;
            () = self.steps.stop.cancelled() => return Err(Reason::Interrupted),
            sold = cloud.offers(&order.template.query) => sold.map_err(Reason::Cloud)?,
        };
        for failure in &sold.failed {
            (self.steps.on_event)(Event::RegionSkipped { error: failure.error.clone() });
        }
        (self.steps.on_event)(Event::Offers { count: sold.found.len() });
        let launched = match self.buy(sold.found, sold.failed, made).await? {
            Purchase::Here(launched) => *launched,
            Purchase::AlreadyLaunched(instance, runner) => return self.adopt(*instance, &runner).await,
        };
        (self.steps.on_event)(Event::Bought { instance: launched.id.clone(), offer: launched.offer.clone() });
        self.steps.not_interrupted()?;
        if let Some(runner) = &made.runner {
            self.wait_for(runner, &launched.offer.region, &launched.id).await?;
            self.reconciler.record_online(order.launch, (self.clock)()).map_err(Reason::Journal)?;
        }
        (self.steps.on_event)(Event::Online { runner: order.runner_name.clone() });
        if let Some(request) = &made.request
            && let Err(error) = cloud.clean_up(request).await
        {
            tracing::warn!(%error, "the launch template could not be removed; `cml-runner reap` will do it");
        }
        Ok(Outcome::Launched(Box::new(Launch {
            runner: order.runner_name.clone(),
            instance: launched.id,
            region: launched.offer.region.clone(),
            offer: Some(launched.offer),
            deadline: order.deadline,
        })))
    }

    /// Repeats until there is a machine or no offer is left: asks the reconciler for offers, prepares, calls the cloud, records the
    /// outcome. `failed` are the regions that did not list their offers.
    async fn buy(
        &mut self,
        mut offers: Vec<Offer>,
        failed: Vec<RegionFailure>,
        made: &mut UndoLog,
    ) -> Result<Purchase, Reason> {
        let launch = self.steps.plan.launch;
        // An earlier process may have begun this launch. The same calls with the same tokens give the same machine.
        if self.reconciler.state().launches().iter().any(|record| record.id == launch) {
            self.record_failure("begun again with the same launch id")?;
        }
        let mut refusals: Vec<CloudError> = failed.into_iter().map(|failure| failure.error).collect();
        let mut ready: Option<Ready> = None;
        for attempt in 1.. {
            self.steps.not_interrupted()?;
            let decided = match self.decide(&offers).map_err(Reason::Journal)? {
                None if attempt == 1 => self.decide_again(&offers)?,
                decided => decided,
            };
            let Some(group) = decided else { break };
            if let Some(previous) = made.request.take()
                && let Err(error) = self.steps.cloud.clean_up(&previous).await
            {
                tracing::warn!(%error, "what the refused call left could not be removed; `cml-runner reap` will do it");
            }
            let for_it = match self.ready(ready.take(), &group, made).await {
                Ok(Prepared::Here(ready)) => ready,
                Ok(Prepared::AlreadyLaunched(instance, runner)) => {
                    self.record_failure("the same launch is under way elsewhere")?;
                    return Ok(Purchase::AlreadyLaunched(instance, runner));
                }
                Err(reason) => {
                    self.record_failure(&reason.to_string())?;
                    return Err(reason);
                }
            };
            let user_data = self.steps.render(&for_it.registration, &for_it.package, &group)?;
            ready = Some(for_it);
            let request = self.steps.request(group.clone(), attempt, user_data);
            (self.steps.on_event)(Event::Buying { offers: group.clone(), attempt });
            made.request = Some(request.clone());
            let result = self.steps.buy(&request, made).await;
            let result = match result {
                // The answer may have been lost: a machine that exists shows.
                Err(error) if made.unknown => {
                    match made.find_unknown(self.steps.cloud, self.steps.stop).await {
                        Some(instance) => Ok(as_launched(&instance, &group)),
                        None => Err(error),
                    }
                }
                result => result,
            };
            let result = result.map_err(LaunchError::Cloud);
            self.reconciler
                .record_launch(launch, &group, &result, (self.clock)())
                .map_err(Reason::Journal)?;
            match result {
                Ok(launched) => {
                    made.unknown = false;
                    made.instance = Some((launched.offer.region.clone(), launched.id.clone()));
                    if !launched.failures.is_empty() {
                        (self.steps.on_event)(Event::Refused { failures: launched.failures.clone() });
                    }
                    return Ok(Purchase::Here(Box::new(launched)));
                }
                Err(LaunchError::Cloud(error)) => {
                    (self.steps.on_event)(refusal_event(&error));
                    if made.unknown {
                        self.steps.not_interrupted()?;
                        let region = request.offers.first().map(|offer| offer.region.clone());
                        self.leave_region(region.as_deref(), &mut offers, made).await?;
                        ready = None;
                    }
                    refusals.push(error);
                }
                Err(LaunchError::NotAttempted(_)) => {}
            }
        }
        Err(Reason::none_bought(refusals))
    }

    /// Gives up a region after a call with an unknown outcome and no machine. If a machine comes anyway, it finds its registration
    /// removed and ends itself; the region is not asked again.
    async fn leave_region(
        &mut self,
        region: Option<&str>,
        offers: &mut Vec<Offer>,
        made: &mut UndoLog,
    ) -> Result<(), Reason> {
        self.unregister(made).await?;
        made.unknown = false;
        self.record_failure("no answer, and no machine shows")?;
        offers.retain(|offer| Some(offer.region.as_str()) != region);
        Ok(())
    }

    /// Returns registration and package for these offers; existing ones where they fit.
    async fn ready(
        &self,
        known: Option<Ready>,
        group: &[Offer],
        made: &mut UndoLog,
    ) -> Result<Prepared, Reason> {
        let arch = group.first().map_or(Arch::X64, |offer| offer.resources.arch);
        match known {
            Some(known) if known.arch == arch => return Ok(Prepared::Here(known)),
            // Its labels and its package are of another architecture.
            Some(_) => self.unregister(made).await?,
            None => {}
        }
        let registration = match self.steps.register(group, made).await? {
            RegistrationOutcome::Fresh(registration) => registration,
            RegistrationOutcome::AlreadyLaunched(instance, runner) => {
                return Ok(Prepared::AlreadyLaunched(instance, runner));
            }
        };
        (self.steps.on_event)(Event::Registered { runner: self.steps.plan.runner_name.clone() });
        self.steps.not_interrupted()?;
        let package = self.steps.package(group).await?;
        Ok(Prepared::Here(Ready { arch, registration, package }))
    }

    async fn unregister(&self, made: &mut UndoLog) -> Result<(), Reason> {
        let Some(runner) = &made.runner else { return Ok(()) };
        match remove_runner(self.steps.forge, runner).await.map_err(Reason::GitHub)? {
            Removal::Busy => Err(Reason::NameTaken { name: self.steps.plan.runner_name.clone() }),
            Removal::Removed | Removal::AlreadyGone => {
                made.runner = None;
                Ok(())
            }
        }
    }

    /// Decides again when another process with the same launch id has appended: its decision is recorded as failed here, and
    /// GitHub's registration shows which process has the machine.
    fn decide_again(&mut self, offers: &[Offer]) -> Result<Option<Vec<Offer>>, Reason> {
        for _ in 0..DECISIONS_MAX {
            let launch = self.steps.plan.launch;
            if self.reconciler.state().launches().iter().all(|record| record.id != launch) {
                return Ok(None);
            }
            self.record_failure("the same launch id is begun elsewhere")?;
            if let Some(group) = self.decide(offers).map_err(Reason::Journal)? {
                return Ok(Some(group));
            }
        }
        Ok(None)
    }

    /// Records that the launch failed.
    fn record_failure(&mut self, why: &str) -> Result<(), Reason> {
        let nothing = Err(LaunchError::NotAttempted(why.to_owned()));
        self.reconciler
            .record_launch(self.steps.plan.launch, &[], &nothing, (self.clock)())
            .map_err(Reason::Journal)
    }

    /// Returns the offers to ask the cloud for; none when the reconciler has none left. The intent is in the journal then.
    fn decide(&mut self, offers: &[Offer]) -> Result<Option<Vec<Offer>>, JournalError> {
        let order = self.steps.plan;
        let now = (self.clock)();
        self.reconciler.set_specs(vec![spec(order, now)]);
        let observation = Observation {
            jobs: Some(vec![job(order, now)]),
            runners: Some(Vec::new()),
            offers: BTreeMap::from([(order.template.spec.clone(), offers.to_vec())]),
            ..Observation::default()
        };
        let step = self.reconciler.reconcile(
            observation,
            Clocks { wall: now, uptime: Duration::ZERO },
            &cml_planner::plan,
            &mut || order.launch,
        )?;
        Ok(step.commands.into_iter().find_map(|order| match order {
            reconcile::Command::Launch { offers, .. } => Some(offers),
            _ => None,
        }))
    }

    /// Waits for a machine that another process launched with the same id. This process does not undo it.
    async fn adopt(&self, instance: Instance, runner: &RegisteredRunner) -> Result<Outcome, Reason> {
        let order = self.steps.plan;
        (self.steps.on_event)(Event::Adopted { instance: instance.id.clone() });
        self.wait_for(runner, &instance.region, &instance.id).await?;
        (self.steps.on_event)(Event::Online { runner: order.runner_name.clone() });
        Ok(Outcome::Launched(Box::new(Launch {
            runner: order.runner_name.clone(),
            deadline: instance.deadline.unwrap_or(order.deadline),
            instance: instance.id,
            offer: None,
            region: instance.region,
        })))
    }

    async fn wait_for(
        &self,
        runner: &RegisteredRunner,
        region: &str,
        instance: &InstanceId,
    ) -> Result<(), Reason> {
        let LaunchSteps { plan: order, cloud, forge, on_event: tell, stop, .. } = self.steps;
        let boot_timeout = Duration::try_from(order.template.boot_timeout).unwrap_or_default();
        let wait = Wait { runner, launch: order.launch, region, instance, boot_timeout };
        until_online(&wait, cloud, forge, tell, stop).await
    }
}

/// Returns the event of a refusal. A call that failed as a whole failed because of its region.
fn refusal_event(error: &CloudError) -> Event {
    match error.kind {
        ErrorKind::Denied | ErrorKind::Invalid | ErrorKind::Transient if error.failures.is_empty() => {
            Event::RegionSkipped { error: error.clone() }
        }
        _ => Event::Refused { failures: error.failures.clone() },
    }
}

/// Returns the result of a call whose answer was lost.
fn as_launched(instance: &Instance, group: &[Offer]) -> Launched {
    let alike = group.iter().filter(|offer| offer.instance_type == instance.instance_type);
    let offer = alike.max_by_key(|offer| offer.zone == instance.zone).or(group.first()).cloned();
    let offer = offer.unwrap_or_else(|| crate::derive_events::as_offer(instance, None));
    Launched { id: instance.id.clone(), offer, failures: Vec::new() }
}

/// Returns the plan as a spec of at most one machine.
fn spec(order: &LaunchPlan, now: Timestamp) -> Spec {
    let recipe = &order.template;
    Spec {
        name: recipe.spec.clone(),
        labels: recipe.labels.clone(),
        default_labels: recipe.default_labels,
        group: None,
        spot: recipe.query.spot,
        max: 1,
        min: 0,
        warm: Vec::new(),
        idle: recipe.idle_timeout.map_or(Idle::Never, Idle::After),
        max_lifetime: order.deadline.0.duration_since(now).max(SignedDuration::ZERO),
        boot_timeout: recipe.boot_timeout,
        budget: None,
        allow: Allow { forks: Forks::Always, ..Allow::default() },
        reruns: Reruns { max: 0, last_on_demand: false },
    }
}

/// Returns the job that the machine is for, as far as this process knows it: one that asks for exactly these labels.
fn job(order: &LaunchPlan, now: Timestamp) -> Job {
    Job {
        id: JobId(0),
        run_id: 0,
        attempt: 1,
        name: "launch".to_owned(),
        repository: String::new(),
        labels: order.template.labels.clone(),
        group: None,
        event: String::new(),
        from_fork: false,
        actor: String::new(),
        workflow: String::new(),
        branch: String::new(),
        queued_at: now,
        state: JobState::Queued,
        runner: None,
        interruptions: 0,
    }
}
