//! Axes with round ticks, and positions on them. Money is a decimal up to the position on the page, which is a
//! percentage.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::Serialize;

use crate::format;

/// Maximum number of steps between ticks.
const STEPS_MOST: i64 = 5;
/// The smallest step of money: a billionth, the ledger's precision.
const LEAST: Decimal = Decimal::from_parts(1, 0, 0, false, 9);
/// Suffixes of large steps.
const SUFFIXES: [(i64, &str); 3] = [(1_000_000_000, "B"), (1_000_000, "M"), (1_000, "k")];

/// An axis that begins at zero.
pub(super) struct Axis {
    top: Decimal,
    pub(super) ticks: Vec<Tick>,
}

/// A tick.
#[derive(Serialize)]
pub(super) struct Tick {
    label: String,
    /// Percent of the axis, from its zero.
    up: String,
}

impl Axis {
    /// Creates an axis of money that reaches at least this amount.
    pub(super) fn of_money(most: Decimal) -> Self {
        Self::new(most, LEAST, tick_name)
    }

    /// Creates an axis of counts.
    pub(super) fn of_counts(most: u64) -> Self {
        let say = |value: Decimal, _| format::grouped(&value.normalize().to_string());
        Self::new(Decimal::from(most), Decimal::ONE, say)
    }

    fn new(most: Decimal, least: Decimal, say: impl Fn(Decimal, Decimal) -> String) -> Self {
        let step = round_step(most.max(least) / Decimal::from(STEPS_MOST)).max(least);
        let steps =
            most.checked_div(step).and_then(|steps| steps.ceil().to_i64()).unwrap_or(STEPS_MOST).max(1);
        let top = step.saturating_mul(Decimal::from(steps));
        let tick = |number: i64| Tick {
            label: say(step.saturating_mul(Decimal::from(number)), step),
            up: percent(Decimal::from(number * 100) / Decimal::from(steps)),
        };
        Self { top, ticks: (0..=steps).map(tick).collect() }
    }

    /// Returns the position of a value, in percent.
    pub(super) fn place(&self, value: Decimal) -> Decimal {
        let share = value.checked_div(self.top).unwrap_or_default();
        (share * Decimal::ONE_HUNDRED).clamp(Decimal::ZERO, Decimal::ONE_HUNDRED)
    }

    /// Returns the length of the longest label, in characters.
    pub(super) fn gutter(&self) -> usize {
        self.ticks.iter().map(|tick| tick.label.chars().count()).max().unwrap_or(0)
    }
}

/// Formats a round amount in few characters: `$0.002`, `$0.50`, `$20`, `$5k`.
pub(super) fn short(amount: Decimal) -> String {
    tick_name(amount, amount)
}

fn tick_name(value: Decimal, step: Decimal) -> String {
    let unit = SUFFIXES.iter().find(|(size, _)| step >= Decimal::from(*size));
    let (size, suffix) = unit.copied().unwrap_or((1, ""));
    match step.normalize().scale() {
        _ if value.is_zero() => "$0".to_owned(),
        0 => format!("${}{suffix}", format::grouped(&(value / Decimal::from(size)).normalize().to_string())),
        digits => format!("${value:.*}", usize::try_from(digits.max(2)).unwrap_or(2)),
    }
}

/// Formats a position on the page.
pub(super) fn percent(share: Decimal) -> String {
    share.round_dp(2).normalize().to_string()
}

/// Returns a part of a whole in percent; zero for a whole of zero.
pub(super) fn share(part: Decimal, whole: Decimal) -> Decimal {
    part.checked_div(whole).unwrap_or_default().saturating_mul(Decimal::ONE_HUNDRED)
}

/// Returns the next of 1, 2, 5, 10, 20, … that is not smaller.
fn round_step(raw: Decimal) -> Decimal {
    let mut power = Decimal::ONE;
    while let Some(next) = power.checked_mul(Decimal::TEN).filter(|next| *next <= raw) {
        power = next;
    }
    while power > raw && power > LEAST {
        power /= Decimal::TEN;
    }
    let steps = [1, 2, 5, 10].map(|factor| power.saturating_mul(Decimal::from(factor)));
    steps.into_iter().find(|step| *step >= raw).unwrap_or(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(most: &str) -> Vec<String> {
        let axis = Axis::of_money(most.parse().expect("an amount"));
        axis.ticks.into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(money("0"), ["$0", "$0.000000001"]);
        assert_eq!(money("0.0042"), ["$0", "$0.001", "$0.002", "$0.003", "$0.004", "$0.005"]);
        assert_eq!(money("0.93"), ["$0", "$0.20", "$0.40", "$0.60", "$0.80", "$1.00"]);
        assert_eq!(money("1"), ["$0", "$0.20", "$0.40", "$0.60", "$0.80", "$1.00"]);
        assert_eq!(money("41"), ["$0", "$10", "$20", "$30", "$40", "$50"]);
        assert_eq!(money("4999"), ["$0", "$1k", "$2k", "$3k", "$4k", "$5k"]);
        assert_eq!(money("999"), ["$0", "$200", "$400", "$600", "$800", "$1,000"]);
        assert_eq!(money("2400000"), ["$0", "$500k", "$1,000k", "$1,500k", "$2,000k", "$2,500k"]);
        assert_eq!(money("79228162514264337593543950335").len(), 5);
    }

    #[test]
    fn things_are_counted_in_whole_numbers() {
        let ticks = |most| Axis::of_counts(most).ticks.into_iter().map(|tick| tick.label).collect::<Vec<_>>();
        assert_eq!(ticks(0), ["0", "1"]);
        assert_eq!(ticks(3), ["0", "1", "2", "3"]);
        assert_eq!(ticks(5001), ["0", "2,000", "4,000", "6,000"]);
    }

    #[test]
    fn places_are_within_the_axis() {
        let axis = Axis::of_money(Decimal::from(41));
        assert_eq!(percent(axis.place(Decimal::from(25))), "50");
        assert_eq!(percent(axis.place(Decimal::from(-1))), "0");
        assert_eq!(percent(Axis::of_money(Decimal::MAX).place(Decimal::MAX)), "100");
    }
}
