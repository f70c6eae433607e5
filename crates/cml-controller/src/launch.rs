//! One launch: registration, machine, runner online; or nothing at all.
//!
//! What to buy next is the fleet's decision here as in the daemon: one spec, one job, at most one machine.

use std::collections::BTreeMap;
use std::time::Duration;

use cml_cloud::{Cloud, CloudError, Deadline, ErrorKind, Instance, InstanceId, Launched, Offer};
use cml_fleet::{Job, JobId, JobState};
use cml_github::Runner;
use cml_journal::{Journal, JournalError};
use cml_spec::{Allow, Forks, Idle, Reruns, Spec};
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::event::Event;
use crate::failure::{Failure, Reason};
use crate::fleet::{self, Fleet, Look, NotLaunched, Now};
use crate::forge::Forge;
use crate::order::{Order, Reuse};
use crate::steps::{Registered, Steps};
use crate::undo::{Made, RunnerMade};
use crate::wait::{Wait, until_online};

/// The clock, as whoever runs this reads it.
pub type Clock<'a> = &'a (dyn Fn() -> Timestamp + Sync);

/// What a launch gave.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// A runner that was there already will do.
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
    /// What was bought; none when another process bought it.
    pub offer: Option<Offer>,
    /// Region, for later calls.
    pub region: String,
    /// When it must be gone.
    pub deadline: Deadline,
}

/// Obtains one machine for one order, or leaves nothing. The journal is the order's own.
///
/// `stop` asks it to give up: calls under way are awaited (their outcome must be known to be undone), waiting is not.
///
/// # Errors
/// [`Failure`] with a reason to branch on, after everything that was made has been removed.
pub async fn launch<C: Cloud, F: Forge, J: Journal>(
    order: &Order,
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
    let fleet = Fleet::open(journal, Vec::new()).map_err(Reason::Journal)?;
    let mut made = Made::default();
    let steps = Steps { order, cloud, forge, tell, stop, may_repeat: &|| true };
    let mut one = One { steps, fleet, clock };
    match one.run(&mut made).await {
        Ok(outcome) => Ok(outcome),
        Err(reason) => {
            if !made.is_empty() {
                tell(Event::Undoing);
            }
            let left_behind = made.undo(cloud, forge).await;
            Err(Failure { reason: reason.heard(), left_behind })
        }
    }
}

/// An existing runner that serves the order, if the order allows one.
async fn reusable<F: Forge>(order: &Order, forge: &F) -> Result<Option<Runner>, Reason> {
    if order.reuse == Reuse::Never {
        return Ok(None);
    }
    let runners = forge.runners(None).await.map_err(Reason::GitHub)?;
    let fits = |runner: &Runner| {
        let labels_fit = order
            .recipe
            .labels
            .iter()
            .all(|wanted| runner.labels.iter().any(|has| has.eq_ignore_ascii_case(wanted)));
        runner.online && labels_fit && (order.reuse == Reuse::Online || !runner.busy)
    };
    let same_name = |runner: &Runner| runner.name.eq_ignore_ascii_case(&order.runner_name);
    Ok(runners.into_iter().find(|runner| fits(runner) || (order.reuse == Reuse::Online && same_name(runner))))
}

/// A fleet of one.
struct One<'a, C, F, J> {
    steps: Steps<'a, C, F>,
    fleet: Fleet<J>,
    clock: Clock<'a>,
}

impl<C: Cloud, F: Forge, J: Journal> One<'_, C, F, J> {
    async fn run(&mut self, made: &mut Made) -> Result<Outcome, Reason> {
        let (order, cloud) = (self.steps.order, self.steps.cloud);
        let offers = cloud.offers(&order.recipe.query).await.map_err(Reason::Cloud)?.found;
        (self.steps.tell)(Event::Offers { count: offers.len() });
        self.steps.not_interrupted()?;
        let registration = match self.steps.register(made).await? {
            Registered::Fresh(registration) => registration,
            Registered::Elsewhere(instance, runner) => return self.adopt(*instance, &runner).await,
        };
        (self.steps.tell)(Event::Registered { runner: order.runner_name.clone() });
        self.steps.not_interrupted()?;
        let user_data = self.steps.render(registration, &offers).await?;
        let launched = self.buy(&offers, &user_data, made).await?;
        (self.steps.tell)(Event::Bought { instance: launched.id.clone(), offer: launched.offer.clone() });
        self.steps.not_interrupted()?;
        if let Some(runner) = &made.runner {
            self.wait_for(runner, &launched.offer.region, &launched.id).await?;
            self.fleet.online(order.launch, (self.clock)()).map_err(Reason::Journal)?;
        }
        (self.steps.tell)(Event::Online { runner: order.runner_name.clone() });
        if let Some(request) = &made.request
            && let Err(error) = cloud.tidy(request).await
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

    /// Asks the fleet what to buy, buys it, tells the fleet what came of it, until there is a machine or no way to one.
    async fn buy(
        &mut self,
        offers: &[Offer],
        user_data: &cml_cloud::UserData,
        made: &mut Made,
    ) -> Result<Launched, Reason> {
        let launch = self.steps.order.launch;
        // An earlier life of this launch may have got as far as here. The same calls with the same tokens give the same
        // machine.
        let again = Err(NotLaunched::Before("begun again with the same launch id".to_owned()));
        if self.fleet.state().launches().iter().any(|record| record.id == launch) {
            self.fleet.launched(launch, &[], &again, (self.clock)()).map_err(Reason::Journal)?;
        }
        let mut refusals: Vec<CloudError> = Vec::new();
        for attempt in 1.. {
            self.steps.not_interrupted()?;
            let Some(group) = self.decide(offers).map_err(Reason::Journal)? else { break };
            if let Some(previous) = made.request.take()
                && let Err(error) = self.steps.cloud.tidy(&previous).await
            {
                tracing::warn!(%error, "what the refused call left could not be removed; `cml-runner reap` will do it");
            }
            let request = self.steps.request(group.clone(), attempt, user_data.clone());
            (self.steps.tell)(Event::Buying { offers: group.clone(), attempt });
            made.request = Some(request.clone());
            let result = self.steps.call(&request, made).await.map_err(NotLaunched::Cloud);
            self.fleet.launched(launch, &group, &result, (self.clock)()).map_err(Reason::Journal)?;
            match result {
                Ok(launched) => {
                    made.instance = Some((launched.offer.region.clone(), launched.id.clone()));
                    if !launched.failures.is_empty() {
                        (self.steps.tell)(Event::Refused { failures: launched.failures.clone() });
                    }
                    return Ok(launched);
                }
                Err(NotLaunched::Cloud(error)) => match error.kind {
                    ErrorKind::Capacity | ErrorKind::Quota | ErrorKind::Throttled => {
                        (self.steps.tell)(Event::Refused { failures: error.failures.clone() });
                        refusals.push(error);
                    }
                    ErrorKind::Denied | ErrorKind::Invalid | ErrorKind::Transient => {
                        return Err(Reason::Cloud(error));
                    }
                },
                Err(NotLaunched::Before(_)) => {}
            }
        }
        Err(Reason::NoCapacity(refusals))
    }

    /// What to ask the cloud for now; none when the fleet knows nothing any more. The intent is in the journal then.
    fn decide(&mut self, offers: &[Offer]) -> Result<Option<Vec<Offer>>, JournalError> {
        let order = self.steps.order;
        let now = (self.clock)();
        self.fleet.set_specs(vec![spec(order, now)]);
        let look = Look {
            jobs: Some(vec![job(order, now)]),
            runners: Some(Vec::new()),
            offers: BTreeMap::from([(order.recipe.spec.clone(), offers.to_vec())]),
            ..Look::default()
        };
        let step = self.fleet.step(look, Now { wall: now, uptime: Duration::ZERO }, &mut || order.launch)?;
        Ok(step.orders.into_iter().find_map(|order| match order {
            fleet::Order::Launch { offers, .. } => Some(offers),
            _ => None,
        }))
    }

    /// Waits for a machine that another process launched under the same id. It is not ours to undo.
    async fn adopt(&self, instance: Instance, runner: &RunnerMade) -> Result<Outcome, Reason> {
        let order = self.steps.order;
        (self.steps.tell)(Event::Adopted { instance: instance.id.clone() });
        self.wait_for(runner, &instance.region, &instance.id).await?;
        (self.steps.tell)(Event::Online { runner: order.runner_name.clone() });
        Ok(Outcome::Launched(Box::new(Launch {
            runner: order.runner_name.clone(),
            deadline: instance.deadline.unwrap_or(order.deadline),
            instance: instance.id,
            offer: None,
            region: instance.region,
        })))
    }

    async fn wait_for(&self, runner: &RunnerMade, region: &str, instance: &InstanceId) -> Result<(), Reason> {
        let Steps { order, cloud, forge, tell, stop, .. } = self.steps;
        let boot_timeout = Duration::try_from(order.recipe.boot_timeout).unwrap_or_default();
        let wait = Wait { runner, launch: order.launch, region, instance, boot_timeout };
        until_online(&wait, cloud, forge, tell, stop).await
    }
}

/// The order as a spec of at most one machine.
fn spec(order: &Order, now: Timestamp) -> Spec {
    let recipe = &order.recipe;
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

/// The job that the machine is for, as far as this process knows it: somebody who asks for exactly these labels.
fn job(order: &Order, now: Timestamp) -> Job {
    Job {
        id: JobId(0),
        run_id: 0,
        attempt: 1,
        name: "launch".to_owned(),
        repository: String::new(),
        labels: order.recipe.labels.clone(),
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
