//! Advice on what would have cost less, from the ledger.
//!
//! Advice rests on known outcomes only: a shorter idle timeout than the actual one has a known outcome, a longer one
//! has not.

use std::collections::BTreeMap;

use cml_cloud::{Market, Usd};
use cml_prices::Book;
use jiff::Timestamp;
use rust_decimal::Decimal;

use crate::format::{dollars, hours, some};
use crate::ledger::{Ledger, LedgerError};
use crate::query::Window;
use crate::usage_row::{Class, Kind, Symbol, UsageRow, usd};

/// Idle timeouts that are evaluated, in seconds.
const TIMEOUTS: [i64; 9] = [30, 60, 120, 180, 300, 600, 900, 1800, 3600];
/// A saving below this percentage of a pool's cost is not worth a change.
const WORTH_PERCENT: i64 = 1;
/// Minimum saving in US dollars: one cent.
const WORTH: Decimal = Decimal::from_parts(1, 0, 0, false, 2);
/// Median wait, in seconds, above which jobs are reported as waiting for long.
const LONG_WAIT: i64 = 180;
/// Minimum number of jobs for a meaningful median.
const JOBS_ENOUGH: usize = 5;

/// One line of advice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// Saving in the window; negative if it would have cost more.
    pub saves: Usd,
    /// The observation.
    pub seen: String,
    /// The recommended change.
    pub change: String,
}

/// Time and money of one pool.
#[derive(Default)]
struct Spec {
    cost: i128,
    seconds: i64,
    boots: u64,
    boot_seconds: i64,
    waste: BTreeMap<Kind, (u64, i128)>,
    /// Idle spans, in seconds, and whether a job ended each.
    idle: Vec<(i64, bool)>,
    on_demand: BTreeMap<(Symbol, Symbol), (i64, i128)>,
    spot_seconds: i64,
}

/// A spot capacity pool.
#[derive(Default)]
struct Pool {
    seconds: i64,
    cost: i128,
    lost: i128,
    interruptions: u64,
}

#[derive(Default)]
struct Pass {
    specs: BTreeMap<Symbol, Spec>,
    /// By region, zone, type.
    pools: BTreeMap<(Symbol, Symbol, Symbol), Pool>,
    idle_for: i64,
    last_kind: Option<Kind>,
    /// End of the last row.
    until: i64,
}

impl Pass {
    /// Adds a row; the rows of one machine follow one another.
    fn add(&mut self, piece: &UsageRow) {
        // A row that does not follow belongs to another machine, whose beginning may lie before the window.
        if piece.begins_machine || piece.from != self.until {
            self.idle_for = 0;
        }
        self.until = piece.to;
        let spec = self.specs.entry(piece.spec).or_default();
        spec.cost += i128::from(piece.cost());
        spec.seconds += piece.seconds();
        match piece.kind {
            Kind::Boot => {
                spec.boots += u64::from(piece.begins_machine);
                spec.boot_seconds += piece.seconds();
            }
            Kind::Idle if self.idle_for > 0 => {
                // Midnight splits an idle span: the rows are joined again.
                self.idle_for += piece.seconds();
                if let Some((length, _)) = spec.idle.last_mut() {
                    *length = self.idle_for;
                }
            }
            Kind::Idle => {
                self.idle_for = piece.seconds();
                spec.idle.push((self.idle_for, false));
            }
            _ => {}
        }
        if piece.kind != Kind::Idle {
            if self.idle_for > 0
                && (piece.kind == Kind::Work || piece.job != 0)
                && let Some((_, by_job)) = spec.idle.last_mut()
            {
                *by_job = true;
            }
            self.idle_for = 0;
        }
        // Midnight splits waste too.
        let begins = self.last_kind != Some(piece.kind) || piece.begins_machine;
        self.last_kind = Some(piece.kind);
        if piece.kind.class() == Class::Waste {
            let waste = spec.waste.entry(piece.kind).or_default();
            waste.0 += u64::from(begins);
            waste.1 += i128::from(piece.cost());
        }
        self.add_market(piece, begins);
    }

    fn add_market(&mut self, piece: &UsageRow, begins: bool) {
        let spec = self.specs.entry(piece.spec).or_default();
        if piece.market == Market::OnDemand {
            let of_type = spec.on_demand.entry((piece.region, piece.instance_type)).or_default();
            of_type.0 += piece.seconds();
            of_type.1 += i128::from(piece.machine);
            return;
        }
        spec.spot_seconds += piece.seconds();
        let pool = self.pools.entry((piece.region, piece.zone, piece.instance_type)).or_default();
        pool.seconds += piece.seconds();
        pool.cost += i128::from(piece.machine);
        if piece.kind == Kind::Interrupted {
            pool.lost += i128::from(piece.cost());
            pool.interruptions += u64::from(begins);
        }
    }
}

/// Returns advice on the machines of a window, the largest saving first.
///
/// # Errors
/// [`LedgerError`].
pub fn advise(
    ledger: &mut Ledger,
    window: Window,
    now: Timestamp,
    book: &Book,
) -> Result<Vec<Advice>, LedgerError> {
    let mut pass = Pass::default();
    ledger.each(window.begins(), window.ends(), |piece| pass.add(piece))?;
    ledger.read_new_names()?;
    let waits = ledger.waits(window)?;
    let mut all = Vec::new();
    for (id, spec) in &pass.specs {
        let name = ledger.names().name(*id);
        all.extend(shorter_timeout(name, spec));
        all.extend(never_registered(name, spec));
        all.extend(cut_by_deadline(name, spec));
        all.extend(spot_instead(ledger, name, spec, now, book));
        all.extend(waits.get(name).and_then(|waits| kept_ready(name, spec, waits)));
    }
    for ((region, zone, kind), pool) in &pass.pools {
        let names = [*region, *zone, *kind].map(|id| ledger.names().name(id));
        all.extend(dear_spot(names, pool, now, book));
    }
    all.retain(|advice| advice.saves.0.abs() >= WORTH);
    all.sort_by(|one, other| other.saves.cmp(&one.saves).then_with(|| one.seen.cmp(&other.seen)));
    Ok(all)
}

fn count_of(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Returns the cost, in US dollars, of so many seconds of a pool's average machine.
fn time_of(spec: &Spec, seconds: i64) -> Decimal {
    let cost = usd(spec.cost).0 * Decimal::from(seconds);
    cost.checked_div(Decimal::from(spec.seconds)).unwrap_or_default()
}

fn is_worth(spec: &Spec, saves: Decimal) -> bool {
    saves * Decimal::ONE_HUNDRED >= usd(spec.cost).0 * Decimal::from(WORTH_PERCENT)
}

/// Returns the cost of idle time under this timeout: a job that arrives later needs another machine, and its boot.
fn idle_seconds(spec: &Spec, timeout: i64) -> i64 {
    let boots = i64::try_from(spec.boots.max(1)).unwrap_or(i64::MAX);
    let boot = spec.boot_seconds / boots;
    let of_stretch = |(length, by_job): &(i64, bool)| match by_job {
        true if *length > timeout => timeout + boot,
        _ => (*length).min(timeout),
    };
    spec.idle.iter().map(of_stretch).sum()
}

fn shorter_timeout(name: &str, spec: &Spec) -> Option<Advice> {
    let longest = spec.idle.iter().map(|(length, _)| *length).max()?;
    let was: i64 = spec.idle.iter().map(|(length, _)| *length).sum();
    let tried = TIMEOUTS.iter().filter(|timeout| **timeout < longest);
    let (best, would) =
        tried.map(|timeout| (*timeout, idle_seconds(spec, *timeout))).min_by_key(|it| it.1)?;
    let saves = time_of(spec, was - would);
    if !is_worth(spec, saves) {
        return None;
    }
    let timeout = if best < 60 { format!("{best}s") } else { format!("{}m", best / 60) };
    Some(Advice {
        saves: Usd(saves),
        seen: format!(
            "{name}: machines were without a job for {} in all, the longest for {}",
            hours(was),
            hours(longest)
        ),
        change: format!(
            "idle_timeout: {timeout} for {name} in cml.yaml (launch: --idle-timeout {timeout}); machines that warm or min keep \
             ready stay as they are"
        ),
    })
}

fn never_registered(name: &str, spec: &Spec) -> Option<Advice> {
    let (machines, cost) = spec.waste.get(&Kind::NeverRegistered)?;
    Some(Advice {
        saves: usd(*cost),
        seen: format!("{name}: {} never came online", some(count_of(*machines), "machine", "machines")),
        change: format!(
            "see why: `cml-runner logs MACHINE`; a shorter boot_timeout for {name} in cml.yaml ends them sooner"
        ),
    })
}

fn cut_by_deadline(name: &str, spec: &Spec) -> Option<Advice> {
    let (jobs, cost) = spec.waste.get(&Kind::Capped)?;
    Some(Advice {
        saves: usd(*cost),
        seen: format!("{name}: the deadline cut {}", some(count_of(*jobs), "job", "jobs")),
        change: format!(
            "a longer max_lifetime for {name} in cml.yaml, or timeout-minutes in the workflow that ends hopeless jobs sooner"
        ),
    })
}

/// Advises spot for a pool that buys on-demand only.
fn spot_instead(ledger: &Ledger, name: &str, spec: &Spec, now: Timestamp, book: &Book) -> Option<Advice> {
    if spec.spot_seconds > 0 {
        return None;
    }
    let mut saves = Decimal::ZERO;
    for ((region, kind), (seconds, cost)) in &spec.on_demand {
        let (region, kind) = (ledger.names().name(*region), ledger.names().name(*kind));
        let Some(quote) = book.spot(region, None, kind, now) else { continue };
        saves += usd(*cost).0 - quote.price.for_seconds(u64::try_from(*seconds).unwrap_or(0)).0;
    }
    is_worth(spec, saves).then(|| Advice {
        saves: Usd(saves),
        seen: format!("{name}: all of its machines were on-demand"),
        change: format!(
            "spot: prefer for {name} in cml.yaml (launch: --spot prefer); by the spot prices of now, interruptions aside"
        ),
    })
}

/// Advises warm machines for a pool whose jobs wait for long. Readiness has a price; whether it is worth it is the
/// user's decision.
fn kept_ready(name: &str, spec: &Spec, waits: &[i64]) -> Option<Advice> {
    let mut waits = waits.to_vec();
    waits.sort_unstable();
    let median = *waits.get(waits.len() / 2)?;
    if waits.len() < JOBS_ENOUGH || median < LONG_WAIT {
        return None;
    }
    // Ten hours on 22 working days.
    let cost = time_of(spec, 220 * 3600);
    Some(Advice {
        saves: Usd(-cost),
        seen: format!(
            "{name}: half of its {} jobs waited {} or longer for a machine",
            waits.len(),
            hours(median)
        ),
        change: format!(
            "warm: {{ count: 1, hours: \"Mon-Fri 08:00-18:00 UTC\" }} for {name} in cml.yaml; one machine kept ready in working \
             hours costs about {} a month",
            dollars(Usd(cost))
        ),
    })
}

/// Advises against a spot capacity pool whose interruptions cost more than it saved.
fn dear_spot([region, zone, kind]: [&str; 3], pool: &Pool, now: Timestamp, book: &Book) -> Option<Advice> {
    let list = book.on_demand(region, kind, now)?.price;
    let saved = list.for_seconds(u64::try_from(pool.seconds).unwrap_or(0)).0 - usd(pool.cost).0;
    let loses = usd(pool.lost).0 - saved;
    (loses > Decimal::ZERO).then(|| Advice {
        saves: Usd(loses),
        seen: format!(
            "spot {kind} in {zone}: {} interruptions lost {} of work, where spot saved {}",
            pool.interruptions,
            dollars(usd(pool.lost)),
            dollars(Usd(saved))
        ),
        change: format!(
            "other regions or types beside {kind}, or spot: never for what runs there; checkpoints make interruptions cheaper"
        ),
    })
}

/// Formats advice for a terminal.
#[must_use]
pub fn advice_text(advice: &[Advice], window: Window) -> String {
    let mut text = format!("What would have cost less, {window} (UTC)\n");
    if advice.is_empty() {
        text.push_str("Nothing that the ledger knows of.\n");
    }
    for line in advice {
        let amount = if line.saves.0.is_sign_negative() {
            format!("costs {}", dollars(Usd(-line.saves.0)))
        } else {
            format!("saves {}", dollars(line.saves))
        };
        let (seen, change) = (cml_text::line(&line.seen), cml_text::line(&line.change));
        text.push_str(&format!("\n{amount}\n  {seen}\n  {change}\n"));
    }
    text.push_str(
        "\nNot advised on: smaller types. How much of a GPU or of memory jobs use is not in the ledger.\n",
    );
    text
}
