//! One of the fleet's orders, carried out. Nothing is tried again here but what is idempotent: the next look is the retry.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use cml_cloud::{Cloud, Deadline, ErrorKind, InstanceId, LaunchId, LaunchRequest, Launched, Offer};
use cml_fleet::Cause;
use cml_github::{GitHubError, Removal, RunnerDownload};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::ask::is_fresh;
use crate::clock::Clock;
use crate::event::Event;
use crate::fleet::{self, NotLaunched, Order};
use crate::forge::Forge;
use crate::order::{self, Packages, Recipe, Reuse};
use crate::steps::{Registered, Steps};
use crate::undo::Made;

/// Nothing of a launch is begun later than this after it was decided: the fleet counts on machines that show within
/// [`cml_fleet::UNSEEN_GRACE`], and the last call may take the rest of it.
const PATIENCE: SignedDuration = SignedDuration::from_secs(120);
/// GitHub's runner packages are asked for again after this: a new one has to be used within 30 days.
const PACKAGES_EVERY: SignedDuration = SignedDuration::from_mins(30);
/// Launches under way at once: one has about three calls to GitHub, which takes 180 registrations a minute.
const LAUNCHES_MAX: usize = 30;
/// Machines that are ended at once; of their own, so that a burst of launches never holds up an end.
const ENDS_MAX: usize = 20;
/// Launch templates that are removed at once: nobody waits for it.
const TIDIES_MAX: usize = 4;

/// What the machines of each spec are made of, by the spec's name.
pub type Recipes = BTreeMap<String, Recipe>;

/// Everybody who is needed to carry orders out.
pub(crate) struct Hands<'a, C, F> {
    pub(crate) cloud: &'a C,
    pub(crate) forge: &'a F,
    pub(crate) clock: Clock<'a>,
    /// Whose machines these are.
    controller: String,
    recipes: Mutex<Arc<Recipes>>,
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
pub(crate) enum Done<'h> {
    /// A launch is ready for its call to the cloud, which comes after the journal says so.
    Ready(Box<Ready<'h>>),
    /// A launch.
    Launch(Box<LaunchDone>),
    /// What a launch left beside its machine was removed, or is left to `reap`.
    Tidied,
    /// Anything else shows in the next look.
    Other(Key),
}

/// A launch that has its registration.
pub(crate) struct Ready<'h> {
    pub(crate) launch: LaunchId,
    asked: Vec<Offer>,
    order: order::Order,
    request: LaunchRequest,
    made: Made,
    _turn: SemaphorePermit<'h>,
}

/// What came of a launch.
pub(crate) struct LaunchDone {
    pub(crate) launch: LaunchId,
    pub(crate) asked: Vec<Offer>,
    pub(crate) outcome: Result<Launched, NotLaunched>,
    /// What may have to be tidied once the machine has read it.
    pub(crate) request: Option<Box<LaunchRequest>>,
}

/// What an order is about: no second one about the same while the first is under way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Instance(InstanceId),
    Runner(u64),
    Run(u64),
}

/// None for launches: each is of its own.
pub(crate) fn key(order: &Order) -> Option<Key> {
    match order {
        Order::Launch { .. } => None,
        Order::Terminate { instance, .. } => Some(Key::Instance(instance.clone())),
        Order::RemoveRunner { runner } => Some(Key::Runner(*runner)),
        Order::Rerun { run_id, .. } => Some(Key::Run(*run_id)),
    }
}

fn stopping() -> NotLaunched {
    NotLaunched::Before("the daemon was asked to stop".to_owned())
}

impl<'a, C: Cloud, F: Forge> Hands<'a, C, F> {
    pub(crate) fn new(
        cloud: &'a C,
        forge: &'a F,
        controller: String,
        recipes: Arc<Recipes>,
        clock: Clock<'a>,
    ) -> Self {
        let [launches, ends, tidies] = [LAUNCHES_MAX, ENDS_MAX, TIDIES_MAX].map(Semaphore::new);
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
    pub(crate) async fn tidy(&self, request: Box<LaunchRequest>) -> Done<'_> {
        let _turn = self.tidies.acquire().await;
        if let Err(error) = self.cloud.tidy(&request).await {
            tracing::warn!(%error, launch = %request.launch, "its launch template is left; `cml-runner reap` removes it");
        }
        Done::Tidied
    }

    pub(crate) fn recipes(&self) -> Arc<Recipes> {
        self.recipes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_recipes(&self, recipes: Arc<Recipes>) {
        *self.recipes.lock().unwrap_or_else(PoisonError::into_inner) = recipes;
    }

    pub(crate) async fn carry_out(&self, order: Order) -> Done<'_> {
        match order {
            Order::Launch { launch, spec, offers, deadline } => {
                let preparing = self.prepare(launch, &spec, &offers, deadline);
                match preparing.instrument(fleet::span(launch)).await {
                    Ok(ready) => Done::Ready(ready),
                    Err(why) => {
                        let (asked, outcome, request) = (offers, Err(why), None);
                        Done::Launch(Box::new(LaunchDone { launch, asked, outcome, request }))
                    }
                }
            }
            Order::Terminate { region, instance, runner, name, cause } => {
                let _turn = self.ends.acquire().await;
                self.end(&region, &instance, (runner, name.as_deref()), cause).await;
                Done::Other(Key::Instance(instance))
            }
            Order::RemoveRunner { runner } => {
                let _turn = self.ends.acquire().await;
                if let Err(error) = self.may_end(Some(runner), None, Cause::NoMachine).await {
                    tracing::warn!(%error, runner, "a registration without a machine could not be removed");
                }
                Done::Other(Key::Runner(runner))
            }
            Order::Rerun { repository, run_id, only } => {
                if let Err(error) = self.forge.rerun(&repository, run_id, only.map(|job| job.0)).await {
                    tracing::warn!(%error, run_id, "interrupted jobs could not be run again yet");
                }
                Done::Other(Key::Run(run_id))
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
    ) -> Result<Box<Ready<'_>>, NotLaunched> {
        let recipe = self.recipes().get(spec).cloned();
        let mut recipe = recipe.ok_or_else(|| NotLaunched::Before(format!("the spec {spec} is gone")))?;
        let turn = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(stopping()),
            turn = self.launches.acquire() => turn,
        };
        let turn = turn.map_err(|closed| NotLaunched::Before(closed.to_string()))?;
        if let (Packages::Ask, Some(known)) = (&recipe.packages, self.known_packages()) {
            recipe.packages = Packages::Known(known);
        }
        let runner_name = launch.runner_name();
        let order = order::Order { launch, runner_name, deadline, reuse: Reuse::Never, recipe };
        let mut made = Made::default();
        match self.request(&order, offers, &mut made).await {
            Ok(request) => {
                let asked = offers.to_vec();
                Ok(Box::new(Ready { launch, asked, order, request, made, _turn: turn }))
            }
            Err(why) => {
                self.undo(launch, made).await;
                Err(why)
            }
        }
    }

    /// The call to the cloud, unless it may not be made any more.
    pub(crate) async fn buy(&self, ready: Box<Ready<'_>>, may_call: Result<(), NotLaunched>) -> Done<'_> {
        let Ready { launch, asked, order, request, mut made, _turn } = *ready;
        let outcome = match may_call.and_then(|()| self.goes_on()).and_then(|()| self.in_time(launch)) {
            Ok(()) => {
                made.request = Some(request.clone());
                let tell = |event| tracing::debug!(%launch, ?event);
                let may_repeat = || self.in_time(launch).is_ok();
                let steps = self.steps(&order, &tell, &may_repeat);
                steps.call(&request, &mut made).await.map_err(NotLaunched::Cloud)
            }
            Err(why) => Err(why),
        };
        let request = match &outcome {
            Ok(_) => made.request.map(Box::new),
            // It may have been bought: the next looks show it, or show nothing until it counts as never bought.
            Err(NotLaunched::Cloud(error)) if error.kind == ErrorKind::Transient => {
                made.request.map(Box::new)
            }
            Err(_) => {
                self.undo(launch, made).await;
                None
            }
        };
        Done::Launch(Box::new(LaunchDone { launch, asked, outcome, request }))
    }

    async fn undo(&self, launch: LaunchId, made: Made) {
        for left in made.undo(self.cloud, self.forge).await {
            tracing::warn!(%launch, left, "a launch that failed has left something");
        }
    }

    fn steps<'s>(
        &'s self,
        order: &'s order::Order,
        tell: &'s (dyn Fn(Event) + Sync),
        may_repeat: &'s (dyn Fn() -> bool + Sync),
    ) -> Steps<'s, C, F> {
        Steps {
            order,
            controller: &self.controller,
            cloud: self.cloud,
            forge: self.forge,
            clock: self.clock,
            tell,
            stop: &self.never,
            may_repeat,
        }
    }

    /// Registers the runner and renders what its machine is given.
    async fn request(
        &self,
        order: &order::Order,
        offers: &[Offer],
        made: &mut Made,
    ) -> Result<LaunchRequest, NotLaunched> {
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
        let before = |why: &dyn std::fmt::Display| NotLaunched::Before(why.to_string());
        self.goes_on()?;
        self.in_time(launch)?;
        let registration = match steps.register(offers, made).await.map_err(|reason| before(&reason))? {
            Registered::Fresh(registration) => registration,
            Registered::Elsewhere(..) => return Err(before(&"its id is in use by another process")),
        };
        let package = steps.package(offers).await.map_err(|reason| before(&reason))?;
        let user_data = steps.render(&registration, &package, offers).map_err(|reason| before(&reason))?;
        Ok(steps.request(offers.to_vec(), 1, user_data))
    }

    /// Nothing new is begun once the process is asked to stop.
    pub(crate) fn goes_on(&self) -> Result<(), NotLaunched> {
        if self.stop.is_cancelled() { Err(stopping()) } else { Ok(()) }
    }

    fn known_packages(&self) -> Option<Vec<RunnerDownload>> {
        let known = self.packages.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, packages) = known.as_ref()?;
        is_fresh(Some(*at), (self.clock)(), PACKAGES_EVERY).then(|| packages.clone())
    }

    fn in_time(&self, launch: LaunchId) -> Result<(), NotLaunched> {
        let waited = (self.clock)().duration_since(launch.made_at());
        // A clock that was set back says nothing of how long it was.
        if (SignedDuration::ZERO..PATIENCE).contains(&waited) {
            return Ok(());
        }
        Err(NotLaunched::Before(format!("its turn came {} s after it was decided", waited.as_secs())))
    }

    /// GitHub is asked once more, of this one runner: a list that lacks it is no evidence (L3). Then the registration goes first:
    /// GitHub refuses that while a job runs, and then only a deadline ends the machine.
    async fn end(
        &self,
        region: &str,
        instance: &InstanceId,
        (runner, name): (Option<u64>, Option<&str>),
        cause: Cause,
    ) {
        match self.may_end(runner, name, cause).await {
            Ok(true) => {}
            Ok(false) if cause != Cause::Deadline => {
                tracing::info!(%instance, %cause, "not ended: GitHub still has its runner");
                return;
            }
            Err(error) if cause != Cause::Deadline => {
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
    async fn may_end(
        &self,
        runner: Option<u64>,
        name: Option<&str>,
        cause: Cause,
    ) -> Result<bool, GitHubError> {
        let known = match (runner, name) {
            // A moment ago it was there, without a job: GitHub's answer to the removal is its word.
            (Some(id), _) if cause == Cause::Idle => {
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
            Cause::Finished => true,
            Cause::NeverRegistered | Cause::NoMachine => known.online || known.busy,
            Cause::Idle => known.busy,
            Cause::Deadline => false,
        };
        if is_wrong {
            return Ok(false);
        }
        Ok(self.forge.remove_runner(known.id).await? != Removal::Busy)
    }
}
