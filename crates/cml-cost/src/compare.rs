//! What the same work would have cost elsewhere: on-demand, and on GitHub's own larger machines.

use std::collections::BTreeMap;

use cml_cloud::{Market, Usd};
use cml_prices::{Book, Source, hosted};
use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use rustc_hash::FxHashMap;

use crate::interner::Interner;
use crate::report::JobSum;
use crate::usage_row::{Symbol, UsageRow, usd};

/// Machines that have one price.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Compared {
    region: Symbol,
    instance_type: Symbol,
    is_spot: bool,
}

impl Compared {
    pub(crate) fn of(piece: &UsageRow) -> Self {
        let is_spot = piece.market == Market::Spot;
        Self { region: piece.region, instance_type: piece.instance_type, is_spot }
    }
}

/// Seconds of machines and what they cost without their disks.
pub(crate) type Use = (i64, i128);

/// What it would have cost elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// What spot machines cost, disks aside.
    pub spot: Usd,
    /// What these would have cost on-demand for the same time.
    pub spot_on_demand: Usd,
    /// The jobs on GitHub's own machines.
    pub hosted: HostedBill,
    /// What the prices of the comparison rest on, with how many types each.
    pub sources: Vec<(String, usize)>,
}

/// What jobs would have cost on GitHub's own machines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostedBill {
    /// Jobs that would have fitted on one.
    pub jobs: usize,
    /// Jobs that no machine of GitHub's is large enough for, or has the GPU for.
    pub unfit: usize,
    /// What those that fit would have cost.
    pub cost: Usd,
    /// The date of GitHub's prices.
    pub as_of: Option<Date>,
}

impl Comparison {
    pub(crate) fn of(
        names: &Interner,
        used: &FxHashMap<Compared, Use>,
        jobs: &FxHashMap<i64, JobSum>,
        book: &Book,
        at: Timestamp,
    ) -> Self {
        let mut comparison = Self { hosted: hosted_bill(names, jobs), ..Self::default() };
        let mut sources: BTreeMap<String, usize> = BTreeMap::new();
        let mut used: Vec<_> = used.iter().filter(|(key, _)| key.is_spot).collect();
        used.sort_by_key(|(key, _)| **key);
        for (key, (seconds, cost)) in used {
            let (region, kind) = (names.name(key.region), names.name(key.instance_type));
            let Some(quote) = book.on_demand(region, kind, at) else { continue };
            comparison.spot.0 += usd(*cost).0;
            comparison.spot_on_demand.0 += quote.price.for_seconds(u64::try_from(*seconds).unwrap_or(0)).0;
            *sources.entry(source(&quote.source)).or_default() += 1;
        }
        comparison.sources = sources.into_iter().collect();
        comparison
    }

    /// What spot saved, percent of on-demand; none without spot.
    #[must_use]
    pub fn saved_percent(&self) -> Option<Decimal> {
        let saved = self.spot_on_demand.0 - self.spot.0;
        (saved * Decimal::ONE_HUNDRED).checked_div(self.spot_on_demand.0).map(|percent| percent.round())
    }
}

/// The day tells enough.
fn source(source: &Source) -> String {
    match source {
        Source::Fetched { at } => format!("AWS, asked {}", at.strftime("%Y-%m-%d")),
        other => other.to_string(),
    }
}

/// GitHub bills each job by started minutes.
fn hosted_bill(names: &Interner, jobs: &FxHashMap<i64, JobSum>) -> HostedBill {
    let mut bill = HostedBill::default();
    let mut minutes: BTreeMap<Symbol, (usize, i64)> = BTreeMap::new();
    for job in jobs.values() {
        let of_type = minutes.entry(job.instance_type).or_default();
        of_type.0 += 1;
        of_type.1 += (job.seconds + 59) / 60;
    }
    for (kind, (count, minutes)) in minutes {
        let facts = cml_prices::find(names.name(kind));
        match facts.and_then(|facts| hosted::cheapest_that_fits(&facts.resources)) {
            Some(machine) => {
                bill.jobs += count;
                bill.cost.0 += machine.usd_per_minute * Decimal::from(minutes);
                bill.as_of = bill.as_of.max(Some(machine.as_of));
            }
            None => bill.unfit += count,
        }
    }
    bill
}
