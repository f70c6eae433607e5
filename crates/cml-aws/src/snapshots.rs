//! The snapshot that the cache's disk is created from; it has the size of that disk.
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSnapshots.html>

use crate::clients::repeat;
use crate::cloud::AwsCloud;
use crate::errors::failed;
use crate::pages::incomplete;
use cml_cloud::{CloudError, ErrorKind};

impl AwsCloud {
    /// Returns its size, GiB; 0 where these credentials may not read it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] where the region does not have it.
    pub(crate) async fn snapshot_gib(&self, region: &str, id: &str) -> Result<u32, CloudError> {
        let doing = format!("looking at the cache's snapshot {id} in {region}");
        let client = self.clients.ec2(region);
        let asked = repeat(|| async {
            let call = client.describe_snapshots().snapshot_ids(id);
            call.send().await.map_err(|error| failed(&doing, "ec2:DescribeSnapshots", &error))
        })
        .await;
        let missing = |said: &str| {
            let cause = format!("it is not there, or not for this account{said}");
            CloudError::new(ErrorKind::Invalid, &doing, cause)
                .hint("a snapshot is in one region: ask for that region only, or copy it to the others")
        };
        let answer = match asked {
            Ok(answer) => answer,
            Err(error) if error.kind == ErrorKind::Denied => {
                tracing::warn!(%error, "the cache's disk is not counted in prices and budgets");
                return Ok(0);
            }
            Err(error) if error.kind == ErrorKind::Invalid => {
                return Err(missing(&format!(" ({})", error.code.unwrap_or(error.cause))));
            }
            Err(error) => return Err(error),
        };
        let snapshot = answer.snapshots().first().ok_or_else(|| missing(""))?;
        let gib = snapshot.volume_size().and_then(|gib| u32::try_from(gib).ok());
        gib.ok_or_else(|| incomplete(&doing, "it has no size"))
    }
}
