//! AWS's price list, which the emulator does not have: GetProducts as it is documented, in pages as small as AWS may make them.
//! <https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_GetProducts.html>

use serde_json::{Value, json};

use super::catalog::list_price;
use super::wire::{Answer, Ask, Refusal};

/// Since when the prices are in the list.
const EFFECTIVE: &str = "2026-11-01T00:00:00Z";

/// The answer: one product a page.
pub(super) fn products(ask: &Ask) -> Answer {
    let request: Value = serde_json::from_slice(&ask.body).unwrap_or_default();
    let refused = |code: &str, why: &str| Refusal::new(400, code, why).answer("pricing");
    if !["us-east-1", "eu-central-1", "ap-south-1"].contains(&ask.region.as_str()) {
        return refused("NotFoundException", "no such endpoint");
    }
    if request["ServiceCode"] != "AmazonEC2" {
        return refused("InvalidParameterException", "the front sells AmazonEC2 only");
    }
    let filters = request["Filters"].as_array().cloned().unwrap_or_default();
    let filter = |field: &str| {
        let found = filters.iter().find(|it| it["Field"] == field && it["Type"] == "TERM_MATCH");
        found.and_then(|it| it["Value"].as_str()).unwrap_or_default().to_owned()
    };
    let all = match filter("volumeApiName").as_str() {
        "gp3" => vec![storage(&filter("regionCode"))],
        _ => machines(&filter("regionCode"), &filter("instanceType")),
    };
    let page: usize = request["NextToken"].as_str().and_then(|token| token.parse().ok()).unwrap_or(0);
    let list: Vec<String> = all.iter().skip(page).take(1).map(Value::to_string).collect();
    let mut answer = json!({"FormatVersion": "aws_v1", "PriceList": list});
    if page + 1 < all.len() {
        answer["NextToken"] = json!((page + 1).to_string());
    }
    Answer::json(200, &answer)
}

/// What the list has for one type: a reserved one without an hourly price, a block of capacity for nothing an hour, and the machine.
fn machines(region: &str, instance_type: &str) -> Vec<Value> {
    let Some(usd) = list_price(region, instance_type) else { return Vec::new() };
    let attributes = |market: &str| {
        json!({"servicecode": "AmazonEC2", "regionCode": region, "instanceType": instance_type, "tenancy": "Shared",
            "operatingSystem": "Linux", "preInstalledSw": "NA", "capacitystatus": "Used", "marketoption": market,
            "operation": "RunInstances", "usagetype": format!("BoxUsage:{instance_type}"), "locationType": "AWS Region"})
    };
    let block = [("0", "Inf", "Hrs", "0.0000000000".to_owned())];
    let hour = [("0", "Inf", "Hrs", usd)];
    let mut reserved = product("RESERVED", "Compute Instance", &attributes("OnDemand"), &hour);
    let terms = json!({"Reserved": reserved["terms"]["OnDemand"].take()});
    reserved["terms"] = terms;
    vec![
        reserved,
        product("BLOCK", "Compute Instance", &attributes("CapacityBlock"), &block),
        product("MACHINE", "Compute Instance", &attributes("OnDemand"), &hour),
    ]
}

/// Storage in two tiers.
fn storage(region: &str) -> Value {
    let attributes = json!({"servicecode": "AmazonEC2", "regionCode": region, "volumeApiName": "gp3",
        "storageMedia": "SSD-backed", "usagetype": "EBS:VolumeUsage.gp3"});
    let usd = if region == "us-east-1" { "0.0800000000" } else { "0.0880000000" };
    let tiers =
        [("0", "1000000", "GB-Mo", usd.to_owned()), ("1000000", "Inf", "GB-Mo", "0.0700000000".to_owned())];
    product("STORAGE", "Storage", &attributes, &tiers)
}

fn product(sku: &str, family: &str, attributes: &Value, tiers: &[(&str, &str, &str, String)]) -> Value {
    let offer = format!("{sku}.JRTCKXETXF");
    let tiers: serde_json::Map<String, Value> = tiers
        .iter()
        .enumerate()
        .map(|(number, (begin, end, unit, usd))| {
            let rate = format!("{offer}.TIER{number}");
            let tier = json!({"unit": unit, "beginRange": begin, "endRange": end, "rateCode": rate, "appliesTo": [],
                "description": format!("${usd} per {unit}"), "pricePerUnit": {"USD": usd}});
            (rate, tier)
        })
        .collect();
    json!({
        "product": {"sku": sku, "productFamily": family, "attributes": attributes},
        "serviceCode": "AmazonEC2",
        "terms": {"OnDemand": {offer: {"sku": sku, "offerTermCode": "JRTCKXETXF", "effectiveDate": EFFECTIVE,
            "priceDimensions": tiers, "termAttributes": {}}}},
        "version": "20261120000000",
        "publicationDate": "2026-11-20T00:00:00Z",
    })
}
