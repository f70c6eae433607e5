//! Round numbers to mark on an axis.

use crate::axis::{Axis, Scale};
use crate::decimal::{self, Decimal};

/// The most ticks that an axis has.
pub(crate) const MOST: usize = 12;
/// Fewer could leave an axis with a single tick: steps grow by up to 2.5.
const FEWEST_WANTED: usize = 5;

/// A marked number.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tick {
    pub(crate) value: f64,
    pub(crate) label: String,
}

/// Returns the finest round ticks, about `wanted` at most, whose labels fit; at least two, even where none fit.
pub(crate) fn ticks(axis: &Axis, wanted: usize, fits: impl Fn(&[Tick]) -> bool) -> Vec<Tick> {
    let wanted = wanted.clamp(FEWEST_WANTED, MOST);
    let mut best = Vec::new();
    for candidate in candidates(axis, wanted) {
        if candidate.len() < 2 {
            break;
        }
        let done = fits(&candidate);
        best = candidate;
        if done {
            break;
        }
    }
    best
}

/// Returns places between the decades of a logarithmic axis, as values, where they are few enough to help.
pub(crate) fn minor(axis: &Axis) -> Vec<f64> {
    if axis.scale == Scale::Linear || axis.hi - axis.lo > 6.0 {
        return Vec::new();
    }
    let decades = axis.lo.floor() as i32..=axis.hi.ceil() as i32;
    let all = decades.flat_map(|e| (2..10).map(move |n| Decimal { n, e }.value()));
    all.filter(|value| (axis.lo..=axis.hi).contains(&value.log10())).collect()
}

/// Returns candidates from fine to coarse.
fn candidates(axis: &Axis, wanted: usize) -> Vec<Vec<Tick>> {
    match axis.scale {
        Scale::Linear => linear(axis.lo, axis.hi, axis.whole, wanted)
            .into_iter()
            .map(|ticks| with_labels(&ticks, decimal::labels(&ticks)))
            .collect(),
        Scale::Log => logarithmic(axis, wanted)
            .into_iter()
            .map(|ticks| with_labels(&ticks, decimal::log_labels(&ticks)))
            .collect(),
    }
}

fn with_labels(ticks: &[Decimal], labels: Vec<String>) -> Vec<Tick> {
    ticks.iter().zip(labels).map(|(tick, label)| Tick { value: tick.value(), label }).collect()
}

fn linear(lo: f64, hi: f64, whole: bool, wanted: usize) -> Vec<Vec<Decimal>> {
    // The logarithm of the range, which itself may be wider than the largest f64.
    let span = (hi / 2.0 - lo / 2.0).log10() + std::f64::consts::LOG10_2;
    let coarsest = span.ceil() as i32;
    let finest = coarsest - 3;
    let all = |finest: i32| -> Vec<Vec<Decimal>> {
        (finest..=coarsest)
            .flat_map(|e| [1, 2, 5].map(|m| multiples(lo, hi, m, e)))
            .filter(|ticks| (2..=wanted).contains(&ticks.len()))
            .collect()
    };
    let ticks = all(if whole { finest.max(0) } else { finest });
    if ticks.is_empty() { all(finest) } else { ticks }
}

/// Returns the multiples of `m` × 10^`e` in the range; empty if they are far too many.
fn multiples(lo: f64, hi: f64, m: i64, e: i32) -> Vec<Decimal> {
    let step = Decimal { n: m, e }.value();
    // One more at either end, since a quotient may be rounded to the wrong side.
    let (first, last) = ((lo / step).ceil() - 1.0, (hi / step).floor() + 1.0);
    if last - first > 2.0 * MOST as f64 {
        return Vec::new();
    }
    let all = (first as i64..=last as i64).map(|k| Decimal { n: k * m, e });
    all.filter(|tick| (lo..=hi).contains(&tick.value())).collect()
}

fn logarithmic(axis: &Axis, wanted: usize) -> Vec<Vec<Decimal>> {
    let (first, last) = (axis.lo.ceil() as i32, axis.hi.floor() as i32);
    let decades = (last - first + 1).max(0) as usize;
    if decades >= 2 {
        let every = |stride: usize| {
            let stride = stride as i32;
            (first..=last).filter(|e| e.rem_euclid(stride) == 0).map(|e| Decimal { n: 1, e }).collect()
        };
        let strides = decades.div_ceil(wanted)..decades;
        return strides.map(every).chain((decades == 2).then(|| every(1))).collect();
    }
    let between = |digits: &[i64]| -> Vec<Decimal> {
        let all = (first - 1..=last + 1).flat_map(|e| digits.iter().map(move |&n| Decimal { n, e }));
        all.filter(|tick| (axis.lo..=axis.hi).contains(&tick.value().log10())).collect()
    };
    let digits = between(&[1, 2, 5]);
    if digits.len() >= 2 {
        return vec![digits];
    }
    linear(10_f64.powf(axis.lo), 10_f64.powf(axis.hi).min(f64::MAX), false, wanted)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(values: &[f64], scale: Scale) -> Vec<String> {
        let axis = Axis::around(values.iter().copied(), scale);
        ticks(&axis, 8, |_| true).into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(labels(&[0.13, 2.31], Scale::Linear), ["0.5", "1.0", "1.5", "2.0"]);
        assert_eq!(labels(&[0.0, 2e6], Scale::Linear), ["0", "0.5×10⁶", "1.0×10⁶", "1.5×10⁶", "2.0×10⁶"]);
        assert_eq!(labels(&[1e-5, 3.5e-5], Scale::Linear).first().unwrap(), "1.0×10⁻⁵");
    }

    #[test]
    fn whole_numbers_have_no_ticks_between_them() {
        assert_eq!(labels(&[1.0, 2.0, 3.0], Scale::Linear), ["1", "2", "3"]);
        assert_eq!(labels(&[0.0, 1.0], Scale::Linear), ["0", "1"]);
    }

    #[test]
    fn logarithmic_axes_mark_decades_or_what_lies_between_them() {
        assert_eq!(labels(&[1e-6, 0.1], Scale::Log), ["10⁻⁶", "10⁻⁵", "10⁻⁴", "10⁻³", "10⁻²", "10⁻¹"]);
        assert_eq!(labels(&[1.5, 30.0], Scale::Log), ["2", "5", "10", "20"]);
        assert_eq!(labels(&[0.91, 0.99], Scale::Log), ["0.92", "0.94", "0.96", "0.98"]);
        assert_eq!(labels(&[1e-40, 1e40], Scale::Log).len(), 7);
    }

    #[test]
    fn coarser_ticks_are_taken_where_labels_do_not_fit() {
        let axis = Axis::from_zero(10.0);
        assert_eq!(ticks(&axis, 12, |_| true).len(), 11);
        assert_eq!(ticks(&axis, 12, |ticks| ticks.len() < 5).len(), 3);
        assert_eq!(ticks(&axis, 12, |_| false).len(), 2);
    }

    fn check(axis: &Axis, wanted: usize) -> Result<(), TestCaseError> {
        let ticks = ticks(axis, wanted, |_| true);
        prop_assert!((2..=MOST).contains(&ticks.len()), "{axis:?}: {ticks:?}");
        prop_assert!(ticks.windows(2).all(|pair| pair[0].value < pair[1].value), "{ticks:?}");
        for tick in &ticks {
            let place = if axis.scale == Scale::Log { tick.value.log10() } else { tick.value };
            let slack = if axis.scale == Scale::Log { 1e-9 } else { 0.0 };
            prop_assert!(place >= axis.lo - slack && place <= axis.hi + slack, "{axis:?}: {tick:?}");
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn ticks_lie_on_the_axis_in_order_and_are_2_to_12(
            values in prop::collection::vec(any::<f64>().prop_filter("finite", |value| value.is_finite()), 1..6),
            wanted in 0_usize..30,
        ) {
            check(&Axis::around(values.iter().copied(), Scale::Linear), wanted)?;
            let positive = values.iter().map(|value| value.abs()).filter(|value| *value > 0.0);
            check(&Axis::around(positive, Scale::Log), wanted)?;
        }

        #[test]
        fn so_they_are_for_everyday_numbers(
            start in -1e6_f64..1e6,
            exponent in -12_i32..7,
            span in 0.0_f64..10.0,
            wanted in 0_usize..30,
        ) {
            let end = start + span * 10_f64.powi(exponent);
            check(&Axis::around([start, end].into_iter(), Scale::Linear), wanted)?;
            check(&Axis::around([start.round(), end.round()].into_iter(), Scale::Linear), wanted)?;
            let positive = [start.abs() + 1e-3, end.abs() + 1e-3];
            check(&Axis::around(positive.into_iter(), Scale::Log), wanted)?;
        }
    }
}
