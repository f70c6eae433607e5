//! Resolution of images: an alias, an id, an SSM parameter, or CML's own form; and all facts that are needed before a
//! machine is bought with the image.

use aws_sdk_ec2::types::Filter;
use cml_cloud::{Arch, CloudError, Driver, ErrorKind, Image};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::clients::repeat;
use crate::cloud::AwsCloud;
use crate::errors::{codes, failed};
use crate::pages::incomplete;
use crate::signed::SSM;
use cml_ec2::answers::parameter::{self, Held};
use cml_ec2::images::{default_name, named, no_image};

/// Images change when their makers publish security updates.
const KEEP: SignedDuration = SignedDuration::from_hours(12);
/// The device that Ubuntu's and most other images boot from.
const USUAL_ROOT: &str = "/dev/sda1";
/// Words in the names of images that contain NVIDIA's driver.
const DRIVER_WORDS: [&str; 5] = ["nvidia", "deep learning", "cuda", "gpu", "dlami"];

/// An image of the region, ready to be launched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ResolvedImage {
    pub(crate) id: String,
    /// The name given by its maker; empty when it has none.
    pub(crate) name: String,
    pub(crate) root_device: String,
    /// Minimum size of the root disk, GiB; 0 when the image has none.
    pub(crate) root_gib: u32,
    /// Its other EBS volumes.
    pub(crate) volumes: Vec<Volume>,
    /// Every device that it uses, those of instance store too.
    pub(crate) devices: Vec<String>,
    /// Whether its name or description mentions an NVIDIA driver. There is no other indication from the outside.
    pub(crate) tells_of_driver: bool,
}

/// An EBS volume that comes with an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Volume {
    pub(crate) device: String,
    /// 0 when the image has no size.
    pub(crate) gib: u32,
}

/// Ways to find an image.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Id(String),
    Parameter(String),
    Alias(Alias),
    /// CML's `user@owner:architecture:name pattern`.
    Name {
        owner: String,
        pattern: String,
    },
}

/// An alias for another party's image: by its SSM parameter, and where a region lacks that, by owner and name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Alias {
    parameter: String,
    owner: &'static str,
    pattern: String,
}

/// <https://documentation.ubuntu.com/aws/aws-how-to/instances/find-ubuntu-images/>
const CANONICAL: &str = "099720109477";
/// <https://wiki.debian.org/Cloud/AmazonEC2Image>
const DEBIAN: &str = "136693071363";
const AMAZON: &str = "amazon";

/// Returns an alias. GPU images contain the NVIDIA driver, CUDA's container toolkit and Docker.
/// <https://docs.aws.amazon.com/dlami/latest/devguide/find-dlami-id.html>
fn alias(name: &str, arch: Arch) -> Option<Alias> {
    let (debian, amazon, deep_learning) = match arch {
        Arch::X64 => ("amd64", "x86_64", "Deep Learning"),
        Arch::Arm64 => ("arm64", "arm64", "Deep Learning ARM64"),
    };
    let canonical = |version: &str, disk: &str, series: &str| Alias {
        parameter: format!(
            "/aws/service/canonical/ubuntu/server/{version}/stable/current/{debian}/hvm/{disk}/ami-id"
        ),
        owner: CANONICAL,
        pattern: format!("ubuntu/images/hvm-ssd*/ubuntu-{series}-{version}-{debian}-server-*"),
    };
    let gpu = |version: &str| Alias {
        parameter: format!(
            "/aws/service/deeplearning/ami/{amazon}/base-oss-nvidia-driver-gpu-ubuntu-{version}/latest/ami-id"
        ),
        owner: AMAZON,
        pattern: format!("{deep_learning} Base OSS Nvidia Driver GPU AMI (Ubuntu {version}) *"),
    };
    Some(match name {
        "ubuntu-24.04" => canonical("24.04", "ebs-gp3", "noble"),
        "ubuntu-22.04" => canonical("22.04", "ebs-gp2", "jammy"),
        "debian-12" => Alias {
            parameter: format!("/aws/service/debian/release/12/latest/{debian}"),
            owner: DEBIAN,
            pattern: format!("debian-12-{debian}-*"),
        },
        "amazon-linux-2023" => Alias {
            parameter: format!("/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{amazon}"),
            owner: AMAZON,
            pattern: format!("al2023-ami-2023.*-kernel-*-{amazon}"),
        },
        "ubuntu-24.04-gpu" => gpu("24.04"),
        "ubuntu-22.04-gpu" => gpu("22.04"),
        _ => return None,
    })
}

const ALIASES: &str =
    "ubuntu-24.04, ubuntu-22.04, ubuntu-24.04-gpu, ubuntu-22.04-gpu, debian-12, amazon-linux-2023";

fn source(image: &Image, arch: Arch, driver: Driver) -> Result<Source, CloudError> {
    let Some(name) = named(image).or_else(|| default_name(driver)) else {
        return Err(no_image(&["the type"], driver));
    };
    if name.starts_with("ami-") {
        return Ok(Source::Id(name.to_owned()));
    }
    if let Some(path) = name.strip_prefix("ssm:") {
        return Ok(Source::Parameter(path.to_owned()));
    }
    if let Some(alias) = alias(name, arch) {
        return Ok(Source::Alias(alias));
    }
    let parts: Vec<&str> = name.splitn(3, ':').collect();
    if let [user_and_owner, _, pattern] = parts.as_slice()
        && let Some((_, owner)) = user_and_owner.split_once('@')
    {
        return Ok(Source::Name { owner: owner.to_owned(), pattern: (*pattern).to_owned() });
    }
    Err(unknown(name, "is no image that is known here"))
}

/// Checks a name before AWS is called.
///
/// # Errors
/// [`ErrorKind::Invalid`] for a name that is none of the forms.
pub(crate) fn check_name(image: &Image) -> Result<(), CloudError> {
    source(image, Arch::X64, Driver::None).map(|_| ())
}

fn unknown(name: &str, why: &str) -> CloudError {
    CloudError::new(ErrorKind::Invalid, "choosing an image", format!("{name:?} {why}"))
        .hint(format!("give one of {ALIASES}, an id (ami-…), or an SSM parameter (ssm:/path/to/ami-id)"))
}

fn question(region: &str, image: &Image, arch: Arch, driver: Driver) -> String {
    // One image for all drivers where the user names it.
    let kind = named(image).or_else(|| default_name(driver)).unwrap_or("none");
    format!("image-{region}-{arch}-{kind}")
}

impl AwsCloud {
    /// Returns the image for machines of this architecture and driver in this region.
    pub(crate) async fn image(
        &self,
        region: &str,
        image: &Image,
        arch: Arch,
        driver: Driver,
    ) -> Result<ResolvedImage, CloudError> {
        let question = question(region, image, arch, driver);
        if let Some(kept) = self.cache.read(&question, KEEP) {
            return Ok(kept);
        }
        let found = match source(image, arch, driver)? {
            Source::Id(id) => self.describe_image(region, &id, arch).await?,
            Source::Parameter(path) => match self.parameter(region, &path).await? {
                Some(id) => self.describe_image(region, &id, arch).await?,
                None => return Err(unknown(&path, &format!("is no parameter of SSM in {region}"))),
            },
            Source::Alias(alias) => match self.parameter(region, &alias.parameter).await? {
                Some(id) => self.describe_image(region, &id, arch).await?,
                None => self.newest_image(region, alias.owner, &alias.pattern, arch).await?,
            },
            Source::Name { owner, pattern } => self.newest_image(region, &owner, &pattern, arch).await?,
        };
        self.cache.write(&question, &found);
        Ok(found)
    }

    pub(crate) fn forget_image(&self, region: &str, image: &Image, arch: Arch, driver: Driver) {
        self.cache.forget(&question(region, image, arch, driver));
    }

    /// Returns the image that an SSM parameter names; `None` where the region has no such parameter.
    async fn parameter(&self, region: &str, path: &str) -> Result<Option<String>, CloudError> {
        let doing = format!("looking up the image {path} in {region}");
        let client = self.clients.signed(&SSM, region);
        let asked = client.ask("GetParameter", &json!({"Name": path}), &doing).await;
        let answer = match asked {
            Err(error) if error.code.as_deref().is_some_and(codes::is_unknown_parameter) => return Ok(None),
            asked => asked?,
        };
        match parameter::read(&answer).map_err(|why| incomplete(&doing, &why))? {
            Held::Image(id) => Ok(Some(id)),
            Held::Other(value) => Err(unknown(path, &format!("holds {value:?}, which is no image id"))),
        }
    }

    async fn describe_image(&self, region: &str, id: &str, arch: Arch) -> Result<ResolvedImage, CloudError> {
        let doing = format!("looking at image {id} in {region}");
        let client = self.clients.ec2(region);
        let asked = repeat(|| async {
            let call = client.describe_images().image_ids(id);
            call.send().await.map_err(|error| failed(&doing, "ec2:DescribeImages", &error))
        })
        .await;
        let answer = asked.map_err(|error| match error.kind {
            ErrorKind::Invalid => {
                unknown(id, &format!("is not there, or not for this account, in {region}: {}", error.cause))
            }
            _ => error,
        })?;
        let image =
            answer.images().first().ok_or_else(|| unknown(id, &format!("is not there in {region}")))?;
        checked(image, arch)
    }

    async fn newest_image(
        &self,
        region: &str,
        owner: &str,
        pattern: &str,
        arch: Arch,
    ) -> Result<ResolvedImage, CloudError> {
        let doing = format!("looking for images called {pattern} of {owner} in {region}");
        let architecture = if arch == Arch::Arm64 { "arm64" } else { "x86_64" };
        let filter = |key: &str, value: &str| Filter::builder().name(key).values(value).build();
        let client = self.clients.ec2(region);
        let answer = repeat(|| async {
            let call = client.describe_images().owners(owner).filters(filter("name", pattern));
            let call =
                call.filters(filter("architecture", architecture)).filters(filter("state", "available"));
            call.send().await.map_err(|error| failed(&doing, "ec2:DescribeImages", &error))
        })
        .await?;
        let newest = answer.images().iter().max_by_key(|image| image.creation_date().unwrap_or_default());
        let newest =
            newest.ok_or_else(|| unknown(pattern, &format!("names no image of {owner} in {region}")))?;
        checked(newest, arch)
    }
}

fn checked(image: &aws_sdk_ec2::types::Image, arch: Arch) -> Result<ResolvedImage, CloudError> {
    let id = image.image_id().unwrap_or_default();
    let made_for = image.architecture().map_or("", |arch| arch.as_str());
    let fits = match arch {
        Arch::X64 => made_for != "arm64",
        Arch::Arm64 => made_for.is_empty() || made_for == "arm64",
    };
    if !fits {
        return Err(unknown(id, &format!("is made for {made_for}, the machine for {arch}")));
    }
    let root_device = image.root_device_name().filter(|name| !name.is_empty()).unwrap_or(USUAL_ROOT);
    let mut root_gib = 0;
    let mut volumes = Vec::new();
    let mut devices = vec![root_device.to_owned()];
    for mapping in image.block_device_mappings() {
        let Some(device) = mapping.device_name() else { continue };
        let gib = mapping
            .ebs()
            .map(|volume| volume.volume_size().and_then(|size| u32::try_from(size).ok()).unwrap_or_default());
        match gib {
            Some(gib) if device == root_device => root_gib = gib,
            Some(gib) => volumes.push(Volume { device: device.to_owned(), gib }),
            None => {}
        }
        if device != root_device {
            devices.push(device.to_owned());
        }
    }
    let name = image.name().unwrap_or_default();
    let words = format!("{name} {}", image.description().unwrap_or_default()).to_lowercase();
    Ok(ResolvedImage {
        id: id.to_owned(),
        name: name.to_owned(),
        root_device: root_device.to_owned(),
        root_gib,
        volumes,
        devices,
        tells_of_driver: DRIVER_WORDS.iter().any(|word| words.contains(word)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: Option<&str>, driver: Driver) -> Result<Source, CloudError> {
        source(&Image { name: name.map(str::to_owned) }, Arch::X64, driver)
    }

    #[test]
    fn every_form_of_an_image_is_understood() {
        let plain = Driver::None;
        assert_eq!(read(Some("ami-1"), plain).expect("ok"), Source::Id("ami-1".to_owned()));
        assert_eq!(
            read(Some("ssm:/my/image"), plain).expect("ok"),
            Source::Parameter("/my/image".to_owned())
        );
        assert_eq!(
            read(Some("ubuntu@099720109477:x86_64:*ubuntu*24.04*"), plain).expect("ok"),
            Source::Name { owner: "099720109477".to_owned(), pattern: "*ubuntu*24.04*".to_owned() }
        );
        for name in ALIASES.split(", ") {
            assert!(matches!(read(Some(name), plain).expect(name), Source::Alias(_)));
        }
    }

    #[test]
    fn machines_with_a_gpu_get_an_image_with_its_driver() {
        let path = |driver| match read(None, driver).expect("ok") {
            Source::Alias(alias) => alias.parameter,
            other => panic!("{other:?}"),
        };
        assert!(path(Driver::Nvidia).contains("nvidia"));
        assert!(path(Driver::None).contains("24.04"));
        let cmls_own = read(Some("iterative-cml"), Driver::None).expect("ok");
        assert_eq!(cmls_own, read(None, Driver::None).expect("ok"));
    }

    #[test]
    fn a_driver_that_no_default_image_has_is_refused_unless_you_name_an_image() {
        for driver in [Driver::NvidiaProprietary, Driver::Amd, Driver::Neuron, Driver::Other] {
            let error = read(None, driver).expect_err("has no image");
            assert_eq!(error.kind, ErrorKind::Invalid);
            assert!(error.hint.is_some_and(|hint| hint.contains("--image")), "{driver:?}");
            assert_eq!(read(Some("ami-1"), driver).expect("ok"), Source::Id("ami-1".to_owned()));
        }
    }

    #[test]
    fn an_unknown_image_is_an_error_and_never_another_image() {
        let error = read(Some("beos-5"), Driver::None).expect_err("is unknown");
        assert_eq!(error.to_string(), "choosing an image: \"beos-5\" is no image that is known here");
        assert!(error.hint.expect("a hint").contains("ubuntu-24.04"));
    }

    #[test]
    fn everything_of_an_image_is_read() {
        use aws_sdk_ec2::types::{ArchitectureValues, BlockDeviceMapping, EbsBlockDevice};
        let volume = |device: &str, gib: i32| {
            let volume = EbsBlockDevice::builder().volume_size(gib).delete_on_termination(false).build();
            BlockDeviceMapping::builder().device_name(device).ebs(volume).build()
        };
        let store = BlockDeviceMapping::builder().device_name("/dev/sdb").virtual_name("ephemeral0").build();
        let image = aws_sdk_ec2::types::Image::builder()
            .image_id("ami-1")
            .name("Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 22.04) 20261006")
            .architecture(ArchitectureValues::X8664)
            .root_device_name("/dev/sda1")
            .block_device_mappings(volume("/dev/sda1", 75))
            .block_device_mappings(store)
            .block_device_mappings(volume("/dev/sdf", 200))
            .build();
        let found = checked(&image, Arch::X64).expect("fits");
        assert_eq!((found.root_gib, found.root_device.as_str()), (75, "/dev/sda1"));
        assert_eq!(found.volumes, [Volume { device: "/dev/sdf".to_owned(), gib: 200 }]);
        assert_eq!(found.devices, ["/dev/sda1", "/dev/sdb", "/dev/sdf"]);
        assert!(found.tells_of_driver);
        assert!(checked(&image, Arch::Arm64).is_err());
    }
}
