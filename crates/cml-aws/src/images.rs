//! Which image boots: an alias, an id, an SSM parameter, or CML's own form.

use aws_sdk_ec2::types::Filter;
use cml_cloud::{Arch, CloudError, ErrorKind, Image};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::clients::repeat;
use crate::cloud::AwsCloud;
use crate::errors::failed;

/// Images change when their makers publish security updates.
const KEEP: SignedDuration = SignedDuration::from_hours(12);
/// The device that Ubuntu's and most other images boot from.
const USUAL_ROOT: &str = "/dev/sda1";

/// An image of the region, ready to be launched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Found {
    pub(crate) id: String,
    pub(crate) root_device: String,
}

/// How an image is found.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Id(String),
    Parameter(String),
    /// CML's `user@owner:architecture:name pattern`.
    Name {
        owner: String,
        pattern: String,
    },
}

/// Aliases. GPU images bring the NVIDIA driver, CUDA's container toolkit and Docker.
/// <https://documentation.ubuntu.com/aws/aws-how-to/instances/find-ubuntu-images/>,
/// <https://docs.aws.amazon.com/dlami/latest/devguide/find-dlami-id.html>
fn alias(name: &str, arch: Arch) -> Option<String> {
    let (debian, amazon) = match arch {
        Arch::X64 => ("amd64", "x86_64"),
        Arch::Arm64 => ("arm64", "arm64"),
    };
    let canonical = |version: &str, disk: &str| {
        format!("/aws/service/canonical/ubuntu/server/{version}/stable/current/{debian}/hvm/{disk}/ami-id")
    };
    let gpu = |version: &str| {
        format!(
            "/aws/service/deeplearning/ami/{amazon}/base-oss-nvidia-driver-gpu-ubuntu-{version}/latest/ami-id"
        )
    };
    Some(match name {
        "ubuntu-24.04" => canonical("24.04", "ebs-gp3"),
        "ubuntu-22.04" => canonical("22.04", "ebs-gp2"),
        "debian-12" => format!("/aws/service/debian/release/12/latest/{debian}"),
        "amazon-linux-2023" => {
            format!("/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{amazon}")
        }
        "ubuntu-24.04-gpu" => gpu("24.04"),
        "ubuntu-22.04-gpu" => gpu("22.04"),
        _ => return None,
    })
}

const ALIASES: &str =
    "ubuntu-24.04, ubuntu-22.04, ubuntu-24.04-gpu, ubuntu-22.04-gpu, debian-12, amazon-linux-2023";

fn source(image: &Image, arch: Arch, has_gpu: bool) -> Result<Source, CloudError> {
    let default = if has_gpu { "ubuntu-22.04-gpu" } else { "ubuntu-24.04" };
    let name = match image.name.as_deref() {
        // CML's own image is not published any more.
        None | Some("" | "iterative-cml") => default,
        Some(name) => name,
    };
    if name.starts_with("ami-") {
        return Ok(Source::Id(name.to_owned()));
    }
    if let Some(path) = name.strip_prefix("ssm:") {
        return Ok(Source::Parameter(path.to_owned()));
    }
    if let Some(path) = alias(name, arch) {
        return Ok(Source::Parameter(path));
    }
    let parts: Vec<&str> = name.splitn(3, ':').collect();
    if let [user_and_owner, _, pattern] = parts.as_slice()
        && let Some((_, owner)) = user_and_owner.split_once('@')
    {
        return Ok(Source::Name { owner: owner.to_owned(), pattern: (*pattern).to_owned() });
    }
    Err(unknown(name, "is no image that is known here"))
}

fn unknown(name: &str, why: &str) -> CloudError {
    CloudError::new(ErrorKind::Invalid, "choosing an image", format!("{name:?} {why}"))
        .hint(format!("give one of {ALIASES}, an id (ami-…), or an SSM parameter (ssm:/path/to/ami-id)"))
}

fn question(region: &str, image: &Image, arch: Arch, has_gpu: bool) -> String {
    let gpu = if has_gpu { "gpu" } else { "plain" };
    format!("image-{region}-{arch}-{gpu}-{}", image.name.as_deref().unwrap_or("default"))
}

impl AwsCloud {
    /// The image for machines of this architecture in this region.
    pub(crate) async fn image(
        &self,
        region: &str,
        image: &Image,
        arch: Arch,
        has_gpu: bool,
    ) -> Result<Found, CloudError> {
        let question = question(region, image, arch, has_gpu);
        if let Some(kept) = self.cache.read(&question, KEEP) {
            return Ok(kept);
        }
        let found = match source(image, arch, has_gpu)? {
            Source::Id(id) => self.describe_image(region, &id, arch).await?,
            Source::Parameter(path) => {
                let id = self.parameter(region, &path).await?;
                self.describe_image(region, &id, arch).await?
            }
            Source::Name { owner, pattern } => self.newest_image(region, &owner, &pattern, arch).await?,
        };
        self.cache.write(&question, &found);
        Ok(found)
    }

    pub(crate) fn forget_image(&self, region: &str, image: &Image, arch: Arch, has_gpu: bool) {
        self.cache.forget(&question(region, image, arch, has_gpu));
    }

    async fn parameter(&self, region: &str, path: &str) -> Result<String, CloudError> {
        let doing = format!("looking up the image {path} in {region}");
        let client = self.clients.ssm(region);
        let asked = repeat(|| async {
            let call = client.get_parameter().name(path);
            call.send().await.map_err(|error| failed(&doing, "ssm:GetParameter", &error))
        })
        .await;
        let answer = asked.map_err(|error| match error.code.as_deref() {
            Some("ParameterNotFound") => unknown(path, &format!("is no parameter of SSM in {region}")),
            _ => error,
        })?;
        let value = answer.parameter().and_then(|parameter| parameter.value()).unwrap_or_default();
        if value.starts_with("ami-") {
            Ok(value.to_owned())
        } else {
            Err(unknown(path, &format!("holds {value:?}, which is no image id")))
        }
    }

    async fn describe_image(&self, region: &str, id: &str, arch: Arch) -> Result<Found, CloudError> {
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
    ) -> Result<Found, CloudError> {
        let doing = format!("looking for images called {pattern} of {owner} in {region}");
        let architecture = if arch == Arch::Arm64 { "arm64" } else { "x86_64" };
        let filter = |key: &str, value: &str| Filter::builder().name(key).values(value).build();
        let client = self.clients.ec2(region);
        let answer = repeat(|| async {
            let call = client.describe_images().owners(owner).filters(filter("name", pattern));
            let call = call.filters(filter("architecture", architecture));
            call.send().await.map_err(|error| failed(&doing, "ec2:DescribeImages", &error))
        })
        .await?;
        let newest = answer.images().iter().max_by_key(|image| image.creation_date().unwrap_or_default());
        let newest =
            newest.ok_or_else(|| unknown(pattern, &format!("names no image of {owner} in {region}")))?;
        checked(newest, arch)
    }
}

fn checked(image: &aws_sdk_ec2::types::Image, arch: Arch) -> Result<Found, CloudError> {
    let id = image.image_id().unwrap_or_default();
    let made_for = image.architecture().map_or("", |arch| arch.as_str());
    let fits = match arch {
        Arch::X64 => made_for != "arm64",
        Arch::Arm64 => made_for.is_empty() || made_for == "arm64",
    };
    if !fits {
        return Err(unknown(id, &format!("is made for {made_for}, the machine for {arch}")));
    }
    Ok(Found {
        id: id.to_owned(),
        root_device: image
            .root_device_name()
            .filter(|name| !name.is_empty())
            .unwrap_or(USUAL_ROOT)
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: Option<&str>, has_gpu: bool) -> Result<Source, CloudError> {
        source(&Image { name: name.map(str::to_owned) }, Arch::X64, has_gpu)
    }

    #[test]
    fn every_form_of_an_image_is_understood() {
        assert_eq!(read(Some("ami-1"), false).expect("ok"), Source::Id("ami-1".to_owned()));
        assert_eq!(
            read(Some("ssm:/my/image"), false).expect("ok"),
            Source::Parameter("/my/image".to_owned())
        );
        assert_eq!(
            read(Some("ubuntu@099720109477:x86_64:*ubuntu*24.04*"), false).expect("ok"),
            Source::Name { owner: "099720109477".to_owned(), pattern: "*ubuntu*24.04*".to_owned() }
        );
        for name in ALIASES.split(", ") {
            assert!(matches!(read(Some(name), false).expect(name), Source::Parameter(_)));
        }
    }

    #[test]
    fn machines_with_a_gpu_get_an_image_with_its_driver() {
        let path = |gpu| match read(None, gpu).expect("ok") {
            Source::Parameter(path) => path,
            other => panic!("{other:?}"),
        };
        assert!(path(true).contains("nvidia"));
        assert!(path(false).contains("24.04"));
        assert_eq!(read(Some("iterative-cml"), false).expect("ok"), read(None, false).expect("ok"));
    }

    #[test]
    fn an_unknown_image_is_an_error_and_never_another_image() {
        let error = read(Some("beos-5"), false).expect_err("is unknown");
        assert_eq!(error.to_string(), "choosing an image: \"beos-5\" is no image that is known here");
        assert!(error.hint.expect("a hint").contains("ubuntu-24.04"));
    }
}
