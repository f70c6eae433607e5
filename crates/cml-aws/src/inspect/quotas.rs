//! How many vCPUs of a kind the account may have at once.

use cml_cloud::{CloudError, ErrorKind};
use serde::Deserialize;
use serde_json::json;

use crate::cloud::AwsCloud;
use crate::errors::{codes, in_region};
use crate::signed::SERVICE_QUOTAS;
use cml_ec2::quotas::ServiceQuota;

/// What an account may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// vCPUs at once.
    pub vcpus: u64,
}

/// The answer, as far as it matters here.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetServiceQuota {
    quota: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Value {
    value: Option<f64>,
}

impl AwsCloud {
    /// The account's quota in a region.
    /// <https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html>
    ///
    /// # Errors
    /// [`Denied`](ErrorKind::Denied) without `servicequotas:GetServiceQuota`. None where the region has no such quota.
    pub async fn quota(&self, region: &str, asked: ServiceQuota) -> Result<Option<Quota>, CloudError> {
        let doing = format!("asking for the quota \"{}\" in {region}", asked.name);
        let client = self.clients.signed(&SERVICE_QUOTAS, region);
        let parameters = json!({"ServiceCode": "ec2", "QuotaCode": asked.code});
        let answer = client.ask::<GetServiceQuota>("GetServiceQuota", &parameters, &doing).await;
        let answer = match answer {
            Err(error) if error.code.as_deref().is_some_and(codes::is_unknown_quota) => return Ok(None),
            answer => answer.map_err(|error| in_region(region, error))?,
        };
        let value = answer.quota.value.filter(|value| value.is_finite() && *value >= 0.0);
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
