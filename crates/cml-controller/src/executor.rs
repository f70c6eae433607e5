//! One of the reconciler's orders, carried out. Nothing is tried again here but what is idempotent: the next observation is the retry.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use cml_cloud::{Cloud, Deadline, ErrorKind, InstanceId, LaunchId, LaunchRequest, Launched, Offer};
use cml_github::{GitHubError, Removal, RunnerDownload};
use cml_planner::TerminationReason;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::clock::Clock;
use crate::event::Event;
use crate::forge::Forge;
use crate::launch_plan::{self, MachineTemplate, Reuse, RunnerPackageSource};
use crate::observe::is_fresh;
use crate::reconcile::{self, Command, LaunchError};
use crate::steps::{LaunchSteps, RegistrationOutcome};
use crate::undo_log::UndoLog;

/// Nothing of a launch is begun later than this after it was decided: the reconciler counts on machines that show within
/// [`cml_planner::UNSEEN_GRACE`], and the last call may take the rest of it.
const LAUNCH_TIMEOUT: SignedDuration = SignedDuration::from_secs(120);
/// GitHub's runner packages are asked for again after this: a new one has to be used within 30 days.
const PACKAGES_EVERY: SignedDuration = SignedDuration::from_mins(30);
/// Launches under way at once: one has about three calls to GitHub, which takes 180 registrations a minute.
const LAUNCHES_MAX: usize = 30;
/// Machines that are ended at once; of their own, so that a burst of launches never holds up an end.
const TERMINATIONS_MAX: usize = 20;
/// Launch templates that are removed at once: nobody waits for it.
const CLEANUPS_MAX: usize = 4;

/// What the machines of each spec are made of, by the spec's name.
pub type MachineTemplates = BTreeMap<String, MachineTemplate>;

/// Everybody who is needed to carry orders out.
pub(crate) struct Executor<'a, C, F> {
    pub(crate) cloud: &'a C,
    pub(crate) forge: &'a F,
    pub(crate) clock: Clock<'a>,
    /// Whose machines these are.
    controller: String,
    recipes: Mutex<Arc<MachineTemplates>>,
    /// GitHub's runner packages, and when they were asked for.
    packages: Mutex<Option<(Timestamp, Vec<RunnerDownload>)>>,
    launches: Semaphore,
    ends: Semaphore,
    tidies: Semaphore,
    /// Cancelled when the process is asked to stop: a launch that has not called the cloud yet does not do so any more.
    stop: CancellationToken,
    /// A call that was made is never broken off: with its own token it is repeated until its outcome is known.
    never: CancellationToken,
}

/// What came of an order.
pub(crate) enum Completion<'h> {
    /// A launch is ready for its call to the cloud, which comes after the journal says so.
    Ready(Box<PreparedLaunch<'h>>),
    /// A launch.
    Launch(Box<LaunchCompletion>),
    /// What a launch left beside its machine was removed, or is left to `reap`.
    CleanedUp,
    /// Anything else shows in the next observation.
    Other(CommandKey),
}

/// A launch that has its registration.
pub(crate) struct PreparedLaunch<'h> {
    pub(crate) launch: LaunchId,
    asked: Vec<Offer>,
    order: launch_plan::LaunchPlan,
    request: LaunchRequest,
    made: UndoLog,
    _turn: SemaphorePermit<'h>,
}

/// What came of a launch.
pub(crate) struct LaunchCompletion {
    pub(crate) launch: LaunchId,
    pub(crate) asked: Vec<Offer>,
    pub(crate) outcome: Result<Launched, LaunchError>,
    /// What may have to be tidied once the machine has read it.
    pub(crate) request: Option<Box<LaunchRequest>>,
}

/// What an order is about: no second one about the same while the first is under way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CommandKey {
    Instance(InstanceId),
    Runner(u64),
    Run(u64),
}

/// None for launches: each is of its own.
pub(crate) fn command_key(order: &Command) -> Option<CommandKey> {
    match order {
        Command::Launch { .. } => None,
        Command::Terminate { instance, .. } => Some(CommandKey::Instance(instance.clone())),
        Command::RemoveRunner { runner } => Some(CommandKey::Runner(*runner)),
        Command::Rerun { run_id, .. } => Some(CommandKey::Run(*run_id)),
    }
}

fn stopped() -> LaunchError {
    LaunchError::NotAttempted("the daemon was asked to stop".to_owned())
}

impl<'a, C: Cloud, F: Forge> Executor<'a, C, F> {
    pub(crate) fn new(
        cloud: &'a C,
        forge: &'a F,
        controller: String,
        recipes: Arc<MachineTemplates>,
        clock: Clock<'a>,
    ) -> Self {
        let [launches, ends, tidies] = [LAUNCHES_MAX, TERMINATIONS_MAX, CLEANUPS_MAX].map(Semaphore::new);
        let recipes = Mutex::new(recipes);
        let packages = Mutex::new(None);
        let stop = CancellationToken::new();
        let never = CancellationToken::new();
        Self { cloud, forge, controller, recipes, packages, clock, launches, ends, tidies, stop, never }
    }

    /// Launches that have not called the cloud yet end, and what they have made is removed.
    pub(crate) fn stop_launching(&self) {
        self.stop.cancel();
    }

    /// Removes what a launch left beside its machine.
    pub(crate) async fn clean_up(&self, request: Box<LaunchRequest>) -> Completion<'_> {
        let _turn = self.tidies.acquire().await;
        if let Err(error) = self.cloud.clean_up(&request).await {
            tracing::warn!(%error, launch = %request.launch, "its launch template is left; `cml-runner reap` removes it");
        }
        Completion::CleanedUp
    }

    pub(crate) fn templates(&self) -> Arc<MachineTemplates> {
        self.recipes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_templates(&self, recipes: Arc<MachineTemplates>) {
        *self.recipes.lock().unwrap_or_else(PoisonError::into_inner) = recipes;
    }

    pub(crate) async fn execute(&self, order: Command) -> Completion<'_> {
        match order {
            Command::Launch { launch, spec, offers, deadline } => {
                let preparing = self.prepare(launch, &spec, &offers, deadline);
                match preparing.instrument(reconcile::span(launch)).await {
                    Ok(ready) => Completion::Ready(ready),
                    Err(why) => {
                        let (asked, outcome, request) = (offers, Err(why), None);
                        Completion::Launch(Box::new(LaunchCompletion { launch, asked, outcome, request }))
                    }
                }
            }
            Command::Terminate { region, instance, runner, name, cause } => {
                let _turn = self.ends.acquire().await;
                self.terminate(&region, &instance, (runner, name.as_deref()), cause).await;
                Completion::Other(CommandKey::Instance(instance))
            }
            Command::RemoveRunner { runner } => {
                let _turn = self.ends.acquire().await;
                if let Err(error) = self.may_terminate(Some(runner), None, TerminationReason::NoMachine).await
                {
                    tracing::warn!(%error, runner, "a registration without a machine could not be removed");
                }
                Completion::Other(CommandKey::Runner(runner))
            }
            Command::Rerun { repository, run_id, only } => {
                if let Err(error) = self.forge.rerun(&repository, run_id, only.map(|job| job.0)).await {
                    tracing::warn!(%error, run_id, "interrupted jobs could not be run again yet");
                }
                Completion::Other(CommandKey::Run(run_id))
            }
        }
    }

    /// Up to the call to the cloud; what was made is taken back where it cannot come to that.
    async fn prepare(
        &self,
        launch: LaunchId,
        spec: &str,
        offers: &[Offer],
        deadline: Deadline,
    ) -> Result<Box<PreparedLaunch<'_>>, LaunchError> {
        let recipe = self.templates().get(spec).cloned();
        let mut recipe =
            recipe.ok_or_else(|| LaunchError::NotAttempted(format!("the spec {spec} is gone")))?;
        let turn = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(stopped()),
            turn = self.launches.acquire() => turn,
        };
        let turn = turn.map_err(|closed| LaunchError::NotAttempted(closed.to_string()))?;
        if let (RunnerPackageSource::Latest, Some(known)) = (&recipe.packages, self.known_packages()) {
            recipe.packages = RunnerPackageSource::Cached(known);
        }
        let runner_name = launch.runner_name();
        let order =
            launch_plan::LaunchPlan { launch, runner_name, deadline, reuse: Reuse::Never, template: recipe };
        let mut made = UndoLog::default();
        match self.request(&order, offers, &mut made).await {
            Ok(request) => {
                let asked = offers.to_vec();
                Ok(Box::new(PreparedLaunch { launch, asked, order, request, made, _turn: turn }))
            }
            Err(why) => {
                self.undo(launch, made).await;
                Err(why)
            }
        }
    }

    /// The call to the cloud, unless it may not be made any more.
    pub(crate) async fn buy(
        &self,
        ready: Box<PreparedLaunch<'_>>,
        may_call: Result<(), LaunchError>,
    ) -> Completion<'_> {
        let PreparedLaunch { launch, asked, order, request, mut made, _turn } = *ready;
        let outcome = match may_call.and_then(|()| self.may_launch()).and_then(|()| self.in_time(launch)) {
            Ok(()) => {
                made.request = Some(request.clone());
                let tell = |event| tracing::debug!(%launch, ?event);
                let may_repeat = || self.in_time(launch).is_ok();
                let steps = self.steps(&order, &tell, &may_repeat);
                steps.buy(&request, &mut made).await.map_err(LaunchError::Cloud)
            }
            Err(why) => Err(why),
        };
        let request = match &outcome {
            Ok(_) => made.request.map(Box::new),
            // It may have been bought: the next observations show it, or show nothing until it counts as never bought.
            Err(LaunchError::Cloud(error)) if error.kind == ErrorKind::Transient => {
                made.request.map(Box::new)
            }
            Err(_) => {
                self.undo(launch, made).await;
                None
            }
        };
        Completion::Launch(Box::new(LaunchCompletion { launch, asked, outcome, request }))
    }

    async fn undo(&self, launch: LaunchId, made: UndoLog) {
        for left in made.undo(self.cloud, self.forge).await {
            tracing::warn!(%launch, left, "a launch that failed has left something");
        }
    }

    fn steps<'s>(
        &'s self,
        order: &'s launch_plan::LaunchPlan,
        tell: &'s (dyn Fn(Event) + Sync),
        may_repeat: &'s (dyn Fn() -> bool + Sync),
    ) -> LaunchSteps<'s, C, F> {
        LaunchSteps {
            plan: order,
            controller: &self.controller,
            cloud: self.cloud,
            forge: self.forge,
            clock: self.clock,
            on_event: tell,
            stop: &self.never,
            may_retry: may_repeat,
        }
    }

    /// Registers the runner and renders what its machine is given.
    async fn request(
        &self,
        order: &launch_plan::LaunchPlan,
        offers: &[Offer],
        made: &mut UndoLog,
    ) -> Result<LaunchRequest, LaunchError> {
        let launch = order.launch;
        let tell = |event| {
            // A token that comes with an address is good for a short time.
            if let Event::Packages { packages } = &event
                && packages.iter().all(|package| package.temp_download_token.is_none())
            {
                let known = Some(((self.clock)(), packages.clone()));
                *self.packages.lock().unwrap_or_else(PoisonError::into_inner) = known;
            }
            tracing::debug!(%launch, ?event);
        };
        let may_repeat = || self.in_time(launch).is_ok();
        let steps = self.steps(order, &tell, &may_repeat);
        let before = |why: &dyn std::fmt::Display| LaunchError::NotAttempted(why.to_string());
        self.may_launch()?;
        self.in_time(launch)?;
        let registration = match steps.register(offers, made).await.map_err(|reason| before(&reason))? {
            RegistrationOutcome::Fresh(registration) => registration,
            RegistrationOutcome::AlreadyLaunched(..) => {
                return Err(before(&"its id is in use by another process"));
            }
        };
        let package = steps.package(offers).await.map_err(|reason| before(&reason))?;
        let user_data = steps.render(&registration, &package, offers).map_err(|reason| before(&reason))?;
        Ok(steps.request(offers.to_vec(), 1, user_data))
    }

    /// Nothing new is begun once the process is asked to stop.
    pub(crate) fn may_launch(&self) -> Result<(), LaunchError> {
        if self.stop.is_cancelled() { Err(stopped()) } else { Ok(()) }
    }

    fn known_packages(&self) -> Option<Vec<RunnerDownload>> {
        let known = self.packages.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, packages) = known.as_ref()?;
        is_fresh(Some(*at), (self.clock)(), PACKAGES_EVERY).then(|| packages.clone())
    }

    fn in_time(&self, launch: LaunchId) -> Result<(), LaunchError> {
        let waited = (self.clock)().duration_since(launch.made_at());
        // A clock that was set back says nothing of how long it was.
        if (SignedDuration::ZERO..LAUNCH_TIMEOUT).contains(&waited) {
            return Ok(());
        }
        Err(LaunchError::NotAttempted(format!("its turn came {} s after it was decided", waited.as_secs())))
    }

    /// GitHub is asked once more, of this one runner: a list that lacks it is no evidence (L3). Then the registration goes first:
    /// GitHub refuses that while a job runs, and then only a deadline ends the machine.
    async fn terminate(
        &self,
        region: &str,
        instance: &InstanceId,
        (runner, name): (Option<u64>, Option<&str>),
        cause: TerminationReason,
    ) {
        match self.may_terminate(runner, name, cause).await {
            Ok(true) => {}
            Ok(false) if cause != TerminationReason::Deadline => {
                tracing::info!(%instance, %cause, "not ended: GitHub still has its runner");
                return;
            }
            Err(error) if cause != TerminationReason::Deadline => {
                tracing::warn!(%error, %instance, "not ended yet: GitHub cannot say whether it has a job");
                return;
            }
            _ => {}
        }
        if let Err(error) = self.cloud.terminate(region, instance).await {
            tracing::warn!(%error, %instance, "a machine could not be ended yet");
        }
    }

    /// True once GitHub has no runner of this machine any more.
    async fn may_terminate(
        &self,
        runner: Option<u64>,
        name: Option<&str>,
        cause: TerminationReason,
    ) -> Result<bool, GitHubError> {
        let known = match (runner, name) {
            // A moment ago it was there, without a job: GitHub's answer to the removal is its word.
            (Some(id), _) if cause == TerminationReason::Idle => {
                return Ok(self.forge.remove_runner(id).await? != Removal::Busy);
            }
            (Some(id), _) => self.forge.runner(id).await?,
            (None, Some(name)) => {
                let mut all = self.forge.runners(Some(name)).await?.into_iter();
                all.find(|runner| runner.name.eq_ignore_ascii_case(name))
            }
            // Nothing tells which runner is on it.
            (None, None) => return Ok(false),
        };
        let Some(known) = known else { return Ok(true) };
        let is_wrong = match cause {
            // It is not gone, after all. One that is offline now may be at work.
            TerminationReason::Finished => true,
            TerminationReason::NeverRegistered | TerminationReason::NoMachine => known.online || known.busy,
            TerminationReason::Idle => known.busy,
            TerminationReason::Deadline => false,
        };
        if is_wrong {
            return Ok(false);
        }
        Ok(self.forge.remove_runner(known.id).await? != Removal::Busy)
    }
}
