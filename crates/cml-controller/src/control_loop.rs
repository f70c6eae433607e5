//! The control loop: observe, reconcile, execute, for as long as the process lives.
//!
//! It wakes on jobs in the mailbox, on calls that have completed, and on the times that the plan names. A new job is decided upon at
//! once, by the last observation; the next observation corrects what that one could not show. After a kill at any point, the next
//! process finds everything that was begun.

mod finish;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;

use cml_cloud::{Cloud, LaunchId, LaunchRequest};
use cml_journal::{Journal, JournalError, State};
use cml_planner::{Account, Balance, Job, JobState, Plan, PlanningInput, WaitReason, all_waiting};
use cml_spec::{Period, Spec};
use futures_util::future::LocalBoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::clock::{Clock, wrong_clock};
use crate::executor::{CommandKey, Completion, Executor, LaunchCompletion, command_key};
use crate::forge::Forge;
use crate::jobs::JobTable;
use crate::mailbox::{DesiredState, Mailbox};
use crate::observe::{ObservationRequest, ObservationResult, PRICES_EVERY, is_fresh};
use crate::offer_cache::OfferCache;
use crate::reconcile::{self, Clocks, LaunchError, Observation, Planner, Reconciler, Reconciliation};

/// Time between two observations while machines live or jobs wait: people and clouds end machines without notice.
const OBSERVE_EVERY: Duration = Duration::from_secs(15);
/// Time between two observations while there is no machine and no job.
const OBSERVE_EVERY_WHEN_IDLE: Duration = Duration::from_secs(60);
/// Least time between the beginnings of two observations: a burst of webhooks or of refusals causes one observation.
const OBSERVATIONS_APART: Duration = Duration::from_secs(2);
/// An observation that took longer is outdated, while the journal may have moved on: a machine that is new in the one and missing in
/// the other would count as gone. Far less than the planner's grace times.
const OBSERVATION_TIMEOUT: Duration = Duration::from_secs(120);
/// Clocks may differ by this much without a warning: an answer takes its time too.
const SKEW_MAX: SignedDuration = SignedDuration::from_secs(30);
/// Calls under way when the process is asked to stop get this long to end or to be undone. systemd is asked for more.
pub const STOP_WITHIN: Duration = Duration::from_secs(20);
/// An older observation is no ground for a launch.
const OBSERVATION_VALID_FOR: Duration = Duration::from_secs(60);

/// Settings of a controller.
pub struct Settings<'a> {
    /// The desired state; [`Mailbox::set_desired`] changes it.
    pub wanted: DesiredState,
    /// The name that its machines are tagged with; none: the journal's own, made when it is first opened. Two daemons of one scope
    /// need two names, and a daemon that loses its journal needs its old name again.
    pub name: Option<String>,
    /// Time between two polls of all jobs: webhooks are quicker, and may be lost.
    pub poll_every: SignedDuration,
    /// The clock.
    pub clock: Clock<'a>,
    /// Makes launch ids: the current time and randomness that no other process has.
    pub new_id: &'a (dyn Fn() -> LaunchId + Sync),
    /// The planner.
    pub plan: Planner<'a>,
    /// Receives every decision that follows an observation.
    pub on_step: &'a (dyn Fn(&ReconcileReport<'_>) + Sync),
}

/// What is known after one reconciliation.
pub struct ReconcileReport<'a> {
    /// When.
    pub at: Timestamp,
    /// The decision.
    pub outcome: &'a Reconciliation,
    /// The fold of the journal.
    pub state: &'a State,
    /// The observation.
    pub observation: &'a Observation,
}

/// One process that drives the reconciler.
pub struct Controller<'a, C, F, J> {
    executor: Executor<'a, C, F>,
    reconciler: Reconciler<J>,
    loop_state: LoopState<'a>,
}

type InFlight<'h> = FuturesUnordered<LocalBoxFuture<'h, Completion<'h>>>;

impl<'a, C: Cloud, F: Forge, J: Journal> Controller<'a, C, F, J> {
    /// Opens a controller on a journal.
    ///
    /// # Errors
    /// [`JournalError`] when it cannot be read, or a new one cannot be written.
    pub fn open(
        cloud: &'a C,
        forge: &'a F,
        journal: J,
        settings: Settings<'a>,
    ) -> Result<Self, JournalError> {
        let mut reconciler = Reconciler::open(journal, settings.wanted.specs.clone())?;
        reconciler.set_budgets(settings.wanted.budgets.clone());
        let new_name = || (settings.new_id)().to_string();
        let name = reconciler.name(settings.name.as_deref(), (settings.clock)(), &new_name)?;
        let executor = Executor::new(cloud, forge, name, settings.wanted.templates.clone(), settings.clock);
        let loop_state = LoopState {
            settings,
            born: Instant::now(),
            jobs: JobTable::default(),
            polled_at: None,
            poll_backoff: SignedDuration::ZERO,
            offers: OfferCache::default(),
            prices_at: None,
            pending_cleanup: BTreeMap::new(),
            under_way: BTreeSet::new(),
            last_observation: None,
            warned: BTreeSet::new(),
        };
        Ok(Self { executor, reconciler, loop_state })
    }

    /// Runs until `stop` is cancelled. Errors of the cloud or GitHub never end it.
    ///
    /// # Errors
    /// [`JournalError`] when the journal cannot be understood. When it is full or busy, the loop waits.
    pub async fn run(self, news: &Mailbox, stop: &CancellationToken) -> Result<(), JournalError> {
        // All calls under way share the executor; the rest changes between them. No arm of a `select!` awaits: a call under way
        // that is not polled may hold what another one waits for.
        let Self { executor, mut reconciler, mut loop_state } = self;
        let mut flights: InFlight<'_> = FuturesUnordered::new();
        'looks: loop {
            loop_state.drain_mailbox(news, &executor, &mut reconciler);
            let look_began = Instant::now();
            let questions = loop_state.observation_request(&executor, &reconciler);
            let asked = {
                let mut observation = pin!(questions.observe(&executor));
                loop {
                    tokio::select! {
                        biased;
                        // First: an intent that is committed now would not be executed.
                        () = stop.cancelled() => break 'looks,
                        Some(done) = flights.next() => {
                            if loop_state.on_completion(done, &executor, &mut reconciler, &flights)? {
                                loop_state.react(&executor, &mut reconciler, &mut flights)?;
                            }
                        }
                        () = news.changed() => {
                            if loop_state.drain_mailbox(news, &executor, &mut reconciler) {
                                loop_state.react(&executor, &mut reconciler, &mut flights)?;
                            }
                        }
                        asked = &mut observation => break asked,
                    }
                }
            };
            loop_state.drain_mailbox(news, &executor, &mut reconciler);
            if asked.begun.elapsed() > OBSERVATION_TIMEOUT {
                tracing::warn!(
                    seconds = asked.begun.elapsed().as_secs(),
                    "a look took too long to be acted upon"
                );
                continue;
            }
            let pause = loop_state.decide(asked, &executor, &mut reconciler, &mut flights)?;
            loop_state.tidy_read(&executor, &reconciler, &flights);
            let soon = look_began + OBSERVATIONS_APART;
            let mut pause = pin!(tokio::time::sleep(pause));
            loop {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => break 'looks,
                    Some(done) = flights.next() => {
                        // A launch that failed may be worth another try at once, with other offers.
                        if loop_state.on_completion(done, &executor, &mut reconciler, &flights)? {
                            loop_state.react(&executor, &mut reconciler, &mut flights)?;
                            pause.as_mut().reset(soon);
                        }
                    }
                    () = news.changed() => {
                        if loop_state.drain_mailbox(news, &executor, &mut reconciler) {
                            loop_state.react(&executor, &mut reconciler, &mut flights)?;
                            pause.as_mut().reset(soon);
                        }
                    }
                    () = &mut pause => break,
                }
            }
        }
        executor.stop_launching();
        loop_state.finish(flights, &executor, &mut reconciler).await
    }
}

/// Returns true for errors that people or other processes can end.
fn may_pass(error: &JournalError) -> bool {
    matches!(
        error,
        JournalError::Full { .. }
            | JournalError::Busy { .. }
            | JournalError::Damaged { .. }
            | JournalError::Other { .. }
    )
}

/// The state that changes between calls.
struct LoopState<'a> {
    settings: Settings<'a>,
    born: Instant,
    jobs: JobTable,
    polled_at: Option<Timestamp>,
    /// How long the last poll asks the next one to wait.
    poll_backoff: SignedDuration,
    offers: OfferCache,
    prices_at: Option<Timestamp>,
    /// Launches whose launch template, with the user data in it, still exists.
    pending_cleanup: BTreeMap<LaunchId, Box<LaunchRequest>>,
    under_way: BTreeSet<CommandKey>,
    /// The last observation, and when it was begun.
    last_observation: Option<(Instant, Observation)>,
    /// Accounts near a limit that were warned of, with the end of the period.
    warned: BTreeSet<(Account, Period, Timestamp)>,
}

impl LoopState<'_> {
    /// Empties the mailbox; returns true when a decision may follow from its content.
    fn drain_mailbox<C: Cloud, F: Forge, J: Journal>(
        &mut self,
        news: &Mailbox,
        executor: &Executor<'_, C, F>,
        reconciler: &mut Reconciler<J>,
    ) -> bool {
        let mut is_news = false;
        for (job, at) in news.take_jobs() {
            is_news |= self.jobs.apply_webhook(job, at);
        }
        if let Some(wanted) = news.take_desired() {
            reconciler.set_specs(wanted.specs);
            reconciler.retry_refused();
            reconciler.set_budgets(wanted.budgets);
            executor.set_templates(wanted.templates);
            // Offers depend on what is asked for.
            self.offers.clear();
            is_news = true;
        }
        is_news
    }

    /// Processes a completion; returns true when the cloud refused a launch.
    fn on_completion<'h, C: Cloud, F: Forge, J: Journal>(
        &mut self,
        done: Completion<'h>,
        executor: &'h Executor<'_, C, F>,
        reconciler: &mut Reconciler<J>,
        flights: &InFlight<'h>,
    ) -> Result<bool, JournalError> {
        let now = self.now(executor.forge).0.wall;
        match done {
            Completion::Ready(ready) => {
                let launch = ready.launch;
                let may_call = match executor.may_launch() {
                    Ok(()) => match reconciler.record_call(launch, now) {
                        Ok(true) => Ok(()),
                        Ok(false) => Err(LaunchError::NotAttempted("it was given up meanwhile".to_owned())),
                        Err(error) if may_pass(&error) => {
                            tracing::error!(%error, %launch, "not called: it cannot be written");
                            Err(LaunchError::NotAttempted(error.to_string()))
                        }
                        Err(error) => return Err(error),
                    },
                    stopping => stopping,
                };
                flights.push(Box::pin(executor.buy(ready, may_call).instrument(reconcile::span(launch))));
                Ok(false)
            }
            Completion::CleanedUp => Ok(false),
            Completion::Other(key) => {
                self.under_way.remove(&key);
                if let CommandKey::Run(run_id) = key {
                    self.jobs.rerun_asked(run_id, Instant::now());
                }
                Ok(false)
            }
            Completion::Launch(done) => {
                let LaunchCompletion { launch, asked, outcome, request } = *done;
                self.pending_cleanup.extend(request.map(|request| (launch, request)));
                match reconciler.record_launch(launch, &asked, &outcome, now) {
                    // The next observations show the same.
                    Err(error) if may_pass(&error) => tracing::error!(%error, %launch, "not written"),
                    other => other?,
                }
                Ok(matches!(outcome, Err(LaunchError::Cloud(_))))
            }
        }
    }

    fn observation_request<C: Cloud, F: Forge, J: Journal>(
        &self,
        executor: &Executor<'_, C, F>,
        reconciler: &Reconciler<J>,
    ) -> ObservationRequest {
        let now = (self.settings.clock)();
        let recipes = executor.templates();
        let is_old = |name: &&String| self.offers.is_stale(name, now);
        ObservationRequest {
            begun: Instant::now(),
            now,
            poll: !is_fresh(self.polled_at, now, self.settings.poll_every.max(self.poll_backoff)),
            followed: reconciler.tracked_jobs(),
            only: served_repositories(reconciler.specs()),
            offers_of: recipes.keys().filter(is_old).cloned().collect(),
            prices_are_fresh: is_fresh(self.prices_at, now, PRICES_EVERY),
            machines: ObservationRequest::tracked_instances(reconciler.state()),
            recipes,
        }
    }

    /// Reconciles a whole observation, and returns the time until the next one.
    fn decide<'h, C: Cloud, F: Forge, J: Journal>(
        &mut self,
        asked: ObservationResult,
        executor: &'h Executor<'_, C, F>,
        reconciler: &mut Reconciler<J>,
        flights: &mut InFlight<'h>,
    ) -> Result<Duration, JournalError> {
        let begun = asked.begun;
        let observation = self.observation(asked);
        let (now, wrong) = self.now(executor.forge);
        self.warn_of_clock(executor.forge, wrong);
        self.last_observation = Some((begun, observation.clone()));
        let hold = |observed: &PlanningInput, _: Timestamp| {
            let ahead_seconds = wrong.unwrap_or_default().as_secs();
            Plan {
                waiting: all_waiting(observed, &WaitReason::WrongClock { ahead_seconds }),
                ..Plan::default()
            }
        };
        let plan: Planner<'_> = if wrong.is_some() { &hold } else { self.settings.plan };
        // Until GitHub has answered once, the time is not known: no event is derived either.
        let step = match executor.forge.time() {
            None => Ok(Reconciliation::default()),
            Some(_) => reconciler.reconcile(observation, now, plan, &mut || (self.settings.new_id)()),
        };
        match step {
            Ok(step) => {
                reconciler.forget_ledger();
                self.warn_of_limits(&step.near_limit, now.wall);
                if let Some((_, observation)) = &self.last_observation {
                    let state = reconciler.state();
                    (self.settings.on_step)(&ReconcileReport {
                        at: now.wall,
                        outcome: &step,
                        state,
                        observation,
                    });
                }
                let is_quiet =
                    reconciler.state().is_quiet() && step.commands.is_empty() && step.waiting.is_empty();
                let poll_every =
                    Duration::try_from(self.settings.poll_every).unwrap_or(OBSERVE_EVERY_WHEN_IDLE);
                let most = if is_quiet { OBSERVE_EVERY_WHEN_IDLE.min(poll_every) } else { OBSERVE_EVERY };
                let due = step.next_look_at.map(|at| at.duration_since(now.wall));
                let due = due.and_then(|due| Duration::try_from(due).ok()).unwrap_or(most);
                self.dispatch(step, executor, flights);
                Ok(due.clamp(OBSERVATIONS_APART, most))
            }
            Err(error) if may_pass(&error) => {
                tracing::error!(%error, "nothing is decided until it can be written");
                Ok(OBSERVE_EVERY)
            }
            Err(error) => Err(error),
        }
    }

    /// Warns once a period: a person who reads the log every day has time to act.
    fn warn_of_limits(&mut self, near: &[Balance], now: Timestamp) {
        self.warned.retain(|(.., until)| *until > now);
        for it in near {
            if self.warned.insert((it.account.clone(), it.period, it.renews_at)) {
                tracing::warn!(
                    account = %it.account,
                    period = %it.period,
                    limit = %it.most,
                    spent = %it.spent,
                    promised = %it.promised,
                    until = %it.renews_at,
                    "a budget is nearly used up; launches above its limit will wait"
                );
            }
        }
    }

    /// Launches machines for jobs that have come since the last observation, by that observation.
    fn react<'h, C: Cloud, F: Forge, J: Journal>(
        &mut self,
        executor: &'h Executor<'_, C, F>,
        reconciler: &mut Reconciler<J>,
        flights: &mut InFlight<'h>,
    ) -> Result<(), JournalError> {
        let jobs = self.jobs.jobs();
        let (now, wrong) = self.now(executor.forge);
        let Some((begun, sight)) = &self.last_observation else { return Ok(()) };
        if begun.elapsed() > OBSERVATION_VALID_FOR || self.polled_at.is_none() || wrong.is_some() {
            return Ok(());
        }
        let observation = with_jobs(sight, jobs);
        match reconciler.react(observation, now, self.settings.plan, &mut || (self.settings.new_id)()) {
            Ok(step) => self.dispatch(step, executor, flights),
            Err(error) if may_pass(&error) => {
                tracing::error!(%error, "nothing is decided until it can be written");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Returns the time, by GitHub's clock where ours is wrong by more than a few minutes, and how far ours is ahead then.
    fn now<F: Forge>(&self, forge: &F) -> (Clocks, Option<SignedDuration>) {
        let wall = (self.settings.clock)();
        let wrong = wrong_clock(forge, wall);
        let wall = wrong.and_then(|ahead| wall.checked_sub(ahead).ok()).unwrap_or(wall);
        (Clocks { wall, uptime: self.born.elapsed() }, wrong)
    }

    fn dispatch<'h, C: Cloud, F: Forge>(
        &mut self,
        step: Reconciliation,
        executor: &'h Executor<'_, C, F>,
        flights: &mut InFlight<'h>,
    ) {
        for order in step.commands {
            if command_key(&order).is_none_or(|key| self.under_way.insert(key)) {
                flights.push(Box::pin(executor.execute(order)));
            }
        }
    }

    fn observation(&mut self, asked: ObservationResult) -> Observation {
        let ObservationResult { begun, at, observation, jobs, offers, prices_at } = asked;
        if let Some(jobs) = jobs {
            self.poll_backoff = SignedDuration::try_from(jobs.rest).unwrap_or(self.settings.poll_every);
            self.jobs.apply_poll(jobs.jobs, &jobs.unseen, begun);
            self.polled_at = Some(at);
        }
        for (name, answer) in offers {
            self.offers.update(&name, answer, at);
        }
        self.prices_at = prices_at.or(self.prices_at);
        Observation {
            begun: Some(begun.saturating_duration_since(self.born)),
            // Before the first poll it is not known what is queued.
            jobs: self.polled_at.map(|_| self.jobs.jobs()),
            offers: self.offers.offers(),
            unanswered: self.offers.unanswered(),
            ..observation
        }
    }

    /// Warns of a wrong clock. Deadlines are instants: when the daemon's clock is far behind, its machines end before they have begun;
    /// when it is far ahead, machines at work seem late.
    fn warn_of_clock<F: Forge>(&self, forge: &F, wrong: Option<SignedDuration>) {
        let ahead = forge.time().map_or(SignedDuration::ZERO, |time| time.ahead((self.settings.clock)()));
        if wrong.is_some() {
            tracing::error!(
                seconds_ahead = ahead.as_secs(),
                "this machine's clock is not GitHub's: nothing is launched and nothing is ended until it is right; let NTP set it"
            );
        } else if ahead.abs() > SKEW_MAX {
            tracing::warn!(
                seconds_ahead = ahead.as_secs(),
                "this machine's clock is not GitHub's: deadlines are off by so much; let NTP set it"
            );
        }
    }
}

/// Returns the repositories that may be served; empty: any.
fn served_repositories(specs: &[Spec]) -> BTreeSet<String> {
    if specs.iter().any(|spec| spec.allow.repositories.is_empty()) {
        return BTreeSet::new();
    }
    specs.iter().flat_map(|spec| spec.allow.repositories.iter().cloned()).collect()
}

/// Returns an older observation with the current jobs: a runner that is known to have got a job since then is not idle.
fn with_jobs(sight: &Observation, jobs: Vec<Job>) -> Observation {
    let mut observation = sight.clone();
    let running = jobs.iter().filter(|job| job.state == JobState::Running);
    let at_work: BTreeSet<&str> = running.filter_map(|job| job.runner.as_deref()).collect();
    for runner in observation.runners.iter_mut().flatten() {
        runner.busy |= at_work.contains(runner.name.as_str());
    }
    observation.jobs = Some(jobs);
    observation
}
