//! Checks of images: existence, GPU drivers where needed, and size on the configured disk.

use cml_aws::AwsCloud;
use cml_aws::inspect::ImageFacts;
use cml_cloud::{Arch, Driver};

use super::aws::failed;
use super::checks::Checks;
use super::targets::LaunchTarget;

/// A target that has its image, with its kind of machine.
pub(super) struct Bootable<'a> {
    pub(super) want: &'a LaunchTarget,
    pub(super) kind: (Arch, Driver),
    pub(super) image: ImageFacts,
}

/// Checks the images of all kinds of machines and returns the first one that exists.
pub(super) async fn look<'a>(
    checks: &mut Checks,
    cloud: &AwsCloud,
    region: &str,
    wants: &[&'a LaunchTarget],
) -> Option<Bootable<'a>> {
    let mut first = None;
    for want in wants {
        let name = format!("image {}", want.name);
        for (arch, driver) in want.kinds() {
            match cloud.image_facts(region, &want.image, arch, driver).await {
                Ok(image) => {
                    let disks_gib = match image.disks_gib(want.query.disk_gib) {
                        Ok(gib) => gib,
                        Err(error) => {
                            failed(checks, &name, &error);
                            continue;
                        }
                    };
                    let disks = match image.more_volumes() {
                        0 => format!("disk of {disks_gib} GiB"),
                        more => format!("{} disks, {disks_gib} GiB together", more + 1),
                    };
                    let found = format!("{} {} in {region}, {disks}", image.id(), image.name());
                    if matches!(driver, Driver::Nvidia | Driver::NvidiaProprietary)
                        && !image.tells_of_driver()
                    {
                        checks.warn(
                            &name,
                            format!("{found}: nothing tells of an NVIDIA driver, and these machines have a GPU"),
                            "take ubuntu-22.04-gpu, or be sure that the driver is in it: without one a machine ends before its job",
                        );
                    } else {
                        checks.ok(&name, found);
                    }
                    first.get_or_insert(Bootable { want, kind: (arch, driver), image });
                }
                Err(error) => failed(checks, &name, &error),
            }
        }
    }
    first
}
