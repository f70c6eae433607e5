//! How many vCPUs of a kind the account may have at once.
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-quotas.html>

use cml_cloud::{CloudError, ErrorKind, Market};

use crate::clients::repeat;
use crate::cloud::AwsCloud;
use crate::errors::failed;

/// Types that share one quota. The codes are those of Service Quotas, the same in every account and region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QuotaClass {
    /// `G and VT`, as AWS calls them.
    pub name: &'static str,
    spot: &'static str,
    on_demand: &'static str,
}

const STANDARD: QuotaClass =
    QuotaClass { name: "Standard (A, C, D, H, I, M, R, T, Z)", spot: "L-34B43A08", on_demand: "L-1216C47A" };

const GRAPHICS: QuotaClass = QuotaClass { name: "G and VT", spot: "L-3819A6DF", on_demand: "L-DB2E81BA" };

/// For spot these have a quota of their own.
const P5: QuotaClass = QuotaClass { name: "P5", spot: "L-C4BD4855", on_demand: "L-417A185B" };

/// Families by the letters that their types begin with.
const CLASSES: &[(&str, QuotaClass)] = &[
    ("dl", QuotaClass { name: "DL", spot: "L-85EED4F7", on_demand: "L-6E869C2A" }),
    ("f", QuotaClass { name: "F", spot: "L-88CF9481", on_demand: "L-74FC7D96" }),
    ("g", GRAPHICS),
    ("gr", GRAPHICS),
    ("vt", GRAPHICS),
    ("inf", QuotaClass { name: "Inf", spot: "L-B5D1601B", on_demand: "L-1945791B" }),
    ("p", QuotaClass { name: "P", spot: "L-7212CCBC", on_demand: "L-417A185B" }),
    ("trn", QuotaClass { name: "Trn", spot: "L-6B0D517C", on_demand: "L-2C3B7624" }),
    ("x", QuotaClass { name: "X", spot: "L-E3A00192", on_demand: "L-7295265B" }),
];

impl QuotaClass {
    /// What a type counts for; none for types that are not sold by the vCPU (`mac`) or count for something rarer (`u`, `hpc`).
    #[must_use]
    pub fn of(instance_type: &str) -> Option<Self> {
        let family: String = instance_type.chars().take_while(char::is_ascii_lowercase).collect();
        let is_p5 = instance_type.starts_with("p5");
        match family.as_str() {
            "p" if is_p5 => Some(P5),
            // A class of its own whose code is not known here.
            "p" if instance_type.starts_with("p6") => None,
            "hpc" | "mac" => None,
            family => {
                CLASSES.iter().find(|(name, _)| *name == family).map(|(_, class)| *class).or_else(|| {
                    let first = family.chars().next()?;
                    "acdhimrtz".contains(first).then_some(STANDARD)
                })
            }
        }
    }

    /// The code to ask with.
    #[must_use]
    pub fn code(self, market: Market) -> &'static str {
        match market {
            Market::Spot => self.spot,
            Market::OnDemand => self.on_demand,
        }
    }
}

/// What an account may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// vCPUs at once.
    pub vcpus: u64,
}

impl AwsCloud {
    /// The account's quota in a region.
    /// <https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html>
    ///
    /// # Errors
    /// [`Denied`](ErrorKind::Denied) without `servicequotas:GetServiceQuota`. None where the region has no such quota.
    pub async fn quota(
        &self,
        region: &str,
        class: QuotaClass,
        market: Market,
    ) -> Result<Option<Quota>, CloudError> {
        let doing = format!("asking for the quota of {} types in {region}", class.name);
        let client = self.clients.service_quotas(region);
        let asked = repeat(|| async {
            let call = client.get_service_quota().service_code("ec2").quota_code(class.code(market));
            call.send().await.map_err(|error| failed(&doing, "servicequotas:GetServiceQuota", &error))
        })
        .await;
        let answer = match asked {
            Err(error) if error.code.as_deref() == Some("NoSuchResourceException") => return Ok(None),
            asked => asked?,
        };
        let quota = answer.quota();
        let value = quota.and_then(|quota| quota.value()).filter(|value| value.is_finite() && *value >= 0.0);
        let Some(value) = value else {
            return Err(CloudError::new(ErrorKind::Transient, doing, "AWS did not say a number"));
        };
        Ok(Some(Quota { vcpus: whole(value) }))
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "finite, and not below 0")]
fn whole(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_counts_for_the_class_that_aws_says() {
        for (kind, class) in [
            ("g5.xlarge", "G and VT"),
            ("gr6.4xlarge", "G and VT"),
            ("g4dn.xlarge", "G and VT"),
            ("vt1.3xlarge", "G and VT"),
            ("p4d.24xlarge", "P"),
            ("p5.48xlarge", "P5"),
            ("p5en.48xlarge", "P5"),
            ("inf2.xlarge", "Inf"),
            ("i4i.large", "Standard (A, C, D, H, I, M, R, T, Z)"),
            ("trn1.2xlarge", "Trn"),
            ("t3.micro", "Standard (A, C, D, H, I, M, R, T, Z)"),
            ("x2idn.16xlarge", "X"),
            ("dl1.24xlarge", "DL"),
            ("d3.xlarge", "Standard (A, C, D, H, I, M, R, T, Z)"),
            ("m7i.2xlarge", "Standard (A, C, D, H, I, M, R, T, Z)"),
        ] {
            assert_eq!(QuotaClass::of(kind).map(|class| class.name), Some(class), "{kind}");
        }
        for kind in ["u-6tb1.metal", "p6-b200.48xlarge", "hpc7a.96xlarge", "mac2.metal", ""] {
            assert_eq!(QuotaClass::of(kind), None, "{kind}");
        }
    }
}
