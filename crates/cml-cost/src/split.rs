//! Splitting of a ledger entry into rows with one owner and one UTC day each.

use cml_cloud::{Market, Offer};
use cml_journal::{BillableUsage, LedgerEntry, TimeRange};
use cml_planner::JobId;
use cml_prices::Book;
use jiff::Timestamp;

use crate::usage_row::{Kind, Nanos, Symbol, UsageRow, nanos};

const DAY: i64 = 86_400;
/// Maximum life of a machine that is counted: ten years.
const DAYS_MAX: usize = 3660;

/// A job's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct JobNames {
    pub(crate) repository: Symbol,
    pub(crate) workflow: Symbol,
    pub(crate) branch: Symbol,
    pub(crate) actor: Symbol,
}

/// Interns names, and looks up jobs.
pub(crate) trait Intern {
    type Error;
    fn number(&mut self, name: &str) -> Result<Symbol, Self::Error>;
    fn job(&mut self, job: JobId) -> Result<JobNames, Self::Error>;
}

/// Splits an entry. A machine without a recorded price gets the one from the price book.
pub(crate) fn cut<N: Intern>(
    entry: &LedgerEntry,
    book: &Book,
    names: &mut N,
) -> Result<Vec<UsageRow>, N::Error> {
    let (tenure, is_guess) = priced(entry, book);
    let place = &entry.offer;
    let spec = names.number(&entry.spec)?;
    let instance_type = names.number(&place.instance_type)?;
    let region = names.number(&place.region)?;
    let zone = names.number(place.zone.as_deref().unwrap_or_default())?;
    let mut pieces: Vec<UsageRow> = Vec::new();
    let mut seen: Vec<i64> = Vec::new();
    for part in &entry.segments {
        let job = part.category.job();
        let known = job.map(|job| names.job(job)).transpose()?.unwrap_or_default();
        let job = job.and_then(|job| i64::try_from(job.0).ok()).unwrap_or(0);
        for span in days(part.span) {
            let (machine, disk): (Nanos, Nanos) = (nanos(tenure.machine(span)), nanos(tenure.disk(span)));
            let begins_job = job != 0 && !seen.contains(&job);
            if begins_job {
                seen.push(job);
            }
            pieces.push(UsageRow {
                from: span.from.as_second(),
                to: span.to.as_second(),
                kind: Kind::of(part.category),
                begins_machine: pieces.is_empty(),
                begins_job,
                is_estimate: entry.estimated || is_guess,
                market: place.market,
                spec,
                instance_type,
                region,
                zone,
                job,
                repository: known.repository,
                workflow: known.workflow,
                branch: known.branch,
                actor: known.actor,
                machine,
                disk,
            });
        }
    }
    Ok(pieces)
}

/// Returns the usage that it is billed by, and whether that is a guess. AWS's prices in the book are better than the
/// price assumed at the purchase; the book's guesses are not.
fn priced(entry: &LedgerEntry, book: &Book) -> (BillableUsage, bool) {
    let Offer { region, zone, instance_type, market, price, .. } = &entry.offer;
    let quote = match market {
        Market::Spot if entry.is_priced_by_history => return (entry.usage.clone(), false),
        Market::Spot => book.spot(region, zone.as_deref(), instance_type, entry.from),
        Market::OnDemand => book.on_demand(region, instance_type, entry.from),
    };
    let mut tenure = entry.usage.clone();
    // A cloud that the book does not cover reports its own prices.
    let Some(quote) = quote else { return (tenure, price.is_none()) };
    let is_guess = quote.source.is_estimate();
    if !is_guess || price.is_none() {
        tenure.prices = match (market, zone) {
            (Market::Spot, Some(zone)) => {
                book.spot_changes(region, zone, instance_type, entry.from, entry.to)
            }
            _ => vec![(entry.from, quote.price)],
        };
    }
    (tenure, is_guess)
}

/// Splits a span at its midnights; days beyond [`DAYS_MAX`] are left out: a journal with such a machine is broken.
fn days(span: TimeRange) -> impl Iterator<Item = TimeRange> {
    let (from, to) = (span.from.as_second(), span.to.as_second());
    let at = |second: i64| Timestamp::from_second(second).unwrap_or(Timestamp::MAX);
    let days = from.div_euclid(DAY)..=(to - 1).max(from).div_euclid(DAY);
    days.take(DAYS_MAX)
        .map(move |day| TimeRange { from: at(from.max(day * DAY)), to: at(to.min((day + 1) * DAY)) })
}
