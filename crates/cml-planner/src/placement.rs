//! Placement: chooses among offers, without those that have a cooldown.

use std::collections::BTreeMap;

use cml_cloud::{Market, Offer, SpotPolicy};
use cml_spec::Spec;
use jiff::{SignedDuration, Timestamp};

use crate::input::{Job, PlanningInput, Refusal, RefusalKind};
use crate::labels::Demand;
use crate::wait_reason::WaitReason;

/// First cooldown after missing capacity; each further refusal doubles it.
const CAPACITY_FIRST: SignedDuration = SignedDuration::from_mins(3);
/// Longest cooldown after missing capacity.
const CAPACITY_LAST: SignedDuration = SignedDuration::from_mins(30);
/// Cooldown of a region that throttles.
const THROTTLED: SignedDuration = SignedDuration::from_secs(20);
/// Cooldown after a missing permission, which people grant.
const DENIED: SignedDuration = SignedDuration::from_mins(5);
/// Cooldown after an invalid request (its key, group, image, disk): people fix these, too, and each try registers a runner in vain.
const INVALID: SignedDuration = SignedDuration::from_mins(15);
/// Cooldown of a region that does not answer: a launch whose outcome is unknown counts until no machine can come any more, and the
/// other regions are tried first.
const SILENT: SignedDuration = SignedDuration::from_mins(10);
/// Cooldown of a quota: it may be raised meanwhile. Falling usage ends the cooldown at once.
const QUOTA: SignedDuration = SignedDuration::from_mins(15);

/// Returns true when the provider counts both against one quota.
#[must_use]
pub fn same_quota(one: &Offer, other: &Offer) -> bool {
    quota_of(one) == quota_of(other)
}

/// What counts together, as the provider states; a type whose quota is not known counts alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum QuotaClass<'a> {
    Together(&'a str),
    Alone(&'a str),
}

/// Region, what is counted, market.
type QuotaKey<'a> = (&'a str, QuotaClass<'a>, Market);
/// Type, zone and market.
type PoolKey<'a> = (&'a str, Option<&'a str>, Market);

fn quota_of(offer: &Offer) -> QuotaKey<'_> {
    quota_key(&offer.region, offer.quota.as_deref(), &offer.instance_type, offer.market)
}

fn quota_key<'a>(
    region: &'a str,
    quota: Option<&'a str>,
    instance_type: &'a str,
    market: Market,
) -> QuotaKey<'a> {
    (region, quota.map_or(QuotaClass::Alone(instance_type), QuotaClass::Together), market)
}

/// Refusals by offer, and what is in use of each quota.
pub(crate) struct Placement<'a> {
    offers: &'a BTreeMap<String, Vec<Offer>>,
    unanswered: &'a BTreeMap<String, Vec<String>>,
    pools: BTreeMap<PoolKey<'a>, Vec<&'a Refusal>>,
    quotas: BTreeMap<QuotaKey<'a>, &'a Refusal>,
    regions: BTreeMap<&'a str, Vec<&'a Refusal>>,
    in_use: BTreeMap<QuotaKey<'a>, u32>,
    now: Timestamp,
}

/// A reason to skip an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cooldown<'a> {
    until: Timestamp,
    said: &'static str,
    /// It is skipped only while there is another offer.
    is_last_resort: bool,
    refusal: &'a Refusal,
}

impl<'a> Placement<'a> {
    pub(crate) fn open(observed: &'a PlanningInput, now: Timestamp) -> Self {
        let mut shop = Self {
            offers: &observed.offers,
            unanswered: &observed.unanswered,
            pools: BTreeMap::new(),
            quotas: BTreeMap::new(),
            regions: BTreeMap::new(),
            in_use: BTreeMap::new(),
            now,
        };
        for refusal in &observed.refusals {
            match refusal.kind {
                RefusalKind::Quota { .. } => {
                    let quota = refusal.quota.as_deref();
                    let key = quota_key(&refusal.region, quota, &refusal.instance_type, refusal.market);
                    let latest = shop.quotas.entry(key).or_insert(refusal);
                    if refusal.at > latest.at {
                        *latest = refusal;
                    }
                }
                RefusalKind::Throttled | RefusalKind::Denied | RefusalKind::Silent if refusal.of_region => {
                    shop.regions.entry(&refusal.region).or_default().push(refusal);
                }
                _ => {
                    let key = (refusal.instance_type.as_str(), refusal.zone.as_deref(), refusal.market);
                    shop.pools.entry(key).or_default().push(refusal);
                }
            }
        }
        // All launches that are not over: EC2 counts terminating machines too.
        for record in &observed.launches {
            if let Some(offer) = &record.bought {
                *shop.in_use.entry(quota_of(offer)).or_default() += record.vcpus;
            }
        }
        shop
    }

    /// Returns the offers to ask the cloud for: all of the first region and market that has some, best first.
    ///
    /// All markets of the spec in all regions are tried: spot in the first region, spot in the others, then on-demand in the same
    /// order, which is the provider's. With a job, only offers on which it may run.
    pub(crate) fn select_offers(
        &self,
        spec: &Spec,
        job: Option<&Job>,
        on_demand_only: bool,
    ) -> Result<Vec<&'a Offer>, WaitReason> {
        let unanswered = self.unanswered.get(&spec.name).cloned().unwrap_or_default();
        let demand = job.map(Demand::of);
        let fits =
            |offer: &&Offer| demand.as_ref().is_none_or(|demand| demand.fits_on(spec, offer.resources.arch));
        let of_market = |offer: &&Offer| match (spec.spot, on_demand_only) {
            (SpotPolicy::Only, _) => offer.market == Market::Spot,
            (SpotPolicy::Never, _) | (SpotPolicy::Prefer, true) => offer.market == Market::OnDemand,
            (SpotPolicy::Prefer, false) => true,
        };
        let sold: Vec<&Offer> =
            self.offers.get(&spec.name).into_iter().flatten().filter(of_market).filter(fits).collect();
        if sold.is_empty() {
            return Err(WaitReason::NothingForSale { spec: spec.name.clone(), unanswered });
        }
        let mut skips: Vec<Cooldown<'_>> = Vec::new();
        let mut open: Vec<&Offer> = Vec::new();
        let mut in_silence: Vec<&Offer> = Vec::new();
        for offer in sold {
            match self.cooldown(offer) {
                Some(skip) if skip.is_last_resort => in_silence.push(offer),
                Some(skip) => skips.push(skip),
                None => open.push(offer),
            }
        }
        // A region that did not answer may answer now: better than no machine.
        if open.is_empty() {
            open = in_silence;
        }
        let best = open.iter().copied().min_by_key(|offer| offer.market);
        let Some(best) = best else {
            // The reason is the cooldown that ends first.
            let first = skips.iter().min_by_key(|skip| (skip.until, skip.said));
            let said = first.map_or("everything was refused", |skip| skip.said);
            let again_at = first.map(|skip| skip.until);
            let causes = causes(&skips);
            return Err(WaitReason::Refused { spec: spec.name.clone(), said, again_at, causes, unanswered });
        };
        // One call takes one image and one script: they depend on the architecture and on the driver.
        let kind = |offer: &Offer| (offer.region.clone(), offer.market, offer.resources.arch, offer.driver);
        let best = kind(best);
        open.retain(|offer| kind(offer) == best);
        Ok(open)
    }

    /// Counts a launch that was just planned, so that one plan does not exceed a quota that it knows.
    pub(crate) fn reserve(&mut self, offer: &'a Offer) {
        *self.in_use.entry(quota_of(offer)).or_default() += offer.resources.vcpus;
    }

    fn cooldown(&self, offer: &Offer) -> Option<Cooldown<'a>> {
        let here = self.pools.get(&(offer.instance_type.as_str(), offer.zone.as_deref(), offer.market));
        let anywhere = self.pools.get(&(offer.instance_type.as_str(), None, offer.market));
        let elsewhere = |refusal: &&&Refusal| refusal.region == offer.region;
        let of_pool =
            here.into_iter().chain(anywhere.filter(|_| offer.zone.is_some())).flatten().filter(elsewhere);
        let of_region = self.regions.get(offer.region.as_str()).into_iter().flatten();
        of_pool
            .chain(of_region)
            .filter_map(|refusal| self.active_cooldown(refusal))
            .chain(self.quota(offer))
            .max_by_key(|skip| (!skip.is_last_resort, skip.until))
    }

    /// Returns the refusal's cooldown, while it lasts.
    fn active_cooldown(&self, refusal: &'a Refusal) -> Option<Cooldown<'a>> {
        let (length, said) = match refusal.kind {
            RefusalKind::Invalid => (INVALID, "the cloud does not take the request"),
            RefusalKind::Capacity => {
                (capacity_cooldown(refusal.in_a_row), "the cloud has no such machine at the moment")
            }
            RefusalKind::Throttled => (THROTTLED, "the cloud asks for fewer calls"),
            RefusalKind::Denied => (DENIED, "the credentials may not launch there"),
            RefusalKind::Quota { .. } => (QUOTA, QUOTA_SAID),
            RefusalKind::Silent => (SILENT, "the cloud does not answer there"),
        };
        let until = refusal.at.checked_add(length).ok()?;
        let is_last_resort = refusal.kind == RefusalKind::Silent;
        (until > self.now).then_some(Cooldown { until, said, is_last_resort, refusal })
    }

    /// Returns the cooldown of a quota, which lasts while as much is in use as when the quota was met.
    fn quota(&self, offer: &Offer) -> Option<Cooldown<'a>> {
        let key = quota_of(offer);
        let refusal = *self.quotas.get(&key)?;
        let RefusalKind::Quota { vcpus_in_use } = refusal.kind else { return None };
        let now_in_use = self.in_use.get(&key).copied().unwrap_or(0);
        // A small change of usage does not end a fresh cooldown: our numbers and EC2's differ.
        let is_fresh = refusal.at.checked_add(THROTTLED).is_ok_and(|until| until > self.now);
        (is_fresh || now_in_use >= vcpus_in_use).then(|| self.active_cooldown(refusal)).flatten()
    }
}

/// Returns the cloud's own messages, one for each region. For missing capacity the message adds nothing to the kind.
fn causes(skips: &[Cooldown<'_>]) -> Vec<String> {
    let mut all = BTreeMap::new();
    for Refusal { region, kind, cause, .. } in skips.iter().map(|skip| skip.refusal) {
        if let (Some(cause), false) = (cause, *kind == RefusalKind::Capacity) {
            all.entry(region).or_insert(cause);
        }
    }
    all.into_iter().map(|(region, cause)| format!("{region}: {cause}")).collect()
}

const QUOTA_SAID: &str = "the account's quota is used up";

/// 3, 6, 12, 24, then 30 minutes.
fn capacity_cooldown(in_a_row: u32) -> SignedDuration {
    let doublings = in_a_row.saturating_sub(1).min(4);
    let grown = CAPACITY_FIRST.checked_mul(1 << doublings).unwrap_or(CAPACITY_LAST);
    grown.min(CAPACITY_LAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_without_capacity_is_left_alone_ever_longer_up_to_half_an_hour() {
        let minutes: Vec<i64> =
            [1, 2, 3, 4, 5, 60].iter().map(|it| capacity_cooldown(*it).as_mins()).collect();
        assert_eq!(minutes, [3, 6, 12, 24, 30, 30]);
    }
}
