//! EC2's bill for one machine.
//! <https://aws.amazon.com/ec2/pricing/on-demand/>, <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/billing-for-interrupted-spot-instances.html>

use cml_cloud::{Market, Usd, UsdPerHour};
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// A minute at least.
const AT_LEAST: SignedDuration = SignedDuration::from_secs(60);
/// A spot machine that EC2 takes back before this costs nothing.
const FREE_WHEN_TAKEN_WITHIN: SignedDuration = SignedDuration::from_hours(1);

/// Who ended a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It powered itself off, or we ended it.
    Ours,
    /// The cloud took it back.
    TakenBack,
}

/// What a machine has cost, US dollars.
#[must_use]
pub fn bill(market: Market, price: UsdPerHour, from: Timestamp, to: Timestamp, end: End) -> Usd {
    let lived = to.duration_since(from).max(SignedDuration::ZERO);
    if market == Market::Spot && end == End::TakenBack && lived < FREE_WHEN_TAKEN_WITHIN {
        return Usd(Decimal::ZERO);
    }
    price.for_seconds(u64::try_from(lived.max(AT_LEAST).as_secs()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(market: Market, seconds: i64, end: End) -> String {
        let at = |second| Timestamp::from_second(second).expect("in range");
        bill(market, UsdPerHour("3.6".parse().expect("a number")), at(0), at(seconds), end).to_string()
    }

    #[test]
    fn a_machine_is_billed_by_the_second_and_for_a_minute_at_least() {
        assert_eq!(cost(Market::OnDemand, 1000, End::Ours), "$1");
        assert_eq!(cost(Market::Spot, 10, End::Ours), "$0.06");
        assert_eq!(cost(Market::OnDemand, -5, End::Ours), "$0.06");
    }

    #[test]
    fn spot_that_is_taken_back_in_its_first_hour_is_free() {
        assert_eq!(cost(Market::Spot, 3599, End::TakenBack), "$0");
        assert_eq!(cost(Market::Spot, 3600, End::TakenBack), "$3.6");
        assert_eq!(cost(Market::OnDemand, 1000, End::TakenBack), "$1");
    }
}
