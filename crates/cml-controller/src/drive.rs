//! The fleet driven for real: look, decide, carry out, for as long as the process lives.
//!
//! Woken by what is heard of jobs, by calls that have ended, and by a timer. Being killed at any point leaves nothing that the
//! next life does not find.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use cml_cloud::{Cloud, Instance, InstanceFilter, LaunchId, LaunchRequest, Market, Offer, SpotPrice};
use cml_fleet::{Job, JobId, KnownRunner};
use cml_github::Followed;
use cml_journal::{Journal, JournalError};
use futures_util::stream::{FuturesUnordered, StreamExt};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::carry::{Done, Hands, Key, LaunchDone, key};
use crate::fleet::{Fleet, Look, NotLaunched, Now, Step};
use crate::forge::Forge;
use crate::jobs::JobTable;
use crate::launch::Clock;
use crate::order::Recipe;

/// Between two looks while something is going on.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// Two looks begin at least this far apart, whatever happens: a burst of webhooks or of refusals is one look.
const LOOKS_APART: Duration = Duration::from_secs(2);
/// A look that took longer shows what was, while the journal may have moved on: a machine that is new in the one and missing in
/// the other would count as gone. Far less than the graces of the planner.
const LOOK_MAX: Duration = Duration::from_secs(120);
/// Between two polls of all jobs: webhooks are quicker, and may be lost.
const POLL_EVERY: SignedDuration = SignedDuration::from_secs(60);
/// How long an answer about what is for sale is good for.
const OFFERS_EVERY: SignedDuration = SignedDuration::from_mins(10);
/// Spot prices of pools that we have machines in; they are asked for at once when one has ended, to bill it rightly.
const PRICES_EVERY: SignedDuration = SignedDuration::from_mins(10);

/// Jobs that were heard of and not taken in yet.
#[derive(Debug, Default)]
pub struct News {
    jobs: Mutex<Vec<(Job, Timestamp)>>,
    bell: Notify,
}

impl News {
    /// Tells of a job, as of now.
    pub fn tell(&self, job: Job, now: Timestamp) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).push((job, now));
        self.bell.notify_one();
    }

    fn take(&self) -> Vec<(Job, Timestamp)> {
        std::mem::take(&mut *self.jobs.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a controller is made of.
pub struct Settings<'a> {
    /// What the machines of each spec are made of, by the spec's name.
    pub recipes: &'a BTreeMap<String, Recipe>,
    /// The clock.
    pub clock: Clock<'a>,
    /// Makes launch ids: the time of now and randomness that no other process has.
    pub new_id: &'a (dyn Fn() -> LaunchId + Sync),
    /// Hears of every decision.
    pub on_step: &'a (dyn Fn(&Step) + Sync),
}

/// One process that drives the fleet.
pub struct Controller<'a, C, F, J> {
    hands: Hands<'a, C, F>,
    fleet: Fleet<J>,
    mind: Mind<'a>,
}

/// What was asked, beside the look itself.
struct Asked {
    begun: Instant,
    look: Look,
    jobs: Option<(Timestamp, Vec<Job>)>,
    offers: BTreeMap<String, (Timestamp, Vec<Offer>)>,
    prices_at: Option<Timestamp>,
}

impl<'a, C: Cloud, F: Forge, J: Journal> Controller<'a, C, F, J> {
    /// Takes a fleet over.
    #[must_use]
    pub fn new(cloud: &'a C, forge: &'a F, fleet: Fleet<J>, settings: Settings<'a>) -> Self {
        let hands = Hands::new(cloud, forge, settings.recipes, settings.clock);
        let mind = Mind {
            settings,
            jobs: JobTable::default(),
            polled_at: None,
            offers: BTreeMap::new(),
            prices_at: None,
            untidy: BTreeMap::new(),
            under_way: BTreeSet::new(),
        };
        Self { hands, fleet, mind }
    }

    /// Drives the fleet until it is told to stop. Trouble with the cloud or GitHub never ends it.
    ///
    /// # Errors
    /// [`JournalError`] when the journal cannot be understood; one that is full or busy is waited for.
    pub async fn run(self, news: &News, stop: &CancellationToken) -> Result<(), JournalError> {
        // The hands are shared by all calls under way; the rest is changed between them.
        let Self { hands, mut fleet, mut mind } = self;
        let begun = Instant::now();
        let mut flights = FuturesUnordered::new();
        while !stop.is_cancelled() {
            mind.hear(news);
            let look_began = Instant::now();
            let mut ended = Vec::new();
            let asked = {
                let mut look = pin!(mind.ask(&hands, &fleet));
                loop {
                    tokio::select! {
                        biased;
                        Some(done) = flights.next() => ended.push(done),
                        asked = &mut look => break asked,
                    }
                }
            };
            for done in ended {
                mind.ended(done, &mut fleet)?;
            }
            mind.hear(news);
            if asked.begun.elapsed() > LOOK_MAX {
                tracing::warn!(
                    seconds = asked.begun.elapsed().as_secs(),
                    "a look took too long to be acted upon"
                );
                continue;
            }
            let look = mind.take_in(asked);
            let clocks = Now { wall: (mind.settings.clock)(), uptime: begun.elapsed() };
            match fleet.step(look, clocks, &mut || (mind.settings.new_id)()) {
                Ok(step) => {
                    (mind.settings.on_step)(&step);
                    for order in step.orders {
                        let is_new = key(&order).is_none_or(|key| mind.under_way.insert(key));
                        if is_new {
                            flights.push(hands.carry_out(order));
                        }
                    }
                }
                Err(error) if may_pass(&error) => {
                    tracing::error!(%error, "nothing is decided until it can be written");
                }
                Err(error) => return Err(error),
            }
            mind.tidy(&hands, &fleet).await;
            let soon = look_began + LOOKS_APART;
            let mut pause = pin!(tokio::time::sleep(LOOK_EVERY));
            loop {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => break,
                    Some(done) = flights.next() => {
                        // A launch that failed may be worth another try at once: somewhere else.
                        if matches!(&done, Done::Launch(done) if matches!(done.outcome, Err(NotLaunched::Cloud(_)))) {
                            pause.as_mut().reset(soon);
                        }
                        mind.ended(done, &mut fleet)?;
                    }
                    () = news.bell.notified() => pause.as_mut().reset(soon),
                    () = &mut pause => break,
                }
            }
        }
        Ok(())
    }
}

/// Trouble that people or other processes end.
fn may_pass(error: &JournalError) -> bool {
    matches!(error, JournalError::Full { .. } | JournalError::Busy { .. } | JournalError::Other { .. })
}

/// What changes between calls.
struct Mind<'a> {
    settings: Settings<'a>,
    jobs: JobTable,
    polled_at: Option<Timestamp>,
    offers: BTreeMap<String, (Timestamp, Vec<Offer>)>,
    prices_at: Option<Timestamp>,
    /// Launches whose user data still lies beside their machine.
    untidy: BTreeMap<LaunchId, Box<LaunchRequest>>,
    under_way: BTreeSet<Key>,
}

impl Mind<'_> {
    fn hear(&mut self, news: &News) {
        for (job, at) in news.take() {
            self.jobs.hear(job, at);
        }
    }

    fn ended<J: Journal>(&mut self, done: Done, fleet: &mut Fleet<J>) -> Result<(), JournalError> {
        match done {
            Done::Other(key) => {
                self.under_way.remove(&key);
                if let Key::Run(run_id) = key {
                    self.jobs.rerun_asked(run_id, (self.settings.clock)());
                }
            }
            Done::Launch(done) => {
                let LaunchDone { launch, asked, outcome, request } = *done;
                self.untidy.extend(request.map(|request| (launch, request)));
                match fleet.launched(launch, &asked, &outcome, (self.settings.clock)()) {
                    // The next looks tell the same.
                    Err(error) if may_pass(&error) => tracing::error!(%error, %launch, "not written"),
                    other => other?,
                }
            }
        }
        Ok(())
    }

    /// Asks everybody at once.
    async fn ask<C: Cloud, F: Forge, J: Journal>(&self, hands: &Hands<'_, C, F>, fleet: &Fleet<J>) -> Asked {
        let begun = Instant::now();
        let now = (self.settings.clock)();
        let followed = fleet.followed();
        let (instances, runners, jobs, offers) = tokio::join!(
            instances(hands, fleet),
            hands.forge.runners(None),
            self.poll(hands, &followed, now),
            self.ask_offers(hands, now),
        );
        let (spot_prices, prices_at, prices_are_whole) =
            self.ask_prices(hands, fleet, instances.as_deref(), now).await;
        let known = |runner: cml_github::Runner| KnownRunner {
            id: runner.id,
            name: runner.name,
            online: runner.online,
            busy: runner.busy,
        };
        let runners = match runners {
            Ok(runners) => Some(runners.into_iter().map(known).collect()),
            Err(error) => {
                tracing::warn!(%error, "GitHub cannot say which runners there are");
                None
            }
        };
        let untold = |listed: &Vec<Job>| {
            let ids = followed.iter().map(|lost| JobId(lost.job));
            ids.filter(|id| listed.iter().all(|job| job.id != *id)).collect()
        };
        let untold = jobs.as_ref().map_or_else(Vec::new, untold);
        let look = Look { instances, runners, spot_prices, prices_are_whole, untold, ..Look::default() };
        Asked { begun, look, jobs: jobs.map(|jobs| (now, jobs)), offers, prices_at }
    }

    /// All jobs, when it is time to ask for them.
    async fn poll<C: Cloud, F: Forge>(
        &self,
        hands: &Hands<'_, C, F>,
        followed: &[Followed],
        now: Timestamp,
    ) -> Option<Vec<Job>> {
        // A clock that was set back must not stop the polls.
        let age = self.polled_at.map(|at| now.duration_since(at));
        if age.is_some_and(|age| (SignedDuration::ZERO..POLL_EVERY).contains(&age)) {
            return None;
        }
        match hands.forge.jobs(followed).await {
            Ok(jobs) => Some(jobs),
            Err(error) => {
                tracing::warn!(%error, "GitHub cannot say which jobs there are");
                None
            }
        }
    }

    async fn ask_offers<C: Cloud, F: Forge>(
        &self,
        hands: &Hands<'_, C, F>,
        now: Timestamp,
    ) -> BTreeMap<String, (Timestamp, Vec<Offer>)> {
        let mut all = BTreeMap::new();
        for (name, recipe) in hands.recipes {
            let is_fresh =
                |at: &Timestamp| (SignedDuration::ZERO..OFFERS_EVERY).contains(&now.duration_since(*at));
            if self.offers.get(name).is_some_and(|(at, _)| is_fresh(at)) {
                continue;
            }
            match hands.cloud.offers(&recipe.query).await {
                Ok(offers) => {
                    all.insert(name.clone(), (now, offers));
                }
                Err(error) => tracing::warn!(%error, spec = name, "the cloud cannot say what is for sale"),
            }
        }
        all
    }

    /// Changes of the prices that our spot machines are billed by.
    async fn ask_prices<C: Cloud, F: Forge, J: Journal>(
        &self,
        hands: &Hands<'_, C, F>,
        fleet: &Fleet<J>,
        instances: Option<&[Instance]>,
        now: Timestamp,
    ) -> (Vec<SpotPrice>, Option<Timestamp>, bool) {
        let state = fleet.state();
        let mut pools: BTreeMap<&str, (BTreeSet<&str>, Timestamp)> = BTreeMap::new();
        let mut one_ended = false;
        for (launch, id, offer) in state.machines() {
            let (Market::Spot, Some(since)) = (offer.market, state.prices_known_until(launch)) else {
                continue;
            };
            // The clocks may differ, and the price in force at the purchase is wanted too.
            let since = since.checked_sub(PRICES_EVERY).unwrap_or(since);
            let shown = instances.into_iter().flatten().find(|instance| instance.id == *id);
            one_ended |= shown.is_none_or(|instance| !instance.is_alive());
            let (types, from) = pools.entry(&offer.region).or_insert_with(|| (BTreeSet::new(), since));
            types.insert(&offer.instance_type);
            *from = (*from).min(since);
        }
        let age = self.prices_at.map(|at| now.duration_since(at));
        let is_fresh = age.is_some_and(|age| (SignedDuration::ZERO..PRICES_EVERY).contains(&age));
        if pools.is_empty() || (is_fresh && !one_ended) {
            return (Vec::new(), None, true);
        }
        let mut changes = Vec::new();
        let mut whole = true;
        for (region, (types, since)) in pools {
            let types: Vec<String> = types.into_iter().map(str::to_owned).collect();
            match hands.cloud.spot_prices(region, &types, since).await {
                Ok(prices) => changes.extend(prices),
                Err(error) => {
                    whole = false;
                    tracing::warn!(%error, region, "the cloud cannot say what spot costs");
                }
            }
        }
        (changes, whole.then_some(now), whole)
    }

    fn take_in(&mut self, asked: Asked) -> Look {
        if let Some((at, jobs)) = asked.jobs {
            self.jobs.polled(jobs, at);
            self.polled_at = Some(at);
        }
        self.offers.extend(asked.offers);
        self.prices_at = asked.prices_at.or(self.prices_at);
        let offers = self.offers.iter().map(|(name, (_, offers))| (name.clone(), offers.clone()));
        Look {
            // Before the first poll nobody knows what is queued.
            jobs: self.polled_at.map(|_| self.jobs.jobs()),
            offers: offers.collect(),
            ..asked.look
        }
    }

    /// Removes what lies beside machines that have read it: their runners have been online, or they are gone.
    async fn tidy<C: Cloud, F: Forge, J: Journal>(&mut self, hands: &Hands<'_, C, F>, fleet: &Fleet<J>) {
        let launches = fleet.state().launches();
        let is_read = |launch: &LaunchId| {
            launches
                .iter()
                .find(|record| record.id == *launch)
                .is_none_or(|record| record.online_at.is_some())
        };
        let read: Vec<LaunchId> = self.untidy.keys().copied().filter(is_read).collect();
        for launch in read {
            if let Some(request) = self.untidy.remove(&launch)
                && let Err(error) = hands.cloud.tidy(&request).await
            {
                tracing::warn!(%error, %launch, "its launch template is left; `cml-runner reap` removes it");
            }
        }
    }
}

/// All machines of ours: by their tags, and those that have lost them by their ids.
async fn instances<C: Cloud, F: Forge, J: Journal>(
    hands: &Hands<'_, C, F>,
    fleet: &Fleet<J>,
) -> Option<Vec<Instance>> {
    // Also where we still have machines of specs that have moved or are gone: not looking there would count them as gone.
    let of_recipes = hands.recipes.values().flat_map(|recipe| recipe.query.regions.clone());
    let of_machines = fleet.state().machines().map(|(.., offer)| offer.region.clone());
    let regions: BTreeSet<String> = of_recipes.chain(of_machines).collect();
    let regions: Vec<String> = regions.into_iter().collect();
    let by_tag = InstanceFilter {
        regions: regions.clone(),
        owner: Some(hands.forge.scope()),
        ..InstanceFilter::default()
    };
    let told = |error: cml_cloud::CloudError| tracing::warn!(%error, "the cloud cannot say which machines there are");
    let mut all = hands.cloud.instances(&by_tag).await.map_err(told).ok()?;
    let missing: Vec<_> = fleet
        .state()
        .machines()
        .filter(|(_, id, _)| all.iter().all(|instance| instance.id != **id))
        .map(|(_, id, _)| id.clone())
        .collect();
    if !missing.is_empty() {
        let by_id = InstanceFilter { regions, ids: missing, ..InstanceFilter::default() };
        all.extend(hands.cloud.instances(&by_id).await.map_err(told).ok()?);
    }
    Some(all)
}
