//! Refusals of the cloud, as the journal keeps them.

use cml_cloud::{CloudError, ErrorKind, Offer, OfferFailure};
use cml_journal::State;
use cml_planner::{Refusal, RefusalKind};

/// Refusals that people can fix, in the configuration or in the permissions.
pub(super) fn curable(state: &State) -> Vec<Refusal> {
    let mut refusals = state.refusals();
    refusals.retain(|it| matches!(it.kind, RefusalKind::Denied | RefusalKind::Invalid));
    refusals
}

/// An offer that the cloud refused.
pub(super) struct Refused {
    pub(super) offer: Offer,
    pub(super) kind: ErrorKind,
    pub(super) of_region: bool,
    pub(super) cause: String,
}

/// Longer messages of a cloud are cut: each refusal is a record of the journal.
const CAUSE_MAX: usize = 200;

/// Returns each refused offer. A call without a machine refuses all offers that it asked for. A call that the cloud refused before
/// it considered the offers refuses the region with them.
pub(super) fn refusals(failures: &[OfferFailure], whole: Option<(&CloudError, &[Offer])>) -> Vec<Refused> {
    let named = |failure: &OfferFailure| {
        let offer = failure.offer.clone()?;
        let cause = cut(&format!("{}: {}", failure.code, failure.message));
        Some(Refused { offer, kind: failure.kind, of_region: false, cause })
    };
    let mut refused: Vec<Refused> = failures.iter().filter_map(named).collect();
    if let Some((error, asked)) = whole {
        for offer in asked {
            let same = |known: &Refused| {
                (&known.offer.instance_type, &known.offer.zone) == (&offer.instance_type, &offer.zone)
            };
            if !refused.iter().any(same) {
                let of_region = error.failures.is_empty();
                let (offer, cause) = (offer.clone(), cut(&error.cause));
                refused.push(Refused { offer, kind: error.kind, of_region, cause });
            }
        }
    }
    refused
}

fn cut(words: &str) -> String {
    let words = words.trim_end_matches([':', ' ']);
    if words.chars().count() <= CAUSE_MAX {
        return words.to_owned();
    }
    words.chars().take(CAUSE_MAX - 1).chain(['…']).collect()
}
