//! AWS's list prices, by its Price List Query API. <https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_GetProducts.html>

use std::collections::BTreeMap;

use cml_cloud::{CloudError, UsdPerGibMonth, UsdPerHour};
use cml_prices::{OnDemandPrice, VolumePrice};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cloud::AwsCloud;
use crate::pages::{Pages, incomplete};

/// The largest page.
const PAGE: u32 = 100;

impl AwsCloud {
    /// What these types cost on demand in a region now (Linux, shared tenancy), and since when. A type that is not sold there is not among them.
    /// Takes the permission `pricing:GetProducts`.
    ///
    /// # Errors
    /// As AWS answers; never a part of the answer.
    pub async fn on_demand_prices(
        &self,
        region: &str,
        types: &[String],
    ) -> Result<Vec<OnDemandPrice>, CloudError> {
        let mut prices = Vec::new();
        for name in types {
            let doing = format!("asking for the list price of {name} in {region}");
            let filters = [
                ("regionCode", region),
                ("instanceType", name),
                ("operatingSystem", "Linux"),
                ("tenancy", "Shared"),
                ("preInstalledSw", "NA"),
                ("capacitystatus", "Used"),
            ];
            let mut products = self.products(&doing, &filters).await?;
            products.retain(|product| product.is_plain_machine(name));
            let listed = in_force(&doing, &products, "Hrs")?;
            prices.extend(listed.map(|(effective, price)| OnDemandPrice {
                region: region.to_owned(),
                instance_type: name.clone(),
                price: UsdPerHour(price),
                effective,
            }));
        }
        Ok(prices)
    }

    /// What gp3 storage costs in a region now, and since when. Takes the permission `pricing:GetProducts`.
    ///
    /// # Errors
    /// As AWS answers.
    pub async fn volume_price(&self, region: &str) -> Result<Option<VolumePrice>, CloudError> {
        let doing = format!("asking for the list price of gp3 storage in {region}");
        let filters = [("regionCode", region), ("productFamily", "Storage"), ("volumeApiName", "gp3")];
        let products = self.products(&doing, &filters).await?;
        let listed = in_force(&doing, &products, "GB-Mo")?;
        let region = region.to_owned();
        Ok(listed.map(|(effective, price)| VolumePrice { region, price: UsdPerGibMonth(price), effective }))
    }

    async fn products(&self, doing: &str, filters: &[(&str, &str)]) -> Result<Vec<Product>, CloudError> {
        let client = self.clients.pricing();
        let filters: Vec<Value> = filters
            .iter()
            .map(|(field, value)| json!({"Type": "TERM_MATCH", "Field": field, "Value": value}))
            .collect();
        let mut products = Vec::new();
        let mut pages = Pages::default();
        loop {
            let mut parameters = json!({"ServiceCode": "AmazonEC2", "MaxResults": PAGE, "Filters": filters});
            if let Some(token) = pages.token() {
                parameters["NextToken"] = token.into();
            }
            let answer: GetProducts = client.ask("GetProducts", &parameters, doing).await?;
            for text in &answer.price_list {
                let product = serde_json::from_str(text).map_err(|error| {
                    incomplete(doing, &format!("a product in it is not understood ({error})"))
                })?;
                products.push(product);
            }
            if !pages.follow(doing, answer.next_token.as_deref())? {
                return Ok(products);
            }
        }
    }
}

/// One page: products as texts of JSON.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetProducts {
    #[serde(default)]
    price_list: Vec<String>,
    next_token: Option<String>,
}

/// One product of the list, as far as it matters here.
/// <https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/reading-service-price-list-file-for-services.html>
#[derive(Debug, Deserialize)]
struct Product {
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
    /// A Linux machine without extras, bought by the hour: not a reserved block of capacity, which the list has under the same name.
    fn is_plain_machine(&self, name: &str) -> bool {
        let says = |key: &str, value: &str| {
            self.product.attributes.get(key).is_none_or(|said| said.eq_ignore_ascii_case(value))
        };
        says("instanceType", name) && says("operation", "RunInstances") && says("marketoption", "OnDemand")
    }
}

/// The price in force of the products that are left: the latest one; none when no product has a price in dollars.
fn in_force(
    doing: &str,
    products: &[Product],
    unit: &str,
) -> Result<Option<(Timestamp, Decimal)>, CloudError> {
    let terms = products.iter().flat_map(|product| product.terms.on_demand.values());
    let mut prices: Vec<(Timestamp, Decimal)> = terms.filter_map(|term| first_tier(term, unit)).collect();
    prices.sort_unstable();
    let Some(latest) = prices.last().copied() else { return Ok(None) };
    if prices.iter().any(|(since, price)| *since == latest.0 && *price != latest.1) {
        return Err(incomplete(doing, "it has several prices for one thing at one time"));
    }
    Ok(Some(latest))
}

/// The price of the first unit. What costs nothing is a product of another kind.
fn first_tier(term: &Term, unit: &str) -> Option<(Timestamp, Decimal)> {
    let is_first = |tier: &&Dimension| ["", "0"].contains(&tier.begin_range.as_str()) && tier.unit == unit;
    let price = *term.price_dimensions.values().find(is_first)?.price_per_unit.get("USD")?;
    (price > Decimal::ZERO).then_some((term.effective_date, price))
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
        in_force("testing", products, "Hrs").expect("one price").map(|(since, usd)| format!("{usd} {since}"))
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
        let error = in_force("testing", &[of("1"), of("2")], "Hrs").expect_err("is unclear").to_string();
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
}
