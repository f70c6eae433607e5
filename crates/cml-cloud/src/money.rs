//! Money without floats.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// Maximum plausible price, US dollars: the most expensive machine costs some hundreds an hour. A higher or negative
/// amount is a mistake or an attack, and sums of it would overflow.
const PRICE_MAX: Decimal = Decimal::from_parts(1_000_000, 0, 0, false, 0);

/// Returns whether an amount can be a price, US dollars.
#[must_use]
pub fn is_price(amount: &Decimal) -> bool {
    (Decimal::ZERO..=PRICE_MAX).contains(amount)
}

/// Serialization of a price: in journals, caches and files.
mod price {
    use rust_decimal::Decimal;
    use serde::de::Error as _;
    use serde::ser::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{PRICE_MAX, is_price};

    pub(super) fn serialize<S: Serializer>(price: &Decimal, to: S) -> Result<S::Ok, S::Error> {
        check(price).map_err(S::Error::custom)?;
        Serialize::serialize(price, to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Decimal, D::Error> {
        let price = <Decimal as Deserialize>::deserialize(from)?;
        check(&price).map_err(D::Error::custom)?;
        Ok(price)
    }

    fn check(price: &Decimal) -> Result<(), String> {
        if is_price(price) {
            return Ok(());
        }
        Err(format!("{price} is no price: prices are from 0 to {PRICE_MAX} USD"))
    }
}

/// An amount of US dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Usd(pub Decimal);

/// US dollars per hour of one running instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UsdPerHour(#[serde(with = "price")] pub Decimal);

impl UsdPerHour {
    /// Returns the cost of that many seconds at this price; saturates.
    #[must_use]
    pub fn for_seconds(&self, seconds: u64) -> Usd {
        Usd(self.0.saturating_mul(Decimal::from(seconds)) / Decimal::from(3600))
    }
}

/// US dollars for one GiB of a disk that exists for one calendar month. AWS writes GB and means 2^30 bytes.
/// <https://aws.amazon.com/ebs/pricing/>
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UsdPerGibMonth(#[serde(with = "price")] pub Decimal);

/// Disk that a machine is bought with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Its size, GiB.
    pub gib: u32,
    /// Its price.
    pub price: UsdPerGibMonth,
}

impl Disk {
    /// Returns its maximum cost an hour: in the shortest month.
    #[must_use]
    pub fn hourly_at_most(&self) -> UsdPerHour {
        UsdPerHour(self.price.0.saturating_mul(Decimal::from(self.gib)) / Decimal::from(28 * 24))
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "${}", self.0.round_dp(4).normalize())
    }
}

impl fmt::Display for UsdPerGibMonth {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "${}/GiB-month", self.0.round_dp(4).normalize())
    }
}

impl fmt::Display for UsdPerHour {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "${}/h", self.0.round_dp(4).normalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_that_is_none_is_neither_read_nor_written() {
        let read = |text: &str| {
            serde_json::from_str::<UsdPerHour>(&format!("\"{text}\"")).map_err(|it| it.to_string())
        };
        assert_eq!(read("0.526"), Ok(UsdPerHour(Decimal::new(526, 3))));
        assert_eq!(read("0"), Ok(UsdPerHour(Decimal::ZERO)));
        for absurd in ["-0.01", "-92233720368547758090.08", "1000000.01", "79228162514264337593543950335"] {
            assert!(read(absurd).is_err_and(|error| error.contains("is no price")), "{absurd}");
            let price: Decimal = absurd.parse().expect("a number");
            assert!(serde_json::to_string(&UsdPerGibMonth(price)).is_err(), "{absurd}");
        }
    }

    #[test]
    fn the_dearest_price_for_ever_is_a_number() {
        let most = UsdPerHour(Decimal::MAX).for_seconds(u64::MAX);
        assert!(most.0 > Decimal::ZERO);
        let disk = Disk { gib: u32::MAX, price: UsdPerGibMonth(Decimal::MAX) };
        assert!(disk.hourly_at_most().0 > Decimal::ZERO);
    }
}
