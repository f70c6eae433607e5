//! Offers for a query, best first, region by region: a failure of one region affects only that region.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::InstanceType;
use cml_cloud::{
    Arch, ByRegion, CloudError, Disk, Driver, ErrorKind, Gpu, Market, Offer, OfferQuery, RegionFailure,
    Resources, SpotPolicy,
};
use cml_prices::{Book, InstanceTypeInfo};
use futures_util::future::join_all;
use jiff::Timestamp;

use crate::clients::repeat;
use crate::clock::now;
use crate::cloud::AwsCloud;
use crate::errors::{all_failed, codes, failed, in_region};
use crate::prices::SpotPrices;
use crate::unsold::{no_subnet, none_fits};
use crate::{disks, images};
use cml_ec2::drivers;
use cml_ec2::images::{has_image, no_image};
use cml_ec2::quotas::QuotaClass;
use cml_ec2::regions::{self, RegionZone};
use cml_ec2::sizes::{self, TypeRequest};

/// Default: `m`, as in CML.
const DEFAULT_SIZE: &str = "m";

/// A type, and the driver that its image must contain.
#[derive(Clone, Debug, PartialEq, Eq)]
struct TypeOffer {
    facts: InstanceTypeInfo,
    driver: Driver,
}

impl TypeOffer {
    fn of(facts: &InstanceTypeInfo) -> Self {
        let driver = drivers::needed(&facts.name, facts.resources.gpu.as_ref());
        Self { facts: facts.clone(), driver }
    }
}

/// A requested type, as far as it is known without calling AWS.
#[derive(Clone, Debug)]
enum RequestedType {
    Known(TypeOffer),
    /// A type that is newer than the embedded table.
    Newer(String),
}

/// Reason why a region has no offers.
enum NoOffers {
    /// A failure of the region.
    Here(CloudError),
    /// The request cannot be met in any region.
    Everywhere(CloudError),
}

impl From<CloudError> for NoOffers {
    fn from(error: CloudError) -> Self {
        Self::Here(error)
    }
}

/// Offers of one region: spot, and on-demand.
type Sold = (Vec<Offer>, Vec<Offer>);

impl AwsCloud {
    pub(crate) async fn find_offers(&self, query: &OfferQuery) -> Result<ByRegion<Offer>, CloudError> {
        let places = self.places(&query.regions)?;
        images::check_name(&query.image)?;
        let wanted = wanted(query)?;
        let book = self.prices();
        let asked = places.iter().map(|place| self.sold_in(place, query, &wanted, &book));
        let mut all = ByRegion::default();
        let mut on_demand = Vec::new();
        for (place, sold) in places.iter().zip(join_all(asked).await) {
            match sold {
                Ok((spot, listed)) => {
                    all.found.extend(spot);
                    on_demand.extend(listed);
                }
                Err(NoOffers::Everywhere(error)) => return Err(error),
                Err(NoOffers::Here(error)) => all.failed.push(RegionFailure {
                    region: place.region.clone(),
                    error: in_region(&place.region, error),
                }),
            }
        }
        // All spot offers of all regions before any on-demand offer.
        all.found.append(&mut on_demand);
        if all.found.is_empty() {
            let regions: Vec<&str> = places.iter().map(|place| place.region.as_str()).collect();
            return Err(all_failed(&format!("looking for offers in {}", regions.join(", ")), &all.failed));
        }
        Ok(all)
    }

    async fn sold_in(
        &self,
        place: &RegionZone,
        query: &OfferQuery,
        wanted: &[RequestedType],
        book: &Book,
    ) -> Result<Sold, NoOffers> {
        let region = place.region.as_str();
        let kinds = self.kinds(region, query, wanted).await?;
        let subnets = self.subnets(region, &query.network).await?;
        let zones: Vec<&str> = subnets
            .zones()
            .into_iter()
            .filter(|zone| place.zone.as_deref().is_none_or(|one| one == *zone))
            .collect();
        if zones.is_empty() {
            return Err(no_subnet(place, &subnets).into());
        }
        let sizes = self.disk_sizes(region, query, &kinds).await?;
        let names: Vec<String> = kinds.iter().map(|kind| kind.facts.name.clone()).collect();
        let prices = match self.spot_prices(region, &names).await {
            Ok(prices) => Some(prices),
            // The order of the list is sufficient: a missing price list stops no job.
            Err(error)
                if error.kind != ErrorKind::Denied
                    || error.code.as_deref().is_some_and(codes::is_unauthorized) =>
            {
                tracing::warn!(%error, "spot prices are not known; the order is that of the on-demand prices");
                None
            }
            Err(error) => return Err(error.into()),
        };
        let sales = RegionOffers {
            region,
            zones: &zones,
            kinds: &kinds,
            prices: prices.as_ref(),
            sizes,
            book,
            now: now(),
        };
        let spot = if query.spot == SpotPolicy::Never { Vec::new() } else { sales.spot(query) };
        let on_demand = if query.spot == SpotPolicy::Only { Vec::new() } else { sales.on_demand() };
        if spot.is_empty() && on_demand.is_empty() {
            return Err(none_fits(place, &names, &subnets, &zones, query).into());
        }
        Ok((spot, on_demand))
    }

    fn places(&self, regions: &[String]) -> Result<Vec<RegionZone>, CloudError> {
        if regions.is_empty() {
            return Ok(vec![regions::place(&self.clients.default_region)?]);
        }
        let mut places: Vec<RegionZone> = Vec::new();
        for name in regions {
            let place = regions::place(name)?;
            if !places.contains(&place) {
                places.push(place);
            }
        }
        Ok(places)
    }

    /// Returns the requested types, with the region's data on types that are newer than the embedded table.
    async fn kinds(
        &self,
        region: &str,
        query: &OfferQuery,
        wanted: &[RequestedType],
    ) -> Result<Vec<TypeOffer>, NoOffers> {
        let mut kinds: Vec<TypeOffer> = Vec::new();
        for one in wanted {
            let kind = match one {
                RequestedType::Known(kind) => kind.clone(),
                RequestedType::Newer(name) => self.ask_type(region, name).await?,
            };
            if !has_image(&query.image, kind.driver) {
                return Err(NoOffers::Everywhere(no_image(&[&kind.facts.name], kind.driver)));
            }
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        Ok(kinds)
    }

    /// Returns the size of all disks of a machine together, that of its cache too, GiB, by the properties that decide
    /// about its image. A combination without an image here is not offered, as long as another has one.
    async fn disk_sizes(
        &self,
        region: &str,
        query: &OfferQuery,
        kinds: &[TypeOffer],
    ) -> Result<Sizes, NoOffers> {
        let mut sizes = Sizes::new();
        let mut lacking: Vec<((Arch, Driver), CloudError)> = Vec::new();
        for kind in kinds {
            let key = (kind.facts.resources.arch, kind.driver);
            if sizes.contains_key(&key) || lacking.iter().any(|(known, _)| *known == key) {
                continue;
            }
            match self.image(region, &query.image, key.0, key.1).await {
                Ok(image) => {
                    let planned = disks::planned(&image, query.disk_gib).map_err(NoOffers::Everywhere)?;
                    sizes.insert(key, disks::total_gib(&planned));
                }
                Err(error) => lacking.push((key, error)),
            }
        }
        if sizes.is_empty() && !lacking.is_empty() {
            return Err(lacking.swap_remove(0).1.into());
        }
        if let Some(snapshot) = &query.cache_snapshot {
            let gib = self.snapshot_gib(region, snapshot).await?;
            sizes.values_mut().for_each(|sum| *sum = sum.saturating_add(gib));
        }
        for (_, error) in lacking {
            tracing::warn!(region, %error, "some of the types have no image there and are left out");
        }
        Ok(sizes)
    }

    /// Queries EC2 for a type that is newer than the embedded table, or does not exist.
    async fn ask_type(&self, region: &str, name: &str) -> Result<TypeOffer, CloudError> {
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
        let first = info.gpu_info().and_then(|gpus| gpus.gpus().first());
        let gpu = first.map(|gpu| Gpu {
            name: gpu.name().unwrap_or_default().to_ascii_lowercase(),
            count: small(gpu.count()),
            memory_mib: number(gpu.memory_info().and_then(|memory| memory.size_in_mib()).map(i64::from)),
        });
        let driver = drivers::needed_by_maker(name, gpu.as_ref(), first.and_then(|gpu| gpu.manufacturer()));
        let facts = InstanceTypeInfo {
            name: name.to_owned(),
            resources: Resources {
                vcpus: small(info.v_cpu_info().and_then(|cpu| cpu.default_v_cpus())),
                memory_mib: number(info.memory_info().and_then(|memory| memory.size_in_mib())),
                gpu,
                arch: if is_arm { Arch::Arm64 } else { Arch::X64 },
            },
            on_demand: None,
        };
        Ok(TypeOffer { facts, driver })
    }
}

/// Returns the requested types by the embedded table: a name that is not a type is an error before AWS is called.
fn wanted(query: &OfferQuery) -> Result<Vec<RequestedType>, CloudError> {
    if let Some(needs) = &query.needs {
        let served = cml_ec2::served(needs, &query.image)?;
        return Ok(served.into_iter().map(|facts| RequestedType::Known(TypeOffer::of(facts))).collect());
    }
    let default = [DEFAULT_SIZE.to_owned()];
    let asked = if query.types.is_empty() { &default[..] } else { &query.types };
    let mut all = Vec::new();
    for name in asked {
        match sizes::read(name, query.gpu.as_deref())? {
            TypeRequest::Known(known) => {
                all.extend(known.into_iter().map(|facts| RequestedType::Known(TypeOffer::of(facts))));
            }
            TypeRequest::Newer(name) => all.push(RequestedType::Newer(name)),
        }
    }
    Ok(all)
}

/// Size of all disks of a machine, GiB, by the properties that decide about its image.
type Sizes = BTreeMap<(Arch, Driver), u32>;

/// The market of one region.
struct RegionOffers<'a> {
    region: &'a str,
    zones: &'a [&'a str],
    kinds: &'a [TypeOffer],
    /// `None` when they are unavailable.
    prices: Option<&'a SpotPrices>,
    /// Machines whose size is missing here have no image, and are not offered.
    sizes: Sizes,
    /// List prices.
    book: &'a Book,
    now: Timestamp,
}

impl RegionOffers<'_> {
    /// Returns spot offers, the cheapest first. Where the prices are known, a zone without one does not sell the type.
    fn spot(&self, query: &OfferQuery) -> Vec<Offer> {
        let none = BTreeMap::new();
        let mut offers = Vec::new();
        for kind in self.kinds {
            let of_type = self.prices.map(|prices| prices.get(&kind.facts.name).unwrap_or(&none));
            for zone in self.zones {
                let price = of_type.and_then(|zones| zones.get(*zone)).copied();
                let is_sold = price.is_some() || of_type.is_none_or(BTreeMap::is_empty);
                let too_much = price.zip(query.spot_price_max).is_some_and(|(price, most)| price > most);
                if is_sold && !too_much {
                    offers.extend(self.offer(kind, zone, Market::Spot, price));
                }
            }
        }
        offers.sort_by_key(|offer| (offer.price.is_none(), offer.price));
        offers
    }

    /// Returns on-demand offers, the cheapest type first. A zone without a spot price for the type does not have the
    /// type.
    fn on_demand(&self) -> Vec<Offer> {
        let mut offers = Vec::new();
        for kind in self.kinds {
            let name = &kind.facts.name;
            let sold = self.prices.and_then(|prices| prices.get(name)).filter(|zones| !zones.is_empty());
            for zone in self.zones.iter().filter(|zone| sold.is_none_or(|sold| sold.contains_key(**zone))) {
                let listed = self.book.on_demand(self.region, name, self.now);
                offers.extend(self.offer(kind, zone, Market::OnDemand, listed.map(|quote| quote.price)));
            }
        }
        offers.sort_by_key(|offer| (offer.price.is_none(), offer.price));
        offers
    }

    /// Returns an offer; `None` where there is no image for such a machine.
    fn offer(
        &self,
        kind: &TypeOffer,
        zone: &str,
        market: Market,
        price: Option<cml_cloud::UsdPerHour>,
    ) -> Option<Offer> {
        let facts = &kind.facts;
        let gib = *self.sizes.get(&(facts.resources.arch, kind.driver))?;
        let quota = QuotaClass::of(&facts.name).and_then(|class| class.quota(market));
        Some(Offer {
            region: self.region.to_owned(),
            zone: Some(zone.to_owned()),
            instance_type: facts.name.clone(),
            market,
            price,
            resources: facts.resources.clone(),
            quota: quota.map(|quota| quota.name.to_owned()),
            driver: kind.driver,
            disk: Some(Disk { gib, price: self.book.volume_gib_month(self.region).price }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cml_cloud::{Network, Range, UsdPerHour};
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
            cache_snapshot: None,
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
        let kinds: Vec<TypeOffer> = ["g4dn.xlarge", "g5.xlarge"]
            .iter()
            .map(|name| TypeOffer::of(catalog::find(name).expect("known")))
            .collect();
        let zones = |list: &[(&str, &str)]| {
            list.iter().map(|(zone, price)| ((*zone).to_owned(), usd(price))).collect()
        };
        let prices = SpotPrices::from([
            ("g4dn.xlarge".to_owned(), zones(&[("a", "0.30"), ("b", "0.20")])),
            ("g5.xlarge".to_owned(), zones(&[("a", "0.25")])),
        ]);
        // AWS has returned one type there; of the other only the list price of us-east-1 is known.
        let mut book = Book::shipped();
        let told = OnDemandPrice {
            region: "r".to_owned(),
            instance_type: "g5.xlarge".to_owned(),
            price: usd("1.2"),
            effective: Timestamp::UNIX_EPOCH,
        };
        book.add_on_demand(told, Timestamp::UNIX_EPOCH);
        let sales = RegionOffers {
            region: "r",
            zones: &["a", "b"],
            kinds: &kinds,
            prices: Some(&prices),
            sizes: Sizes::from([((Arch::X64, Driver::Nvidia), 75)]),
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
        let offer = sales.spot(&query(None)).remove(0);
        assert_eq!((offer.driver, offer.disk.map(|disk| disk.gib)), (Driver::Nvidia, Some(75)));
        assert_eq!(offer.quota.as_deref(), Some("All G and VT Spot Instance Requests"));
        let blind = RegionOffers { prices: None, ..sales };
        assert_eq!(blind.spot(&query(None)).len(), 4);
    }

    #[test]
    fn a_type_without_a_driver_in_the_default_image_is_refused_and_never_chosen_for_a_need() {
        let named = |name: &str, image: Option<&str>| {
            let image = cml_cloud::Image { name: image.map(str::to_owned) };
            OfferQuery { types: vec![name.to_owned()], image, ..query(None) }
        };
        let needs = |models: &[&str]| OfferQuery {
            needs: Some(cml_cloud::InstanceRequirements {
                gpu: Some(models.iter().map(|&model| model.to_owned()).collect()),
                gpus: Range { least: 1, most: None },
                gpu_memory_mib: Range::default(),
                vcpus: Range::default(),
                memory_mib: Range::default(),
                arch: Arch::X64,
            }),
            ..query(None)
        };
        let kinds = |query: &OfferQuery| -> Vec<Driver> {
            let all = wanted(query).expect("can be had");
            let driver = |one: &RequestedType| match one {
                RequestedType::Known(kind) => kind.driver,
                RequestedType::Newer(name) => panic!("{name} is known"),
            };
            all.iter().map(driver).collect()
        };
        // Named types are refused later, per region, when the image is known.
        assert_eq!(kinds(&named("g4ad.xlarge", Some("ami-1"))), [Driver::Amd]);
        assert!(!has_image(&named("g4ad.xlarge", None).image, Driver::Amd));
        assert!(has_image(&named("g4ad.xlarge", Some("ami-1")).image, Driver::Amd));
        let error = wanted(&needs(&["v100"])).expect_err("no default image drives it");
        assert!(error.cause.contains("p3dn.24xlarge") && error.cause.contains("no default image"), "{error}");
        assert!(kinds(&needs(&["v100", "t4"])).iter().all(|driver| *driver == Driver::Nvidia));
    }
}
