//! Default images, and the machines that have one.

use cml_cloud::{CloudError, Driver, ErrorKind, Image};

use crate::drivers::hardware;

/// Returns the default image; `None` for accelerators whose driver no alias has. AWS's image with NVIDIA's proprietary
/// kernel module is one of Amazon Linux 2, which is out of support.
#[must_use]
pub fn default_name(driver: Driver) -> Option<&'static str> {
    match driver {
        Driver::None => Some("ubuntu-24.04"),
        Driver::Nvidia => Some("ubuntu-22.04-gpu"),
        Driver::NvidiaProprietary | Driver::Amd | Driver::Neuron | Driver::Other => None,
    }
}

/// Returns the configured name, if there is one.
#[must_use]
pub fn named(image: &Image) -> Option<&str> {
    // CML's own image is not published any more.
    image.name.as_deref().filter(|name| !["", "iterative-cml"].contains(name))
}

/// Returns whether there is an image for machines that need this driver.
#[must_use]
pub fn has_image(image: &Image, driver: Driver) -> bool {
    named(image).is_some() || default_name(driver).is_some()
}

/// Creates the error for types whose driver no default image has.
#[must_use]
pub fn no_image(types: &[&str], driver: Driver) -> CloudError {
    let names = types.join(", ");
    let has = if types.len() == 1 { "has" } else { "have" };
    CloudError::new(
        ErrorKind::Invalid,
        "choosing an image",
        format!("{names} {has} {}, and no default image has a driver for it", hardware(driver)),
    )
    .hint("name an image with the driver (--image, or `image:` in cml.yaml), or leave these types out")
}
