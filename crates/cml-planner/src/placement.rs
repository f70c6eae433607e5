//! Where to buy: what is for sale, without what was refused not long ago.

use std::collections::BTreeMap;

use cml_cloud::{Market, Offer, SpotPolicy};
use cml_spec::Spec;
use jiff::{SignedDuration, Timestamp};

use crate::input::{Job, PlanningInput, Refusal, RefusalKind};
use crate::labels::Demand;
use crate::wait_reason::WaitReason;

/// Missing capacity is asked for again after this; each further refusal doubles it.
const CAPACITY_FIRST: SignedDuration = SignedDuration::from_mins(3);
/// But never later than this.
const CAPACITY_LAST: SignedDuration = SignedDuration::from_mins(30);
/// A region that throttles is left alone for this.
const THROTTLED: SignedDuration = SignedDuration::from_secs(20);
/// Permissions are given by people.
const DENIED: SignedDuration = SignedDuration::from_mins(5);
/// What the request names (a key, a group, an image, a disk) is mended by people, too, and each try registers a runner in vain.
const INVALID: SignedDuration = SignedDuration::from_mins(15);
/// A launch whose outcome is unknown counts until it cannot come any more; the other regions are asked before this one is again.
const SILENT: SignedDuration = SignedDuration::from_mins(10);
/// A quota may have been raised meanwhile; falling usage is noticed at once.
const QUOTA: SignedDuration = SignedDuration::from_mins(15);

/// True when the provider counts both against one quota.
#[must_use]
pub fn same_quota(one: &Offer, other: &Offer) -> bool {
    quota_of(one) == quota_of(other)
}

/// What counts together, by the provider's own word; a type of which no quota is known counts alone.
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

/// What was refused, found by what is offered, and what is in use.
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
    /// It is left out only while there is something else.
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
        // Whatever is not known to be gone: EC2 counts machines on their way out too.
        for record in &observed.launches {
            if let Some(offer) = &record.bought {
                *shop.in_use.entry(quota_of(offer)).or_default() += record.vcpus;
            }
        }
        shop
    }

    /// What to ask the cloud for: all offers of the first region and market that has some, best first.
    ///
    /// Every market of the spec in every region before nothing at all: spot here, spot elsewhere, on-demand here,
    /// on-demand elsewhere, in the order in which the provider ranked them.
    /// Only what the job may run on, if it is for one.
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
        // A region that gave no answer may give one now: rather there than nowhere.
        if open.is_empty() {
            open = in_silence;
        }
        let best = open.iter().copied().min_by_key(|offer| offer.market);
        let Some(best) = best else {
            // The reason is the one that passes first.
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

    /// Counts a launch that was just decided, so that one plan does not run into the quota it knows.
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

    /// The refusal as a skip, while it holds.
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

    /// A quota that was met holds while as much is in use as then.
    fn quota(&self, offer: &Offer) -> Option<Cooldown<'a>> {
        let key = quota_of(offer);
        let refusal = *self.quotas.get(&key)?;
        let RefusalKind::Quota { vcpus_in_use } = refusal.kind else { return None };
        let now_in_use = self.in_use.get(&key).copied().unwrap_or(0);
        // What has just been refused is not asked for again because the numbers moved a little: ours and EC2's differ.
        let is_fresh = refusal.at.checked_add(THROTTLED).is_ok_and(|until| until > self.now);
        (is_fresh || now_in_use >= vcpus_in_use).then(|| self.active_cooldown(refusal)).flatten()
    }
}

/// The cloud's own words, once for each region. That it has no machine says no more than its kind.
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
