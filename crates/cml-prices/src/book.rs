//! All known prices: the shipped ones, and those fetched since.
//!
//! The order in which prices are added does not matter, and adding one twice changes nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;

use cml_cloud::{SpotPrice, UsdPerGibMonth, UsdPerHour};
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::quote::{Quote, Source};
use crate::{advisor, catalog, volumes};

/// The one region whose on-demand prices ship.
const LISTED: &str = "us-east-1";
/// Time after a fetch for which a spot price still counts as known: a day's refresh, late by half a day.
const FRESH: SignedDuration = SignedDuration::from_hours(36);
/// AWS lists prices to the ten-thousandth of a cent.
const DIGITS: u32 = 6;

/// A series of prices, each with the time from which it holds.
type Series = BTreeMap<Timestamp, UsdPerHour>;

/// An on-demand price (Linux, shared tenancy) and the time from which AWS lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnDemandPrice {
    /// Region.
    pub region: String,
    /// `g5.xlarge`.
    pub instance_type: String,
    /// The price.
    pub price: UsdPerHour,
    /// Time from which it holds, by AWS's list.
    pub effective: Timestamp,
}

/// Price of gp3 storage in a region, and the time from which it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumePrice {
    /// Region.
    pub region: String,
    /// The price.
    pub price: UsdPerGibMonth,
    /// Time from which it holds, by AWS's list.
    pub effective: Timestamp,
}

/// Prices of machines and their disks, by place and time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    /// By region, then type.
    on_demand: BTreeMap<String, BTreeMap<String, Listing>>,
    /// By region, then type.
    spot: BTreeMap<String, BTreeMap<String, Pool>>,
    /// By region: (effective, asked, price), the greatest one.
    volumes: BTreeMap<String, (Timestamp, Timestamp, UsdPerGibMonth)>,
}

/// On-demand prices of one type in one region.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Listing {
    /// For each effective time, when AWS was queried and the price; of two answers the later one counts.
    prices: BTreeMap<Timestamp, (Timestamp, UsdPerHour)>,
}

/// Spot prices of one type in one region.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Pool {
    /// By zone; the empty name stands for a cloud without zones.
    zones: BTreeMap<String, Series>,
    /// Spans of time, by their start, in which the series are complete; no two of them touch.
    whole: BTreeMap<Timestamp, Timestamp>,
}

impl Book {
    /// Returns the shipped prices only.
    #[must_use]
    pub fn shipped() -> Self {
        Self::default()
    }

    /// Adds a price from AWS's list, fetched at that time.
    pub fn add_on_demand(&mut self, price: OnDemandPrice, asked: Timestamp) {
        let of_region = self.on_demand.entry(price.region).or_default();
        let prices = &mut of_region.entry(price.instance_type).or_default().prices;
        let known = prices.entry(price.effective).or_insert((asked, price.price));
        *known = (*known).max((asked, price.price));
    }

    /// Adds the price of gp3 storage in a region from AWS's list, fetched at that time.
    pub fn add_volume(&mut self, price: VolumePrice, asked: Timestamp) {
        let new = (price.effective, asked, price.price);
        let known = self.volumes.entry(price.region).or_insert(new);
        *known = (*known).max(new);
    }

    /// Adds a change of a spot price. [`Book::spot_asked`] records the spans without further changes.
    pub fn add_spot(&mut self, change: SpotPrice) {
        let pool = self.spot.entry(change.region).or_default().entry(change.instance_type).or_default();
        let series = pool.zones.entry(change.zone.unwrap_or_default()).or_default();
        // The cloud has one price at a time: of two, the higher one counts, in any order of arrival.
        let known = series.entry(change.since).or_insert(change.price);
        *known = (*known).max(change.price);
    }

    /// Records that AWS has returned all changes of a type's spot prices in a region between these times, and that they
    /// have been added.
    pub fn spot_asked(&mut self, region: &str, instance_type: &str, from: Timestamp, until: Timestamp) {
        let of_region = self.spot.entry(region.to_owned()).or_default();
        of_region.entry(instance_type.to_owned()).or_default().add_whole(from, until);
    }

    /// Returns the on-demand price (Linux) of a type at a time. `None` when neither a table nor AWS has one.
    #[must_use]
    pub fn on_demand(&self, region: &str, instance_type: &str, at: Timestamp) -> Option<Quote> {
        let listing = self.on_demand.get(region).and_then(|types| types.get(instance_type));
        let in_force = listing.and_then(|listing| listing.prices.range(..=at).next_back());
        if let Some((_, (asked, price))) = in_force {
            return Some(Quote { price: *price, source: Source::Fetched { at: *asked } });
        }
        let shipped = catalog::find(instance_type).and_then(|facts| facts.on_demand);
        if let (LISTED, Some(price)) = (region, shipped) {
            return Some(Quote { price, source: Source::Listed { as_of: catalog::as_of() } });
        }
        if let Some((_, (_, price))) = listing.and_then(|listing| listing.prices.first_key_value()) {
            return Some(estimate(*price, "the list price of later"));
        }
        shipped.map(|price| estimate(price, "the us-east-1 price"))
    }

    /// Returns the spot price of a type at a time. Where AWS was not queried, it is the on-demand price less the usual
    /// saving of spot.
    #[must_use]
    pub fn spot(
        &self,
        region: &str,
        zone: Option<&str>,
        instance_type: &str,
        at: Timestamp,
    ) -> Option<Quote> {
        let pool = self.pool(region, instance_type).filter(|pool| !pool.zones.is_empty());
        let Some(pool) = pool else { return self.spot_by_advice(region, instance_type, at) };
        match zone.and_then(|zone| pool.series(zone)) {
            Some(series) => pool.quote(series, at),
            None => pool.mean(at).map(|price| estimate(price, "the mean of the region's zones")),
        }
    }

    /// Returns the changes of the spot price of a zone between two times: first the price in force at `from` (an
    /// estimate where it is unknown, as in [`Book::spot`]), then each change before `to`. Empty when there is not even
    /// an estimate.
    #[must_use]
    pub fn spot_changes(
        &self,
        region: &str,
        zone: &str,
        instance_type: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Vec<(Timestamp, UsdPerHour)> {
        let first = self.spot(region, Some(zone), instance_type, from);
        let mut changes: Vec<_> = first.into_iter().map(|quote| (from, quote.price)).collect();
        let series = self.pool(region, instance_type).and_then(|pool| pool.series(zone));
        if let Some(series) = series.filter(|_| from < to) {
            for (since, price) in series.range(from..to) {
                if changes.last().is_none_or(|(_, last)| last != price) {
                    changes.push((*since, *price));
                }
            }
        }
        changes
    }

    /// Returns the price of gp3 storage in a region.
    #[must_use]
    pub fn volume_gib_month(&self, region: &str) -> Quote<UsdPerGibMonth> {
        match self.volumes.get(region) {
            Some((_, asked, price)) => Quote { price: *price, source: Source::Fetched { at: *asked } },
            None => volumes::shipped(region),
        }
    }

    /// Returns the zones of a region in which spot prices of a type were fetched.
    pub fn spot_zones(&self, region: &str, instance_type: &str) -> impl Iterator<Item = &str> {
        let zones = self.pool(region, instance_type).into_iter().flat_map(|pool| pool.zones.keys());
        zones.map(String::as_str).filter(|zone| !zone.is_empty())
    }

    fn pool(&self, region: &str, instance_type: &str) -> Option<&Pool> {
        self.spot.get(region)?.get(instance_type)
    }

    fn spot_by_advice(&self, region: &str, instance_type: &str, at: Timestamp) -> Option<Quote> {
        let on_demand = self.on_demand(region, instance_type, at)?.price;
        let Some(advice) = advisor::find(region, instance_type) else {
            return Some(estimate(on_demand, "the on-demand price; no spot price is known"));
        };
        let price = on_demand.0.checked_mul(advice.share_paid())?.round_dp(DIGITS);
        let why = format!(
            "the on-demand price less {} %, what spot saved by {}",
            advice.saving_percent,
            advisor::as_of()
        );
        Some(Quote { price: UsdPerHour(price), source: Source::Estimated { why: Cow::Owned(why) } })
    }
}

impl Pool {
    fn series(&self, zone: &str) -> Option<&Series> {
        self.zones.get(zone).or_else(|| self.zones.get(""))
    }

    /// Merges spans that touch.
    fn add_whole(&mut self, from: Timestamp, until: Timestamp) {
        let touches = |begin: Timestamp, end: Timestamp| begin <= until && from <= end;
        let old: Vec<_> = self.whole.iter().map(|(begin, end)| (*begin, *end)).collect();
        let (mut from_all, mut until_all) = (from, until);
        for (begin, end) in old.into_iter().filter(|(begin, end)| touches(*begin, *end)) {
            self.whole.remove(&begin);
            from_all = from_all.min(begin);
            until_all = until_all.max(end);
        }
        self.whole.insert(from_all, until_all);
    }

    /// Returns the last time shortly before `at`, or later, up to which all changes since before `at` are known.
    fn known_until(&self, series: &Series, at: Timestamp) -> Option<Timestamp> {
        let whole = self.whole.range(..=at).next_back().map(|(_, end)| *end);
        let change = series.range(..=at).next_back().map(|(since, _)| *since);
        whole.max(change).filter(|known| at.duration_since(*known) <= FRESH)
    }

    fn quote(&self, series: &Series, at: Timestamp) -> Option<Quote> {
        let Some((_, price)) = series.range(..=at).next_back() else {
            let (_, price) = series.first_key_value()?;
            return Some(estimate(*price, "the first spot price that is known, of later"));
        };
        Some(match self.known_until(series, at) {
            Some(known) => Quote { price: *price, source: Source::Fetched { at: known } },
            None => estimate(*price, "the last spot price that is known, of earlier"),
        })
    }

    fn mean(&self, at: Timestamp) -> Option<UsdPerHour> {
        let prices: Vec<_> = self.zones.values().filter_map(|series| self.quote(series, at)).collect();
        let sum = prices.iter().try_fold(Decimal::ZERO, |sum, quote| sum.checked_add(quote.price.0))?;
        Some(UsdPerHour(sum.checked_div(Decimal::from(prices.len()))?.round_dp(DIGITS)))
    }
}

fn estimate(price: UsdPerHour, why: &'static str) -> Quote {
    Quote { price, source: Source::estimated(why) }
}
