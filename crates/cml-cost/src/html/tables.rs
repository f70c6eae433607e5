//! Texts and tables of the page.

use cml_cloud::Usd;
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde::Serialize;

use super::scale::{percent, share};
use crate::format::{self, count, dollars, hours};
use crate::query::GroupBy;
use crate::report::{Report, Row, Totals};
use crate::usage_row::{Class, Kind};

/// The first paragraphs.
#[derive(Serialize)]
pub(super) struct Head {
    window: String,
    is_open: bool,
    is_empty: bool,
    total: String,
    disk: Option<String>,
    classes: Vec<ClassPart>,
    jobs: String,
    machines: String,
    hours: String,
    estimated: Option<Part>,
    committed: Option<String>,
    running: usize,
}

/// A fraction of the total.
#[derive(Serialize)]
struct Part {
    cost: String,
    share: String,
}

/// One class's fraction of something.
#[derive(Serialize)]
pub(super) struct ClassPart {
    class: &'static str,
    cost: String,
    share: String,
    /// Percent of the bar.
    width: String,
}

impl Head {
    pub(super) fn of(report: &Report) -> Self {
        let (total, window) = (report.total.cost(), report.query.window);
        let disk = report.total.disk();
        let committed =
            report.running.iter().fold(Decimal::ZERO, |sum, it| sum.saturating_add(it.committed.0));
        let part = |cost: Usd| Part { cost: dollars(cost), share: format::percent(cost, total) };
        Self {
            window: window.to_string(),
            is_open: window.ends() > report.now.as_second(),
            is_empty: total.0.is_zero() && report.total.machines == 0 && report.rows.is_empty(),
            total: dollars(total),
            disk: (!disk.0.is_zero()).then(|| dollars(disk)),
            classes: class_parts(&report.total, total),
            jobs: count(report.total.jobs),
            machines: count(report.total.machines),
            hours: hours(report.total.seconds),
            estimated: (!report.estimated.0.is_zero()).then(|| part(report.estimated)),
            committed: (!committed.is_zero()).then(|| dollars(Usd(committed))),
            running: report.running.len(),
        }
    }
}

fn class_parts(tally: &Totals, whole: Usd) -> Vec<ClassPart> {
    let part = |class: Class| {
        let cost = tally.class(class);
        ClassPart {
            class: class.words(),
            cost: dollars(cost),
            share: format::percent(cost, whole),
            width: percent(share(cost.0, whole.0)),
        }
    };
    Class::ALL.map(part).into()
}

/// A cause of waste.
#[derive(Serialize)]
pub(super) struct Cause {
    name: &'static str,
    what: &'static str,
    cost: String,
    share: String,
    width: String,
}

/// Returns waste by cause, with bars relative to the most expensive cause.
pub(super) fn waste(report: &Report) -> Vec<Cause> {
    let total = report.total.cost();
    let most = report.waste.iter().map(|(_, cost)| cost.0).max().unwrap_or_default();
    let cause = |(kind, cost): &(Kind, Usd)| Cause {
        name: kind.words(),
        what: what_happened(*kind),
        cost: dollars(*cost),
        share: format::percent(*cost, total),
        width: percent(share(cost.0, most)),
    };
    report.waste.iter().filter(|(_, cost)| !cost.0.is_zero()).map(cause).collect()
}

fn what_happened(kind: Kind) -> &'static str {
    match kind {
        Kind::Boot | Kind::Work | Kind::Idle => "",
        Kind::NeverRegistered => "the machine was there, its runner never came online",
        Kind::Interrupted => "the cloud took the machine back while a job was on it",
        Kind::Capped => "the deadline ended the machine while a job was on it",
        Kind::Stopped => "somebody had stopped the machine; its disk still costs",
        Kind::Minimum => "the cloud bills a minute at least; the machine lived less",
    }
}

/// Comparison with on-demand and with GitHub-hosted runners.
#[derive(Serialize)]
pub(super) struct Elsewhere {
    spot: Option<Spot>,
    hosted: Option<Hosted>,
    unfit: Option<String>,
}

#[derive(Serialize)]
struct Spot {
    paid: String,
    paid_width: String,
    on_demand: String,
    on_demand_width: String,
    difference: String,
    share: String,
    is_saving: bool,
}

#[derive(Serialize)]
struct Hosted {
    jobs: String,
    cost: String,
    as_of: Option<String>,
}

impl Elsewhere {
    pub(super) fn of(report: &Report) -> Self {
        let hosted = &report.comparison.hosted;
        let fit = (hosted.jobs > 0).then(|| Hosted {
            jobs: count(hosted.jobs as u64),
            cost: dollars(hosted.cost),
            as_of: hosted.as_of.map(|day| day.to_string()),
        });
        let unfit = (hosted.unfit > 0).then(|| count(hosted.unfit as u64));
        Self { spot: Spot::of(report), hosted: fit, unfit }
    }
}

impl Spot {
    fn of(report: &Report) -> Option<Self> {
        let (paid, list) = (report.comparison.spot, report.comparison.spot_on_demand);
        if list.0.is_zero() {
            return None;
        }
        let difference = list.0 - paid.0;
        let most = paid.0.max(list.0);
        Some(Self {
            paid: dollars(paid),
            paid_width: percent(share(paid.0, most)),
            on_demand: dollars(list),
            on_demand_width: percent(share(list.0, most)),
            difference: dollars(Usd(difference.abs())),
            share: format::percent(Usd(difference.abs()), list),
            is_saving: !difference.is_sign_negative(),
        })
    }
}

/// The rows.
#[derive(Serialize)]
pub(super) struct Table {
    heading: &'static str,
    /// Whether the four classes have rows of their own.
    is_of_jobs: bool,
    rows: Vec<TableRow>,
    total: Figures,
    joined: Option<String>,
}

#[derive(Serialize)]
struct TableRow {
    name: String,
    link: Option<String>,
    parts: Vec<ClassPart>,
    figures: Figures,
}

#[derive(Serialize)]
struct Figures {
    cost: String,
    share: String,
    classes: Vec<Option<String>>,
    jobs: Option<String>,
    machines: Option<String>,
    hours: String,
}

impl Table {
    pub(super) fn of(report: &Report, forge: &str) -> Self {
        let total = report.total.cost();
        let most = report.rows.iter().map(|row| row.tally.cost()).max().unwrap_or_default();
        let row = |row: &Row| TableRow {
            name: row.name.clone(),
            link: row.page.as_ref().map(|page| format!("{}/{page}", forge.trim_end_matches('/'))),
            parts: class_parts(&row.tally, most),
            figures: figures(&row.tally, total),
        };
        Self {
            heading: heading(report.query.by),
            is_of_jobs: report.query.by.is_of_jobs(),
            rows: report.rows.iter().map(row).collect(),
            total: figures(&report.total, total),
            joined: (report.joined > 0).then(|| count(report.joined as u64)),
        }
    }
}

fn figures(tally: &Totals, total: Usd) -> Figures {
    let class = |class: Class| Some(tally.class(class)).filter(|cost| !cost.0.is_zero()).map(dollars);
    let some = |number: u64| (number > 0).then(|| count(number));
    Figures {
        cost: dollars(tally.cost()),
        share: format::percent(tally.cost(), total),
        classes: Class::ALL.map(class).into(),
        jobs: some(tally.jobs),
        machines: some(tally.machines),
        hours: hours(tally.seconds),
    }
}

fn heading(by: GroupBy) -> &'static str {
    match by {
        GroupBy::Job => "Job",
        GroupBy::Workflow => "Workflow",
        GroupBy::Branch => "Branch",
        GroupBy::Repo => "Repository",
        GroupBy::Actor => "Person",
        GroupBy::Spec => "Spec",
        GroupBy::Type => "Instance type",
        GroupBy::Zone => "Zone",
        GroupBy::Market => "Market",
        GroupBy::Day => "Day",
    }
}

/// A machine that exists, or whose end was not seen.
#[derive(Serialize)]
pub(super) struct Living {
    launch: String,
    spec: String,
    machine: String,
    market: String,
    since: String,
    age: String,
    cost: String,
    committed: String,
    deadline: String,
    is_overdue: bool,
}

pub(super) fn running(report: &Report) -> Vec<Living> {
    let living = |it: &crate::report::Running| Living {
        launch: it.launch.to_string(),
        spec: it.spec.clone(),
        machine: it.instance_type.clone(),
        market: it.market.to_string(),
        since: minute(it.since),
        age: age(report.now.duration_since(it.since)),
        cost: dollars(it.cost),
        committed: dollars(it.committed),
        deadline: minute(it.deadline.0),
        is_overdue: it.is_overdue,
    };
    report.running.iter().map(living).collect()
}

/// Returns the sources of the compared on-demand prices.
pub(super) fn sources(report: &Report) -> Vec<String> {
    let told = |(source, types): &(String, usize)| match types {
        1 => format!("{source} (one type in one region)"),
        types => format!("{source} ({types} types and regions)"),
    };
    report.comparison.sources.iter().map(told).collect()
}

pub(super) fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

fn age(time: SignedDuration) -> String {
    let minutes = time.as_mins().max(0);
    match minutes {
        0..60 => format!("{minutes} min"),
        60..2880 => format!("{} h {} min", minutes / 60, minutes % 60),
        _ => format!("{} days", minutes / 1440),
    }
}
