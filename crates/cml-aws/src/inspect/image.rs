//! What an image is, and whether it is known to drive a GPU.

use cml_cloud::{Arch, CloudError, Driver, Image};

use crate::cloud::AwsCloud;
use crate::disks;
use crate::errors::in_region;
use crate::images::ResolvedImage;

/// What an image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFacts(pub(crate) ResolvedImage);

impl ImageFacts {
    /// `ami-…`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The name its maker gave it; empty when it has none.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether its name or description tells of an NVIDIA driver. Nothing else tells from the outside.
    #[must_use]
    pub fn tells_of_driver(&self) -> bool {
        self.0.tells_of_driver
    }

    /// All disks of a machine that boots it, GiB together.
    ///
    /// # Errors
    /// [`Invalid`](cml_cloud::ErrorKind::Invalid) when a smaller root was asked for than the image needs.
    pub fn disks_gib(&self, asked_gib: Option<u32>) -> Result<u32, CloudError> {
        disks::planned(&self.0, asked_gib).map(|disks| disks::total_gib(&disks))
    }

    /// Its EBS volumes beside the root.
    #[must_use]
    pub fn more_volumes(&self) -> usize {
        self.0.volumes.len()
    }
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
        driver: Driver,
    ) -> Result<ImageFacts, CloudError> {
        let found = self.image(region, image, arch, driver).await;
        found.map(ImageFacts).map_err(|error| in_region(region, error))
    }
}
