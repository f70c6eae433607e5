//! Histogram of job costs.

use cml_cloud::Usd;
use rust_decimal::Decimal;
use serde::Serialize;

use super::days::Label;
use super::scale::{Axis, Tick, percent, share, short};
use crate::format::{count, dollars};

/// Above this number of bars, each bar covers a power of ten.
const BARS_MOST: usize = 21;
/// Maximum number of labels below the plot on a phone.
const TOLD_MOST: usize = 7;
/// Everything below this amount is one bar: a tenth of a cent.
const LEAST: Decimal = Decimal::from_parts(1, 0, 0, false, 3);

#[derive(Serialize)]
pub(super) struct Histogram {
    jobs: String,
    median: String,
    p95: String,
    most: String,
    mean: String,
    gutter: usize,
    ticks: Vec<Tick>,
    bars: Vec<Bar>,
    edges: Vec<Label>,
    marks: Vec<Mark>,
}

#[derive(Serialize)]
struct Bar {
    /// Percent of the width, and of the height.
    left: String,
    width: String,
    tall: String,
    count: String,
    range: String,
}

/// A line through the plot.
#[derive(Serialize)]
struct Mark {
    left: String,
    text: String,
    /// Whether its label is left of it.
    is_right: bool,
}

impl Histogram {
    /// Builds it from sorted costs; `None` without jobs.
    pub(super) fn of(costs: &[Usd]) -> Option<Self> {
        let most = costs.last()?;
        let edges = edges(costs[0].0, most.0);
        let counts = counts(costs, &edges);
        let axis = Axis::of_counts(counts.iter().copied().max().unwrap_or(0));
        let (median, p95) = (quantile(costs, 50), quantile(costs, 95));
        let sum = costs.iter().fold(Decimal::ZERO, |sum, cost| sum.saturating_add(cost.0));
        let mark = |name: &str, cost: Usd| {
            let left = place(cost.0, &edges);
            let is_right = left > Decimal::from(50);
            Mark { left: percent(left), text: format!("{name} {}", dollars(cost)), is_right }
        };
        Some(Self {
            jobs: count(costs.len() as u64),
            median: dollars(median),
            p95: dollars(p95),
            most: dollars(*most),
            mean: dollars(Usd(sum / Decimal::from(costs.len()))),
            gutter: axis.gutter(),
            bars: bars(&counts, &edges, &axis),
            marks: vec![mark("median", median), mark("95th percentile", p95)],
            edges: labels(&edges),
            ticks: axis.ticks,
        })
    }
}

/// Returns the cost that so many percent of the jobs do not exceed.
fn quantile(costs: &[Usd], percent: usize) -> Usd {
    let rank = (costs.len() * percent).div_ceil(100);
    costs.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// Returns the edges between the bars, increasing: 1, 2, 5, 10 and so on. The first bar begins at zero when there are
/// jobs that cost less than a tenth of a cent.
fn edges(least: Decimal, most: Decimal) -> Vec<Decimal> {
    let fine = steps(least, most, &[1, 2, 5]);
    let mut edges = if fine.len() > BARS_MOST + 1 { steps(least, most, &[1]) } else { fine };
    if least < LEAST {
        edges.insert(0, Decimal::ZERO);
    }
    if edges.len() < 2 {
        edges.push(edges[0].saturating_mul(Decimal::TEN));
    }
    edges
}

/// Returns the last step that is at most `least`, and all from there to the first that is more than `most`.
fn steps(least: Decimal, most: Decimal, digits: &[i64]) -> Vec<Decimal> {
    let mut all = Vec::new();
    let mut power = Some(LEAST);
    while let Some(ten) = power {
        for edge in digits.iter().filter_map(|digit| ten.checked_mul(Decimal::from(*digit))) {
            if edge <= least {
                all.clear();
            }
            all.push(edge);
            if edge > most {
                return all;
            }
        }
        power = ten.checked_mul(Decimal::TEN);
    }
    all
}

/// Returns the bar of an amount.
fn bar_of(cost: Decimal, edges: &[Decimal]) -> usize {
    edges.partition_point(|edge| *edge <= cost).saturating_sub(1).min(edges.len().saturating_sub(2))
}

fn counts(costs: &[Usd], edges: &[Decimal]) -> Vec<u64> {
    let mut counts = vec![0; edges.len() - 1];
    for cost in costs {
        counts[bar_of(cost.0, edges)] += 1;
    }
    counts
}

fn bars(counts: &[u64], edges: &[Decimal], axis: &Axis) -> Vec<Bar> {
    let all = Decimal::from(counts.len());
    let bar = |(number, jobs): (usize, &u64)| Bar {
        left: percent(share(Decimal::from(number), all)),
        width: percent(share(Decimal::ONE, all)),
        tall: percent(axis.place(Decimal::from(*jobs))),
        count: count(*jobs),
        range: format!("{} to {}", short(edges[number]), short(edges[number + 1])),
    };
    counts.iter().enumerate().map(bar).collect()
}

/// Returns the position of an amount, in percent of the width; proportional within a bar.
fn place(cost: Decimal, edges: &[Decimal]) -> Decimal {
    let bar = bar_of(cost, edges);
    let within = (cost - edges[bar]).checked_div(edges[bar + 1] - edges[bar]).unwrap_or_default();
    share(Decimal::from(bar) + within.clamp(Decimal::ZERO, Decimal::ONE), Decimal::from(edges.len() - 1))
}

/// Returns the labels. A phone has room for some powers of ten only, and not for the one next to zero.
fn labels(edges: &[Decimal]) -> Vec<Label> {
    let bars = Decimal::from(edges.len() - 1);
    let is_few = edges.len() <= TOLD_MOST + 1;
    let is_told = |(number, edge): &(usize, &Decimal)| {
        let after_zero = *number == 1 && edges[0].is_zero();
        is_few || edge.is_zero() || is_power_of_ten(**edge) && !after_zero
    };
    let told: Vec<usize> = edges.iter().enumerate().filter(is_told).map(|(number, _)| number).collect();
    let every = told.len().div_ceil(TOLD_MOST).max(1);
    let label = |(number, edge): (usize, &Decimal)| Label {
        left: percent(share(Decimal::from(number), bars)),
        text: short(*edge),
        is_extra: !told.iter().step_by(every).any(|told| *told == number),
    };
    edges.iter().enumerate().map(label).collect()
}

fn is_power_of_ten(edge: Decimal) -> bool {
    let digits = edge.normalize().mantissa().to_string();
    digits.trim_end_matches('0') == "1"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(all: &[&str]) -> Vec<Usd> {
        let mut all: Vec<Usd> = all.iter().map(|cost| Usd(cost.parse().expect("an amount"))).collect();
        all.sort();
        all
    }

    fn shown(all: &[&str]) -> Vec<(String, String)> {
        let histogram = Histogram::of(&costs(all)).expect("there are jobs");
        histogram.bars.into_iter().map(|bar| (bar.range, bar.count)).collect()
    }

    #[test]
    fn no_jobs_no_plot() {
        assert!(Histogram::of(&[]).is_none());
    }

    #[test]
    fn bars_reach_from_the_cheapest_to_the_dearest() {
        let bar = |range: &str, count: &str| (range.to_owned(), count.to_owned());
        assert_eq!(shown(&["0.30"]), [bar("$0.20 to $0.50", "1")]);
        assert_eq!(shown(&["0", "0.0004"]), [bar("$0 to $0.001", "2")]);
        let three = [bar("$0.005 to $0.01", "1"), bar("$0.01 to $0.02", "2"), bar("$0.02 to $0.05", "1")];
        assert_eq!(shown(&["0.0099", "0.01", "0.0199", "0.02"]), three);
    }

    #[test]
    fn the_widest_range_has_bars_that_can_be_told_apart() {
        for all in [&["0", "79228162514264337593543950335"][..], &["0.002", "999"], &["0", "450"]] {
            let bars = shown(all);
            assert!(bars.len() <= 34, "{bars:?}");
            assert_eq!(bars.iter().filter(|(_, count)| count == "1").count(), 2, "{bars:?}");
        }
    }

    #[test]
    fn a_quantile_is_what_a_job_has_cost() {
        let all: Vec<Usd> = (1..=20).map(|cost| Usd(Decimal::from(cost))).collect();
        assert_eq!([50, 95, 100].map(|percent| quantile(&all, percent).0), [10, 19, 20].map(Decimal::from));
        assert_eq!(quantile(&all[..1], 95).0, Decimal::ONE);
    }
}
