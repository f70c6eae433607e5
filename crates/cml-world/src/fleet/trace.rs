//! Spot capacity and prices as recorded on real markets (data/README.md).

use std::sync::OnceLock;

use rust_decimal::Decimal;

const V100: &str = include_str!("../../data/spot-p3.2xlarge-2023-02.tsv");

/// One zone's history in ticks.
#[derive(Clone, Debug)]
pub struct ZoneTrace {
    /// `us-east-1a`.
    pub zone: String,
    /// Seconds of a tick.
    pub tick_seconds: i64,
    /// Availability, run-length encoded: value and ticks.
    available: Vec<(bool, i64)>,
    prices: Vec<(Decimal, i64)>,
}

impl ZoneTrace {
    /// Returns the total number of ticks.
    #[must_use]
    pub fn ticks(&self) -> i64 {
        self.available.iter().map(|(_, ticks)| ticks).sum()
    }

    /// Returns whether a machine was available in this tick; the history repeats.
    #[must_use]
    pub fn available(&self, tick: i64) -> bool {
        at(&self.available, tick.rem_euclid(self.ticks())).unwrap_or(false)
    }

    /// Returns the price in this tick, US dollars per hour; the history repeats.
    #[must_use]
    pub fn price(&self, tick: i64) -> Decimal {
        at(&self.prices, tick.rem_euclid(self.ticks())).unwrap_or(Decimal::ONE)
    }
}

fn at<T: Copy>(runs: &[(T, i64)], tick: i64) -> Option<T> {
    let mut left = tick;
    runs.iter().find_map(|(value, ticks)| {
        left -= ticks;
        (left < 0).then_some(*value)
    })
}

/// Returns the traces of one V100 on AWS in nine zones over 45 days.
pub fn v100() -> &'static [ZoneTrace] {
    static ZONES: OnceLock<Vec<ZoneTrace>> = OnceLock::new();
    ZONES.get_or_init(|| read(V100))
}

fn read(text: &str) -> Vec<ZoneTrace> {
    let mut zones: Vec<ZoneTrace> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [series, zone, _, gap, _, runs] = fields.as_slice() else { continue };
        let index = zones.iter().position(|known| known.zone == *zone).unwrap_or_else(|| {
            zones.push(ZoneTrace {
                zone: (*zone).to_owned(),
                tick_seconds: gap.parse().unwrap_or(195),
                available: Vec::new(),
                prices: Vec::new(),
            });
            zones.len() - 1
        });
        let runs = runs.split(' ').filter_map(|run| run.split_once('x'));
        let runs = runs.filter_map(|(value, ticks)| Some((value, ticks.parse::<i64>().ok()?)));
        match *series {
            "avail" => zones[index].available = runs.map(|(value, ticks)| (value != "0", ticks)).collect(),
            _ => {
                zones[index].prices =
                    runs.filter_map(|(value, ticks)| Some((value.parse().ok()?, ticks))).collect();
            }
        }
    }
    zones
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trace_is_whole_and_as_its_source_measured_it() {
        let zones = v100();
        assert_eq!(zones.len(), 9);
        for zone in zones {
            assert_eq!(zone.ticks(), 20_158, "{}", zone.zone);
            assert!(zone.price(0) > Decimal::ZERO && zone.price(20_157) < Decimal::from(4), "{}", zone.zone);
        }
        // The fractions of time that its authors and we measured: 0.167 to 0.905.
        let share =
            |zone: &ZoneTrace| (0..20_158).filter(|tick| zone.available(*tick)).count() * 1000 / 20_158;
        let mut shares: Vec<usize> = zones.iter().map(share).collect();
        shares.sort_unstable();
        assert!(shares[0].abs_diff(167) <= 1 && shares[8].abs_diff(905) <= 1, "{shares:?}");
    }
}
