//! Spot prices, by type and zone: those of now, and their changes.
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSpotPriceHistory.html>

use std::collections::BTreeMap;

use aws_sdk_ec2::primitives::DateTime;
use aws_sdk_ec2::types::InstanceType;
use cml_cloud::{CloudError, SpotPrice, UsdPerHour};
use jiff::{SignedDuration, Timestamp};

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
        // From now on: AWS answers with the price in force, and nothing before it.
        let changes = self.spot_price_changes(region, types, now()).await?;
        let mut prices = SpotPrices::new();
        let mut latest: BTreeMap<(String, String), Timestamp> = BTreeMap::new();
        for change in changes {
            let Some(zone) = change.zone else { continue };
            let key = (change.instance_type, zone);
            if latest.get(&key).is_none_or(|known| *known < change.since) {
                prices.entry(key.0.clone()).or_default().insert(key.1.clone(), change.price);
                latest.insert(key, change.since);
            }
        }
        Ok(prices)
    }

    /// The price in force at `since` and every change after it.
    pub(crate) async fn spot_price_changes(
        &self,
        region: &str,
        types: &[String],
        since: Timestamp,
    ) -> Result<Vec<SpotPrice>, CloudError> {
        let doing = format!("asking for spot prices in {region}");
        let client = self.clients.ec2(region);
        let start = DateTime::from_secs(since.as_second());
        let types: Vec<InstanceType> = types.iter().map(|name| InstanceType::from(name.as_str())).collect();
        let mut changes = Vec::new();
        let mut next: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let answer = repeat(|| async {
                let call = client.describe_spot_price_history().start_time(start);
                let call = call.product_descriptions("Linux/UNIX").set_instance_types(Some(types.clone()));
                let sent = call.set_next_token(next.clone()).send().await;
                sent.map_err(|error| failed(&doing, "ec2:DescribeSpotPriceHistory", &error))
            })
            .await?;
            changes.extend(answer.spot_price_history().iter().filter_map(|entry| {
                Some(SpotPrice {
                    region: region.to_owned(),
                    zone: Some(entry.availability_zone()?.to_owned()),
                    instance_type: entry.instance_type()?.as_str().to_owned(),
                    since: Timestamp::from_second(entry.timestamp()?.secs()).ok()?,
                    price: entry.spot_price()?.parse().map(UsdPerHour).ok()?,
                })
            }));
            next = answer.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if next.is_none() {
                break;
            }
        }
        Ok(changes)
    }
}
