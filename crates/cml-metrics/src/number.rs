//! Numbers that keep their spelling, and their display for people.

use serde::{Serialize, Serializer};

/// Integers of more digits are shown with an exponent, unless they were written out.
const EXPONENT_MAX: i32 = 15;
/// Numbers smaller than 0.0001 are shown with an exponent.
const EXPONENT_MIN: i32 = -4;
/// More decimal digits carry no information about an `f64`.
pub(crate) const DIGITS_MAX: usize = 17;

/// A number as it was written, and its value.
#[derive(Clone, Debug)]
pub struct Number {
    text: String,
    value: f64,
}

impl Number {
    /// Parses a decimal number, with or without an exponent; also NaN and infinity as Python, YAML and TOML spell them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (sign, digits) = match text.as_bytes().first() {
            Some(b'-') => ("-", &text[1..]),
            Some(b'+') => ("", &text[1..]),
            _ => ("", text),
        };
        if digits.starts_with(['+', '-']) {
            return None;
        }
        // YAML's `.inf` and `.nan`.
        let digits = match digits.strip_prefix('.') {
            Some(word) if word.starts_with(|c: char| c.is_ascii_alphabetic()) => word,
            _ => digits,
        };
        let text = format!("{sign}{digits}");
        let value = text.parse().ok()?;
        Some(Self { text, value })
    }

    /// Parses an integer with the prefix `0x`, `0o` or `0b`, as YAML and TOML allow it.
    pub(crate) fn parse_prefixed(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('0')?;
        let radix = match digits.as_bytes().first()? {
            b'x' => 16,
            b'o' => 8,
            b'b' => 2,
            _ => return None,
        };
        Self::parse(&u64::from_str_radix(&digits[1..], radix).ok()?.to_string())
    }

    /// Returns its value; infinite or NaN where that was written, or where it is too large.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.value
    }

    /// Returns its spelling, without a leading `+`.
    #[must_use]
    pub fn as_written(&self) -> &str {
        &self.text
    }

    /// Returns this number less another one; exact for integers, also for those beyond the 53 bits of an `f64`.
    #[must_use]
    pub fn minus(&self, other: &Self) -> f64 {
        match (self.text.parse::<i128>(), other.text.parse::<i128>()) {
            (Ok(this), Ok(other)) => {
                this.checked_sub(other).map_or(self.value - other as f64, |difference| difference as f64)
            }
            _ => self.value - other.value,
        }
    }

    /// Returns whether both are the same value; NaN is the same as NaN here.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        self.value.is_nan() && other.value.is_nan()
            || self.value == other.value && (self.value.is_infinite() || self.minus(other) == 0.0)
    }

    /// Formats it for people: as it was written if it is an integer or has no more than `digits` significant digits,
    /// else rounded to these.
    #[must_use]
    pub fn shown(&self, digits: usize) -> String {
        if self.value.is_finite()
            && let Some(written) = significant_digits(&self.text)
        {
            let zero = self.value == 0.0;
            if zero && written > 0 {
                // Too small for an `f64`, yet not zero.
                return self.text.clone();
            }
            let digits_only =
                self.text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.'));
            let bare_point = self.text.trim_start_matches('-').starts_with('.') || self.text.ends_with('.');
            let plain = digits_only && !bare_point;
            if plain && !zero && (written <= digits || !self.text.contains('.')) {
                return self.text.clone();
            }
        }
        significant(self.value, digits)
    }
}

/// A JSON number where JSON has one for it, else the text `NaN`, `Infinity` or `-Infinity`.
impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Ok(integer) = self.text.parse::<i64>() {
            serializer.serialize_i64(integer)
        } else if self.value.is_finite() {
            // Adding 0 removes the sign of -0.
            serializer.serialize_f64(self.value + 0.0)
        } else {
            serializer.serialize_str(&significant(self.value, DIGITS_MAX))
        }
    }
}

/// Returns the number of digits of a decimal number from the first one that is not 0; `None` for NaN and infinity.
fn significant_digits(text: &str) -> Option<usize> {
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    if !mantissa.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = mantissa.bytes().filter(u8::is_ascii_digit);
    Some(digits.skip_while(|digit| *digit == b'0').count())
}

/// Formats a value with so many significant digits: the integer part is never rounded, trailing zeros are omitted, and
/// only zero becomes `0`.
pub(crate) fn significant(value: f64, digits: usize) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let digits = digits.clamp(1, DIGITS_MAX);
    let scientific = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if !(EXPONENT_MIN..EXPONENT_MAX).contains(&exponent) {
        return format!("{}e{exponent}", without_zeros(mantissa));
    }
    let decimals = usize::try_from(digits as i32 - 1 - exponent).unwrap_or_default();
    without_zeros(&format!("{value:.decimals$}")).to_owned()
}

fn without_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> String {
        Number::parse(text).expect("a number").shown(5)
    }

    #[test]
    fn numbers_are_shown_as_written_as_long_as_they_are_short() {
        for text in ["0.93", "0.90", "100.0", "12345678901234567890123", "-7", "0.00012"] {
            assert_eq!(shown(text), text);
        }
    }

    #[test]
    fn long_numbers_are_rounded_to_significant_digits() {
        for (written, expected) in [
            ("0.30000000000000004", "0.3"),
            ("0.93121499", "0.93121"),
            ("1234567.891", "1234568"),
            ("0.0000123456789", "1.2346e-5"),
            ("9.999999", "10"),
            ("1e5", "100000"),
            ("5.", "5"),
            ("-.5", "-0.5"),
            ("1e300", "1e300"),
            ("-1.5e-7", "-1.5e-7"),
        ] {
            assert_eq!(shown(written), expected, "{written}");
        }
    }

    #[test]
    fn zero_has_no_sign_and_only_zero_is_zero() {
        for text in ["0", "-0", "-0.0", "0e5"] {
            assert_eq!(shown(text), "0");
        }
        assert_eq!(shown("1e-999"), "1e-999");
        assert_eq!(shown("-0.000000000001"), "-0.000000000001");
    }

    #[test]
    fn nan_and_infinity_are_read_in_every_spelling() {
        for text in ["NaN", "nan", ".nan", ".NaN"] {
            assert!(Number::parse(text).expect(text).value().is_nan());
            assert_eq!(shown(text), "NaN");
        }
        for text in ["Infinity", "inf", ".inf", "+.Inf", "1e999"] {
            assert_eq!(shown(text), "Infinity", "{text}");
        }
        assert_eq!(shown("-.inf"), "-Infinity");
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in ["", "-", "--1", "+-1", "1,5", "0x", "abc", "1 2", "."] {
            assert!(Number::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn integers_beyond_53_bits_are_compared_exactly() {
        let number = |text| Number::parse(text).expect("a number");
        let (a, b) = (number("9007199254740993"), number("9007199254740992"));
        assert!(!a.same(&b));
        assert_eq!(a.minus(&b), 1.0);
    }

    proptest! {
        #[test]
        fn what_is_printed_in_full_is_read_back_the_same(value in any::<f64>()) {
            let read = Number::parse(&significant(value, DIGITS_MAX)).expect("a number").value();
            prop_assert!(read == value || read.is_nan() && value.is_nan());
        }

        #[test]
        fn what_is_printed_is_close_and_never_a_false_zero(value in any::<f64>(), digits in 1_usize..=17) {
            prop_assume!(value.is_finite());
            let printed = significant(value, digits);
            prop_assert_ne!(&printed, "-0");
            prop_assert_eq!(printed == "0", value == 0.0);
            let read = Number::parse(&printed).expect("a number").value();
            // One digit may round the greatest numbers up to infinity.
            prop_assert!(read.is_infinite() || (read - value).abs() <= value.abs() * 0.5001);
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            if let Some(number) = Number::parse(&text) {
                let _ = number.shown(5);
                let _ = number.minus(&number);
            }
        }
    }
}
