//! Spot prices, by type and zone: the current ones, and their changes.
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
use crate::pages::{Pages, incomplete};
use cml_ec2::answers;

/// Spot prices move slowly, a few times a day.
const KEEP: SignedDuration = SignedDuration::from_mins(30);
/// Page size; EC2's maximum.
const PAGE: i32 = 1000;

/// Prices by type, then zone.
pub(crate) type SpotPrices = BTreeMap<String, BTreeMap<String, UsdPerHour>>;

impl AwsCloud {
    /// Returns the spot prices of the types in a region. A type without an entry is not sold there, or not known.
    pub(crate) async fn spot_prices(&self, region: &str, types: &[String]) -> Result<SpotPrices, CloudError> {
        let question = format!("spot-prices-{region}");
        let mut known: SpotPrices = self.cache.read(&question, KEEP).unwrap_or_default();
        let missing: Vec<&String> = types.iter().filter(|name| !known.contains_key(*name)).collect();
        if missing.is_empty() {
            return Ok(known);
        }
        // Together with the others of the cache, so that the entries of one file have the same age.
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

    /// Returns the price in force at `since` and every change after it: all of them, since machines are billed by them.
    pub(crate) async fn spot_price_changes(
        &self,
        region: &str,
        types: &[String],
        since: Timestamp,
    ) -> Result<Vec<SpotPrice>, CloudError> {
        // For AWS, no type is every type.
        if types.is_empty() {
            return Ok(Vec::new());
        }
        let doing = format!("asking for spot prices in {region}");
        let client = self.clients.ec2(region);
        let start = DateTime::from_secs(since.as_second());
        let types: Vec<InstanceType> = types.iter().map(|name| InstanceType::from(name.as_str())).collect();
        let mut changes = Vec::new();
        let mut pages = Pages::default();
        loop {
            let answer = repeat(|| async {
                let call = client.describe_spot_price_history().start_time(start).max_results(PAGE);
                let call = call.product_descriptions("Linux/UNIX").set_instance_types(Some(types.clone()));
                let sent = call.set_next_token(pages.token()).send().await;
                sent.map_err(|error| failed(&doing, "ec2:DescribeSpotPriceHistory", &error))
            })
            .await?;
            for entry in answer.spot_price_history() {
                let change = read(region, entry);
                changes.push(change.ok_or_else(|| incomplete(&doing, "a price in it is not understood"))?);
            }
            if !pages.follow(&doing, answer.next_token())? {
                return Ok(changes);
            }
        }
    }
}

fn read(region: &str, entry: &aws_sdk_ec2::types::SpotPrice) -> Option<SpotPrice> {
    Some(SpotPrice {
        region: region.to_owned(),
        zone: Some(entry.availability_zone()?.to_owned()),
        instance_type: entry.instance_type()?.as_str().to_owned(),
        since: Timestamp::from_second(entry.timestamp()?.secs()).ok()?,
        price: answers::prices::spot(entry.spot_price()?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_with_a_part_missing_is_none() {
        let whole = aws_sdk_ec2::types::SpotPrice::builder()
            .availability_zone("us-east-1a")
            .instance_type(InstanceType::G4dnXlarge)
            .timestamp(DateTime::from_secs(1_800_000_000))
            .spot_price("0.157800");
        let price = read("us-east-1", &whole.clone().build()).expect("is whole");
        assert_eq!(price.price.to_string(), "$0.1578/h");
        for part in [
            whole.clone().set_availability_zone(None),
            whole.clone().set_timestamp(None),
            whole.clone().spot_price("cheap"),
            whole.set_instance_type(None),
        ] {
            assert_eq!(read("us-east-1", &part.build()), None);
        }
    }
}
