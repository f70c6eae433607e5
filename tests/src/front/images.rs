//! Images as EC2 lists them: a root with the size of its snapshot, further volumes, instance store disks.
//!
//! The emulator gives every image one root of 15 GB and accepts any size for it. EC2 refuses a volume that is smaller
//! than its snapshot, and keeps every volume without `DeleteOnTermination` at the end of a machine.
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/block-device-mapping-concepts.html>

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::wire::{Answer, Ask, Refusal, all_between};
use super::{Front, Inner};

/// Ubuntu 24.04, x86-64: a root of 8 GiB.
pub const UBUNTU_IMAGE: &str = "ami-785db401";
/// Ubuntu 24.04, arm64.
pub const UBUNTU_ARM_IMAGE: &str = "ami-0a24a24a24a24a24a";
/// Debian, x86-64: a root of 8 GiB.
pub const DEBIAN_IMAGE: &str = "ami-0deb1a0deb1a0deb1";
/// Debian, arm64.
pub const DEBIAN_ARM_IMAGE: &str = "ami-0deb1aa64deb1aa64";
/// The base Deep Learning AMI with NVIDIA's open kernel module, x86-64: a root of 75 GiB and the disks of the machine.
pub const GPU_IMAGE: &str = "ami-dca37ea5";
/// The same for arm64.
pub const GPU_ARM_IMAGE: &str = "ami-0d1a0a64d1a0a64d1";
/// The base Deep Learning AMI with NVIDIA's proprietary kernel module (for V100 and older), x86-64.
pub const PROPRIETARY_GPU_IMAGE: &str = "ami-0d1a0909d1a0909d1";

/// Accounts that publish images.
const AMAZON: &str = "898082745236";
const CANONICAL: &str = "099720109477";
const DEBIAN: &str = "136693071363";

/// One EBS volume of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// `/dev/sda1`.
    pub device: String,
    /// Size of its snapshot: no volume made from it may be smaller.
    pub gib: u32,
    /// `DeleteOnTermination`.
    pub ends_with_machine: bool,
}

/// An image of the account behind a front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// `ami-…`.
    pub id: String,
    /// Name in DescribeImages.
    pub name: String,
    /// The account that owns it.
    pub owner: String,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// Its volumes; the first is the root.
    pub volumes: Vec<Volume>,
    /// Number of instance store disks that it maps (`ephemeral0`, …).
    pub ephemeral: u32,
    /// Creation time; the newest of many is used.
    pub created: String,
}

/// A volume that EC2 bills although its machine is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftVolume {
    /// The machine it belonged to.
    pub instance: String,
    /// `/dev/sdf`.
    pub device: String,
    /// Its size.
    pub gib: u32,
}

impl Image {
    /// An image of one root volume that ends with its machine.
    #[must_use]
    pub fn new(id: &str, name: &str, root_gib: u32) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            owner: "123456789012".to_owned(),
            architecture: "x86_64".to_owned(),
            volumes: Vec::new(),
            ephemeral: 0,
            created: "2026-11-01T08:00:00.000Z".to_owned(),
        }
        .with_volume("/dev/sda1", root_gib, true)
    }

    /// One more volume.
    #[must_use]
    pub fn with_volume(mut self, device: &str, gib: u32, ends_with_machine: bool) -> Self {
        self.volumes.push(Volume { device: device.to_owned(), gib, ends_with_machine });
        self
    }

    fn of(mut self, owner: &str, architecture: &str) -> Self {
        owner.clone_into(&mut self.owner);
        architecture.clone_into(&mut self.architecture);
        self
    }

    fn rooted_at(mut self, device: &str) -> Self {
        if let Some(root) = self.volumes.first_mut() {
            device.clone_into(&mut root.device);
        }
        self
    }

    fn with_ephemeral(mut self, disks: u32) -> Self {
        self.ephemeral = disks;
        self
    }

    fn snapshot(&self, at: usize) -> String {
        format!("snap-{at}{}", self.id.trim_start_matches("ami-"))
    }

    fn item(&self) -> String {
        let mut devices = String::new();
        for (at, volume) in self.volumes.iter().enumerate() {
            let _ = write!(
                devices,
                "<item><deviceName>{}</deviceName><ebs><deleteOnTermination>{}</deleteOnTermination><snapshotId>{}</snapshotId>\
                 <volumeSize>{}</volumeSize><volumeType>gp3</volumeType><encrypted>false</encrypted></ebs></item>",
                volume.device,
                volume.ends_with_machine,
                self.snapshot(at),
                volume.gib
            );
        }
        for (number, letter) in (0..self.ephemeral).zip('b'..='y') {
            let _ = write!(
                devices,
                "<item><deviceName>/dev/sd{letter}</deviceName><virtualName>ephemeral{number}</virtualName></item>"
            );
        }
        let root = self.volumes.first().map_or("", |root| root.device.as_str());
        format!(
            "<item><imageId>{}</imageId><imageLocation>{owner}/{name}</imageLocation><imageState>available</imageState>\
             <imageOwnerId>{owner}</imageOwnerId><isPublic>true</isPublic><architecture>{}</architecture>\
             <imageType>machine</imageType><name>{name}</name><rootDeviceType>ebs</rootDeviceType>\
             <rootDeviceName>{root}</rootDeviceName><blockDeviceMapping>{devices}</blockDeviceMapping>\
             <virtualizationType>hvm</virtualizationType><hypervisor>xen</hypervisor><enaSupport>true</enaSupport>\
             <creationDate>{}</creationDate><platformDetails>Linux/UNIX</platformDetails></item>",
            self.id,
            self.architecture,
            self.created,
            owner = self.owner,
            name = self.name,
        )
    }

    fn value_of(&self, filter: &str) -> Option<&str> {
        Some(match filter {
            "name" => &self.name,
            "architecture" => &self.architecture,
            "owner-id" => &self.owner,
            "image-id" => &self.id,
            "owner-alias" if self.owner == AMAZON => "amazon",
            "owner-alias" => "",
            "state" => "available",
            "root-device-type" => "ebs",
            "virtualization-type" => "hvm",
            "image-type" => "machine",
            "is-public" => "true",
            _ => return None,
        })
    }

    fn is_wanted(&self, ask: &Ask) -> bool {
        let mut owners = ask.list("Owner");
        owners.extend(ask.list("OwnerId"));
        let is_owner = |owner: &String| {
            *owner == self.owner
                || match owner.as_str() {
                    "amazon" => self.owner == AMAZON,
                    "self" => self.owner == "123456789012",
                    _ => false,
                }
        };
        (owners.is_empty() || owners.iter().any(is_owner))
            && filters(ask).iter().all(|(name, values)| {
                self.value_of(name)
                    .is_some_and(|have| values.iter().any(|pattern| matches_pattern(pattern, have)))
            })
    }
}

/// The images that every account sees.
pub(super) fn public() -> Vec<Image> {
    let ubuntu = |id: &str, arch: &str| {
        let name = format!("ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-{arch}-server-20261105");
        Image::new(id, &name, 8).with_ephemeral(2)
    };
    let gpu = |id: &str, kind: &str| {
        let name = format!("Deep Learning {kind} 20261102");
        Image::new(id, &name, 75).with_ephemeral(24)
    };
    vec![
        ubuntu(UBUNTU_IMAGE, "amd64").of(CANONICAL, "x86_64"),
        ubuntu(UBUNTU_ARM_IMAGE, "arm64").of(CANONICAL, "arm64"),
        Image::new(DEBIAN_IMAGE, "debian-12-amd64-20261014-2265", 8)
            .rooted_at("/dev/xvda")
            .of(DEBIAN, "x86_64"),
        Image::new(DEBIAN_ARM_IMAGE, "debian-12-arm64-20261014-2265", 8)
            .rooted_at("/dev/xvda")
            .of(DEBIAN, "arm64"),
        gpu(GPU_IMAGE, "Base OSS Nvidia Driver GPU AMI (Ubuntu 22.04)").of(AMAZON, "x86_64"),
        gpu(GPU_ARM_IMAGE, "ARM64 Base OSS Nvidia Driver GPU AMI (Ubuntu 22.04)").of(AMAZON, "arm64"),
        gpu(PROPRIETARY_GPU_IMAGE, "Base Proprietary Nvidia Driver GPU AMI (Ubuntu 22.04)")
            .of(AMAZON, "x86_64"),
    ]
}

/// The image that a public parameter of SSM names; none for a parameter that AWS does not have.
pub(super) fn named_by(parameter: &str) -> Option<&'static str> {
    let rest = parameter.strip_prefix("/aws/service/")?;
    let parts: Vec<&str> = rest.split('/').collect();
    match parts.as_slice() {
        ["deeplearning", "ami", arch, kind, "latest", "ami-id"] => {
            let is_base = |start: &str| kind.starts_with(start) && !kind.ends_with('-');
            match *arch {
                "x86_64" if is_base("base-oss-nvidia-driver-gpu-") => Some(GPU_IMAGE),
                "arm64" if is_base("base-oss-nvidia-driver-gpu-") => Some(GPU_ARM_IMAGE),
                "x86_64" if is_base("base-proprietary-nvidia-driver-gpu-") => Some(PROPRIETARY_GPU_IMAGE),
                _ => None,
            }
        }
        ["canonical", "ubuntu", "server", _, "stable", "current", "amd64", "hvm", _, "ami-id"] => {
            Some(UBUNTU_IMAGE)
        }
        ["canonical", "ubuntu", "server", _, "stable", "current", "arm64", "hvm", _, "ami-id"] => {
            Some(UBUNTU_ARM_IMAGE)
        }
        ["debian", "release", _, "latest", "amd64"] => Some(DEBIAN_IMAGE),
        ["debian", "release", _, "latest", "arm64"] => Some(DEBIAN_ARM_IMAGE),
        _ => None,
    }
}

/// Returns the block device mapping of a request: device, and its settings by the rest of the name (`Ebs.VolumeSize`).
fn mapping(params: &BTreeMap<String, String>, prefix: &str) -> Vec<BTreeMap<String, String>> {
    let mut found: BTreeMap<u32, BTreeMap<String, String>> = BTreeMap::new();
    for (key, value) in params {
        let rest = key.strip_prefix(prefix).and_then(|rest| rest.strip_prefix("BlockDeviceMapping."));
        if let Some((number, field)) = rest.and_then(|rest| rest.split_once('.'))
            && let Ok(number) = number.parse()
        {
            found.entry(number).or_default().insert(field.to_owned(), value.clone());
        }
    }
    found.into_values().collect()
}

/// The volumes that a machine of this image gets, or EC2's refusal.
pub(super) fn volumes(
    image: &Image,
    params: &BTreeMap<String, String>,
    prefix: &str,
    snapshots: &BTreeMap<String, u32>,
) -> Result<Vec<Volume>, Refusal> {
    let bad = |message: String| Refusal::new(400, "InvalidBlockDeviceMapping", message);
    let mut all = image.volumes.clone();
    for one in mapping(params, prefix) {
        let said = |field: &str| one.get(field).map_or("", String::as_str);
        let device = said("DeviceName");
        if one.contains_key("NoDevice") {
            all.retain(|volume| volume.device != device);
            continue;
        }
        if !said("VirtualName").is_empty() {
            continue;
        }
        let asked: Option<u32> = said("Ebs.VolumeSize").parse().ok();
        let size = asked.or_else(|| snapshots.get(said("Ebs.SnapshotId")).copied());
        let ends = said("Ebs.DeleteOnTermination").parse().ok();
        let Some(at) = all.iter().position(|volume| volume.device == device) else {
            let Some(gib) = size else {
                return Err(bad(format!("No snapshot or size is given for the device {device}")));
            };
            all.push(Volume { device: device.to_owned(), gib, ends_with_machine: ends.unwrap_or_default() });
            continue;
        };
        if let Some(volume) = all.get_mut(at) {
            let (least, asked) = (volume.gib, size.unwrap_or(volume.gib));
            if asked < least {
                return Err(bad(format!(
                    "Volume of size {asked}GB is smaller than snapshot '{}', expect size >= {least}GB",
                    image.snapshot(at)
                )));
            }
            volume.gib = asked;
            volume.ends_with_machine = ends.unwrap_or(volume.ends_with_machine);
        }
    }
    Ok(all)
}

impl Front {
    /// Adds an image to the account, in every region.
    pub fn add_image(&self, image: Image) {
        let mut images = self.inner.images();
        images.retain(|one| one.id != image.id);
        images.push(image);
    }

    /// Creates a snapshot of an empty volume of this size and returns its id.
    ///
    /// # Panics
    /// When the emulator makes none.
    pub async fn add_snapshot(&self, region: &str, gib: u32) -> String {
        let made = async |params: &[(&str, &str)], what: &str| {
            let params = [&[("Version", "2016-11-15")], params].concat();
            let answer = self.inner.own_call(region, &params).await.text();
            all_between(&answer, what).into_iter().next().unwrap_or_else(|| panic!("no {what} in {answer}"))
        };
        let (size, zone) = (gib.to_string(), format!("{region}a"));
        let volume = [("Action", "CreateVolume"), ("Size", &size), ("AvailabilityZone", &zone)];
        let volume = made(&volume, "volumeId").await;
        let snapshot = made(&[("Action", "CreateSnapshot"), ("VolumeId", &volume)], "snapshotId").await;
        self.inner.snapshots().insert(snapshot.clone(), gib);
        snapshot
    }

    /// Returns the volumes that remain, and are billed, although their machine is gone.
    pub async fn leftover_volumes(&self, region: &str) -> Vec<LeftVolume> {
        let params = [
            ("Action", "DescribeInstances"),
            ("Version", "2016-11-15"),
            ("Filter.1.Name", "instance-state-name"),
            ("Filter.1.Value.1", "terminated"),
        ];
        let gone = all_between(&self.inner.own_call(region, &params).await.text(), "instanceId");
        let made = self.inner.made_volumes().clone();
        gone.into_iter()
            .flat_map(|instance| {
                let left = made.get(&instance).cloned().unwrap_or_default();
                left.into_iter().filter(|volume| !volume.ends_with_machine).map(move |volume| LeftVolume {
                    instance: instance.clone(),
                    device: volume.device,
                    gib: volume.gib,
                })
            })
            .collect()
    }

    /// Each volume of a machine that was launched through this front.
    #[must_use]
    pub fn volumes_of(&self, instance: &str) -> Vec<Volume> {
        self.inner.made_volumes().get(instance).cloned().unwrap_or_default()
    }
}

impl Inner {
    /// Answers DescribeImages: the images above, and those of the emulator.
    pub(super) async fn describe_images(&self, ask: &Ask) -> Answer {
        let images = self.images().clone();
        let ids = ask.list("ImageId");
        let is_asked = |image: &&Image| ids.is_empty() || ids.contains(&image.id);
        let ours: Vec<&Image> = images.iter().filter(is_asked).filter(|image| image.is_wanted(ask)).collect();
        let foreign: Vec<&String> =
            ids.iter().filter(|id| images.iter().all(|image| image.id != **id)).collect();
        let items: String = ours.iter().map(|image| image.item()).collect();
        if foreign.is_empty() && !(ids.is_empty() && ours.is_empty()) {
            return Answer::ec2("DescribeImages", &format!("<imagesSet>{items}</imagesSet>"));
        }
        let mut params = ask.params.clone();
        params.retain(|key, _| !key.starts_with("ImageId."));
        for (at, id) in foreign.iter().enumerate() {
            params.insert(format!("ImageId.{}", at + 1), (*id).clone());
        }
        let mut answer = self.forward(&ask.with_params(params)).await;
        if answer.status == 200 {
            let body = answer.text().replacen("<imagesSet>", &format!("<imagesSet>{items}"), 1);
            answer.body = body.into_bytes();
        }
        answer
    }

    /// An image by its id, as far as the front knows more of it than the emulator.
    pub(super) fn image(&self, id: &str) -> Option<Image> {
        self.images().iter().find(|image| image.id == id).cloned()
    }

    /// Returns EC2's refusal of a type with another architecture than the image; `None` where either is unknown.
    pub(super) async fn other_architecture(
        &self,
        region: &str,
        image: &Image,
        kind: &str,
    ) -> Option<Refusal> {
        let known = self.architectures().get(kind).cloned();
        let has = match known {
            Some(has) => has,
            None => {
                let params = [
                    ("Action", "DescribeInstanceTypes"),
                    ("Version", "2016-11-15"),
                    ("InstanceType.1", kind),
                ];
                let text = self.own_call(region, &params).await.text();
                let has: Vec<String> =
                    all_between(&all_between(&text, "supportedArchitectures").concat(), "item");
                self.architectures().insert(kind.to_owned(), has.clone());
                has
            }
        };
        let first = has.first()?;
        (!has.contains(&image.architecture)).then(|| {
            let words = format!(
                "The architecture '{first}' of the specified instance type does not match the architecture '{}' of the specified \
                 AMI. Specify an instance type and an AMI that have matching architectures, and try again. You can use \
                 'describe-instance-types' or 'describe-images' to discover the architecture of the instance type or AMI.",
                image.architecture
            );
            Refusal::new(400, "InvalidParameterValue", words)
        })
    }
}

/// The filters of a request, each with its values.
fn filters(ask: &Ask) -> Vec<(String, Vec<String>)> {
    let one = |index: usize| {
        let name = ask.params.get(&format!("Filter.{index}.Name"))?;
        Some((name.clone(), ask.list(&format!("Filter.{index}.Value"))))
    };
    (1..).map_while(one).collect()
}

/// EC2's patterns: `*` is any text, `?` one character.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    match (pattern.chars().next(), text.chars().next()) {
        (None, None) => true,
        (Some('*'), _) => {
            matches_pattern(&pattern[1..], text)
                || text
                    .chars()
                    .next()
                    .is_some_and(|first| matches_pattern(pattern, &text[first.len_utf8()..]))
        }
        (Some(wanted), Some(have)) if wanted == '?' || wanted == have => {
            matches_pattern(&pattern[wanted.len_utf8()..], &text[have.len_utf8()..])
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_ec2s_do() {
        assert!(matches_pattern(
            "ubuntu/*/ubuntu-noble-24.04-*-server-*",
            "ubuntu/x/ubuntu-noble-24.04-amd64-server-1"
        ));
        assert!(matches_pattern("a?c", "abc") && matches_pattern("*", ""));
        assert!(!matches_pattern("a?c", "ac") && !matches_pattern("abc", "abcd"));
    }

    #[test]
    fn public_parameters_name_the_image_of_their_architecture() {
        let dlami =
            "/aws/service/deeplearning/ami/arm64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id";
        assert_eq!(named_by(dlami), Some(GPU_ARM_IMAGE));
        assert_eq!(named_by("/aws/service/deeplearning/ami/x86_64/base-oss-gpu/latest/ami-id"), None);
        assert_eq!(named_by("/aws/service/debian/release/12/latest/amd64"), Some(DEBIAN_IMAGE));
    }
}
