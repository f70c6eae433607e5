//! The steps of one launch: a registration at GitHub, user data, one call to the cloud. Each records what it has made in the undo
//! log.

use std::time::Duration;

use cml_bootstrap::{Bootstrap, Machine, Registration, RunnerPackage};
use cml_cloud::local::LOCAL;
use cml_cloud::{
    ByRegion, Cloud, CloudError, ErrorKind, Gpu, Instance, InstanceFilter, LaunchId, LaunchRequest, Launched,
    Offer, UserData,
};
use cml_github::{GitHubError, GitHubErrorKind, JitRequest, JitRunner, Removal};
use cml_planner::labels;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, wrong_clock};
use crate::event::Event;
use crate::failure::Reason;
use crate::forge::Forge;
use crate::launch_plan::{LaunchPlan, RunnerMode, RunnerPackageSource};
use crate::undo_log::{RegisteredRunner, UndoLog, remove_runner};

/// How often a call with an unknown outcome is made again: same token, same parameters, so never a second machine.
const RETRIES_MAX: u32 = 4;
/// Pause before the first repeat; it doubles.
const RETRY_PAUSE: Duration = Duration::from_millis(700);
/// How long a registration is tried again while GitHub's errors are transient; the pauses double.
const REGISTER_FOR: Duration = Duration::from_secs(25);
const REGISTER_PAUSE: Duration = Duration::from_millis(300);
const REGISTER_PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long a launch whose name is registered already may take to show its machine before it counts as dead.
const ADOPT_WAIT: Duration = Duration::from_secs(20);

/// One launch plan with all that its steps need.
pub(crate) struct LaunchSteps<'a, C, F> {
    pub(crate) plan: &'a LaunchPlan,
    /// The controller's name, for the tags.
    pub(crate) controller: &'a str,
    pub(crate) cloud: &'a C,
    pub(crate) forge: &'a F,
    pub(crate) clock: Clock<'a>,
    pub(crate) on_event: &'a (dyn Fn(Event) + Sync),
    pub(crate) stop: &'a CancellationToken,
    /// False once a call with an unknown outcome is not worth repeating any more.
    pub(crate) may_retry: &'a (dyn Fn() -> bool + Sync),
}

/// Returns what the script will run on: the offers of one call are of one kind.
fn machine(offers: &[Offer]) -> Machine {
    match offers.first() {
        Some(offer) if offer.region == LOCAL => Machine::Local,
        offer => {
            let gpu = offer.and_then(|offer| offer.resources.gpu.as_ref());
            Machine::Cloud { gpu: gpu.is_some_and(Gpu::runs_cuda) }
        }
    }
}

/// The outcome of a registration.
pub(crate) enum RegistrationOutcome {
    /// A fresh registration to put on a machine.
    Fresh(Registration),
    /// The same launch id is under way in another process, with this machine.
    AlreadyLaunched(Box<Instance>, RegisteredRunner),
}

impl<C: Cloud, F: Forge> LaunchSteps<'_, C, F> {
    pub(crate) fn not_interrupted(&self) -> Result<(), Reason> {
        if self.stop.is_cancelled() { Err(Reason::Interrupted) } else { Ok(()) }
    }

    /// Registers the runner of a machine that is one of these offers: its labels name its architecture.
    pub(crate) async fn register(
        &self,
        offers: &[Offer],
        made: &mut UndoLog,
    ) -> Result<RegistrationOutcome, Reason> {
        let registered = match self.plan.template.mode {
            RunnerMode::Ephemeral => self.register_jit(offers, made).await?,
            RunnerMode::Persistent => self.register_by_token(made).await?,
        };
        // GitHub's time has just been received: by a clock that is wrong the machine would end at a wrong time.
        match wrong_clock(self.forge, (self.clock)()) {
            Some(ahead) => Err(Reason::Clock { ahead }),
            None => Ok(registered),
        }
    }

    async fn register_jit(
        &self,
        offers: &[Offer],
        made: &mut UndoLog,
    ) -> Result<RegistrationOutcome, Reason> {
        let recipe = &self.plan.template;
        let arch = offers.first().map(|offer| offer.resources.arch);
        let request = JitRequest {
            name: self.plan.runner_name.clone(),
            labels: labels::registered(&recipe.labels, recipe.default_labels, arch),
            group: self.plan.template.group.clone(),
            work_folder: None,
        };
        // If the answer is lost, what is registered under a name that was free is ours. A list may still show a runner that
        // was just removed, so only GitHub's refusal means that the name is taken.
        let would_be_ours = self.has_own_name()
            || self.forge.runner_by_name(&request.name).await.map_err(Reason::GitHub)?.is_none();
        let mut answer = self.forge.jit_runner(&request).await;
        if let Err(error) = &answer {
            match error.kind {
                GitHubErrorKind::NameTaken => match self.resolve_name_conflict().await? {
                    Some(found) => return Ok(found),
                    None => answer = self.forge.jit_runner(&request).await,
                },
                GitHubErrorKind::Transient if would_be_ours => {
                    answer = self.register_again(&request, error.clone(), made).await?;
                }
                GitHubErrorKind::Transient => return Err(Reason::NameTaken { name: request.name }),
                _ => {}
            }
        }
        match answer {
            Ok(runner) => {
                made.runner = Some(RegisteredRunner::Id(runner.id));
                Ok(RegistrationOutcome::Fresh(Registration::Jit { encoded: runner.encoded }))
            }
            Err(error) if error.kind == GitHubErrorKind::NameTaken => {
                Err(Reason::NameTaken { name: request.name })
            }
            Err(error) => Err(Reason::GitHub(error)),
        }
    }

    /// Registers again after a lost answer: the runner may be registered with a configuration that no process has. So its name is
    /// looked up and freed before each new try, for as long as a read would be repeated.
    async fn register_again(
        &self,
        request: &JitRequest,
        lost: GitHubError,
        made: &mut UndoLog,
    ) -> Result<Result<JitRunner, GitHubError>, Reason> {
        // Until GitHub's answer shows otherwise it exists, and is undone with the rest.
        let unanswered = RegisteredRunner::Unanswered(request.name.clone());
        made.runner = Some(unanswered.clone());
        let again = async || {
            remove_runner(self.forge, &unanswered).await.map_err(Reason::GitHub)?;
            Ok(self.forge.jit_runner(request).await)
        };
        let answer = self.retry_while_transient(lost, again).await?;
        if answer.as_ref().is_err_and(|error| error.kind != GitHubErrorKind::Transient) {
            made.runner = None;
        }
        Ok(answer)
    }

    /// Repeats an idempotent call while GitHub's errors are transient, for as long as its client repeats a read.
    async fn retry_while_transient<T>(
        &self,
        lost: GitHubError,
        again: impl AsyncFn() -> Result<Result<T, GitHubError>, Reason>,
    ) -> Result<Result<T, GitHubError>, Reason> {
        let began = tokio::time::Instant::now();
        let mut pause = REGISTER_PAUSE;
        let mut answer = Err(lost);
        while let Err(error) = &answer {
            if error.kind != GitHubErrorKind::Transient
                || began.elapsed() >= REGISTER_FOR
                || !(self.may_retry)()
            {
                break;
            }
            (self.on_event)(Event::Repeating { cause: error.to_string() });
            if !self.pause(pause).await {
                return Err(Reason::Interrupted);
            }
            pause = (pause * 2).min(REGISTER_PAUSE_MAX);
            answer = again().await?;
        }
        Ok(answer)
    }

    async fn register_by_token(&self, made: &mut UndoLog) -> Result<RegistrationOutcome, Reason> {
        let name = &self.plan.runner_name;
        if self.forge.runner_by_name(name).await.map_err(Reason::GitHub)?.is_some()
            && let Some(found) = self.resolve_name_conflict().await?
        {
            return Ok(found);
        }
        let mut token = self.forge.registration_token().await;
        if let Err(lost) = token {
            token =
                self.retry_while_transient(lost, async || Ok(self.forge.registration_token().await)).await?;
        }
        let token = token.map_err(Reason::GitHub)?;
        made.runner = Some(RegisteredRunner::Name(name.clone()));
        Ok(RegistrationOutcome::Fresh(Registration::Token {
            url: self.forge.runner_url(),
            token,
            labels: self.plan.template.labels.clone(),
            default_labels: self.plan.template.default_labels,
            group: None,
        }))
    }

    /// Returns whether the runner is named after the launch. A name that the user chose does not identify a launch.
    fn has_own_name(&self) -> bool {
        LaunchId::from_runner_name(&self.plan.runner_name) == Some(self.plan.launch)
    }

    /// Resolves a name that is registered already. With a machine of this launch id: the same launch in another process, or an
    /// earlier one. Without a machine: a foreign runner, or what a crash left (then it is removed and `None` returned).
    async fn resolve_name_conflict(&self) -> Result<Option<RegistrationOutcome>, Reason> {
        let name = &self.plan.runner_name;
        let taken = || Reason::NameTaken { name: name.clone() };
        let Some(runner) = self.forge.runner_by_name(name).await.map_err(Reason::GitHub)? else {
            return Ok(None);
        };
        if !self.has_own_name() {
            return Err(taken());
        }
        let filter = InstanceFilter {
            regions: self.plan.template.query.regions.clone(),
            launch: Some(self.plan.launch),
            ..InstanceFilter::default()
        };
        let started = tokio::time::Instant::now();
        loop {
            let ByRegion { found, failed } = self.cloud.instances(&filter).await.map_err(Reason::Cloud)?;
            if let Some(instance) = found.into_iter().find(Instance::is_alive) {
                return Ok(Some(RegistrationOutcome::AlreadyLaunched(
                    Box::new(instance),
                    RegisteredRunner::Id(runner.id),
                )));
            }
            if started.elapsed() >= ADOPT_WAIT {
                match failed.into_iter().next() {
                    // Its machine may exist there.
                    Some(silent) => return Err(Reason::Cloud(silent.error)),
                    None => break,
                }
            }
            tokio::select! {
                () = self.stop.cancelled() => return Err(Reason::Interrupted),
                () = tokio::time::sleep(Duration::from_millis(500)) => {}
            }
        }
        if runner.online {
            return Err(taken());
        }
        match self.forge.remove_runner(runner.id).await.map_err(Reason::GitHub)? {
            Removal::Busy => Err(taken()),
            Removal::Removed | Removal::AlreadyGone => Ok(None),
        }
    }

    pub(crate) fn render(
        &self,
        registration: &Registration,
        package: &RunnerPackage,
        offers: &[Offer],
    ) -> Result<UserData, Reason> {
        cml_bootstrap::render(&Bootstrap {
            launch: self.plan.launch,
            runner_name: self.plan.runner_name.clone(),
            registration: registration.clone(),
            package: package.clone(),
            deadline: self.plan.deadline,
            boot_timeout: self.plan.template.boot_timeout,
            idle_timeout: self.plan.template.idle_timeout,
            machine: machine(offers),
            offers: offers.to_vec(),
            setup: self.plan.template.setup.clone(),
        })
        .map_err(Reason::Bootstrap)
    }

    pub(crate) async fn package(&self, offers: &[Offer]) -> Result<RunnerPackage, Reason> {
        let asked;
        let packages = match &self.plan.template.packages {
            RunnerPackageSource::Pinned(package) => return Ok(package.clone()),
            RunnerPackageSource::Cached(packages) => packages,
            RunnerPackageSource::Latest => {
                asked = self.forge.runner_packages().await.map_err(Reason::GitHub)?;
                (self.on_event)(Event::Packages { packages: asked.clone() });
                &asked
            }
        };
        let arch = offers.first().map_or(cml_cloud::Arch::X64, |offer| offer.resources.arch).to_string();
        packages
            .iter()
            .find(|package| package.os == "linux" && package.architecture == arch)
            .map(|package| RunnerPackage {
                url: package.download_url.clone(),
                sha256: package.sha256_checksum.clone(),
                token: package.temp_download_token.clone(),
            })
            .ok_or(Reason::NoPackage(arch))
    }

    /// Calls the cloud, and repeats the call while its outcome is unknown: the token makes the repeats one call.
    pub(crate) async fn buy(
        &self,
        request: &LaunchRequest,
        made: &mut UndoLog,
    ) -> Result<Launched, CloudError> {
        let mut pause = RETRY_PAUSE;
        let mut repeats = 0;
        loop {
            let result = self.cloud.launch(request, &|| !self.stop.is_cancelled()).await;
            let Err(error) = result else {
                made.unknown = false;
                return result;
            };
            // The outcome of a call without an answer shows only in an answer about the machines themselves. Expired credentials,
            // throttling or a validation error do not show it.
            let is_answered =
                !error.failures.is_empty() || matches!(error.kind, ErrorKind::Capacity | ErrorKind::Quota);
            made.unknown = error.kind == ErrorKind::Transient || (made.unknown && !is_answered);
            let is_worth_it = matches!(error.kind, ErrorKind::Transient | ErrorKind::Throttled)
                && repeats < RETRIES_MAX
                && (self.may_retry)();
            if is_worth_it && !self.stop.is_cancelled() {
                (self.on_event)(Event::Repeating { cause: error.to_string() });
            }
            if !is_worth_it || !self.pause(pause).await {
                // An unknown outcome stays unknown, whatever the last answer was.
                return Err(if made.unknown {
                    CloudError { kind: ErrorKind::Transient, ..error }
                } else {
                    error
                });
            }
            pause *= 2;
            repeats += 1;
        }
    }

    /// Waits; returns false once the process is asked to stop, after which no call is made any more.
    async fn pause(&self, pause: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }

    pub(crate) fn request(&self, offers: Vec<Offer>, attempt: u32, user_data: UserData) -> LaunchRequest {
        LaunchRequest {
            launch: self.plan.launch,
            attempt,
            spec: self.plan.template.spec.clone(),
            owner: self.forge.scope(),
            controller: self.controller.to_owned(),
            runner_name: self.plan.runner_name.clone(),
            deadline: self.plan.deadline,
            offers,
            spot_price_max: self.plan.template.query.spot_price_max,
            user_data,
            image: self.plan.template.image.clone(),
            disk_gib: self.plan.template.query.disk_gib,
            network: self.plan.template.network.clone(),
            instance_profile: self.plan.template.instance_profile.clone(),
            cache_snapshot: self.plan.template.setup.cache.as_ref().map(|cache| cache.snapshot.clone()),
            tags: self.plan.template.tags.clone(),
            users: self.plan.template.setup.users.clone(),
        }
    }
}
