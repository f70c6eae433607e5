//! A report: one pass over the ledger's rows.

use std::collections::BTreeMap;

use cml_cloud::{Deadline, LaunchId, Market, Usd};
use cml_journal::LedgerEntry;
use cml_prices::Book;
use jiff::Timestamp;
use jiff::civil::Date;
use rustc_hash::FxHashMap;

use crate::compare::{Compared, Comparison, Use};
use crate::ledger::{Ledger, LedgerError};
use crate::query::{GroupBy, Window, day_numbered};
use crate::usage_row::{Class, Kind, Nanos, Symbol, UsageRow, usd};

/// Number of owners that a day's bar distinguishes; the others are combined.
const OWNERS_SHOWN: usize = 5;

/// Query of a report.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// The window.
    pub window: Window,
    /// Grouping criterion.
    pub by: GroupBy,
    /// Maximum number of rows, the most expensive first; the others are combined into one.
    pub top: usize,
}

/// Totals of cost, time and counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    machine: i128,
    disk: i128,
    classes: [i128; 4],
    /// Machine time in seconds.
    pub seconds: i64,
    /// Number of jobs that began.
    pub jobs: u64,
    /// Number of machines that began.
    pub machines: u64,
}

impl Totals {
    fn add(&mut self, piece: &UsageRow) {
        self.machine += i128::from(piece.machine);
        self.disk += i128::from(piece.disk);
        self.classes[place(piece.kind.class())] += i128::from(piece.cost());
        self.seconds += piece.seconds();
        self.jobs += u64::from(piece.begins_job);
        self.machines += u64::from(piece.begins_machine);
    }

    fn join(&mut self, other: &Self) {
        self.machine += other.machine;
        self.disk += other.disk;
        for (sum, more) in self.classes.iter_mut().zip(other.classes) {
            *sum += more;
        }
        self.seconds += other.seconds;
        self.jobs += other.jobs;
        self.machines += other.machines;
    }

    fn nanos(&self) -> i128 {
        self.machine + self.disk
    }

    /// Returns the total cost.
    #[must_use]
    pub fn cost(&self) -> Usd {
        usd(self.nanos())
    }

    /// Returns the part that disks cost.
    #[must_use]
    pub fn disk(&self) -> Usd {
        usd(self.disk)
    }

    /// Returns the part of one column.
    #[must_use]
    pub fn class(&self, class: Class) -> Usd {
        usd(self.classes[place(class)])
    }
}

fn place(class: Class) -> usize {
    Class::ALL.iter().position(|known| *known == class).unwrap_or(0)
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Path of a page about it, below the forge's address; jobs have one.
    pub page: Option<String>,
    /// Its figures.
    pub tally: Totals,
}

/// A machine that exists.
#[derive(Clone, Debug, PartialEq)]
pub struct Running {
    /// The launch.
    pub launch: LaunchId,
    /// Name of its pool.
    pub spec: String,
    /// Its type.
    pub instance_type: String,
    /// Its market.
    pub market: Market,
    /// Time of the purchase.
    pub since: Timestamp,
    /// The time after which it must not exist.
    pub deadline: Deadline,
    /// Cost up to now.
    pub cost: Usd,
    /// Cost from now to its deadline, at the current price.
    pub committed: Usd,
    /// Whether its deadline has passed without an observed end.
    pub is_overdue: bool,
}

/// One day's spending by owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaySpend {
    /// The day, in UTC.
    pub day: Date,
    /// Amounts by owner, in the order of [`Report::owners`].
    pub by_owner: Vec<Usd>,
}

/// All data of a page or a table.
#[derive(Clone, Debug)]
pub struct Report {
    /// Time at which it was made.
    pub now: Timestamp,
    /// The query.
    pub query: Query,
    /// Rows, the most expensive first; days, the oldest first.
    pub rows: Vec<Row>,
    /// Number of rows that are combined in the last one.
    pub joined: usize,
    /// The total.
    pub total: Totals,
    /// Waste by cause, the most expensive first.
    pub waste: Vec<(Kind, Usd)>,
    /// Owners of days: the most expensive repositories, the others, boot, idle, waste.
    pub owners: Vec<String>,
    /// Each day of the window up to now.
    pub days: Vec<DaySpend>,
    /// Cost of each job of the window, sorted.
    pub job_costs: Vec<Usd>,
    /// Machines that exist; the totals include their cost up to now.
    pub running: Vec<Running>,
    /// Comparison with on-demand and with GitHub-hosted runners.
    pub comparison: Comparison,
    /// The part of the cost that rests on times or prices that are not the cloud's own.
    pub estimated: Usd,
}

/// Owner of a row in a day's bar.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Owner {
    Repository(Symbol),
    Class(Class),
}

/// Sums of a job so far: cost, seconds, type.
#[derive(Clone, Copy, Default)]
pub(crate) struct JobSum {
    machine: Nanos,
    disk: Nanos,
    pub(crate) seconds: i64,
    pub(crate) instance_type: Symbol,
}

impl JobSum {
    fn cost(&self) -> Nanos {
        self.machine + self.disk
    }

    /// Returns it as a row of a report by jobs.
    fn tally(&self) -> Totals {
        let mut tally = Totals {
            machine: self.machine.into(),
            disk: self.disk.into(),
            seconds: self.seconds,
            jobs: 1,
            ..Totals::default()
        };
        tally.classes[place(Class::Work)] = tally.nanos();
        tally
    }
}

#[derive(Default)]
struct Accumulator {
    groups: FxHashMap<Key, Totals>,
    total: Totals,
    kinds: BTreeMap<Kind, i128>,
    owners: FxHashMap<(i64, Owner), i128>,
    jobs: FxHashMap<i64, JobSum>,
    compared: FxHashMap<Compared, Use>,
    estimated: i128,
}

/// Key of a row.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Key {
    Named(Symbol),
    Number(i64),
    Market(bool),
    Class(Class),
}

impl Accumulator {
    fn add(&mut self, by: GroupBy, piece: &UsageRow) {
        let is_job = piece.kind == Kind::Work && piece.job != 0;
        // There may be as many jobs as rows: their sums are kept anyway, and are small.
        if by != GroupBy::Job || !is_job {
            self.groups.entry(key(by, piece)).or_default().add(piece);
        }
        self.total.add(piece);
        let cost = i128::from(piece.cost());
        *self.kinds.entry(piece.kind).or_default() += cost;
        let owner = match piece.kind.class() {
            Class::Work => Owner::Repository(piece.repository),
            class => Owner::Class(class),
        };
        *self.owners.entry((piece.from.div_euclid(86_400), owner)).or_default() += cost;
        if is_job {
            let job = self.jobs.entry(piece.job).or_default();
            job.machine += piece.machine;
            job.disk += piece.disk;
            job.seconds += piece.seconds();
            job.instance_type = piece.instance_type;
        }
        let compared = self.compared.entry(Compared::of(piece)).or_default();
        // Time for which a stopped machine is not billed would not have been billed on-demand either.
        compared.0 += if piece.kind == Kind::Stopped { 0 } else { piece.seconds() };
        compared.1 += i128::from(piece.machine);
        if piece.is_estimate {
            self.estimated += cost;
        }
    }
}

fn key(by: GroupBy, piece: &UsageRow) -> Key {
    let class = piece.kind.class();
    if by.is_of_jobs() && class != Class::Work {
        return Key::Class(class);
    }
    match by {
        GroupBy::Job => Key::Number(piece.job),
        GroupBy::Workflow => Key::Named(piece.workflow),
        GroupBy::Branch => Key::Named(piece.branch),
        GroupBy::Repo => Key::Named(piece.repository),
        GroupBy::Actor => Key::Named(piece.actor),
        GroupBy::Spec => Key::Named(piece.spec),
        GroupBy::Type => Key::Named(piece.instance_type),
        GroupBy::Zone if piece.zone == 0 => Key::Named(piece.region),
        GroupBy::Zone => Key::Named(piece.zone),
        GroupBy::Market => Key::Market(piece.market == Market::Spot),
        GroupBy::Day => Key::Number(piece.from.div_euclid(86_400)),
    }
}

/// Makes a report. Machines that exist count up to now.
///
/// # Errors
/// [`LedgerError`].
pub fn report(ledger: &mut Ledger, query: Query, now: Timestamp, book: &Book) -> Result<Report, LedgerError> {
    let mut pass = Accumulator::default();
    let (from, to) = (query.window.begins(), query.window.ends());
    ledger.each(from, to, |piece| pass.add(query.by, piece))?;
    let mut running = Vec::new();
    ledger.each_living(book, |entry, deadline, pieces| {
        let within = pieces.iter().filter(|piece| piece.to > from && piece.from < to);
        within.for_each(|piece| pass.add(query.by, piece));
        running.push(live(entry, deadline, pieces, now));
    })?;
    ledger.read_new_names()?;
    let (rows, joined) = rows(ledger, &pass, query)?;
    let (owners, days) = days(ledger, &pass, query.window, now);
    let mut waste: Vec<(Kind, Usd)> = pass
        .kinds
        .iter()
        .filter(|(kind, _)| kind.class() == Class::Waste)
        .map(|(kind, cost)| (*kind, usd(*cost)))
        .collect();
    waste.sort_by_key(|(_, cost)| std::cmp::Reverse(*cost));
    let mut job_costs: Vec<Nanos> = pass.jobs.values().map(JobSum::cost).collect();
    job_costs.sort_unstable();
    let comparison = Comparison::of(ledger.names(), &pass.compared, &pass.jobs, book, now);
    Ok(Report {
        now,
        query,
        rows,
        joined,
        total: pass.total,
        waste,
        owners,
        days,
        job_costs: job_costs.into_iter().map(|cost| usd(i128::from(cost))).collect(),
        running,
        comparison,
        estimated: usd(pass.estimated),
    })
}

fn live(entry: &LedgerEntry, deadline: Deadline, pieces: &[UsageRow], now: Timestamp) -> Running {
    let cost: i128 = pieces.iter().map(|piece| i128::from(piece.cost())).sum();
    let left = u64::try_from(deadline.0.duration_since(now).as_secs()).unwrap_or(0);
    let hourly = entry.usage.prices.last().map_or(rust_decimal::Decimal::ZERO, |(_, price)| price.0)
        + entry.offer.disk.map_or(rust_decimal::Decimal::ZERO, |disk| disk.hourly_at_most().0);
    Running {
        launch: entry.launch,
        spec: entry.spec.clone(),
        instance_type: entry.offer.instance_type.clone(),
        market: entry.offer.market,
        since: entry.from,
        deadline,
        cost: usd(cost),
        committed: cml_cloud::UsdPerHour(hourly).for_seconds(left),
        is_overdue: deadline.passed(now),
    }
}

fn rows(ledger: &Ledger, pass: &Accumulator, query: Query) -> Result<(Vec<Row>, usize), LedgerError> {
    let mut groups: Vec<(Key, Totals)> = pass.groups.iter().map(|(key, tally)| (*key, *tally)).collect();
    let mut joined = (0, Totals::default());
    if query.by == GroupBy::Job {
        joined = dearest_jobs(pass, query.top, &mut groups);
    }
    if query.by == GroupBy::Day {
        groups.sort_by_key(|(key, _)| *key);
        let rows = groups.into_iter().map(|(key, tally)| named(ledger, query.by, key, tally));
        return Ok((rows.collect::<Result<_, _>>()?, 0));
    }
    // Owners before boot, idle and waste; the most expensive first, in a deterministic order.
    let order = |(key, tally): &(Key, Totals)| {
        let class = if let Key::Class(class) = key { Some(*class) } else { None };
        (class, std::cmp::Reverse(tally.nanos()), *key)
    };
    groups.sort_by_key(order);
    let owners = groups.iter().filter(|(key, _)| !matches!(key, Key::Class(_))).count();
    let shown = owners.min(query.top.max(1));
    let mut rows = Vec::new();
    for (key, tally) in &groups[..shown] {
        rows.push(named(ledger, query.by, *key, *tally)?);
    }
    let (mut others, mut tally) = joined;
    groups[shown..owners].iter().for_each(|(_, other)| tally.join(other));
    others += owners - shown;
    if others > 0 {
        rows.push(Row { name: format!("{others} others"), page: None, tally });
    }
    for (key, tally) in &groups[owners..] {
        rows.push(named(ledger, query.by, *key, *tally)?);
    }
    Ok((rows, others))
}

/// Adds the most expensive jobs, and sums up the others.
fn dearest_jobs(pass: &Accumulator, top: usize, groups: &mut Vec<(Key, Totals)>) -> (usize, Totals) {
    let mut jobs: Vec<(std::cmp::Reverse<Nanos>, i64)> =
        pass.jobs.iter().map(|(job, sum)| (std::cmp::Reverse(sum.cost()), *job)).collect();
    jobs.sort_unstable();
    let shown = jobs.len().min(top.max(1));
    let tally = |job: &i64| pass.jobs.get(job).map(JobSum::tally).unwrap_or_default();
    groups.extend(jobs[..shown].iter().map(|(_, job)| (Key::Number(*job), tally(job))));
    let mut others = Totals::default();
    jobs[shown..].iter().for_each(|(_, job)| others.join(&tally(job)));
    (jobs.len() - shown, others)
}

fn named(ledger: &Ledger, by: GroupBy, key: Key, tally: Totals) -> Result<Row, LedgerError> {
    let mut page = None;
    let name = match key {
        Key::Named(id) => ledger.names().name(id).to_owned(),
        Key::Market(true) => Market::Spot.to_string(),
        Key::Market(false) => Market::OnDemand.to_string(),
        Key::Class(class) => class.words().to_owned(),
        Key::Number(day) if by == GroupBy::Day => day_numbered(day).to_string(),
        Key::Number(0) => "a job that is not known".to_owned(),
        Key::Number(job) => match ledger.job(job)? {
            Some(title) => {
                page = Some(format!("{}/actions/runs/{}/job/{job}", title.repository, title.run_id));
                format!("{} {} {}", title.repository, title.name, job)
            }
            None => format!("job {job}"),
        },
    };
    Ok(Row { name, page, tally })
}

fn days(ledger: &Ledger, pass: &Accumulator, window: Window, now: Timestamp) -> (Vec<String>, Vec<DaySpend>) {
    let mut repositories: FxHashMap<Symbol, i128> = FxHashMap::default();
    for ((_, owner), cost) in &pass.owners {
        if let Owner::Repository(id) = owner {
            *repositories.entry(*id).or_default() += cost;
        }
    }
    let mut dearest: Vec<(Symbol, i128)> = repositories.into_iter().collect();
    dearest.sort_by_key(|(id, cost)| (std::cmp::Reverse(*cost), *id));
    let others = dearest.len() > OWNERS_SHOWN;
    dearest.truncate(OWNERS_SHOWN);
    let mut owners: Vec<String> = dearest.iter().map(|(id, _)| ledger.names().name(*id).to_owned()).collect();
    if others {
        owners.push("other repositories".to_owned());
    }
    let first_class = owners.len();
    let classes = [Class::Boot, Class::Idle, Class::Waste];
    owners.extend(classes.map(|class| class.words().to_owned()));
    let index = |owner: Owner| match owner {
        Owner::Repository(id) => {
            dearest.iter().position(|(known, _)| *known == id).unwrap_or(first_class.saturating_sub(1))
        }
        Owner::Class(class) => first_class + classes.iter().position(|it| *it == class).unwrap_or(0),
    };
    let mut sums: BTreeMap<i64, Vec<i128>> = BTreeMap::new();
    for ((day, owner), cost) in &pass.owners {
        sums.entry(*day).or_insert_with(|| vec![0; owners.len()])[index(*owner)] += cost;
    }
    let today = now.as_second().div_euclid(86_400);
    let first = window.begins().div_euclid(86_400);
    let last = (window.ends().div_euclid(86_400) - 1).min(today);
    let empty = vec![0; owners.len()];
    let spend = |day: i64| DaySpend {
        day: day_numbered(day),
        by_owner: sums.get(&day).unwrap_or(&empty).iter().map(|cost| usd(*cost)).collect(),
    };
    (owners, (first..=last).map(spend).collect())
}
