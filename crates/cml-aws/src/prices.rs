//! Spot prices of now, by type and zone.
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSpotPriceHistory.html>

use std::collections::BTreeMap;

use aws_sdk_ec2::primitives::DateTime;
use aws_sdk_ec2::types::InstanceType;
use cml_cloud::{CloudError, UsdPerHour};
use jiff::SignedDuration;

use crate::clients::repeat;
use crate::clock::now;
use crate::cloud::AwsCloud;
use crate::errors::failed;

/// Spot prices move slowly, a few times a day.
const KEEP: SignedDuration = SignedDuration::from_mins(30);
/// Pages that are read at most: a price list is worth no endless reading.
const PAGES_MAX: usize = 10;

/// Type, then zone.
pub(crate) type SpotPrices = BTreeMap<String, BTreeMap<String, UsdPerHour>>;

impl AwsCloud {
    /// What the types cost on the spot market of a region. A type without an entry is not sold there, or not known.
    pub(crate) async fn spot_prices(&self, region: &str, types: &[String]) -> Result<SpotPrices, CloudError> {
        let question = format!("spot-prices-{region}");
        let mut known: SpotPrices = self.cache.read(&question, KEEP).unwrap_or_default();
        let missing: Vec<&String> = types.iter().filter(|name| !known.contains_key(*name)).collect();
        if missing.is_empty() {
            return Ok(known);
        }
        // With the others of the cache, so that one file stays of one age.
        let asked: Vec<String> = known.keys().chain(missing).cloned().collect();
        known = self.ask_spot_prices(region, &asked).await?;
        for name in asked {
            known.entry(name).or_default();
        }
        self.cache.write(&question, &known);
        Ok(known)
    }

    async fn ask_spot_prices(&self, region: &str, types: &[String]) -> Result<SpotPrices, CloudError> {
        let doing = format!("asking for spot prices in {region}");
        let client = self.clients.ec2(region);
        // From now on: AWS answers with the price in force, and nothing before it.
        let start = DateTime::from_secs(now().as_second());
        let types: Vec<InstanceType> = types.iter().map(|name| InstanceType::from(name.as_str())).collect();
        let mut prices = SpotPrices::new();
        let mut latest: BTreeMap<(String, String), DateTime> = BTreeMap::new();
        let mut next: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let answer = repeat(|| async {
                let call = client.describe_spot_price_history().start_time(start);
                let call = call.product_descriptions("Linux/UNIX").set_instance_types(Some(types.clone()));
                let sent = call.set_next_token(next.clone()).send().await;
                sent.map_err(|error| failed(&doing, "ec2:DescribeSpotPriceHistory", &error))
            })
            .await?;
            for entry in answer.spot_price_history() {
                let (Some(kind), Some(zone), Some(price), Some(at)) =
                    (entry.instance_type(), entry.availability_zone(), entry.spot_price(), entry.timestamp())
                else {
                    continue;
                };
                let Ok(price) = price.parse().map(UsdPerHour) else { continue };
                let key = (kind.as_str().to_owned(), zone.to_owned());
                if latest.get(&key).is_none_or(|known| known.as_nanos() < at.as_nanos()) {
                    prices.entry(key.0.clone()).or_default().insert(key.1.clone(), price);
                    latest.insert(key, *at);
                }
            }
            next = answer.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if next.is_none() {
                break;
            }
        }
        Ok(prices)
    }
}
