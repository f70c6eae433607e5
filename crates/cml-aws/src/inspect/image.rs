//! Facts about an image, and whether it is known to have a GPU driver.

use cml_cloud::{Arch, CloudError, Driver, Image};

use crate::cloud::AwsCloud;
use crate::disks;
use crate::errors::in_region;
use crate::images::ResolvedImage;

/// Facts about an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFacts(pub(crate) ResolvedImage);

impl ImageFacts {
    /// Returns its id, `ami-…`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Returns the name given by its maker; empty when it has none.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns whether its name or description mentions an NVIDIA driver. There is no other indication from the
    /// outside.
    #[must_use]
    pub fn tells_of_driver(&self) -> bool {
        self.0.tells_of_driver
    }

    /// Returns the size of all disks of a machine that boots it, GiB.
    ///
    /// # Errors
    /// [`Invalid`](cml_cloud::ErrorKind::Invalid) when the requested root is smaller than the image needs.
    pub fn disks_gib(&self, asked_gib: Option<u32>) -> Result<u32, CloudError> {
        disks::planned(&self.0, asked_gib).map(|disks| disks::total_gib(&disks))
    }

    /// Returns the number of its EBS volumes besides the root.
    #[must_use]
    pub fn more_volumes(&self) -> usize {
        self.0.volumes.len()
    }
}

impl AwsCloud {
    /// Returns the image that such a machine would boot, found as a launch finds it.
    ///
    /// # Errors
    /// The errors that a launch would get.
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
