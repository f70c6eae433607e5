//! Jobs that every pool of the world refuses, one kind for each rule: they may cost nothing (L8).

use cml_cloud::Usd;
use cml_planner::{Job, PlanningInput};
use cml_spec::{Budget, Limits, Spec, Whose};
use rust_decimal::Decimal;

use super::fault::{Fault, Faults};
use super::rng::Rng;
use super::world::OWNER;

/// Percentage of runs of each kind that is armed.
const PER_HUNDRED: i64 = 5;
/// The repository whose budget is spent.
const POOR: &str = "acme/poor";
const EVENT: &str = "push";
const ACTOR: &str = "mona";

/// Reason why every pool refuses a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stranger {
    Fork,
    Event,
    Actor,
    Repository,
    /// Its repository's budget is spent.
    Poor,
}

impl Stranger {
    const ALL: [Self; 5] = [Self::Fork, Self::Event, Self::Actor, Self::Repository, Self::Poor];

    pub(crate) fn fault(self) -> Fault {
        match self {
            Self::Fork => Fault::Fork,
            Self::Event => Fault::OtherEvent,
            Self::Actor => Fault::OtherActor,
            Self::Repository => Fault::OtherRepository,
            Self::Poor => Fault::Poor,
        }
    }

    /// Returns the kinds that are armed in this history.
    pub(crate) fn armed(faults: &Faults) -> Vec<Self> {
        Self::ALL.into_iter().filter(|kind| faults.is_armed(kind.fault())).collect()
    }

    /// Draws whether a run is a stranger's, and by which rule.
    pub(crate) fn draw(armed: &[Self], chance: &mut Rng) -> Option<Self> {
        armed.iter().copied().find(|_| chance.below(100) < PER_HUNDRED)
    }

    /// Makes every pool refuse these kinds; its other rules stay.
    pub(crate) fn refuse(armed: &[Self], specs: &mut [Spec]) {
        for allow in specs.iter_mut().map(|spec| &mut spec.allow) {
            for kind in armed {
                match kind {
                    Self::Event => allow.events = vec![EVENT.to_owned()],
                    Self::Actor => allow.actors = vec![ACTOR.to_owned()],
                    Self::Repository => allow.repositories = vec![OWNER.to_owned(), POOR.to_owned()],
                    Self::Fork | Self::Poor => {}
                }
            }
        }
    }

    pub(crate) fn budgets(armed: &[Self]) -> Vec<Budget> {
        let nothing = Limits::of_day(Usd(Decimal::ZERO));
        let poor = Budget { whose: Whose::Repository(Some(POOR.to_owned())), limits: nothing };
        if armed.contains(&Self::Poor) { vec![poor] } else { Vec::new() }
    }
}

/// Sets the repository, actor and origin of a job as GitHub reports them.
pub(crate) fn sign(job: Job, stranger: Option<Stranger>) -> Job {
    let is = |kind: Stranger| stranger == Some(kind);
    let repository = match stranger {
        Some(Stranger::Repository) => "acme/other",
        Some(Stranger::Poor) => POOR,
        _ => OWNER,
    };
    let actor = if is(Stranger::Actor) { "mallory" } else { ACTOR };
    Job {
        from_fork: is(Stranger::Fork),
        event: if is(Stranger::Event) { "issue_comment" } else { EVENT }.to_owned(),
        // GitHub names the login whose token requested an attempt.
        actor: if job.attempt > 1 { "cml-runner[bot]" } else { actor }.to_owned(),
        repository: repository.to_owned(),
        ..job
    }
}

/// Returns whether a budget refuses a job, whatever a machine costs, unless GitHub has assigned a machine to a job of
/// its repository.
pub(crate) fn is_poor(job: &Job, observed: &PlanningInput) -> bool {
    let is_given = || observed.launches.iter().any(|record| record.repository.as_deref() == Some(POOR));
    job.repository == POOR && !is_given()
}
