//! Formatting of figures: the same on a terminal, on a page and in a comment. No figure passes through a float.

use cml_cloud::Usd;
use rust_decimal::{Decimal, RoundingStrategy};

/// Formats an amount: `$1,234.56`. Less than a cent has two significant digits, `$0.0042`; zero is `$0`.
pub(crate) fn dollars(amount: Usd) -> String {
    let size = amount.0.abs();
    let shown = if size.is_zero() {
        return "$0".to_owned();
    } else if size < Decimal::new(1, 2) {
        small(size)
    } else {
        grouped(&format!("{:.2}", rounded(size, 2)))
    };
    let sign = if amount.0.is_sign_negative() { "-" } else { "" };
    format!("{sign}${shown}")
}

/// Formats machine time: `5 min`, `12.3 h`, `1,234 h`. Less than a tenth of an hour is shown in minutes or seconds.
pub(crate) fn hours(seconds: i64) -> String {
    let seconds = i128::from(seconds.max(0));
    let tenths = (seconds * 10 + 1800) / 3600;
    match seconds {
        0 => "0 h".to_owned(),
        1..60 => format!("{seconds} s"),
        60..360 => format!("{} min", (seconds + 30) / 60),
        _ if tenths < 1000 => format!("{}.{} h", tenths / 10, tenths % 10),
        _ => format!("{} h", grouped(&((seconds + 1800) / 3600).to_string())),
    }
}

/// Formats a percentage: `37 %`. A nonzero part is never `0 %`, and an incomplete one never `100 %`.
pub(crate) fn percent(part: Usd, whole: Usd) -> String {
    if part.0.is_zero() {
        return "0 %".to_owned();
    }
    let Some(share) = part.0.checked_div(whole.0) else { return "–".to_owned() };
    let (share, whole) = (share.saturating_mul(Decimal::ONE_HUNDRED), Decimal::ONE_HUNDRED);
    let near = rounded(share, 0);
    if near.is_zero() {
        "< 1 %".to_owned()
    } else if near == whole && share < whole {
        "> 99 %".to_owned()
    } else {
        format!("{} %", near.normalize())
    }
}

/// Formats a count: `1,234`.
pub(crate) fn count(number: u64) -> String {
    grouped(&number.to_string())
}

fn small(size: Decimal) -> String {
    // The position of the first nonzero digit is the excess of the scale over the number of digits.
    let digits = u32::try_from(size.normalize().mantissa().to_string().len()).unwrap_or(0);
    let zeros = size.normalize().scale().saturating_sub(digits);
    rounded(size, zeros + 2).normalize().to_string()
}

fn rounded(size: Decimal, digits: u32) -> Decimal {
    size.round_dp_with_strategy(digits, RoundingStrategy::MidpointAwayFromZero)
}

/// Inserts commas between thousands.
pub(crate) fn grouped(number: &str) -> String {
    let (whole, rest) = number.split_at(number.find('.').unwrap_or(number.len()));
    let mut text = String::with_capacity(number.len() * 4 / 3 + 1);
    for (index, digit) in whole.char_indices() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + rest
}

/// Formats a number with its noun: `1 machine`, `2 machines`.
pub(crate) fn some(number: usize, one: &str, many: &str) -> String {
    let words = if number == 1 { one } else { many };
    format!("{} {words}", count(u64::try_from(number).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(text: &str) -> Usd {
        Usd(text.parse().expect("an amount"))
    }

    #[test]
    fn dollars_have_two_decimals_and_less_than_a_cent_what_it_takes() {
        for (amount, shown) in [
            ("0", "$0"),
            ("0.000", "$0"),
            ("-0", "$0"),
            ("1", "$1.00"),
            ("0.01", "$0.01"),
            ("0.015", "$0.02"),
            ("0.0042", "$0.0042"),
            ("0.00421", "$0.0042"),
            ("0.004", "$0.004"),
            ("0.00996", "$0.01"),
            ("0.000000001", "$0.000000001"),
            ("0.005", "$0.005"),
            ("999.994", "$999.99"),
            ("999.995", "$1,000.00"),
            ("1234.56", "$1,234.56"),
            ("1234567.891", "$1,234,567.89"),
            ("-1234.5", "-$1,234.50"),
            ("-0.0042", "-$0.0042"),
            ("79228162514264337593543950335", "$79,228,162,514,264,337,593,543,950,335.00"),
        ] {
            assert_eq!(dollars(usd(amount)), shown, "{amount}");
        }
    }

    #[test]
    fn hours_keep_three_digits_or_so() {
        for (seconds, shown) in [
            (-5, "0 h"),
            (0, "0 h"),
            (42, "42 s"),
            (90, "2 min"),
            (359, "6 min"),
            (360, "0.1 h"),
            (3599, "1.0 h"),
            (44_280, "12.3 h"),
            (359_819, "99.9 h"),
            (359_820, "100 h"),
            (4_444_200, "1,235 h"),
            (i64::MAX, "2,562,047,788,015,216 h"),
        ] {
            assert_eq!(hours(seconds), shown, "{seconds}");
        }
    }

    #[test]
    fn a_share_is_told_apart_from_nothing_and_from_all() {
        for (part, whole, shown) in [
            ("0", "0", "0 %"),
            ("1", "0", "–"),
            ("0", "7", "0 %"),
            ("7", "7", "100 %"),
            ("0.001", "7", "< 1 %"),
            ("6.999", "7", "> 99 %"),
            ("1", "8", "13 %"),
            ("-1", "4", "-25 %"),
            ("9", "3", "300 %"),
        ] {
            assert_eq!(percent(usd(part), usd(whole)), shown, "{part} of {whole}");
        }
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!([0, 999, 1000, 12_345_678].map(count), ["0", "999", "1,000", "12,345,678"]);
    }
}
