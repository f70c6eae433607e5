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

/// What a machine has cost, US dollars: each second at the price of that second. `prices` are the changes of its price, the
/// oldest first; the first of them holds from its beginning on. Without any price it has cost nothing that is known.
#[must_use]
pub fn bill(
    market: Market,
    prices: &[(Timestamp, UsdPerHour)],
    from: Timestamp,
    to: Timestamp,
    end: End,
) -> Usd {
    let lived = to.duration_since(from).max(SignedDuration::ZERO);
    if market == Market::Spot && end == End::TakenBack && lived < FREE_WHEN_TAKEN_WITHIN {
        return Usd(Decimal::ZERO);
    }
    let until = from.checked_add(lived.max(AT_LEAST)).unwrap_or(to);
    let mut sum = Decimal::ZERO;
    // What is billed beyond its life has the last price of its life.
    let held = prices.iter().take_while(|(since, _)| *since < to).count().max(1).min(prices.len());
    for (number, (since, price)) in prices.iter().take(held).enumerate() {
        let begins = if number == 0 { from } else { (*since).clamp(from, until) };
        let next = prices.get(number + 1).filter(|_| number + 1 < held);
        let ends = next.map_or(until, |(next, _)| (*next).clamp(from, until));
        let seconds = ends.as_second() - begins.as_second();
        sum += price.for_seconds(u64::try_from(seconds).unwrap_or(0)).0;
    }
    Usd(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(market: Market, seconds: i64, end: End) -> String {
        let at = |second| Timestamp::from_second(second).expect("in range");
        let prices = [(at(0), UsdPerHour("3.6".parse().expect("a number")))];
        bill(market, &prices, at(0), at(seconds), end).to_string()
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

    #[test]
    fn every_second_has_the_price_of_that_second() {
        let at = |second| Timestamp::from_second(second).expect("in range");
        let price = |text: &str| UsdPerHour(text.parse().expect("a number"));
        let prices = [(at(-50), price("3.6")), (at(600), price("7.2")), (at(5000), price("36"))];
        let cost = bill(Market::Spot, &prices, at(0), at(1000), End::Ours);
        assert_eq!(cost.to_string(), "$1.4");
        // A minute at least, at the price that held while it lived.
        assert_eq!(bill(Market::Spot, &prices, at(570), at(590), End::Ours).to_string(), "$0.06");
    }
}
