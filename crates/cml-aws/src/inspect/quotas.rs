//! Quotas of the account: vCPUs of a class that may run at once.

use cml_cloud::{CloudError, ErrorKind};
use serde_json::json;

use crate::cloud::AwsCloud;
use crate::errors::{codes, in_region};
use crate::pages::incomplete;
use crate::signed::SERVICE_QUOTAS;
use cml_ec2::answers::quota;
use cml_ec2::quotas::ServiceQuota;

/// A quota of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Maximum number of vCPUs at once.
    pub vcpus: u64,
}

impl AwsCloud {
    /// Returns the account's quota in a region.
    /// <https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html>
    ///
    /// # Errors
    /// [`Denied`](ErrorKind::Denied) without `servicequotas:GetServiceQuota`. `None` where the region has no such
    /// quota.
    pub async fn quota(&self, region: &str, asked: ServiceQuota) -> Result<Option<Quota>, CloudError> {
        let doing = format!("asking for the quota \"{}\" in {region}", asked.name);
        let client = self.clients.signed(&SERVICE_QUOTAS, region);
        let parameters = json!({"ServiceCode": "ec2", "QuotaCode": asked.code});
        let answer = client.ask("GetServiceQuota", &parameters, &doing).await;
        let answer = match answer {
            Err(error) if error.code.as_deref().is_some_and(codes::is_unknown_quota) => return Ok(None),
            answer => answer.map_err(|error| in_region(region, error))?,
        };
        let Some(vcpus) = quota::vcpus(&answer).map_err(|why| incomplete(&doing, &why))? else {
            return Err(CloudError::new(ErrorKind::Transient, doing, "AWS did not say a number"));
        };
        Ok(Some(Quota { vcpus }))
    }
}
