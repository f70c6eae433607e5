//! Contents of the account, read past the front: nothing here is recorded.

use std::collections::BTreeMap;

use super::Front;
use super::wire::all_between;
use crate::moto::Moto;

impl Front {
    /// Returns what AWS's own Python client reads from the account, past this front: instances, launch templates,
    /// groups, volumes.
    ///
    /// # Panics
    /// When the reading fails.
    pub async fn third_party(&self, region: &str) -> serde_json::Value {
        self.python("read_ec2.py", region).await
    }

    /// A VPC whose subnets (`cut`, `private`, `nat`) and groups (`open`, `shut`) are each wrong in their own way, by their ids.
    ///
    /// # Panics
    /// When it cannot be made.
    pub async fn odd_network(&self, region: &str) -> BTreeMap<String, String> {
        serde_json::from_value(self.python("odd_network.py", region).await).expect("ids")
    }

    async fn python(&self, script: &str, region: &str) -> serde_json::Value {
        let python = Moto::shared().python();
        let output = tokio::process::Command::new(python)
            .arg(crate::paths::tests_dir().join("support").join(script))
            .arg(region)
            .env("AWS_ENDPOINT_URL", format!("{}/past-the-front", self.url()))
            .env("AWS_ACCESS_KEY_ID", "third-party")
            .env("AWS_SECRET_ACCESS_KEY", "third-party")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .output()
            .await
            .expect("python starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// The ids of the machines that an account's reading shows as not ended.
    #[must_use]
    pub fn alive(reading: &serde_json::Value) -> Vec<String> {
        let instances = reading["instances"].as_array().cloned().unwrap_or_default();
        instances
            .iter()
            .filter(|instance| {
                instance["State"]["Name"] != "terminated" && instance["State"]["Name"] != "shutting-down"
            })
            .filter_map(|instance| Some(instance["InstanceId"].as_str()?.to_owned()))
            .collect()
    }

    /// The same, asked of the emulator directly: cheap enough to be polled.
    pub async fn alive_now(&self, region: &str) -> Vec<String> {
        let params = [
            ("Action", "DescribeInstances"),
            ("Version", "2016-11-15"),
            ("Filter.1.Name", "instance-state-name"),
            ("Filter.1.Value.1", "pending"),
            ("Filter.1.Value.2", "running"),
        ];
        all_between(&self.inner.own_call(region, &params).await.text(), "instanceId")
    }
}
