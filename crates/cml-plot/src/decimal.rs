//! Tick values as exact decimals, so that their labels have no rounding noise.

/// `n` × 10^`e`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    pub(crate) n: i64,
    pub(crate) e: i32,
}

/// Numbers with more digits before the point than this are written with a power of ten.
const MOST_DIGITS: i32 = 6;
/// So are numbers with more zeros after the point than this.
const MOST_ZEROS: i32 = 3;

impl Decimal {
    /// Returns the nearest f64.
    pub(crate) fn value(self) -> f64 {
        // The parser rounds correctly, which a multiplication by a power of ten does not.
        format!("{}e{}", self.n, self.e).parse().unwrap_or(f64::NAN)
    }

    /// Returns the power of ten of its first digit; `None` for 0.
    fn magnitude(self) -> Option<i32> {
        let digits = self.n.checked_abs()?.checked_ilog10()?;
        Some(digits as i32 + self.e)
    }
}

/// Returns labels of ticks on one linear axis: all with the same number of decimals and the same power of ten.
pub(crate) fn labels(ticks: &[Decimal]) -> Vec<String> {
    let Some(magnitude) = ticks.iter().filter_map(|tick| tick.magnitude()).max() else {
        return vec!["0".to_owned(); ticks.len()];
    };
    ticks.iter().map(|&tick| label(tick, magnitude)).collect()
}

/// Returns labels of ticks on a logarithmic axis: powers of ten either all as such or all written out.
pub(crate) fn log_labels(ticks: &[Decimal]) -> Vec<String> {
    let short = |tick: &Decimal| tick.magnitude().is_none_or(is_short);
    let all_short = ticks.iter().all(short);
    let one = |&tick: &Decimal| match (all_short, tick.n) {
        (true, _) => plain(tick.n, tick.e),
        (false, 1) => format!("10{}", superscript(tick.e)),
        (false, n) => format!("{n}×10{}", superscript(tick.e)),
    };
    ticks.iter().map(one).collect()
}

fn is_short(magnitude: i32) -> bool {
    (-MOST_ZEROS - 1..MOST_DIGITS).contains(&magnitude)
}

fn label(tick: Decimal, magnitude: i32) -> String {
    if is_short(magnitude) {
        plain(tick.n, tick.e)
    } else if tick.n == 0 {
        "0".to_owned()
    } else {
        format!("{}×10{}", plain(tick.n, tick.e - magnitude), superscript(magnitude))
    }
}

/// Formats a number without a power of ten, with a true minus sign.
fn plain(n: i64, e: i32) -> String {
    let sign = if n < 0 { "−" } else { "" };
    let digits = n.unsigned_abs().to_string();
    if n == 0 || e >= 0 {
        let zeros = if n == 0 { 0 } else { e.unsigned_abs() as usize };
        return format!("{sign}{digits}{}", "0".repeat(zeros));
    }
    let decimals = e.unsigned_abs() as usize;
    let padded = format!("{digits:0>width$}", width = decimals + 1);
    let (whole, part) = padded.split_at(padded.len() - decimals);
    format!("{sign}{whole}.{part}")
}

fn superscript(exponent: i32) -> String {
    let raised = |sign: char| match sign {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '0' | '4'..='9' => char::from_u32('⁰' as u32 + sign as u32 - '0' as u32).unwrap_or(sign),
        other => other,
    };
    exponent.to_string().chars().map(raised).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(multiples: &[i64], e: i32) -> Vec<String> {
        labels(&multiples.iter().map(|&n| Decimal { n, e }).collect::<Vec<_>>())
    }

    #[test]
    fn everyday_numbers_are_written_out_with_equal_decimals() {
        assert_eq!(of(&[-5, 0, 5, 10], -1), ["−0.5", "0", "0.5", "1.0"]);
        assert_eq!(of(&[0, 2, 4], 4), ["0", "20000", "40000"]);
        assert_eq!(of(&[1, 2], -4), ["0.0001", "0.0002"]);
    }

    #[test]
    fn tiny_and_huge_numbers_share_a_power_of_ten() {
        assert_eq!(of(&[0, 5, 10, 15], 5), ["0", "0.5×10⁶", "1.0×10⁶", "1.5×10⁶"]);
        assert_eq!(of(&[1, 2], -5), ["1×10⁻⁵", "2×10⁻⁵"]);
        assert_eq!(of(&[-1, 1], 120), ["−1×10¹²⁰", "1×10¹²⁰"]);
    }

    #[test]
    fn logarithmic_ticks_are_written_out_or_powers() {
        let decades =
            |range: std::ops::Range<i32>| log_labels(&range.map(|e| Decimal { n: 1, e }).collect::<Vec<_>>());
        assert_eq!(decades(-2..2), ["0.01", "0.1", "1", "10"]);
        assert_eq!(decades(-6..-3), ["10⁻⁶", "10⁻⁵", "10⁻⁴"]);
        assert_eq!(log_labels(&[Decimal { n: 2, e: -6 }]), ["2×10⁻⁶"]);
    }

    #[test]
    fn a_decimals_value_is_the_nearest_float() {
        assert_eq!(Decimal { n: 3, e: -1 }.value(), 0.3);
        assert_eq!(Decimal { n: 17, e: 307 }.value(), 1.7e308);
    }
}
