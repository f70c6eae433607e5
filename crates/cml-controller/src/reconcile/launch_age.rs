//! How long a launch counts although no machine shows.

use std::time::Duration;

use cml_journal::{Journal, State};
use cml_planner::{LaunchRecord, UNSEEN_GRACE};
use jiff::SignedDuration;

use super::{Observation, Reconciler};

/// How far a launch is. What it may show depends on that, and only an observation that was begun later shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its process may still call the cloud, or is not known.
    Open,
    /// The process that decided it has ended before it called the cloud.
    GivenUp,
    /// The process that called the cloud for it has ended.
    Called,
    Bought,
}

pub(super) fn stage(state: &State, journal: &impl Journal, record: &LaunchRecord) -> Stage {
    match state.writer_of(record.id) {
        _ if record.bought.is_some() => Stage::Bought,
        Some((writer, is_called)) if !journal.may_act(writer) => {
            if is_called {
                Stage::Called
            } else {
                Stage::GivenUp
            }
        }
        _ => Stage::Open,
    }
}

impl<J: Journal> Reconciler<J> {
    /// Returns launches that are not over, with how long this process has known of each.
    pub(super) fn launch_ages(&mut self, uptime: Duration, observation: &Observation) -> Vec<LaunchRecord> {
        let mut launches = self.state.launches();
        self.watched.retain(|launch, _| launches.iter().any(|record| record.id == *launch));
        let signed = |time: Duration| SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
        // What becomes known in the very moment in which an observation is begun is not in it.
        let just_after = uptime + Duration::from_nanos(1);
        let looked_at = signed(observation.begun.unwrap_or(just_after));
        for record in &mut launches {
            let stage = stage(&self.state, &self.journal, record);
            let known = self.watched.entry(record.id).or_insert((Stage::Open, just_after));
            if known.0 != stage {
                // Without a call there is no machine, so even an old observation proves that.
                *known = (stage, if stage == Stage::GivenUp { Duration::ZERO } else { just_after });
            }
            record.watched_for = looked_at.saturating_sub(signed(known.1));
            record.shows_within = shows_within(record, stage, observation);
        }
        launches
    }
}

/// Returns how late a machine of this launch may show. That is the cloud's own lag, unless a process may still call the cloud;
/// this possibility ends with the process that executes the launch.
fn shows_within(record: &LaunchRecord, stage: Stage, observation: &Observation) -> SignedDuration {
    let region = record.bought.as_ref().map(|offer| &offer.region).or(record.region.as_ref());
    let lag = region.and_then(|region| observation.shows_within.get(region)).copied();
    match stage {
        Stage::Open => UNSEEN_GRACE,
        Stage::GivenUp => SignedDuration::ZERO,
        Stage::Called | Stage::Bought => lag.unwrap_or(UNSEEN_GRACE),
    }
}
