//! Makes observations: clouds and GitHub are asked concurrently. The request is fixed first, so that the reconciler can decide
//! while the answers are on their way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cml_cloud::{
    ByRegion, Cloud, CloudError, Instance, InstanceFilter, InstanceId, InstanceState, LaunchId, Market,
    Offer, SpotPrice,
};
use cml_github::TrackedJob;
use cml_journal::State;
use cml_planner::{JobId, RunnerStatus};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::executor::{Executor, MachineTemplates};
use crate::forge::{Forge, JobList};
use crate::reconcile::Observation;

/// How long offers are valid.
pub(crate) const OFFERS_EVERY: SignedDuration = SignedDuration::from_mins(10);
/// How long spot prices of our machines are valid. They are asked for at once when a machine has ended, to bill it correctly.
pub(crate) const PRICES_EVERY: SignedDuration = SignedDuration::from_mins(10);

/// What an observation asks for.
pub(crate) struct ObservationRequest {
    /// When the request was fixed: what was launched since then need not show.
    pub(crate) begun: Instant,
    pub(crate) now: Timestamp,
    pub(crate) recipes: Arc<MachineTemplates>,
    /// Whether all jobs are asked for.
    pub(crate) poll: bool,
    pub(crate) followed: Vec<TrackedJob>,
    /// The repositories that all specs together serve; empty: any.
    pub(crate) only: BTreeSet<String>,
    /// Specs whose offers are old.
    pub(crate) offers_of: Vec<String>,
    pub(crate) prices_are_fresh: bool,
    pub(crate) machines: Vec<TrackedInstance>,
}

/// A machine that is in the journal.
pub(crate) struct TrackedInstance {
    pub(crate) id: InstanceId,
    pub(crate) offer: Offer,
    pub(crate) prices_known_until: Option<Timestamp>,
}

/// The answers.
pub(crate) struct ObservationResult {
    pub(crate) begun: Instant,
    pub(crate) at: Timestamp,
    pub(crate) observation: Observation,
    pub(crate) jobs: Option<JobList>,
    pub(crate) offers: BTreeMap<String, Result<ByRegion<Offer>, CloudError>>,
    pub(crate) prices_at: Option<Timestamp>,
}

/// Returns true while an answer of `at` is valid; never for a future one: a clock that was set back must not stop the requests.
pub(crate) fn is_fresh(at: Option<Timestamp>, now: Timestamp, good_for: SignedDuration) -> bool {
    at.is_some_and(|at| (SignedDuration::ZERO..good_for).contains(&now.duration_since(at)))
}

impl ObservationRequest {
    pub(crate) fn tracked_instances(state: &State) -> Vec<TrackedInstance> {
        let machine = |(launch, id, offer): (LaunchId, &InstanceId, &Offer)| TrackedInstance {
            id: id.clone(),
            offer: offer.clone(),
            prices_known_until: state.prices_known_until(launch),
        };
        state.instances().map(machine).collect()
    }

    /// Asks clouds and GitHub concurrently.
    pub(crate) async fn observe<C: Cloud, F: Forge>(
        self,
        executor: &Executor<'_, C, F>,
    ) -> ObservationResult {
        let (instances, runners, jobs, offers) = tokio::join!(
            self.instances(executor),
            executor.forge.runners(None),
            self.jobs(executor),
            self.offers(executor),
        );
        let (instances, silent_regions) = match instances {
            Some(it) => (Some(it.found), it.failed.into_iter().map(|failure| failure.region).collect()),
            None => (None, BTreeSet::new()),
        };
        let taken_back = self.interrupted(executor, instances.as_deref()).await;
        let (spot_prices, prices_at, prices_are_whole) =
            self.spot_prices(executor, instances.as_deref()).await;
        let known = |runner: cml_github::Runner| RunnerStatus {
            id: runner.id,
            name: runner.name,
            online: runner.online,
            busy: runner.busy,
            labels: runner.labels,
        };
        let runners = match runners {
            Ok(runners) => Some(runners.into_iter().map(known).collect()),
            Err(error) => {
                tracing::warn!(%error, "GitHub cannot say which runners there are");
                None
            }
        };
        let untold = |listed: &JobList| {
            let ids = self.followed.iter().map(|lost| JobId(lost.job));
            ids.filter(|id| listed.jobs.iter().all(|job| job.id != *id)).collect()
        };
        let untold = jobs.as_ref().map_or_else(Vec::new, untold);
        let shows_within = self.regions().into_iter().map(|region| {
            let lag = executor.cloud.shows_within(&region);
            (region, lag)
        });
        let observation = Observation {
            shows_within: shows_within.collect(),
            instances,
            silent_regions,
            taken_back,
            runners,
            spot_prices,
            prices_are_whole,
            untold,
            ..Observation::default()
        };
        ObservationResult { begun: self.begun, at: self.now, observation, jobs, offers, prices_at }
    }

    /// Returns the regions to ask, with those of machines whose specs have moved or were removed: unasked, they would count as gone.
    fn regions(&self) -> BTreeSet<String> {
        let of_recipes = self.recipes.values().flat_map(|recipe| recipe.query.regions.clone());
        let of_machines = self.machines.iter().map(|machine| machine.offer.region.clone());
        of_recipes.chain(of_machines).collect()
    }

    /// Asks for all machines of this scope by their tags, and for those of ours that have lost their tags by their ids. Of a region
    /// that does not answer one of the two, nothing is known.
    async fn instances<C: Cloud, F: Forge>(
        &self,
        executor: &Executor<'_, C, F>,
    ) -> Option<ByRegion<Instance>> {
        let regions: Vec<String> = self.regions().into_iter().collect();
        let by_tag = InstanceFilter {
            regions: regions.clone(),
            owner: Some(executor.forge.scope()),
            ..InstanceFilter::default()
        };
        let told =
            |error: CloudError| tracing::warn!(%error, "the cloud cannot say which machines there are");
        let mut all = executor.cloud.instances(&by_tag).await.map_err(told).ok()?;
        let shown: BTreeSet<InstanceId> = all.found.iter().map(|instance| instance.id.clone()).collect();
        let missing = || self.machines.iter().filter(|machine| !shown.contains(&machine.id));
        let regions: BTreeSet<String> = missing().map(|machine| machine.offer.region.clone()).collect();
        if !regions.is_empty() {
            let (regions, ids) = (regions.into_iter().collect(), missing().map(|it| it.id.clone()).collect());
            let by_id = InstanceFilter { regions, ids, ..InstanceFilter::default() };
            all.extend(executor.cloud.instances(&by_id).await.map_err(told).ok()?);
        }
        for failure in &all.failed {
            let (region, error) = (&failure.region, &failure.error);
            tracing::warn!(%error, region, "nothing is known of the machines there");
        }
        Some(all)
    }

    /// Asks for interruption notices, only where spot machines run.
    async fn interrupted<C: Cloud, F: Forge>(
        &self,
        executor: &Executor<'_, C, F>,
        instances: Option<&[Instance]>,
    ) -> Vec<InstanceId> {
        let is_spot = |it: &&Instance| it.market == Market::Spot && it.state == InstanceState::Running;
        let regions: BTreeSet<&str> =
            instances.into_iter().flatten().filter(is_spot).map(|it| it.region.as_str()).collect();
        let mut all = Vec::new();
        for region in regions {
            match executor.cloud.interrupted_instances(region).await {
                Ok(ids) => all.extend(ids),
                Err(error) => {
                    tracing::warn!(%error, region, "the cloud cannot say which spot machines it takes back");
                }
            }
        }
        all
    }

    async fn jobs<C: Cloud, F: Forge>(&self, executor: &Executor<'_, C, F>) -> Option<JobList> {
        if !self.poll {
            return None;
        }
        let told = |error| tracing::warn!(%error, "GitHub cannot say which jobs there are");
        executor.forge.jobs(&self.followed, &self.only).await.map_err(told).ok()
    }

    async fn offers<C: Cloud, F: Forge>(
        &self,
        executor: &Executor<'_, C, F>,
    ) -> BTreeMap<String, Result<ByRegion<Offer>, CloudError>> {
        let mut all = BTreeMap::new();
        for name in &self.offers_of {
            let Some(recipe) = self.recipes.get(name) else { continue };
            let answer = executor.cloud.offers(&recipe.query).await;
            match &answer {
                Ok(offers) => {
                    for failure in &offers.failed {
                        let (region, error) = (&failure.region, &failure.error);
                        tracing::warn!(%error, spec = name, region, "it cannot say what is for sale");
                    }
                }
                Err(error) => tracing::warn!(%error, spec = name, "the cloud cannot say what is for sale"),
            }
            all.insert(name.clone(), answer);
        }
        all
    }

    /// Asks for changes of the prices that our spot machines are billed by.
    async fn spot_prices<C: Cloud, F: Forge>(
        &self,
        executor: &Executor<'_, C, F>,
        instances: Option<&[Instance]>,
    ) -> (Vec<SpotPrice>, Option<Timestamp>, bool) {
        let mut pools: BTreeMap<&str, (BTreeSet<&str>, Timestamp)> = BTreeMap::new();
        let alive = instances.into_iter().flatten().filter(|instance| instance.is_alive());
        let alive: BTreeSet<&InstanceId> = alive.map(|instance| &instance.id).collect();
        let mut one_ended = false;
        for machine in &self.machines {
            let (Market::Spot, Some(since)) = (machine.offer.market, machine.prices_known_until) else {
                continue;
            };
            // The clocks may differ, and the price in force at the launch is needed too.
            let since = since.checked_sub(PRICES_EVERY).unwrap_or(since);
            one_ended |= !alive.contains(&machine.id);
            let (types, from) =
                pools.entry(&machine.offer.region).or_insert_with(|| (BTreeSet::new(), since));
            types.insert(&machine.offer.instance_type);
            *from = (*from).min(since);
        }
        if pools.is_empty() || (self.prices_are_fresh && !one_ended) {
            return (Vec::new(), None, true);
        }
        let mut changes = Vec::new();
        let mut whole = true;
        for (region, (types, since)) in pools {
            let types: Vec<String> = types.into_iter().map(str::to_owned).collect();
            match executor.cloud.spot_prices(region, &types, since).await {
                Ok(prices) => changes.extend(prices),
                Err(error) => {
                    whole = false;
                    tracing::warn!(%error, region, "the cloud cannot say what spot costs");
                }
            }
        }
        (changes, whole.then_some(self.now), whole)
    }
}
