//! Cost of the same work elsewhere: on-demand, and on GitHub-hosted larger runners.

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

/// Machines with the same price.
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

/// Seconds of machines, and their cost without disks.
pub(crate) type Use = (i64, i128);

/// Cost of the same work elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Cost of spot machines, without disks.
    pub spot: Usd,
    /// Cost of the same machine time on-demand.
    pub spot_on_demand: Usd,
    /// Cost of the jobs on GitHub-hosted runners.
    pub hosted: HostedBill,
    /// Sources of the compared prices, with the number of types for each.
    pub sources: Vec<(String, usize)>,
}

/// Cost of jobs on GitHub-hosted runners.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostedBill {
    /// Number of jobs that fit on one.
    pub jobs: usize,
    /// Number of jobs for which no GitHub-hosted runner is large enough or has the GPU.
    pub unfit: usize,
    /// Cost of the jobs that fit.
    pub cost: Usd,
    /// Date of GitHub's prices.
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

    /// Returns the saving of spot, in percent of on-demand; `None` without spot.
    #[must_use]
    pub fn saved_percent(&self) -> Option<Decimal> {
        let saved = self.spot_on_demand.0 - self.spot.0;
        (saved * Decimal::ONE_HUNDRED).checked_div(self.spot_on_demand.0).map(|percent| percent.round())
    }
}

/// Describes a source; a precision of one day is enough.
fn source(source: &Source) -> String {
    match source {
        Source::Fetched { at } => format!("AWS, asked {}", at.strftime("%Y-%m-%d")),
        other => other.to_string(),
    }
}

/// Computes the bill of GitHub, which bills each job by started minutes.
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
