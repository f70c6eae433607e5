//! Images: that they are there, and drive a GPU where there is one.

use cml_aws::AwsCloud;
use cml_aws::inspect::ImageFacts;
use cml_cloud::Arch;

use super::aws::failed;
use super::checks::Checks;
use super::wants::Want;

/// A want that has its image, and for which kind of machine.
pub(super) struct Bootable<'a> {
    pub(super) want: &'a Want,
    pub(super) kind: (Arch, bool),
    pub(super) image: ImageFacts,
}

/// Images of all kinds of machines; the first one that is there.
pub(super) async fn look<'a>(
    checks: &mut Checks,
    cloud: &AwsCloud,
    region: &str,
    wants: &[&'a Want],
) -> Option<Bootable<'a>> {
    let mut first = None;
    for want in wants {
        let name = format!("image {}", want.name);
        for (arch, has_gpu) in want.kinds() {
            match cloud.image_facts(region, &want.image, arch, has_gpu).await {
                Ok(image) => {
                    let found = format!("{} {} in {region}", image.id, image.name);
                    if has_gpu && !image.tells_of_driver {
                        checks.warn(
                            &name,
                            format!("{found}: nothing tells of an NVIDIA driver, and these machines have a GPU"),
                            "take ubuntu-22.04-gpu, or be sure that the driver is in it: without one a machine ends before its job",
                        );
                    } else {
                        checks.ok(&name, found);
                    }
                    first.get_or_insert(Bootable { want, kind: (arch, has_gpu), image });
                }
                Err(error) => failed(checks, &name, &error),
            }
        }
    }
    first
}
