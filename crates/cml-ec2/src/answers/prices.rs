//! Prices: AWS's list, from the Price List Query API
//! (<https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_GetProducts.html>), and spot
//! prices.

use std::collections::BTreeMap;

use cml_cloud::UsdPerHour;
use cml_cloud::money::is_price;
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Deserialize;

use super::{Page, json};

/// One page: products as JSON texts.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetProducts {
    #[serde(default)]
    price_list: Vec<String>,
    next_token: Option<String>,
}

/// One product of the price list: the needed fields.
/// <https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/reading-service-price-list-file-for-services.html>
#[derive(Debug, Deserialize)]
pub struct Product {
    product: About,
    #[serde(default)]
    terms: Terms,
}

#[derive(Debug, Deserialize)]
struct About {
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
struct Terms {
    #[serde(default, rename = "OnDemand")]
    on_demand: BTreeMap<String, Term>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Term {
    effective_date: Timestamp,
    #[serde(default)]
    price_dimensions: BTreeMap<String, Dimension>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dimension {
    #[serde(default)]
    unit: String,
    #[serde(default)]
    begin_range: String,
    #[serde(default)]
    price_per_unit: BTreeMap<String, Decimal>,
}

impl Product {
    /// Returns true for a Linux machine without extras, bought by the hour: not a reserved capacity block, which the
    /// list has under the same name.
    #[must_use]
    pub fn is_plain_machine(&self, name: &str) -> bool {
        let says = |key: &str, value: &str| {
            self.product.attributes.get(key).is_none_or(|said| said.eq_ignore_ascii_case(value))
        };
        says("instanceType", name) && says("operation", "RunInstances") && says("marketoption", "OnDemand")
    }
}

/// Parses one page of the list.
///
/// # Errors
/// Reason why it cannot be parsed; a part of it is never returned.
pub fn listed(body: &[u8]) -> Result<Page<Product>, String> {
    let answer: GetProducts = json(body)?;
    let understood = |text: &String| {
        json(text.as_bytes()).map_err(|why| format!("a product in it is not understood ({why})"))
    };
    let items = answer.price_list.iter().map(understood).collect::<Result<_, String>>()?;
    Ok(Page { items, next: answer.next_token })
}

/// Returns the price in force of the filtered products, US dollars a unit, and the time from which it holds: the latest
/// one; `None` when no product has a price in dollars.
///
/// # Errors
/// Reason why it is ambiguous.
pub fn in_force(products: &[Product], unit: &str) -> Result<Option<(Timestamp, Decimal)>, String> {
    let terms = products.iter().flat_map(|product| product.terms.on_demand.values());
    let mut prices: Vec<(Timestamp, Decimal)> = terms.filter_map(|term| first_tier(term, unit)).collect();
    prices.sort_unstable();
    let Some((latest, price)) = prices.last().copied() else { return Ok(None) };
    if prices.iter().any(|(since, other)| *since == latest && *other != price) {
        return Err("it has several prices for one thing at one time".to_owned());
    }
    if !is_price(&price) {
        return Err(format!("{price} USD is no price"));
    }
    Ok(Some((latest, price)))
}

/// Returns the price of the first unit. A price of zero belongs to a product of another kind.
fn first_tier(term: &Term, unit: &str) -> Option<(Timestamp, Decimal)> {
    let is_first = |tier: &&Dimension| ["", "0"].contains(&tier.begin_range.as_str()) && tier.unit == unit;
    let price = *term.price_dimensions.values().find(is_first)?.price_per_unit.get("USD")?;
    (price > Decimal::ZERO).then_some((term.effective_date, price))
}

/// Parses a spot price in EC2's format: `0.157800`.
#[must_use]
pub fn spot(text: &str) -> Option<UsdPerHour> {
    text.parse().ok().filter(is_price).map(UsdPerHour)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn product(attributes: &serde_json::Value, tiers: &[(&str, &str, &str)], since: &str) -> Product {
        let tiers: serde_json::Map<String, serde_json::Value> = tiers
            .iter()
            .map(|(begin, unit, usd)| {
                let tier = json!({"unit": unit, "beginRange": begin, "endRange": "Inf", "appliesTo": [],
                    "description": "words", "pricePerUnit": {"USD": usd}});
                (format!("S.T.{begin}"), tier)
            })
            .collect();
        let text = json!({
            "product": {"productFamily": "Compute Instance", "attributes": attributes, "sku": "S"},
            "serviceCode": "AmazonEC2", "version": "20261120", "publicationDate": "2026-11-20T00:00:00Z",
            "terms": {"OnDemand": {"S.T": {"priceDimensions": tiers, "sku": "S", "effectiveDate": since,
                "offerTermCode": "T", "termAttributes": {}}}, "Reserved": {"S.R": {"odd": [1]}}},
        });
        serde_json::from_str(&text.to_string()).expect("is understood")
    }

    fn price(products: &[Product]) -> Option<String> {
        in_force(products, "Hrs").expect("one price").map(|(since, usd)| format!("{usd} {since}"))
    }

    #[test]
    fn the_latest_price_of_the_first_tier_is_in_force() {
        let of = |tiers: &[(&str, &str, &str)], since: &str| product(&json!({}), tiers, since);
        let old = of(&[("0", "Hrs", "0.6000000000")], "2026-10-01T00:00:00Z");
        let new = of(&[("0", "Hrs", "0.5260000000"), ("100", "Hrs", "0.4")], "2026-11-01T00:00:00Z");
        assert_eq!(price(&[new, old]).as_deref(), Some("0.5260000000 2026-11-01T00:00:00Z"));
        let month = of(&[("0", "GB-Mo", "0.08")], "2026-11-01T00:00:00Z");
        let free = of(&[("0", "Hrs", "0.0000000000")], "2026-11-01T00:00:00Z");
        assert_eq!(price(&[month, free]), None);
        assert_eq!(price(&[]), None);
    }

    #[test]
    fn two_prices_for_one_thing_are_no_price() {
        let of = |usd: &str| product(&json!({}), &[("0", "Hrs", usd)], "2026-11-01T00:00:00Z");
        let error = in_force(&[of("1"), of("2")], "Hrs").expect_err("is unclear");
        assert!(error.contains("several prices"), "{error}");
        assert!(price(&[of("1"), of("1.0")]).is_some(), "the same twice is clear");
    }

    #[test]
    fn only_plain_machines_count() {
        let of = |attributes| product(&attributes, &[], "2026-11-01T00:00:00Z");
        assert!(of(json!({"instanceType": "p5.48xlarge"})).is_plain_machine("p5.48xlarge"));
        for (key, value) in
            [("marketoption", "CapacityBlock"), ("operation", "RunInstances:0g00"), ("instanceType", "p5e")]
        {
            let attributes = json!({"instanceType": "p5.48xlarge", key: value});
            assert!(!of(attributes).is_plain_machine("p5.48xlarge"), "{key}");
        }
    }

    #[test]
    fn a_product_without_terms_has_no_price() {
        let bare: Product = serde_json::from_str(r#"{"product": {}}"#).expect("is understood");
        assert_eq!(price(&[bare]), None);
        assert!(serde_json::from_str::<Product>(r#"{"product": 7}"#).is_err());
        let junk = r#"{"product": {}, "terms": {"OnDemand": {"a": {"effectiveDate": "soon"}}}}"#;
        assert!(serde_json::from_str::<Product>(junk).is_err());
    }

    #[test]
    fn a_page_is_read_whole_or_not_at_all() {
        let page =
            |product: &str| listed(json!({"PriceList": [product], "NextToken": "2"}).to_string().as_bytes());
        let read = page(r#"{"product": {}}"#).expect("is understood");
        assert_eq!((read.items.len(), read.next.as_deref()), (1, Some("2")));
        let why = page(r#"{"product": 7}"#).expect_err("is no product");
        assert!(why.starts_with("a product in it is not understood (invalid type"), "{why}");
        assert_eq!(listed(b"{}").expect("is understood").items.len(), 0);
    }

    #[test]
    fn an_absurd_price_is_none() {
        let of = |usd: &str| product(&json!({}), &[("0", "Hrs", usd)], "2026-11-01T00:00:00Z");
        let why = in_force(&[of("1000000.01")], "Hrs").expect_err("is absurd");
        assert_eq!(why, "1000000.01 USD is no price");
        assert_eq!(spot("0.157800").map(|price| price.to_string()).as_deref(), Some("$0.1578/h"));
        for absurd in ["cheap", "", "-0.1", "1000000.01", "79228162514264337593543950335"] {
            assert_eq!(spot(absurd), None, "{absurd}");
        }
    }
}
