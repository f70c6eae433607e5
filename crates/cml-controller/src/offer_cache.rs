//! The offer cache: each spec's offers by its regions' last answers. A region that does not answer takes nothing from the others.

use std::collections::BTreeMap;

use cml_cloud::{ByRegion, CloudError, Offer};
use jiff::{SignedDuration, Timestamp};

use crate::observe::{OFFERS_EVERY, is_fresh};

/// How long offers of a region that does not answer stay valid: its prices and its zones change slowly.
const KEPT: SignedDuration = SignedDuration::from_hours(1);
/// A region that did not answer is asked again after this.
const AGAIN: SignedDuration = SignedDuration::from_mins(1);

/// Offers of one spec.
#[derive(Debug, Default)]
struct PoolOffers {
    asked_at: Option<Timestamp>,
    offers: Vec<Offer>,
    /// When each region last answered.
    told_at: BTreeMap<String, Timestamp>,
    /// Why regions did not answer, each with its name.
    unanswered: Vec<String>,
}

/// Offers of all specs.
#[derive(Debug, Default)]
pub(crate) struct OfferCache(BTreeMap<String, PoolOffers>);

impl OfferCache {
    /// Returns whether it is time to ask for this spec's offers.
    pub(crate) fn is_stale(&self, spec: &str, now: Timestamp) -> bool {
        let Some(known) = self.0.get(spec) else { return true };
        let good_for = if known.unanswered.is_empty() { OFFERS_EVERY } else { AGAIN };
        !is_fresh(known.asked_at, now, good_for)
    }

    /// Applies an answer of this time.
    pub(crate) fn update(&mut self, spec: &str, answer: Result<ByRegion<Offer>, CloudError>, at: Timestamp) {
        let known = self.0.entry(spec.to_owned()).or_default();
        known.asked_at = Some(at);
        let before = std::mem::take(&mut known.offers);
        let is_kept = |told_at: &BTreeMap<String, Timestamp>, offer: &Offer| {
            told_at.get(&offer.region).is_some_and(|told| at.duration_since(*told) < KEPT)
        };
        match answer {
            Ok(answer) => {
                known.unanswered = answer
                    .failed
                    .iter()
                    .map(|failure| format!("{}: {}", failure.region, failure.error.cause_and_cure()))
                    .collect();
                let failed = |region: &str| answer.failed.iter().any(|failure| failure.region == region);
                for offer in &answer.found {
                    known.told_at.insert(offer.region.clone(), at);
                }
                known.offers = answer.found;
                let kept = before.into_iter().filter(|offer| failed(&offer.region));
                known.offers.extend(kept.filter(|offer| is_kept(&known.told_at, offer)));
            }
            Err(error) => {
                known.unanswered = vec![format!("{}: {}", error.doing, error.cause_and_cure())];
                known.offers = before.into_iter().filter(|offer| is_kept(&known.told_at, offer)).collect();
            }
        }
    }

    /// Forgets everything: offers depend on what is asked for.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn offers(&self) -> BTreeMap<String, Vec<Offer>> {
        self.0.iter().map(|(spec, known)| (spec.clone(), known.offers.clone())).collect()
    }

    pub(crate) fn unanswered(&self) -> BTreeMap<String, Vec<String>> {
        let some = self.0.iter().filter(|(_, known)| !known.unanswered.is_empty());
        some.map(|(spec, known)| (spec.clone(), known.unanswered.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use cml_cloud::{Arch, Driver, ErrorKind, Market, Resources};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn offer(region: &str) -> Offer {
        Offer {
            region: region.to_owned(),
            zone: None,
            instance_type: "g5.xlarge".to_owned(),
            market: Market::Spot,
            price: None,
            resources: Resources { vcpus: 4, memory_mib: 16_384, gpu: None, arch: Arch::X64 },
            disk: None,
            quota: None,
            driver: Driver::Nvidia,
        }
    }

    fn denied() -> CloudError {
        CloudError::new(ErrorKind::Denied, "asking", "AuthFailure: not enabled")
    }

    fn regions(sale: &OfferCache) -> Vec<String> {
        sale.offers().remove("gpu").unwrap_or_default().into_iter().map(|offer| offer.region).collect()
    }

    #[test]
    fn a_region_that_fails_takes_nothing_from_the_others_and_is_believed_for_an_hour() {
        let mut sale = OfferCache::default();
        let whole = ByRegion::whole(vec![offer("us-west-2"), offer("us-east-1")]);
        sale.update("gpu", Ok(whole), at(0));
        assert!(!sale.is_stale("gpu", at(500)) && sale.is_stale("gpu", at(700)));
        let mut half = ByRegion::whole(vec![offer("us-east-1")]);
        half.add("us-west-2", Err(denied()));
        sale.update("gpu", Ok(half.clone()), at(700));
        assert_eq!(regions(&sale), ["us-east-1", "us-west-2"]);
        assert_eq!(sale.unanswered()["gpu"], ["us-west-2: AuthFailure: not enabled"]);
        assert!(sale.is_stale("gpu", at(800)), "it is asked again soon");
        sale.update("gpu", Ok(half), at(3700));
        assert_eq!(regions(&sale), ["us-east-1"]);
        sale.update("gpu", Err(denied()), at(3800));
        assert_eq!(regions(&sale), ["us-east-1"], "all are silent now");
        sale.update("gpu", Err(denied()), at(9000));
        assert_eq!(regions(&sale), Vec::<String>::new());
    }
}
