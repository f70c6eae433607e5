//! Ways to buy what the user asked for, best first.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::InstanceType;
use cml_cloud::{Arch, CloudError, Disk, ErrorKind, Gpu, Market, Offer, OfferQuery, Resources, SpotPolicy};

use crate::clients::repeat;
use crate::clock::now;
use crate::cloud::AwsCloud;
use crate::errors::failed;
use crate::needs;
use crate::prices::SpotPrices;
use crate::regions::{self, Place};
use crate::sizes::{self, Asked};
use cml_prices::{Book, TypeFacts};
use jiff::Timestamp;

/// Root disk where the user names none and the image needs no more, GiB.
pub const DEFAULT_DISK_GIB: u32 = 35;
/// The size when the user names none, as in CML.
const DEFAULT_SIZE: &str = "m";

impl AwsCloud {
    pub(crate) async fn find_offers(&self, query: &OfferQuery) -> Result<Vec<Offer>, CloudError> {
        let places = self.places(&query.regions)?;
        let book = self.prices();
        let mut spot = Vec::new();
        let mut on_demand = Vec::new();
        for place in &places {
            let types = self.types(&place.region, query).await?;
            let subnets = self.subnets(&place.region, &query.network).await?;
            let zones: Vec<&str> = subnets
                .zones()
                .into_iter()
                .filter(|zone| place.zone.as_deref().is_none_or(|one| one == *zone))
                .collect();
            if zones.is_empty() {
                return Err(no_subnet(place));
            }
            let names: Vec<String> = types.iter().map(|facts| facts.name.clone()).collect();
            let prices = match self.spot_prices(&place.region, &names).await {
                Ok(prices) => Some(prices),
                // The list's order will do: a missing price list stops no job.
                Err(error)
                    if error.kind != ErrorKind::Denied
                        || error.code.as_deref() == Some("UnauthorizedOperation") =>
                {
                    tracing::warn!(%error, "spot prices are not known; the order is that of the on-demand prices");
                    None
                }
                Err(error) => return Err(error),
            };
            let sales = Sales {
                region: &place.region,
                zones: &zones,
                types: &types,
                prices: prices.as_ref(),
                disk_gib: query.disk_gib.unwrap_or(DEFAULT_DISK_GIB),
                book: &book,
                now: now(),
            };
            if query.spot != SpotPolicy::Never {
                spot.extend(sales.spot(query));
            }
            if query.spot != SpotPolicy::Only {
                on_demand.extend(sales.on_demand());
            }
        }
        // Any spot of any region before any on-demand.
        spot.append(&mut on_demand);
        if spot.is_empty() {
            return Err(none_fits(&places, query));
        }
        Ok(spot)
    }

    fn places(&self, regions: &[String]) -> Result<Vec<Place>, CloudError> {
        if regions.is_empty() {
            return Ok(vec![regions::place(&self.clients.default_region)?]);
        }
        let mut places: Vec<Place> = Vec::new();
        for name in regions {
            let place = regions::place(name)?;
            if !places.contains(&place) {
                places.push(place);
            }
        }
        Ok(places)
    }

    async fn types(&self, region: &str, query: &OfferQuery) -> Result<Vec<TypeFacts>, CloudError> {
        if let Some(needs) = &query.needs {
            return Ok(needs::fitting(needs)?.into_iter().cloned().collect());
        }
        let default = [DEFAULT_SIZE.to_owned()];
        let asked = if query.types.is_empty() { &default[..] } else { &query.types };
        let mut types: Vec<TypeFacts> = Vec::new();
        for name in asked {
            let found = match sizes::read(name, query.gpu.as_deref())? {
                Asked::Known(known) => known.into_iter().cloned().collect(),
                Asked::Newer(name) => vec![self.ask_type(region, &name).await?],
            };
            for facts in found {
                if !types.contains(&facts) {
                    types.push(facts);
                }
            }
        }
        Ok(types)
    }

    /// A type that is newer than our table, or does not exist: EC2 knows.
    async fn ask_type(&self, region: &str, name: &str) -> Result<TypeFacts, CloudError> {
        let doing = format!("asking about instance type {name} in {region}");
        let client = self.clients.ec2(region);
        let asked = repeat(|| async {
            let call = client.describe_instance_types().instance_types(InstanceType::from(name));
            call.send().await.map_err(|error| failed(&doing, "ec2:DescribeInstanceTypes", &error))
        })
        .await;
        let answer = match asked {
            Ok(answer) => answer,
            Err(error) if error.kind == ErrorKind::Invalid => return Err(sizes::unknown_type(name)),
            Err(error) => return Err(error),
        };
        let info = answer.instance_types().first().ok_or_else(|| sizes::unknown_type(name))?;
        let number =
            |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).unwrap_or_default();
        let small =
            |value: Option<i32>| value.and_then(|value| u32::try_from(value).ok()).unwrap_or_default();
        let is_arm = info
            .processor_info()
            .is_some_and(|cpu| cpu.supported_architectures().iter().any(|arch| arch.as_str() == "arm64"));
        let gpu = info.gpu_info().and_then(|gpus| gpus.gpus().first()).map(|gpu| Gpu {
            name: gpu.name().unwrap_or_default().to_ascii_lowercase(),
            count: small(gpu.count()),
            memory_mib: number(gpu.memory_info().and_then(|memory| memory.size_in_mib()).map(i64::from)),
        });
        Ok(TypeFacts {
            name: name.to_owned(),
            resources: Resources {
                vcpus: small(info.v_cpu_info().and_then(|cpu| cpu.default_v_cpus())),
                memory_mib: number(info.memory_info().and_then(|memory| memory.size_in_mib())),
                gpu,
                arch: if is_arm { Arch::Arm64 } else { Arch::X64 },
            },
            on_demand: None,
        })
    }
}

/// What one region sells.
struct Sales<'a> {
    region: &'a str,
    zones: &'a [&'a str],
    types: &'a [TypeFacts],
    /// None when they could not be had.
    prices: Option<&'a SpotPrices>,
    /// Root disk of every machine, GiB.
    disk_gib: u32,
    /// List prices.
    book: &'a Book,
    now: Timestamp,
}

impl Sales<'_> {
    /// Spot offers, the cheapest first. Where the prices are known, a zone without one does not sell the type.
    fn spot(&self, query: &OfferQuery) -> Vec<Offer> {
        let none = BTreeMap::new();
        let mut offers = Vec::new();
        for facts in self.types {
            let of_type = self.prices.map(|prices| prices.get(&facts.name).unwrap_or(&none));
            for zone in self.zones {
                let price = of_type.and_then(|zones| zones.get(*zone)).copied();
                let is_sold = price.is_some() || of_type.is_none_or(BTreeMap::is_empty);
                let too_much = price.zip(query.spot_price_max).is_some_and(|(price, most)| price > most);
                if is_sold && !too_much {
                    offers.push(self.offer(facts, zone, Market::Spot, price));
                }
            }
        }
        offers.sort_by_key(|offer| (offer.price.is_none(), offer.price));
        offers
    }

    /// On-demand offers, the cheapest type first. A zone without a spot price for the type does not have the type.
    fn on_demand(&self) -> Vec<Offer> {
        let mut offers = Vec::new();
        for facts in self.types {
            let sold =
                self.prices.and_then(|prices| prices.get(&facts.name)).filter(|zones| !zones.is_empty());
            for zone in self.zones.iter().filter(|zone| sold.is_none_or(|sold| sold.contains_key(**zone))) {
                let listed = self.book.on_demand(self.region, &facts.name, self.now);
                offers.push(self.offer(facts, zone, Market::OnDemand, listed.map(|quote| quote.price)));
            }
        }
        offers.sort_by_key(|offer| (offer.price.is_none(), offer.price));
        offers
    }

    fn offer(
        &self,
        facts: &TypeFacts,
        zone: &str,
        market: Market,
        price: Option<cml_cloud::UsdPerHour>,
    ) -> Offer {
        Offer {
            region: self.region.to_owned(),
            zone: Some(zone.to_owned()),
            instance_type: facts.name.clone(),
            market,
            price,
            resources: facts.resources.clone(),
            quota: None,
            driver: cml_cloud::Driver::None,
            disk: Some(Disk { gib: self.disk_gib, price: self.book.volume_gib_month(self.region).price }),
        }
    }
}

fn no_subnet(place: &Place) -> CloudError {
    let zone = place.zone.as_deref().unwrap_or("any zone");
    CloudError::new(
        ErrorKind::Invalid,
        format!("looking for offers in {}", place.region),
        format!("no subnet lies in {zone}"),
    )
    .hint("name another zone or region (--region), or subnets (--subnet)")
}

fn none_fits(places: &[Place], query: &OfferQuery) -> CloudError {
    let regions: Vec<&str> = places.iter().map(|place| place.region.as_str()).collect();
    let limit = query.spot_price_max.map(|most| format!(" at {most} or less")).unwrap_or_default();
    CloudError::new(
        ErrorKind::Capacity,
        format!("looking for offers in {}", regions.join(", ")),
        format!("none of the types is sold there{limit}"),
    )
    .hint("raise or leave out --spot-price, add types or regions, or allow on-demand (--spot prefer)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use cml_cloud::{Network, UsdPerHour};
    use cml_prices::{OnDemandPrice, catalog};

    fn query(spot_price_max: Option<&str>) -> OfferQuery {
        OfferQuery {
            regions: Vec::new(),
            types: Vec::new(),
            needs: None,
            gpu: None,
            spot: SpotPolicy::Prefer,
            spot_price_max: spot_price_max.map(usd),
            network: Network::default(),
            image: cml_cloud::Image::default(),
            disk_gib: None,
        }
    }

    fn usd(text: &str) -> UsdPerHour {
        UsdPerHour(text.parse().expect("a number"))
    }

    fn shown(offers: &[Offer]) -> Vec<String> {
        let price = |offer: &Offer| offer.price.map_or("?".to_owned(), |price| price.to_string());
        let zone = |offer: &Offer| offer.zone.clone().unwrap_or_default();
        offers.iter().map(|it| format!("{} {} {}", it.instance_type, zone(it), price(it))).collect()
    }

    #[test]
    fn cheap_zones_come_first_and_zones_that_do_not_sell_a_type_are_left_out() {
        let types: Vec<TypeFacts> = ["g4dn.xlarge", "g5.xlarge"]
            .iter()
            .map(|name| catalog::find(name).expect("known").clone())
            .collect();
        let zones = |list: &[(&str, &str)]| {
            list.iter().map(|(zone, price)| ((*zone).to_owned(), usd(price))).collect()
        };
        let prices = SpotPrices::from([
            ("g4dn.xlarge".to_owned(), zones(&[("a", "0.30"), ("b", "0.20")])),
            ("g5.xlarge".to_owned(), zones(&[("a", "0.25")])),
        ]);
        // AWS has told of one type there; of the other only the list of us-east-1 is known.
        let mut book = Book::shipped();
        let told = OnDemandPrice {
            region: "r".to_owned(),
            instance_type: "g5.xlarge".to_owned(),
            price: usd("1.2"),
            effective: Timestamp::UNIX_EPOCH,
        };
        book.add_on_demand(told, Timestamp::UNIX_EPOCH);
        let sales = Sales {
            region: "r",
            zones: &["a", "b"],
            types: &types,
            prices: Some(&prices),
            disk_gib: DEFAULT_DISK_GIB,
            book: &book,
            now: Timestamp::UNIX_EPOCH,
        };
        assert_eq!(
            shown(&sales.spot(&query(None))),
            ["g4dn.xlarge b $0.2/h", "g5.xlarge a $0.25/h", "g4dn.xlarge a $0.3/h"]
        );
        assert_eq!(shown(&sales.spot(&query(Some("0.22")))), ["g4dn.xlarge b $0.2/h"]);
        assert_eq!(
            shown(&sales.on_demand()),
            ["g4dn.xlarge a $0.526/h", "g4dn.xlarge b $0.526/h", "g5.xlarge a $1.2/h"]
        );
        let blind = Sales { prices: None, ..sales };
        assert_eq!(blind.spot(&query(None)).len(), 4);
    }
}
