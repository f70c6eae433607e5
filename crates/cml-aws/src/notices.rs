//! Spot machines that EC2 is about to take back. It says so two minutes before, to the machine and here.
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-request-status.html>

use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_ec2::types::Filter;
use cml_cloud::{CloudError, ErrorKind, InstanceId};

use crate::clients::repeat;
use crate::cloud::AwsCloud;
use crate::errors::failed;

/// States of a request whose machine still runs and is about to go.
const MARKED: [&str; 3] = ["marked-for-termination", "marked-for-stop", "marked-for-hibernation"];
/// A page; EC2's largest.
const PAGE: i32 = 1000;

/// Whether these credentials may ask; they are told once that they may not.
pub(crate) struct MayAsk(AtomicBool);

impl Default for MayAsk {
    fn default() -> Self {
        Self(AtomicBool::new(true))
    }
}

impl AwsCloud {
    /// Machines in a region that EC2 has marked. None without the permission to ask: their end is noticed all the same.
    pub(crate) async fn marked(&self, region: &str) -> Result<Vec<InstanceId>, CloudError> {
        if !self.may_ask_notices.0.load(Ordering::Relaxed) {
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
                    self.may_ask_notices.0.store(false, Ordering::Relaxed);
                    tracing::warn!(%error, "without this permission, interruptions are noticed two minutes later");
                    return Ok(Vec::new());
                }
                answer => answer?,
            };
            // The filter is ours to check: what is not marked would be given up for nothing.
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
