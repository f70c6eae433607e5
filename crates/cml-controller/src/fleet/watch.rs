//! How long a launch may show nothing and count all the same.

use std::time::Duration;

use cml_fleet::{LaunchRecord, UNSEEN_GRACE};
use cml_journal::{Journal, State};
use jiff::SignedDuration;

use super::{Fleet, Look};

/// How far a launch is: what it may show changes with that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Decided,
    Called,
    Bought,
}

pub(super) fn stage(state: &State, record: &LaunchRecord) -> Stage {
    match (record.bought.is_some(), state.carried_out_by(record.id)) {
        (true, _) => Stage::Bought,
        (false, Some((_, true))) => Stage::Called,
        (false, _) => Stage::Decided,
    }
}

impl<J: Journal> Fleet<J> {
    /// Launches that are not over, with how long this process has known of each.
    pub(super) fn watch(&mut self, uptime: Duration, look: &Look) -> Vec<LaunchRecord> {
        let mut launches = self.state.launches();
        self.watched.retain(|launch, _| launches.iter().any(|record| record.id == *launch));
        let signed = |time: Duration| SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
        // What is heard of in the very moment in which a look is begun is not in it.
        let just_after = uptime + Duration::from_nanos(1);
        let looked_at = signed(look.begun.unwrap_or(just_after));
        for record in &mut launches {
            let stage = stage(&self.state, record);
            let known = self.watched.entry(record.id).or_insert((stage, just_after));
            if known.0 != stage {
                *known = (stage, just_after);
            }
            record.watched_for = looked_at.saturating_sub(signed(known.1));
            record.shows_within = self.shows_within(record, look);
        }
        launches
    }

    /// How late a machine of this launch may show. How late its cloud shows one is one thing; how long somebody may still buy one is
    /// another, and ends with who carries the launch out.
    fn shows_within(&self, record: &LaunchRecord, look: &Look) -> SignedDuration {
        let region = record.bought.as_ref().map(|offer| &offer.region).or(record.region.as_ref());
        let lag = region.and_then(|region| look.shows_within.get(region)).copied().unwrap_or(UNSEEN_GRACE);
        if record.bought.is_some() {
            return lag;
        }
        match self.state.carried_out_by(record.id) {
            Some((writer, is_called)) if !self.journal.may_act(writer) => {
                if is_called {
                    lag
                } else {
                    SignedDuration::ZERO
                }
            }
            _ => UNSEEN_GRACE,
        }
    }
}
