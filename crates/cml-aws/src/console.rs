//! Console output of a machine.

use cml_cloud::{CloudError, InstanceId};

use crate::clients::repeat;
use crate::cloud::AwsCloud;
use crate::errors::{codes, failed};
use cml_ec2::answers::instance;

impl AwsCloud {
    pub(crate) async fn read_console(&self, region: &str, id: &InstanceId) -> Result<String, CloudError> {
        let doing = format!("reading the console of {id} in {region}");
        Self::check_instance_id(&doing, id)?;
        // The latest output is available for Nitro types only; others return what they wrote some minutes ago.
        match self.console_output(region, id, &doing, true).await {
            Err(error) if error.code.as_deref().is_some_and(codes::is_unsupported_here) => {
                self.console_output(region, id, &doing, false).await
            }
            result => result,
        }
    }

    async fn console_output(
        &self,
        region: &str,
        id: &InstanceId,
        doing: &str,
        latest: bool,
    ) -> Result<String, CloudError> {
        let client = self.clients.ec2(region);
        let answer = repeat(|| async {
            let call = client.get_console_output().instance_id(&id.0).latest(latest);
            call.send().await.map_err(|error| failed(doing, "ec2:GetConsoleOutput", &error))
        })
        .await?;
        Ok(instance::console(answer.output().unwrap_or_default()))
    }
}
