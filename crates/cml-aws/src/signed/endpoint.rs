//! Endpoints of services. `testdata/endpoints.json` holds botocore's answers for the same inputs.
//! <https://docs.aws.amazon.com/general/latest/gr/rande.html>

use aws_config::SdkConfig;
use aws_types::service_config::ServiceConfigKey;

use super::{S3, Service};

/// Distribution of a service over regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    /// One endpoint in every region.
    Region,
    /// One endpoint for each partition.
    Iam,
    /// One endpoint for each partition except that of the US government.
    CostExplorer,
}

/// Endpoint variants in the user's configuration. IAM and Cost Explorer have the default one only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Variant {
    /// `AWS_USE_FIPS_ENDPOINT`.
    pub(super) fips: bool,
    /// `AWS_USE_DUALSTACK_ENDPOINT`.
    pub(super) dual_stack: bool,
}

impl Variant {
    pub(super) fn of(config: &SdkConfig) -> Self {
        Self {
            fips: config.use_fips().unwrap_or_default(),
            dual_stack: config.use_dual_stack().unwrap_or_default(),
        }
    }
}

/// Returns the address that the environment or the profile configures for this service, or for all of them.
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>
pub(super) fn configured(service: &Service, config: &SdkConfig) -> Option<String> {
    if config.get_origin("endpoint_url").is_client_config() {
        return config.endpoint_url().map(str::to_owned);
    }
    let key =
        ServiceConfigKey::builder().service_id(service.id).env("AWS_ENDPOINT_URL").profile("endpoint_url");
    let of_service = key.build().ok().and_then(|key| config.service_config()?.load_config(key));
    of_service.or_else(|| config.endpoint_url().map(str::to_owned))
}

/// Returns the address of a service for a region, and the region to sign for.
pub(super) fn of(service: &Service, region: &str, variant: Variant) -> (String, String) {
    let is_china = region.starts_with("cn-");
    let is_government = region.starts_with("us-gov-");
    let (host, signing_region) = match service.home {
        Home::Iam if is_china => ("iam.cn-north-1.amazonaws.com.cn".to_owned(), "cn-north-1"),
        Home::Iam if is_government => ("iam.us-gov.amazonaws.com".to_owned(), "us-gov-west-1"),
        Home::Iam => ("iam.amazonaws.com".to_owned(), "us-east-1"),
        Home::CostExplorer if is_china => ("ce.cn-northwest-1.amazonaws.com.cn".to_owned(), "cn-northwest-1"),
        Home::CostExplorer if !is_government => ("ce.us-east-1.amazonaws.com".to_owned(), "us-east-1"),
        Home::CostExplorer | Home::Region => (in_region(service, region, variant), region),
    };
    (format!("https://{host}"), signing_region.to_owned())
}

fn in_region(service: &Service, region: &str, variant: Variant) -> String {
    let is_china = region.starts_with("cn-");
    // Services whose government endpoints are FIPS endpoints without a different name.
    let is_fips_anyway = region.starts_with("us-gov-") && ["SSM", "Service Quotas"].contains(&service.id);
    let fips = if variant.fips && !is_fips_anyway { "-fips" } else { "" };
    let host = service.host;
    if *service == S3 {
        let dual_stack = if variant.dual_stack { ".dualstack" } else { "" };
        let suffix = if is_china { "amazonaws.com.cn" } else { "amazonaws.com" };
        return format!("{host}{fips}{dual_stack}.{region}.{suffix}");
    }
    let suffix = match (variant.dual_stack, is_china) {
        (false, false) => "amazonaws.com",
        (false, true) => "amazonaws.com.cn",
        (true, false) => "api.aws",
        (true, true) => "api.amazonwebservices.com.cn",
    };
    format!("{host}{fips}.{region}.{suffix}")
}

/// Returns the address of a bucket: in the host's name where possible, else in the path.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html>
pub(crate) fn of_bucket(bucket: &str, config: &SdkConfig, region: &str, path_style: bool) -> String {
    let configured = configured(&S3, config);
    // A certificate for `*.s3.…` covers one label, and a host has lower-case letters only.
    let is_label = bucket.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-');
    if let (None, false, true) = (&configured, path_style, is_label) {
        return format!("https://{bucket}.{}", in_region(&S3, region, Variant::of(config)));
    }
    let endpoint = configured.unwrap_or_else(|| of(&S3, region, Variant::of(config)).0);
    format!("{}/{bucket}", endpoint.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::super::{COST_EXPLORER, IAM, PRICING, SERVICE_QUOTAS, SSM};
    use super::*;
    use serde_json::Value;

    #[test]
    fn every_address_is_the_one_that_botocore_finds() {
        let known: Value = serde_json::from_str(include_str!("../../testdata/endpoints.json")).expect("JSON");
        let services = [
            ("ssm", &SSM),
            ("service-quotas", &SERVICE_QUOTAS),
            ("pricing", &PRICING),
            ("ce", &COST_EXPLORER),
            ("iam", &IAM),
            ("s3", &S3),
        ];
        let mut compared = 0;
        for (name, service) in services {
            for (question, address) in known[name].as_object().expect("answers") {
                let (region, variant) = question.split_once(' ').expect("a region and a variant");
                let variant = Variant { fips: variant == "fips", dual_stack: variant == "dual-stack" };
                assert_eq!(
                    of(service, region, variant).0,
                    address.as_str().expect("text"),
                    "{name} {question}"
                );
                compared += 1;
            }
        }
        assert!(compared > 60, "{compared}");
    }

    #[test]
    fn a_bucket_is_in_the_hosts_name_where_a_certificate_covers_it() {
        let config = SdkConfig::builder().build();
        let of = |bucket, path_style| of_bucket(bucket, &config, "eu-west-1", path_style);
        assert_eq!(of("reports", false), "https://reports.s3.eu-west-1.amazonaws.com");
        assert_eq!(of("reports.acme", false), "https://s3.eu-west-1.amazonaws.com/reports.acme");
        assert_eq!(of("reports", true), "https://s3.eu-west-1.amazonaws.com/reports");
        let elsewhere = SdkConfig::builder().endpoint_url("http://127.0.0.1:9000/").build();
        assert_eq!(of_bucket("reports", &elsewhere, "eu-west-1", false), "http://127.0.0.1:9000/reports");
    }
}
