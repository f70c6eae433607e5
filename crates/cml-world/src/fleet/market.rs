//! The market of the simulated cloud: capacity pools of one type in one zone and market, with capacity and prices from
//! a real trace.

use std::collections::{BTreeMap, BTreeSet};

use cml_cloud::{Arch, Disk, Gpu, Offer, OfferQuery, Resources, SpotPolicy, UsdPerGibMonth, UsdPerHour};
use jiff::Timestamp;
use rust_decimal::Decimal;

use super::fault::{Fault, Faults};
use super::rng::Rng;
use super::trace::{ZoneTrace, v100};
use super::world::{SimEvent, World, at};

/// A machine with a GPU: its spot market is the trace's.
pub(crate) const GPU_TYPE: &str = "p3.2xlarge";
/// A machine without a GPU: nearly always available.
pub(crate) const CPU_TYPE: &str = "m7i.xlarge";
/// Another CPU type, which EC2 counts against the same quota.
pub(crate) const SHARED_TYPE: &str = "t3.xlarge";
/// A type with an accelerator, whose name begins with the same letter and which counts against another quota.
pub(crate) const SAME_LETTER_TYPE: &str = "trn1.2xlarge";

/// Returns the quota that EC2 counts a type against.
/// <https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html>
pub(crate) fn quota_of(instance_type: &str) -> &'static str {
    match instance_type {
        GPU_TYPE => "P",
        CPU_TYPE | SHARED_TYPE => "Standard (A, C, D, H, I, M, R, T, Z)",
        SAME_LETTER_TYPE => "Trn",
        _ => "another",
    }
}

/// An instance type that is sold.
#[derive(Clone, Debug)]
pub struct Kind {
    /// Its resources. One with a GPU has the trace's spot market, any other is always available at 40 % of the list
    /// price.
    pub resources: Resources,
    /// The list price.
    pub on_demand: UsdPerHour,
}

/// A zone with the history of its spot market.
struct Zone {
    name: String,
    trace: &'static ZoneTrace,
}

/// The whole market.
pub(crate) struct Market {
    /// The tick of the trace at which this world begins.
    first_tick: i64,
    zones: Vec<Zone>,
    kinds: BTreeMap<String, Kind>,
    /// Zones that do not sell GPUs at all.
    unsupported: BTreeSet<String>,
    pub(crate) dry_regions: BTreeSet<String>,
    /// Virtual CPUs that a region grants to one market and kind of machine; none is no limit.
    pub(crate) quota_vcpus: Option<u32>,
    /// Price changes in addition to the trace's: a factor in percent, by zone and since a second.
    jumps: BTreeMap<String, Vec<(i64, i64)>>,
    /// Size of the image's disks in addition to the root disk, GiB; and how much of that the offers list.
    pub(crate) image_gib: u32,
    pub(crate) told_gib: u32,
    /// In the calm everything is available.
    is_calm: bool,
}

/// Returns the root disk of a machine.
fn disk(gib: u32) -> Disk {
    Disk { gib, price: UsdPerGibMonth(Decimal::new(8, 2)) }
}

/// Returns the list price of the trace's machine.
fn trace_list_price() -> Decimal {
    Decimal::new(306, 2)
}

fn kinds() -> BTreeMap<String, Kind> {
    let gpu = Gpu { name: "v100".to_owned(), count: 1, memory_mib: 16_384 };
    let kind = |vcpus, gpu, cents| Kind {
        resources: Resources { vcpus, memory_mib: 61 * 1024, gpu, arch: Arch::X64 },
        on_demand: UsdPerHour(Decimal::new(cents, 2)),
    };
    BTreeMap::from([
        (GPU_TYPE.to_owned(), kind(8, Some(gpu), 306)),
        (CPU_TYPE.to_owned(), kind(4, None, 20)),
        (SHARED_TYPE.to_owned(), kind(4, None, 17)),
        (SAME_LETTER_TYPE.to_owned(), kind(8, None, 134)),
    ])
}

fn driver_of(instance_type: &str) -> cml_cloud::Driver {
    match instance_type {
        GPU_TYPE => cml_cloud::Driver::NvidiaProprietary,
        SAME_LETTER_TYPE => cml_cloud::Driver::Neuron,
        _ => cml_cloud::Driver::None,
    }
}

pub(crate) fn region_of(zone: &str) -> &str {
    zone.strip_suffix(|last: char| last.is_ascii_lowercase()).unwrap_or(zone)
}

impl Market {
    pub(crate) fn open(chance: &mut Rng, faults: &Faults) -> Self {
        let all = v100();
        // Four zones in two or three regions: enough to fall back to, few enough to be exhausted.
        let first = chance.below(i64::try_from(all.len()).unwrap_or(1));
        let zones: Vec<Zone> = (0..4)
            .map(|step| &all[usize::try_from((first + step * 2) % 9).unwrap_or(0)])
            .map(|trace| Zone { name: trace.zone.clone(), trace })
            .collect();
        let first_tick = chance.below(20_000);
        let mut unsupported = BTreeSet::new();
        if faults.is_armed(Fault::Unsupported) {
            unsupported.insert(zones[0].name.clone());
        }
        let quota_vcpus =
            faults.is_armed(Fault::Quota).then(|| 8 * u32::try_from(chance.between(1, 3)).unwrap_or(1));
        Self {
            first_tick,
            zones,
            kinds: kinds(),
            unsupported,
            dry_regions: BTreeSet::new(),
            quota_vcpus,
            jumps: BTreeMap::new(),
            image_gib: 0,
            told_gib: 0,
            is_calm: false,
        }
    }

    /// Returns a market of these kinds in three zones of each of these regions. Each zone has the history of the
    /// trace's zone of the same name, else of another one.
    pub(crate) fn of(regions: &[String], kinds: BTreeMap<String, Kind>, first_tick: i64) -> Self {
        let names = regions.iter().flat_map(|region| ["a", "b", "c"].map(|zone| format!("{region}{zone}")));
        let all = v100();
        let zones = names.enumerate().map(|(number, name)| {
            let same = all.iter().find(|trace| trace.zone == name);
            Zone { trace: same.unwrap_or(&all[(number * 4) % all.len()]), name }
        });
        Self {
            first_tick,
            zones: zones.collect(),
            kinds,
            unsupported: BTreeSet::new(),
            dry_regions: BTreeSet::new(),
            quota_vcpus: None,
            jumps: BTreeMap::new(),
            image_gib: 0,
            told_gib: 0,
            is_calm: false,
        }
    }

    fn has_gpu(&self, instance_type: &str) -> bool {
        self.kinds.get(instance_type).is_some_and(|kind| kind.resources.gpu.is_some())
    }

    pub(crate) fn calm(&mut self) {
        self.is_calm = true;
        self.dry_regions.clear();
        self.quota_vcpus = None;
    }

    pub(crate) fn regions(&self) -> Vec<String> {
        let mut regions: Vec<String> =
            self.zones.iter().map(|zone| region_of(&zone.name).to_owned()).collect();
        regions.sort();
        regions.dedup();
        regions
    }

    fn tick(&self, second: i64) -> i64 {
        self.first_tick + second.div_euclid(195)
    }

    /// Returns whether a spot machine is available, before chance decides.
    pub(crate) fn has_spot(&self, instance_type: &str, zone: &str, second: i64) -> bool {
        if self.dry_regions.contains(region_of(zone)) {
            return false;
        }
        if self.is_calm || !self.has_gpu(instance_type) {
            return true;
        }
        self.zones.iter().any(|known| known.name == zone && known.trace.available(self.tick(second)))
    }

    pub(crate) fn sells(&self, instance_type: &str, zone: &str) -> bool {
        !self.has_gpu(instance_type) || self.is_calm || !self.unsupported.contains(zone)
    }

    /// Returns whether at least one zone of this region sells every type.
    pub(crate) fn sells_all_in(&self, region: &str) -> bool {
        let mut zones = self.zones.iter().filter(|zone| region_of(&zone.name) == region);
        zones.any(|zone| !self.unsupported.contains(&zone.name))
    }

    pub(crate) fn spot_price(&self, instance_type: &str, zone: &str, second: i64) -> UsdPerHour {
        let list = self.on_demand_price(instance_type);
        if !self.has_gpu(instance_type) {
            return UsdPerHour((list.0 * Decimal::new(4, 1)).round_dp(4));
        }
        let zone_trace = self.zones.iter().find(|known| known.name == zone).map(|known| known.trace);
        let of_trace = zone_trace.map_or(Decimal::ONE, |trace| trace.price(self.tick(second)));
        let price = of_trace * list.0 / trace_list_price();
        let percent = self
            .jumps
            .get(zone)
            .and_then(|jumps| jumps.iter().rev().find(|(since, _)| *since <= second))
            .map_or(100, |(_, percent)| *percent);
        UsdPerHour((price * Decimal::from(percent) / Decimal::from(100)).round_dp(4))
    }

    pub(crate) fn on_demand_price(&self, instance_type: &str) -> UsdPerHour {
        self.kinds.get(instance_type).map_or(UsdPerHour(Decimal::ONE), |kind| kind.on_demand)
    }

    pub(crate) fn jump(&mut self, zone: &str, second: i64, percent: i64) {
        self.jumps.entry(zone.to_owned()).or_default().push((second, percent));
    }

    /// Returns the seconds at which the price of a zone may change, from `from` to `to`.
    pub(crate) fn changes(&self, zone: &str, from: i64, to: i64) -> Vec<i64> {
        let mut seconds = vec![from];
        let mut tick = from.div_euclid(195) + 1;
        while tick * 195 <= to {
            seconds.push(tick * 195);
            tick += 1;
        }
        seconds.extend(self.jumps.get(zone).into_iter().flatten().map(|(since, _)| *since));
        seconds.retain(|second| (from..=to).contains(second));
        seconds.sort_unstable();
        seconds.dedup();
        seconds
    }

    /// Returns the offers for a query, cheapest spot first, then on-demand.
    pub(crate) fn offers(&self, query: &OfferQuery, second: i64) -> Vec<Offer> {
        let wanted = |zone: &&Zone| {
            query.regions.is_empty() || query.regions.iter().any(|region| region == region_of(&zone.name))
        };
        let mut spot = Vec::new();
        let mut on_demand = Vec::new();
        for zone in self.zones.iter().filter(wanted) {
            for (name, kind) in self.kinds.iter().filter(|(name, _)| query.types.contains(name)) {
                let offer = |market, price| Offer {
                    region: region_of(&zone.name).to_owned(),
                    zone: Some(zone.name.clone()),
                    instance_type: name.clone(),
                    market,
                    price: Some(price),
                    resources: kind.resources.clone(),
                    disk: Some(disk(query.disk_gib.unwrap_or_default() + self.told_gib)),
                    quota: Some(quota_of(name).to_owned()),
                    driver: driver_of(name),
                };
                spot.push(offer(cml_cloud::Market::Spot, self.spot_price(name, &zone.name, second)));
                on_demand.push(offer(cml_cloud::Market::OnDemand, kind.on_demand));
            }
        }
        spot.sort_by_key(|offer| offer.price);
        on_demand.sort_by_key(|offer| offer.price);
        match query.spot {
            SpotPolicy::Only => spot,
            SpotPolicy::Never => on_demand,
            SpotPolicy::Prefer => spot.into_iter().chain(on_demand).collect(),
        }
    }

    /// Returns changes of spot prices in the form of the cloud's history: the one in force at `since`, and those after
    /// it.
    pub(crate) fn history(
        &self,
        region: &str,
        types: &[String],
        since: i64,
        now: i64,
    ) -> Vec<cml_cloud::SpotPrice> {
        let mut all = Vec::new();
        for zone in self.zones.iter().filter(|zone| region_of(&zone.name) == region) {
            for kind in types {
                let mut last = None;
                for second in self.changes(&zone.name, since, now) {
                    let price = self.spot_price(kind, &zone.name, second);
                    if last != Some(price) {
                        last = Some(price);
                        all.push(cml_cloud::SpotPrice {
                            region: region.to_owned(),
                            zone: Some(zone.name.clone()),
                            instance_type: kind.clone(),
                            since: at(second),
                            price,
                        });
                    }
                }
            }
        }
        all
    }
}

impl World {
    /// Interrupts the spot machines of a zone without capacity.
    pub(crate) fn market_tick(&mut self) {
        self.after(195_000, SimEvent::MarketTick);
        let second = self.second();
        if !self.calm() {
            for region in self.market.regions() {
                if self.market.dry_regions.contains(&region) {
                    if self.chance.per_mille(200) {
                        self.market.dry_regions.remove(&region);
                    }
                } else if self.chance.per_mille(60) && self.fires(Fault::RegionDry) {
                    self.market.dry_regions.insert(region);
                }
            }
            let zones: Vec<String> = self.market.zones.iter().map(|zone| zone.name.clone()).collect();
            for zone in zones {
                if self.fires(Fault::PriceJump) {
                    let percent = self.chance.between(60, 250);
                    self.market.jump(&zone, second, percent);
                }
            }
        }
        for machine in 0..self.machines.len() {
            let it = &self.machines[machine];
            if !it.lives()
                || it.by_hand
                || it.offer.market != cml_cloud::Market::Spot
                || it.taken_at.is_some()
            {
                continue;
            }
            let (kind, zone) = (it.offer.instance_type.clone(), it.offer.zone.clone().unwrap_or_default());
            let dry = !self.market.has_spot(&kind, &zone, second);
            // Nearly all of a capacity pool are interrupted together (facts of the traces), some later.
            if (dry && self.chance.per_mille(700)) || self.fires(Fault::TakenBack) {
                self.take_back(machine);
            } else if self.fires(Fault::Rebalance) {
                self.note(|| format!("machine {machine}: rebalance is recommended, and nothing comes of it"));
            }
        }
    }
}

/// Returns a time as a second of the world.
pub(crate) fn second_of(at: Timestamp) -> i64 {
    at.as_second() - super::world::BEGIN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_of_a_zone_is_its_name_without_the_last_letter() {
        for (zone, region) in [("us-east-1a", "us-east-1"), ("locala", "local"), ("us-east-1", "us-east-1")] {
            assert_eq!(region_of(zone), region);
        }
    }
}
