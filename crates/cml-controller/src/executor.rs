//! Executes the reconciler's commands. Only idempotent calls are repeated here: the next observation is the retry.

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

/// No step of a launch begins later than this after the decision: the reconciler relies on machines that show within
/// [`cml_planner::UNSEEN_GRACE`], and the last call may take the rest of it.
const LAUNCH_TIMEOUT: SignedDuration = SignedDuration::from_secs(120);
/// GitHub's runner packages are asked for again after this: a new one has to be used within 30 days.
const PACKAGES_EVERY: SignedDuration = SignedDuration::from_mins(30);
/// Launches under way at once: one has about three calls to GitHub, which takes 180 registrations a minute.
const LAUNCHES_MAX: usize = 30;
/// Terminations under way at once; separate, so that a burst of launches never delays one.
const TERMINATIONS_MAX: usize = 20;
/// Removals of launch templates under way at once: nothing waits for them.
const CLEANUPS_MAX: usize = 4;

/// Machine templates by the spec's name.
pub type MachineTemplates = BTreeMap<String, MachineTemplate>;

/// Executes commands, several at a time.
pub(crate) struct Executor<'a, C, F> {
    pub(crate) cloud: &'a C,
    pub(crate) forge: &'a F,
    pub(crate) clock: Clock<'a>,
    /// The controller's name, for the tags.
    controller: String,
    recipes: Mutex<Arc<MachineTemplates>>,
    /// GitHub's runner packages, and when they were asked for.
    packages: Mutex<Option<(Timestamp, Vec<RunnerDownload>)>>,
    launches: Semaphore,
    ends: Semaphore,
    tidies: Semaphore,
    /// Cancelled when the process is asked to stop: a launch that has not called the cloud yet does not do so any more.
    stop: CancellationToken,
    /// Never cancelled. A call that was made is not aborted: it is repeated with its own token until its outcome is known.
    never: CancellationToken,
}

/// The result of a command.
pub(crate) enum Completion<'h> {
    /// A launch is ready for its call to the cloud, which must be recorded in the journal first.
    Ready(Box<PreparedLaunch<'h>>),
    /// A launch.
    Launch(Box<LaunchCompletion>),
    /// The launch template was removed, or is left to `reap`.
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

/// The result of a launch.
pub(crate) struct LaunchCompletion {
    pub(crate) launch: LaunchId,
    pub(crate) asked: Vec<Offer>,
    pub(crate) outcome: Result<Launched, LaunchError>,
    /// The request whose launch template is to be removed once the machine has read it.
    pub(crate) request: Option<Box<LaunchRequest>>,
}

/// The subject of a command: there is no second command about it while the first is under way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CommandKey {
    Instance(InstanceId),
    Runner(u64),
    Run(u64),
}

/// Returns a command's subject; none for launches, since each is separate.
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

    /// Ends launches that have not called the cloud yet; what they have made is removed.
    pub(crate) fn stop_launching(&self) {
        self.stop.cancel();
    }

    /// Removes the launch template of a launch.
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

    /// Prepares a launch up to the call to the cloud. On an error, what was made is undone.
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

    /// Calls the cloud, unless that is not allowed any more.
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
            // The machine may exist: the next observations show it; if none does in time, the launch counts as failed.
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

    /// Registers the runner and renders the user data of its machine.
    async fn request(
        &self,
        order: &launch_plan::LaunchPlan,
        offers: &[Offer],
        made: &mut UndoLog,
    ) -> Result<LaunchRequest, LaunchError> {
        let launch = order.launch;
        let tell = |event| {
            // A token that comes with a download address is valid for a short time.
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

    /// Returns an error once the process is asked to stop.
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
        // After a clock was set back, the time that has passed is not known.
        if (SignedDuration::ZERO..LAUNCH_TIMEOUT).contains(&waited) {
            return Ok(());
        }
        Err(LaunchError::NotAttempted(format!("its turn came {} s after it was decided", waited.as_secs())))
    }

    /// Terminates a machine. GitHub is asked once more about this one runner: a list that lacks it is no evidence (L3). The
    /// registration is removed first: GitHub refuses that while a job runs, and then only a deadline ends the machine.
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

    /// Returns true once GitHub has no runner of this machine any more.
    async fn may_terminate(
        &self,
        runner: Option<u64>,
        name: Option<&str>,
        cause: TerminationReason,
    ) -> Result<bool, GitHubError> {
        let known = match (runner, name) {
            // A moment ago it was there, without a job: GitHub's answer to the removal decides.
            (Some(id), _) if cause == TerminationReason::Idle => {
                return Ok(self.forge.remove_runner(id).await? != Removal::Busy);
            }
            (Some(id), _) => self.forge.runner(id).await?,
            (None, Some(name)) => {
                let mut all = self.forge.runners(Some(name)).await?.into_iter();
                all.find(|runner| runner.name.eq_ignore_ascii_case(name))
            }
            // It is not known which runner is on it.
            (None, None) => return Ok(false),
        };
        let Some(known) = known else { return Ok(true) };
        let is_wrong = match cause {
            // The runner still exists. One that is offline now may be at work.
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
