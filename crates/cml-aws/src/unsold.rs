//! Messages for a region without offers, which name zone and subnet.

use cml_cloud::{CloudError, ErrorKind, OfferQuery, SpotPolicy};

use crate::network::Subnets;
use cml_ec2::regions::RegionZone;

/// Lists subnets with their zones, as `subnet-1 (us-east-1a), subnet-2 (us-east-1b)`.
fn listed(subnets: &Subnets, zones: Option<&[&str]>) -> String {
    let is_meant = |zone: &str| zones.is_none_or(|zones| zones.contains(&zone));
    let each = subnets.subnets.iter().filter(|subnet| is_meant(&subnet.zone));
    each.map(|subnet| format!("{} ({})", subnet.id, subnet.zone)).collect::<Vec<_>>().join(", ")
}

pub(crate) fn no_subnet(place: &RegionZone, subnets: &Subnets) -> CloudError {
    let zone = place.zone.as_deref().unwrap_or(&place.region);
    CloudError::new(
        ErrorKind::Invalid,
        format!("looking for offers in {}", place.region),
        format!("no subnet lies in {zone}: there are {}", listed(subnets, None)),
    )
    .hint("name another zone or region (--region), or other subnets (--subnet)")
}

pub(crate) fn none_fits(
    place: &RegionZone,
    types: &[String],
    subnets: &Subnets,
    zones: &[&str],
    query: &OfferQuery,
) -> CloudError {
    let limit = query.spot_price_max.map(|most| format!(" at {most} or less")).unwrap_or_default();
    let types = types.join(", ");
    let there = if query.network.subnets.is_empty() {
        format!("in {}", place.zone.as_deref().unwrap_or(&place.region))
    } else {
        format!("in the zone of {}", listed(subnets, Some(zones)))
    };
    let mut cures = Vec::new();
    if query.spot_price_max.is_some() {
        cures.push("raise or leave out --spot-price");
    }
    if !query.network.subnets.is_empty() {
        cures.push("name subnets in other zones (--subnet)");
    }
    cures.push("add types (--type) or regions (--region)");
    if query.spot == SpotPolicy::Only {
        cures.push("allow on-demand (--spot prefer)");
    }
    CloudError::new(
        ErrorKind::Capacity,
        format!("looking for offers in {}", place.region),
        format!("{types} is not sold {there}{limit}"),
    )
    .hint(cures.join(", or "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Subnet;
    use cml_cloud::{Image, Network};

    fn query(subnets: &[&str]) -> OfferQuery {
        let subnets = subnets.iter().map(|&id| id.to_owned()).collect();
        OfferQuery {
            regions: Vec::new(),
            types: Vec::new(),
            needs: None,
            gpu: None,
            spot: SpotPolicy::Only,
            spot_price_max: None,
            network: Network { subnets, security_group: None },
            image: Image::default(),
            disk_gib: None,
            cache_snapshot: None,
        }
    }

    #[test]
    fn a_named_subnet_whose_zone_does_not_sell_the_type_is_named_with_its_zone() {
        let place = RegionZone { region: "us-east-1".to_owned(), zone: None };
        let subnet = Subnet { id: "subnet-1".to_owned(), zone: "us-east-1e".to_owned() };
        let subnets = Subnets { vpc: "vpc-1".to_owned(), subnets: vec![subnet] };
        let of = |asked: &[&str]| {
            none_fits(&place, &["g5.xlarge".to_owned()], &subnets, &["us-east-1e"], &query(asked))
        };
        let error = of(&["subnet-1"]);
        assert_eq!(error.cause, "g5.xlarge is not sold in the zone of subnet-1 (us-east-1e)");
        let hint = error.hint.expect("a hint");
        assert!(hint.contains("--subnet") && !hint.contains("--spot-price"), "{hint}");
        assert_eq!(of(&[]).cause, "g5.xlarge is not sold in us-east-1");
        let other = RegionZone { zone: Some("us-east-1a".to_owned()), ..place.clone() };
        assert!(no_subnet(&other, &subnets).cause.contains("subnet-1 (us-east-1e)"));
    }
}
