//! What an image is, and whether it is known to drive a GPU.

use cml_cloud::{Arch, CloudError, Image};

use crate::clients::repeat;
use crate::cloud::AwsCloud;
use crate::errors::failed;

/// Words in the names of images that bring a driver.
const DRIVER_WORDS: [&str; 5] = ["nvidia", "deep learning", "cuda", "gpu", "dlami"];

/// What an image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFacts {
    /// `ami-…`.
    pub id: String,
    /// The device that it boots from.
    pub root_device: String,
    /// The name its maker gave it; empty when it has none.
    pub name: String,
    /// Whether its name or description tells of an NVIDIA driver. Nothing else tells from the outside.
    pub tells_of_driver: bool,
}

impl AwsCloud {
    /// The image that a machine of this kind would boot, found as a launch finds it.
    ///
    /// # Errors
    /// As a launch would get them.
    pub async fn image_facts(
        &self,
        region: &str,
        image: &Image,
        arch: Arch,
        has_gpu: bool,
    ) -> Result<ImageFacts, CloudError> {
        let found = self.image(region, image, arch, has_gpu).await?;
        let doing = format!("looking at image {} in {region}", found.id);
        let client = self.clients.ec2(region);
        let answer = repeat(|| async {
            let sent = client.describe_images().image_ids(&found.id).send().await;
            sent.map_err(|error| failed(&doing, "ec2:DescribeImages", &error))
        })
        .await?;
        let described = answer.images().first();
        let name = described.and_then(|image| image.name()).unwrap_or_default();
        let description = described.and_then(|image| image.description()).unwrap_or_default();
        let words = format!("{name} {description}").to_lowercase();
        Ok(ImageFacts {
            id: found.id,
            root_device: found.root_device,
            name: name.to_owned(),
            tells_of_driver: DRIVER_WORDS.iter().any(|word| words.contains(word)),
        })
    }
}
