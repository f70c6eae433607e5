//! The disks of a machine: the root, as large as the image needs, and every other EBS volume of the image. Launch
//! template, dry run and price use this list.
//!
//! EC2 merges a launch's mapping of a device with the image's; a device that the launch does not name keeps the image's
//! settings, and many images set that their volumes outlive the machine.
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-block-device-mapping.html>

use aws_sdk_ec2::types::{
    BlockDeviceMapping, EbsBlockDevice, LaunchTemplateBlockDeviceMappingRequest,
    LaunchTemplateEbsBlockDeviceRequest, VolumeType,
};
use cml_cloud::{CloudError, ErrorKind};
use cml_ec2::DEFAULT_DISK_GIB;

use crate::images::ResolvedImage;

/// Device names for the volume of the cache, unless the image uses them; the machine's script knows the names.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/device_naming.html>
const CACHE_DEVICES: std::ops::RangeInclusive<char> = 'f'..='p';

/// One EBS volume of the machine, deleted with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Disk {
    pub(crate) device: String,
    /// 0 where the image has no size: then it is its snapshot's.
    pub(crate) gib: u32,
}

/// Returns the disks of a machine that boots this image, the root first.
///
/// # Errors
/// [`ErrorKind::Invalid`] when the requested disk is smaller than the image's own.
pub(crate) fn planned(image: &ResolvedImage, asked_gib: Option<u32>) -> Result<Vec<Disk>, CloudError> {
    if let Some(asked) = asked_gib
        && asked < image.root_gib
    {
        let needs = image.root_gib;
        return Err(CloudError::new(
            ErrorKind::Invalid,
            format!("choosing the disk for image {}", image.id),
            format!("a disk of {asked} GiB is smaller than the image, which needs {needs} GiB"),
        )
        .hint(format!(
            "give --disk {needs} or more (CML's --cloud-hdd-size; `disk: {needs}GiB` in cml.yaml), or leave it out: then it is as large as the image needs"
        )));
    }
    let root = Disk {
        device: image.root_device.clone(),
        gib: asked_gib.unwrap_or_else(|| image.root_gib.max(DEFAULT_DISK_GIB)),
    };
    let more = image.volumes.iter().map(|volume| Disk { device: volume.device.clone(), gib: volume.gib });
    Ok(std::iter::once(root).chain(more).collect())
}

/// Returns the size of all disks together, GiB.
pub(crate) fn total_gib(disks: &[Disk]) -> u32 {
    disks.iter().fold(0, |sum, disk| sum.saturating_add(disk.gib))
}

/// Returns the device for the cache's volume: one that the image does not use. Two devices are the same by their last
/// letter: `/dev/sdf` and `/dev/xvdf`.
pub(crate) fn cache_device(image: &ResolvedImage) -> Option<String> {
    let letter = |device: &str| device.trim_end_matches(|c: char| c.is_ascii_digit()).chars().next_back();
    let taken: Vec<char> = image.devices.iter().filter_map(|device| letter(device)).collect();
    CACHE_DEVICES.into_iter().find(|free| !taken.contains(free)).map(|free| format!("/dev/sd{free}"))
}

fn size(gib: u32) -> Option<i32> {
    (gib > 0).then(|| i32::try_from(gib).unwrap_or(i32::MAX))
}

/// Returns the mappings for a launch template.
pub(crate) fn for_template(disks: &[Disk]) -> Vec<LaunchTemplateBlockDeviceMappingRequest> {
    let mapping = |disk: &Disk| {
        let volume = LaunchTemplateEbsBlockDeviceRequest::builder()
            .volume_type(VolumeType::Gp3)
            .set_volume_size(size(disk.gib))
            .encrypted(true)
            .delete_on_termination(true);
        LaunchTemplateBlockDeviceMappingRequest::builder()
            .device_name(&disk.device)
            .ebs(volume.build())
            .build()
    };
    disks.iter().map(mapping).collect()
}

/// Returns the same mappings for a dry run.
pub(crate) fn for_dry_run(disks: &[Disk]) -> Vec<BlockDeviceMapping> {
    let mapping = |disk: &Disk| {
        let volume = EbsBlockDevice::builder()
            .volume_type(VolumeType::Gp3)
            .set_volume_size(size(disk.gib))
            .encrypted(true)
            .delete_on_termination(true);
        BlockDeviceMapping::builder().device_name(&disk.device).ebs(volume.build()).build()
    };
    disks.iter().map(mapping).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::Volume;

    fn image(root_gib: u32, volumes: &[(&str, u32)]) -> ResolvedImage {
        let volumes: Vec<Volume> =
            volumes.iter().map(|(device, gib)| Volume { device: (*device).to_owned(), gib: *gib }).collect();
        let mut devices = vec!["/dev/sda1".to_owned()];
        devices.extend(volumes.iter().map(|volume| volume.device.clone()));
        ResolvedImage {
            id: "ami-1".to_owned(),
            name: String::new(),
            root_device: "/dev/sda1".to_owned(),
            root_gib,
            volumes,
            devices,
            tells_of_driver: false,
        }
    }

    #[test]
    fn the_root_is_as_large_as_the_image_needs_and_never_smaller_than_the_default() {
        let root = |root_gib, asked| planned(&image(root_gib, &[]), asked).expect("fits")[0].gib;
        assert_eq!(root(8, None), DEFAULT_DISK_GIB);
        assert_eq!(root(75, None), 75);
        assert_eq!(root(75, Some(100)), 100);
        assert_eq!(root(8, Some(10)), 10);
        assert_eq!(root(75, Some(75)), 75);
    }

    #[test]
    fn a_disk_that_is_too_small_for_the_image_is_refused_with_both_sizes_and_the_cure() {
        let error = planned(&image(75, &[]), Some(35)).expect_err("is too small");
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert!(error.cause.contains("35 GiB") && error.cause.contains("75 GiB"), "{error}");
        let hint = error.hint.expect("a hint");
        assert!(hint.contains("--disk 75") && hint.contains("`disk: 75GiB`"), "{hint}");
    }

    #[test]
    fn every_volume_of_the_image_is_gone_with_the_machine_and_counts() {
        let disks = planned(&image(8, &[("/dev/sdf", 200), ("/dev/sdg", 10)]), None).expect("fits");
        assert_eq!(total_gib(&disks), 35 + 200 + 10);
        let told: Vec<_> = for_template(&disks)
            .iter()
            .map(|mapping| {
                let volume = mapping.ebs().expect("EBS");
                assert_eq!((volume.delete_on_termination(), volume.encrypted()), (Some(true), Some(true)));
                (mapping.device_name().unwrap_or_default().to_owned(), volume.volume_size())
            })
            .collect();
        let of = |device: &str, gib| (device.to_owned(), Some(gib));
        assert_eq!(told, [of("/dev/sda1", 35), of("/dev/sdf", 200), of("/dev/sdg", 10)]);
        let dry = for_dry_run(&disks);
        let dry = dry.iter().map(|it| {
            (it.device_name().unwrap_or_default().to_owned(), it.ebs().and_then(|it| it.volume_size()))
        });
        assert_eq!(dry.collect::<Vec<_>>(), told);
    }

    #[test]
    fn the_caches_volume_gets_a_device_that_the_image_has_no_use_for() {
        assert_eq!(cache_device(&image(8, &[])).as_deref(), Some("/dev/sdf"));
        assert_eq!(cache_device(&image(8, &[("/dev/sdf", 1)])).as_deref(), Some("/dev/sdg"));
        assert_eq!(
            cache_device(&image(8, &[("/dev/xvdf", 1), ("/dev/sdg", 1)])).as_deref(),
            Some("/dev/sdh")
        );
        let all: Vec<String> = ('f'..='p').map(|letter| format!("/dev/sd{letter}")).collect();
        let all: Vec<(&str, u32)> = all.iter().map(|device| (device.as_str(), 1)).collect();
        assert_eq!(cache_device(&image(8, &all)), None);
    }
}
