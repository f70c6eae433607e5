//! Spot machines that EC2 is about to interrupt. EC2 announces it two minutes before, to the machine and here.
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-request-status.html>

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use aws_sdk_ec2::types::Filter;
use cml_cloud::{CloudError, ErrorKind, InstanceId};

use crate::clients::repeat;
use crate::cloud::AwsCloud;
use crate::errors::failed;

/// States of a request whose machine still runs and is about to be interrupted.
const MARKED: [&str; 3] = ["marked-for-termination", "marked-for-stop", "marked-for-hibernation"];
/// Page size; EC2's maximum.
const PAGE: i32 = 1000;

/// Regions in which these credentials lack the permission: a policy may deny it in one region only.
#[derive(Default)]
pub(crate) struct DeniedRegions(Mutex<BTreeSet<String>>);

impl DeniedRegions {
    fn contains(&self, region: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(region)
    }

    fn add(&self, region: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(region.to_owned());
    }
}

impl AwsCloud {
    /// Returns the machines of a region that EC2 has marked. `None` without the permission: their end is noticed all
    /// the same.
    pub(crate) async fn marked(&self, region: &str) -> Result<Vec<InstanceId>, CloudError> {
        if self.notices_denied.contains(region) {
            return Ok(Vec::new());
        }
        let doing = format!("asking which spot machines are taken back in {region}");
        let codes = MARKED.map(str::to_owned).to_vec();
        let filter = Filter::builder().name("status-code").set_values(Some(codes)).build();
        let client = self.clients.ec2(region);
        let mut found = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let asked = repeat(|| async {
                let call = client.describe_spot_instance_requests().filters(filter.clone()).max_results(PAGE);
                let sent = call.set_next_token(next.clone()).send().await;
                sent.map_err(|error| failed(&doing, "ec2:DescribeSpotInstanceRequests", &error))
            })
            .await;
            let answer = match asked {
                Err(error) if error.kind == ErrorKind::Denied => {
                    self.notices_denied.add(region);
                    tracing::warn!(region, %error, "without this permission, interruptions are noticed two minutes later");
                    return Ok(Vec::new());
                }
                answer => answer?,
            };
            // The filter is checked here: a machine that is not marked would be given up needlessly.
            let marked = answer.spot_instance_requests().iter().filter(|request| {
                request.status().and_then(|status| status.code()).is_some_and(|code| MARKED.contains(&code))
            });
            found.extend(marked.filter_map(|request| Some(InstanceId(request.instance_id()?.to_owned()))));
            next = answer.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if next.is_none() {
                return Ok(found);
            }
        }
    }
}
