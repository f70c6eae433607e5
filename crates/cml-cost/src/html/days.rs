//! Spending per day, stacked by owner.

use std::fmt::Write as _;

use cml_cloud::Usd;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;

use super::scale::{Axis, Tick, percent, share};
use crate::format::{self, dollars};
use crate::report::{DaySpend, Report};

/// Classes of owners that are not repositories: the last ones.
const CLASSES: [&str; 3] = ["boot", "idle", "waste"];
/// Number of labels that fit below a wide plot, and below one on a phone.
const LABELS: [usize; 2] = [15, 6];
/// Above this number, days are too narrow for their own labels: months are labelled.
const DAYS_NAMED: usize = 100;
/// Above this number, there is no room between the bars.
const DAYS_APART: usize = 100;
/// Maximum width of a bar, as a fraction of the plot, so that a single day is still a bar.
const WIDEST: Decimal = Decimal::from_parts(12, 0, 0, false, 2);

#[derive(Serialize)]
pub(super) struct Days {
    days: usize,
    is_dense: bool,
    gutter: usize,
    ticks: Vec<Tick>,
    series: Vec<Series>,
    hovers: Vec<Hover>,
    labels: Vec<Label>,
    rows: Vec<Row>,
    total: String,
    /// Absent for a single day.
    spread: Option<Spread>,
}

#[derive(Serialize)]
struct Spread {
    dearest: String,
    mean: String,
}

#[derive(Serialize)]
struct Series {
    name: String,
    class: String,
    path: String,
    total: String,
    share: String,
}

/// Tooltip of a day.
#[derive(Serialize)]
struct Hover {
    left: usize,
    title: String,
}

#[derive(Serialize)]
pub(super) struct Label {
    /// Percent of the width.
    pub(super) left: String,
    pub(super) text: String,
    /// Whether it is shown only on a wide page.
    pub(super) is_extra: bool,
}

#[derive(Serialize)]
struct Row {
    day: String,
    total: String,
    by_owner: Vec<String>,
}

impl Days {
    pub(super) fn of(report: &Report) -> Self {
        let totals: Vec<Decimal> = report.days.iter().map(total).collect();
        let sum = totals.iter().fold(Decimal::ZERO, |sum, day| sum.saturating_add(*day));
        let axis = Axis::of_money(totals.iter().copied().max().unwrap_or_default());
        let each = || report.days.iter().zip(&totals);
        let hover = |(left, (day, total)): (usize, (&DaySpend, &Decimal))| Hover {
            left,
            title: told(report, day, *total),
        };
        Self {
            days: report.days.len(),
            is_dense: report.days.len() > DAYS_APART,
            gutter: axis.gutter(),
            series: series(report, &axis, sum),
            hovers: each().enumerate().map(hover).collect(),
            labels: labels(&report.days),
            rows: each().filter(|(_, total)| !total.is_zero()).map(|(day, total)| row(day, *total)).collect(),
            total: dollars(Usd(sum)),
            spread: spread(report, &totals, sum),
            ticks: axis.ticks,
        }
    }
}

fn spread(report: &Report, totals: &[Decimal], sum: Decimal) -> Option<Spread> {
    let (day, most) = report.days.iter().zip(totals).max_by_key(|(_, total)| **total)?;
    let mean = sum.checked_div(Decimal::from(totals.len()))?;
    let spread =
        Spread { dearest: format!("{} on {}", dollars(Usd(*most)), day.day), mean: dollars(Usd(mean)) };
    (totals.len() > 1).then_some(spread)
}

fn total(day: &DaySpend) -> Decimal {
    day.by_owner.iter().fold(Decimal::ZERO, |sum, cost| sum.saturating_add(cost.0))
}

/// Returns the colour class of an owner.
fn class(owner: usize, owners: usize) -> String {
    let first_class = owners.saturating_sub(CLASSES.len());
    match owner.checked_sub(first_class).and_then(|class| CLASSES.get(class)) {
        Some(class) => (*class).to_owned(),
        None => format!("o{}", owner + 1),
    }
}

fn series(report: &Report, axis: &Axis, sum: Decimal) -> Vec<Series> {
    let mut below = vec![Decimal::ZERO; report.days.len()];
    let owners = report.owners.len();
    let one = |(owner, name): (usize, &String)| {
        let costs =
            report.days.iter().map(|day| day.by_owner.get(owner).map_or(Decimal::ZERO, |cost| cost.0));
        let costs: Vec<Decimal> = costs.collect();
        let total = costs.iter().fold(Decimal::ZERO, |sum, cost| sum.saturating_add(*cost));
        let path = bars(&costs, &mut below, axis);
        Series {
            name: name.clone(),
            class: class(owner, owners),
            path,
            total: dollars(Usd(total)),
            share: format::percent(Usd(total), Usd(sum)),
        }
    };
    report.owners.iter().enumerate().map(one).collect()
}

/// Returns one owner's bars, in days across and percent of the axis down.
fn bars(costs: &[Decimal], below: &mut [Decimal], axis: &Axis) -> String {
    let (inset, width) = across(costs.len());
    let mut path = String::new();
    for (day, (cost, below)) in costs.iter().zip(below).enumerate() {
        let foot = axis.place(*below);
        *below = below.saturating_add(*cost);
        let head = axis.place(*below);
        if head > foot {
            let (top, tall) = (percent(Decimal::ONE_HUNDRED - head), percent(head - foot));
            let left = Decimal::from(day) + inset;
            write!(path, "M{left} {top}h{width}v{tall}h-{width}z").ok();
        }
    }
    path
}

/// Returns where in its day a bar begins, and its width: with a gap between days, as long as a day is some pixels wide.
fn across(days: usize) -> (Decimal, Decimal) {
    if days > DAYS_APART {
        return (Decimal::ZERO, Decimal::ONE);
    }
    let width = (WIDEST * Decimal::from(days)).min(Decimal::new(8, 1));
    ((Decimal::ONE - width) / Decimal::TWO, width)
}

fn told(report: &Report, day: &DaySpend, total: Decimal) -> String {
    let mut title = format!("{}: {}", day.day, dollars(Usd(total)));
    for (owner, cost) in report.owners.iter().zip(&day.by_owner).rev() {
        if !cost.0.is_zero() {
            write!(title, "\n{owner}: {}", dollars(*cost)).ok();
        }
    }
    title
}

fn row(day: &DaySpend, total: Decimal) -> Row {
    Row {
        day: day.day.to_string(),
        total: dollars(Usd(total)),
        by_owner: day.by_owner.iter().map(|cost| dollars(*cost)).collect(),
    }
}

/// Returns the labels below the days: as many as fit, the last day among them; for long windows, the first days of
/// months.
fn labels(days: &[DaySpend]) -> Vec<Label> {
    let named: Vec<(usize, String)> = if days.len() <= DAYS_NAMED { by_day(days) } else { by_month(days) };
    let every = named.len().div_ceil(LABELS[1]).max(1);
    let last = named.len().saturating_sub(1);
    let place = |index: usize| percent(share(Decimal::from(index * 2 + 1), Decimal::from(days.len() * 2)));
    let label = |(number, (index, text)): (usize, (usize, String))| Label {
        left: place(index),
        text,
        is_extra: !(last - number).is_multiple_of(every),
    };
    named.into_iter().enumerate().map(label).collect()
}

fn by_day(days: &[DaySpend]) -> Vec<(usize, String)> {
    let every = [1, 2, 3, 7].into_iter().find(|every| days.len().div_ceil(*every) <= LABELS[0]).unwrap_or(7);
    let is_named = |index: &usize| (days.len() - 1 - index).is_multiple_of(every);
    (0..days.len())
        .filter(is_named)
        .map(|index| (index, days[index].day.strftime("%b %-d").to_string()))
        .collect()
}

fn by_month(days: &[DaySpend]) -> Vec<(usize, String)> {
    let months = i64::try_from(days.len() / 30).unwrap_or(i64::MAX);
    let most = i64::try_from(LABELS[0]).unwrap_or(i64::MAX);
    let every = [1, 2, 3, 6, 12, 24, 60, 120].into_iter().find(|every| months / every <= most).unwrap_or(240);
    let number = |day: Date| i64::from(day.year()) * 12 + i64::from(day.month()) - 1;
    let is_named = |day: Date| day.day() == 1 && number(day).rem_euclid(every) == 0;
    let text = |day: Date| day.strftime(if day.month() == 1 { "%Y" } else { "%b" }).to_string();
    let all = days.iter().enumerate().filter(|(_, spend)| is_named(spend.day));
    all.map(|(index, spend)| (index, text(spend.day))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::ToSpan;
    use jiff::civil::date;

    fn shown(count: i64) -> (Vec<String>, usize) {
        let first = date(2026, 3, 15);
        let day = |number: i64| DaySpend {
            day: first.checked_add(number.days()).expect("a day"),
            by_owner: Vec::new(),
        };
        let labels = labels(&(0..count).map(day).collect::<Vec<_>>());
        let narrow = labels.iter().filter(|label| !label.is_extra).count();
        (labels.into_iter().map(|label| label.text).collect(), narrow)
    }

    #[test]
    fn days_are_named_as_far_as_they_fit() {
        assert_eq!(shown(0), (vec![], 0));
        assert_eq!(shown(1), (vec!["Mar 15".to_owned()], 1));
        for count in [2, 7, 15, 16, 30, 45, 92, 100, 101, 366, 1000, 36_500] {
            let (all, narrow) = shown(count);
            assert!((1..=LABELS[0] + 1).contains(&all.len()), "{count}: {all:?}");
            assert!((1..=LABELS[1]).contains(&narrow), "{count}: {narrow} of {all:?}");
        }
    }

    #[test]
    fn the_last_day_is_named_and_of_long_windows_months_and_years() {
        assert_eq!(
            shown(31).0.join(" "),
            "Mar 15 Mar 18 Mar 21 Mar 24 Mar 27 Mar 30 Apr 2 Apr 5 Apr 8 Apr 11 Apr 14"
        );
        assert_eq!(shown(366).0.join(" "), "Apr May Jun Jul Aug Sep Oct Nov Dec 2027 Feb Mar");
    }
}
