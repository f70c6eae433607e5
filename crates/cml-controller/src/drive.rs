//! The fleet driven for real: look, decide, carry out, for as long as the process lives.
//!
//! Woken by what is heard of jobs, by calls that have ended, and by the timers that the plan names. A job that is heard of is
//! decided upon at once, by what the last look showed; the look that follows puts right what that could not know. Being
//! killed at any point leaves nothing that the next life does not find.

mod finish;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;

use cml_cloud::{Cloud, LaunchId, LaunchRequest};
use cml_fleet::{Account, Balance, Job, JobState, Observed, Plan, Why, held};
use cml_journal::{Journal, JournalError, State};
use cml_spec::{Period, Spec};
use futures_util::future::LocalBoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::ask::{Asked, PRICES_EVERY, Questions, is_fresh};
use crate::carry::{Done, Hands, Key, LaunchDone, key};
use crate::clock::{Clock, wrong_clock};
use crate::fleet::{self, Fleet, Look, NotLaunched, Now, Planner, Step};
use crate::forge::Forge;
use crate::jobs::JobTable;
use crate::news::{News, Wanted};
use crate::sale::Sale;

/// Between two looks while machines live or jobs wait: people and clouds end machines without telling.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// Between two looks while there is nothing to look after.
const QUIET: Duration = Duration::from_secs(60);
/// Two looks begin at least this far apart, whatever happens: a burst of webhooks or of refusals is one look.
const LOOKS_APART: Duration = Duration::from_secs(2);
/// A look that took longer shows what was, while the journal may have moved on: a machine that is new in the one and missing in
/// the other would count as gone. Far less than the graces of the planner.
const LOOK_MAX: Duration = Duration::from_secs(120);
/// Clocks may differ by this much before it is told: an answer takes its time too.
const SKEW_MAX: SignedDuration = SignedDuration::from_secs(30);
/// Calls under way when the process is asked to stop get this long to end or to be undone. systemd is asked for more.
pub const STOP_WITHIN: Duration = Duration::from_secs(20);
/// What an older look showed is no ground for a launch.
const SIGHT_MAX: Duration = Duration::from_secs(60);

/// What a controller is made of.
pub struct Settings<'a> {
    /// What is wanted; [`News::want`] changes it.
    pub wanted: Wanted,
    /// What its machines are tagged with; none: the journal's own name, made when it is first opened. Two daemons of one scope
    /// need two, and one that loses its journal needs its own again.
    pub name: Option<String>,
    /// Between two polls of all jobs: webhooks are quicker, and may be lost.
    pub poll_every: SignedDuration,
    /// The clock.
    pub clock: Clock<'a>,
    /// Makes launch ids: the time of now and randomness that no other process has.
    pub new_id: &'a (dyn Fn() -> LaunchId + Sync),
    /// Decides.
    pub plan: Planner<'a>,
    /// Hears of every decision that follows a look.
    pub on_step: &'a (dyn Fn(&Told<'_>) + Sync),
}

/// What is known after a decision.
pub struct Told<'a> {
    /// When.
    pub at: Timestamp,
    /// The decision.
    pub step: &'a Step,
    /// What the journal amounts to.
    pub state: &'a State,
    /// What the look showed.
    pub look: &'a Look,
}

/// One process that drives the fleet.
pub struct Controller<'a, C, F, J> {
    hands: Hands<'a, C, F>,
    fleet: Fleet<J>,
    mind: Mind<'a>,
}

type Flights<'h> = FuturesUnordered<LocalBoxFuture<'h, Done<'h>>>;

impl<'a, C: Cloud, F: Forge, J: Journal> Controller<'a, C, F, J> {
    /// Takes a journal over.
    ///
    /// # Errors
    /// [`JournalError`] when it cannot be read, or a new one cannot be written.
    pub fn open(
        cloud: &'a C,
        forge: &'a F,
        journal: J,
        settings: Settings<'a>,
    ) -> Result<Self, JournalError> {
        let mut fleet = Fleet::open(journal, settings.wanted.specs.clone())?;
        fleet.set_budgets(settings.wanted.budgets.clone());
        let new_name = || (settings.new_id)().to_string();
        let name = fleet.name(settings.name.as_deref(), (settings.clock)(), &new_name)?;
        let hands = Hands::new(cloud, forge, name, settings.wanted.recipes.clone(), settings.clock);
        let mind = Mind {
            settings,
            born: Instant::now(),
            jobs: JobTable::default(),
            polled_at: None,
            poll_rest: SignedDuration::ZERO,
            offers: Sale::default(),
            prices_at: None,
            untidy: BTreeMap::new(),
            under_way: BTreeSet::new(),
            sight: None,
            told: BTreeSet::new(),
        };
        Ok(Self { hands, fleet, mind })
    }

    /// Drives the fleet until it is told to stop. Trouble with the cloud or GitHub never ends it.
    ///
    /// # Errors
    /// [`JournalError`] when the journal cannot be understood; one that is full or busy is waited for.
    pub async fn run(self, news: &News, stop: &CancellationToken) -> Result<(), JournalError> {
        // The hands are shared by all calls under way; the rest is changed between them. No arm of a `select!` awaits: a call
        // under way that is not polled may hold what another one waits for.
        let Self { hands, mut fleet, mut mind } = self;
        let mut flights: Flights<'_> = FuturesUnordered::new();
        'looks: loop {
            mind.hear(news, &hands, &mut fleet);
            let look_began = Instant::now();
            let questions = mind.questions(&hands, &fleet);
            let asked = {
                let mut look = pin!(questions.ask(&hands));
                loop {
                    tokio::select! {
                        biased;
                        // Before every decision: what is intended now would not be carried out.
                        () = stop.cancelled() => break 'looks,
                        Some(done) = flights.next() => {
                            if mind.ended(done, &hands, &mut fleet, &flights)? {
                                mind.hurry(&hands, &mut fleet, &mut flights)?;
                            }
                        }
                        () = news.rings() => {
                            if mind.hear(news, &hands, &mut fleet) {
                                mind.hurry(&hands, &mut fleet, &mut flights)?;
                            }
                        }
                        asked = &mut look => break asked,
                    }
                }
            };
            mind.hear(news, &hands, &mut fleet);
            if asked.begun.elapsed() > LOOK_MAX {
                tracing::warn!(
                    seconds = asked.begun.elapsed().as_secs(),
                    "a look took too long to be acted upon"
                );
                continue;
            }
            let pause = mind.decide(asked, &hands, &mut fleet, &mut flights)?;
            mind.tidy_read(&hands, &fleet, &flights);
            let soon = look_began + LOOKS_APART;
            let mut pause = pin!(tokio::time::sleep(pause));
            loop {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => break 'looks,
                    Some(done) = flights.next() => {
                        // A launch that failed may be worth another try at once: somewhere else.
                        if mind.ended(done, &hands, &mut fleet, &flights)? {
                            mind.hurry(&hands, &mut fleet, &mut flights)?;
                            pause.as_mut().reset(soon);
                        }
                    }
                    () = news.rings() => {
                        if mind.hear(news, &hands, &mut fleet) {
                            mind.hurry(&hands, &mut fleet, &mut flights)?;
                            pause.as_mut().reset(soon);
                        }
                    }
                    () = &mut pause => break,
                }
            }
        }
        hands.stop_launching();
        mind.finish(flights, &hands, &mut fleet).await
    }
}

/// Trouble that people or other processes end.
fn may_pass(error: &JournalError) -> bool {
    matches!(
        error,
        JournalError::Full { .. }
            | JournalError::Busy { .. }
            | JournalError::Damaged { .. }
            | JournalError::Other { .. }
    )
}

/// What changes between calls.
struct Mind<'a> {
    settings: Settings<'a>,
    born: Instant,
    jobs: JobTable,
    polled_at: Option<Timestamp>,
    /// What the last poll asks the next one to wait.
    poll_rest: SignedDuration,
    offers: Sale,
    prices_at: Option<Timestamp>,
    /// Launches whose user data still lies beside their machine.
    untidy: BTreeMap<LaunchId, Box<LaunchRequest>>,
    under_way: BTreeSet<Key>,
    /// What the last look showed.
    sight: Option<(Instant, Look)>,
    /// Accounts near a limit that were told of, with the end of the period.
    told: BTreeSet<(Account, Period, Timestamp)>,
}

impl Mind<'_> {
    /// Takes in what was heard; true when something may follow from it.
    fn hear<C: Cloud, F: Forge, J: Journal>(
        &mut self,
        news: &News,
        hands: &Hands<'_, C, F>,
        fleet: &mut Fleet<J>,
    ) -> bool {
        let mut is_news = false;
        for (job, at) in news.take_jobs() {
            is_news |= self.jobs.hear(job, at);
        }
        if let Some(wanted) = news.take_wanted() {
            fleet.set_specs(wanted.specs);
            fleet.retry_refused();
            fleet.set_budgets(wanted.budgets);
            hands.set_recipes(wanted.recipes);
            // What is for sale depends on what is asked for.
            self.offers.forget();
            is_news = true;
        }
        is_news
    }

    /// True when a launch was refused by the cloud.
    fn ended<'h, C: Cloud, F: Forge, J: Journal>(
        &mut self,
        done: Done<'h>,
        hands: &'h Hands<'_, C, F>,
        fleet: &mut Fleet<J>,
        flights: &Flights<'h>,
    ) -> Result<bool, JournalError> {
        let now = self.now(hands.forge).0.wall;
        match done {
            Done::Ready(ready) => {
                let launch = ready.launch;
                let may_call = match hands.goes_on() {
                    Ok(()) => match fleet.calling(launch, now) {
                        Ok(true) => Ok(()),
                        Ok(false) => Err(NotLaunched::Before("it was given up meanwhile".to_owned())),
                        Err(error) if may_pass(&error) => {
                            tracing::error!(%error, %launch, "not called: it cannot be written");
                            Err(NotLaunched::Before(error.to_string()))
                        }
                        Err(error) => return Err(error),
                    },
                    stopping => stopping,
                };
                flights.push(Box::pin(hands.buy(ready, may_call).instrument(fleet::span(launch))));
                Ok(false)
            }
            Done::Tidied => Ok(false),
            Done::Other(key) => {
                self.under_way.remove(&key);
                if let Key::Run(run_id) = key {
                    self.jobs.rerun_asked(run_id, Instant::now());
                }
                Ok(false)
            }
            Done::Launch(done) => {
                let LaunchDone { launch, asked, outcome, request } = *done;
                self.untidy.extend(request.map(|request| (launch, request)));
                match fleet.launched(launch, &asked, &outcome, now) {
                    // The next looks tell the same.
                    Err(error) if may_pass(&error) => tracing::error!(%error, %launch, "not written"),
                    other => other?,
                }
                Ok(matches!(outcome, Err(NotLaunched::Cloud(_))))
            }
        }
    }

    fn questions<C: Cloud, F: Forge, J: Journal>(
        &self,
        hands: &Hands<'_, C, F>,
        fleet: &Fleet<J>,
    ) -> Questions {
        let now = (self.settings.clock)();
        let recipes = hands.recipes();
        let is_old = |name: &&String| self.offers.is_old(name, now);
        Questions {
            begun: Instant::now(),
            now,
            poll: !is_fresh(self.polled_at, now, self.settings.poll_every.max(self.poll_rest)),
            followed: fleet.followed(),
            only: served(fleet.specs()),
            offers_of: recipes.keys().filter(is_old).cloned().collect(),
            prices_are_fresh: is_fresh(self.prices_at, now, PRICES_EVERY),
            machines: Questions::known_machines(fleet.state()),
            recipes,
        }
    }

    /// Decides by a whole look, and says how long there is nothing more to do.
    fn decide<'h, C: Cloud, F: Forge, J: Journal>(
        &mut self,
        asked: Asked,
        hands: &'h Hands<'_, C, F>,
        fleet: &mut Fleet<J>,
        flights: &mut Flights<'h>,
    ) -> Result<Duration, JournalError> {
        let begun = asked.begun;
        let look = self.take_in(asked);
        let (now, wrong) = self.now(hands.forge);
        self.tell_of_clock(hands.forge, wrong);
        self.sight = Some((begun, look.clone()));
        let hold = |observed: &Observed, _: Timestamp| {
            let ahead_seconds = wrong.unwrap_or_default().as_secs();
            Plan { waiting: held(observed, &Why::WrongClock { ahead_seconds }), ..Plan::default() }
        };
        let plan: Planner<'_> = if wrong.is_some() { &hold } else { self.settings.plan };
        // Until GitHub has answered once, nobody can say what time it is: nothing is learned either.
        let step = match hands.forge.time() {
            None => Ok(Step::default()),
            Some(_) => fleet.step(look, now, plan, &mut || (self.settings.new_id)()),
        };
        match step {
            Ok(step) => {
                fleet.forget_ledger();
                self.tell_of_limits(&step.near_limit, now.wall);
                if let Some((_, look)) = &self.sight {
                    let state = fleet.state();
                    (self.settings.on_step)(&Told { at: now.wall, step: &step, state, look });
                }
                let is_quiet = fleet.state().is_quiet() && step.orders.is_empty() && step.waiting.is_empty();
                let poll_every = Duration::try_from(self.settings.poll_every).unwrap_or(QUIET);
                let most = if is_quiet { QUIET.min(poll_every) } else { LOOK_EVERY };
                let due = step.next_look_at.map(|at| at.duration_since(now.wall));
                let due = due.and_then(|due| Duration::try_from(due).ok()).unwrap_or(most);
                self.fly(step, hands, flights);
                Ok(due.clamp(LOOKS_APART, most))
            }
            Err(error) if may_pass(&error) => {
                tracing::error!(%error, "nothing is decided until it can be written");
                Ok(LOOK_EVERY)
            }
            Err(error) => Err(error),
        }
    }

    /// Once a period: whoever reads the log every day has time to act.
    fn tell_of_limits(&mut self, near: &[Balance], now: Timestamp) {
        self.told.retain(|(.., until)| *until > now);
        for it in near {
            if self.told.insert((it.account.clone(), it.period, it.renews_at)) {
                tracing::warn!(
                    account = %it.account,
                    period = %it.period,
                    limit = %it.most,
                    spent = %it.spent,
                    promised = %it.promised,
                    until = %it.renews_at,
                    "a budget is nearly used up: what goes beyond it waits"
                );
            }
        }
    }

    /// Launches for what was heard since the last look, by what it showed.
    fn hurry<'h, C: Cloud, F: Forge, J: Journal>(
        &mut self,
        hands: &'h Hands<'_, C, F>,
        fleet: &mut Fleet<J>,
        flights: &mut Flights<'h>,
    ) -> Result<(), JournalError> {
        let jobs = self.jobs.jobs();
        let (now, wrong) = self.now(hands.forge);
        let Some((begun, sight)) = &self.sight else { return Ok(()) };
        if begun.elapsed() > SIGHT_MAX || self.polled_at.is_none() || wrong.is_some() {
            return Ok(());
        }
        let look = seen_with(sight, jobs);
        match fleet.hurry(look, now, self.settings.plan, &mut || (self.settings.new_id)()) {
            Ok(step) => self.fly(step, hands, flights),
            Err(error) if may_pass(&error) => {
                tracing::error!(%error, "nothing is decided until it can be written");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The time, by GitHub's clock where ours is wrong by more than a few minutes, and how far ours is ahead then.
    fn now<F: Forge>(&self, forge: &F) -> (Now, Option<SignedDuration>) {
        let wall = (self.settings.clock)();
        let wrong = wrong_clock(forge, wall);
        let wall = wrong.and_then(|ahead| wall.checked_sub(ahead).ok()).unwrap_or(wall);
        (Now { wall, uptime: self.born.elapsed() }, wrong)
    }

    fn fly<'h, C: Cloud, F: Forge>(
        &mut self,
        step: Step,
        hands: &'h Hands<'_, C, F>,
        flights: &mut Flights<'h>,
    ) {
        for order in step.orders {
            if key(&order).is_none_or(|key| self.under_way.insert(key)) {
                flights.push(Box::pin(hands.carry_out(order)));
            }
        }
    }

    fn take_in(&mut self, asked: Asked) -> Look {
        let Asked { begun, at, look, jobs, offers, prices_at } = asked;
        if let Some(jobs) = jobs {
            self.poll_rest = SignedDuration::try_from(jobs.rest).unwrap_or(self.settings.poll_every);
            self.jobs.polled(jobs.jobs, &jobs.unseen, begun);
            self.polled_at = Some(at);
        }
        for (name, answer) in offers {
            self.offers.take_in(&name, answer, at);
        }
        self.prices_at = prices_at.or(self.prices_at);
        Look {
            begun: Some(begun.saturating_duration_since(self.born)),
            // Before the first poll nobody knows what is queued.
            jobs: self.polled_at.map(|_| self.jobs.jobs()),
            offers: self.offers.offers(),
            unanswered: self.offers.unanswered(),
            ..look
        }
    }

    /// Deadlines are instants: a machine of a daemon whose clock is far behind ends before it has begun, and by one that is far ahead
    /// machines at work seem late.
    fn tell_of_clock<F: Forge>(&self, forge: &F, wrong: Option<SignedDuration>) {
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

/// The repositories that may be served; empty: any.
fn served(specs: &[Spec]) -> BTreeSet<String> {
    if specs.iter().any(|spec| spec.allow.repositories.is_empty()) {
        return BTreeSet::new();
    }
    specs.iter().flat_map(|spec| spec.allow.repositories.iter().cloned()).collect()
}

/// An older look with the jobs of now: a runner that is known to have a job since then is not idle.
fn seen_with(sight: &Look, jobs: Vec<Job>) -> Look {
    let mut look = sight.clone();
    let running = jobs.iter().filter(|job| job.state == JobState::Running);
    let at_work: BTreeSet<&str> = running.filter_map(|job| job.runner.as_deref()).collect();
    for runner in look.runners.iter_mut().flatten() {
        runner.busy |= at_work.contains(runner.name.as_str());
    }
    look.jobs = Some(jobs);
    look
}
