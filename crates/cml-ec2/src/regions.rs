//! Region names: AWS's own, CML's aliases, and a zone where a region is expected.

use cml_cloud::{CloudError, ErrorKind};

/// All regions of the commercial partition, 2026-07.
/// <https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-regions.html>
const REGIONS: &[&str] = &[
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

/// CML's aliases. <https://cml.dev/doc/ref/runner>
const ALIASES: &[(&str, &str)] = &[
    ("us-east", "us-east-1"),
    ("us-west", "us-west-1"),
    ("eu-north", "eu-north-1"),
    ("eu-west", "eu-west-1"),
];

/// A region, and its one zone when the user named a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionZone {
    /// `us-east-1`.
    pub region: String,
    /// `us-east-1b`; `None` for a region.
    pub zone: Option<String>,
}

/// Returns the region for a name: AWS's own name, CML's alias, or that of a zone.
///
/// # Errors
/// [`ErrorKind::Invalid`] for an unknown name.
pub fn region(name: &str) -> Result<String, CloudError> {
    place(name).map(|place| place.region)
}

/// Parses a region or a zone.
///
/// # Errors
/// [`ErrorKind::Invalid`] for an unknown name.
pub fn place(name: &str) -> Result<RegionZone, CloudError> {
    if let Some((_, region)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
        return Ok(RegionZone { region: (*region).to_owned(), zone: None });
    }
    if is_region(name) {
        return Ok(RegionZone { region: name.to_owned(), zone: None });
    }
    // `us-east-1b`, which CML accepted.
    if let Some(region) = name.strip_suffix(|c: char| c.is_ascii_lowercase())
        && is_region(region)
    {
        return Ok(RegionZone { region: region.to_owned(), zone: Some(name.to_owned()) });
    }
    let near = nearest(name);
    Err(CloudError::new(ErrorKind::Invalid, "choosing a region", format!("{name:?} is no region of AWS that is known here"))
        .hint(format!("did you mean {near}? Names are as in https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-regions.html; us-east, us-west, eu-north and eu-west are understood too")))
}

/// Regions that every account has from its first day; all others of the commercial partition must be enabled first.
/// <https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-regions.html>
const ENABLED: &[&str] = &[
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

/// Returns whether an account must enable the region before it can use it.
#[must_use]
pub fn needs_opt_in(region: &str) -> bool {
    REGIONS.contains(&region) && !ENABLED.contains(&region)
}

/// Returns true for a known name, or one of a partition whose regions are not listed here.
fn is_region(name: &str) -> bool {
    REGIONS.contains(&name) || name.starts_with("us-gov-") || name.starts_with("cn-")
}

fn nearest(name: &str) -> &'static str {
    let shared =
        |region: &&&str| region.chars().zip(name.chars()).filter(|(one, other)| one == other).count();
    let alike =
        |region: &&&str| (shared(region), region.split('-').filter(|part| name.contains(part)).count());
    REGIONS.iter().rev().max_by_key(alike).copied().unwrap_or("us-east-1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_regions_and_zones_are_understood() {
        let read = |name| place(name).expect(name);
        assert_eq!(read("us-west"), RegionZone { region: "us-west-1".to_owned(), zone: None });
        assert_eq!(read("eu-central-1"), RegionZone { region: "eu-central-1".to_owned(), zone: None });
        assert_eq!(
            read("us-east-1b"),
            RegionZone { region: "us-east-1".to_owned(), zone: Some("us-east-1b".to_owned()) }
        );
    }

    #[test]
    fn an_unknown_region_is_told_with_a_near_one() {
        let error = place("us-esat-1").expect_err("is unknown");
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert!(error.to_string().contains("\"us-esat-1\" is no region"), "{error}");
        assert!(error.hint.expect("a hint").starts_with("did you mean us-east-1?"));
    }
}
