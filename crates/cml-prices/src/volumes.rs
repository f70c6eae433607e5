//! Shipped prices of gp3 storage by region. <https://aws.amazon.com/ebs/pricing/>

use std::collections::HashMap;
use std::sync::OnceLock;

use cml_cloud::UsdPerGibMonth;
use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::quote::{Quote, Source};
use crate::table;

/// Dated row by row, attributed in its first lines.
const TABLE: &str = include_str!("../data/volumes.csv");
/// The region whose price is the estimate for others.
const MODEL: &str = "us-east-1";
/// AWS's price there, in case the table loses its row: 0.08.
const MODEL_PRICE: UsdPerGibMonth = UsdPerGibMonth(Decimal::from_parts(8, 0, 0, false, 2));

/// Returns the price from the shipped table, or that of us-east-1 as an estimate.
pub(crate) fn shipped(region: &str) -> Quote<UsdPerGibMonth> {
    match table().get(region) {
        Some((price, as_of)) => Quote { price: *price, source: Source::Listed { as_of: *as_of } },
        None => Quote {
            price: table().get(MODEL).map_or(MODEL_PRICE, |(price, _)| *price),
            source: Source::estimated("the us-east-1 price"),
        },
    }
}

fn table() -> &'static HashMap<&'static str, (UsdPerGibMonth, Date)> {
    static ALL: OnceLock<HashMap<&'static str, (UsdPerGibMonth, Date)>> = OnceLock::new();
    ALL.get_or_init(|| table::rows(TABLE).filter_map(|fields| row(&fields)).collect())
}

fn row(fields: &[&'static str]) -> Option<(&'static str, (UsdPerGibMonth, Date))> {
    let [region, price, as_of] = fields else { return None };
    Some((*region, (UsdPerGibMonth(price.parse().ok()?), as_of.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_is_read() {
        assert_eq!(table().len(), table::rows(TABLE).count());
        assert_eq!(table().get(MODEL).map(|(price, _)| *price), Some(MODEL_PRICE));
        let ireland = shipped("eu-west-1");
        assert_eq!(ireland.price.to_string(), "$0.088/GiB-month");
        assert_eq!(ireland.source.to_string(), "shipped table of 2026-05-01");
    }

    #[test]
    fn an_unknown_region_costs_what_us_east_1_costs_and_says_so() {
        let mars = shipped("mars-north-1");
        assert_eq!(mars.price.to_string(), "$0.08/GiB-month");
        assert_eq!(mars.source.to_string(), "estimate: the us-east-1 price");
    }
}
