//! The launch template of one launch: the only way to pass user data to a fleet. It is removed once it has been read.

use aws_sdk_ec2::types::{
    Filter, LaunchTemplateBlockDeviceMappingRequest, LaunchTemplateEbsBlockDeviceRequest,
    LaunchTemplateHttpTokensState, LaunchTemplateIamInstanceProfileSpecificationRequest,
    LaunchTemplateInstanceMetadataEndpointState, LaunchTemplateInstanceMetadataOptionsRequest,
    LaunchTemplateInstanceMetadataProtocolIpv6, LaunchTemplateTagSpecificationRequest,
    RequestLaunchTemplateData, ResourceType, ShutdownBehavior, Tag, TagSpecification, VolumeType,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cml_cloud::{CloudError, LaunchRequest, tag};
use jiff::Timestamp;

use crate::clients::repeat;
use crate::cloud::AwsCloud;
use crate::disks::{self, Disk};
use crate::errors::{codes, failed};
use crate::images::ResolvedImage;

/// Returns the template's name: one for each launch, attempt and version of the attempt.
pub(crate) fn name(request: &LaunchRequest, version: &str) -> String {
    format!("cml-runner-{}{version}", request.client_token())
}

/// Returns the tags that identify all resources of a launch.
pub(crate) fn tags(request: &LaunchRequest) -> Vec<Tag> {
    request.all_tags().iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

/// Returns all properties of the machine except its type, its zone and its price.
fn data(
    request: &LaunchRequest,
    image: &ResolvedImage,
    disks: &[Disk],
    group: &str,
) -> RequestLaunchTemplateData {
    // Version 2 of the metadata service only, and not from within containers: a job cannot be tricked into exposing the
    // machine's role.
    let metadata = LaunchTemplateInstanceMetadataOptionsRequest::builder()
        .http_endpoint(LaunchTemplateInstanceMetadataEndpointState::Enabled)
        .http_tokens(LaunchTemplateHttpTokensState::Required)
        .http_put_response_hop_limit(1)
        .http_protocol_ipv6(LaunchTemplateInstanceMetadataProtocolIpv6::Disabled)
        .build();
    let mut data = RequestLaunchTemplateData::builder()
        .image_id(&image.id)
        .user_data(STANDARD.encode(request.user_data.expose()))
        .metadata_options(metadata)
        // The machine ends itself by powering off.
        .instance_initiated_shutdown_behavior(ShutdownBehavior::Terminate)
        .set_block_device_mappings(Some(disks::for_template(disks)))
        .security_group_ids(group);
    if let Some(snapshot) = &request.cache_snapshot {
        match disks::cache_device(image) {
            Some(device) => {
                let volume = LaunchTemplateEbsBlockDeviceRequest::builder()
                    .snapshot_id(snapshot)
                    .volume_type(VolumeType::Gp3)
                    .delete_on_termination(true)
                    .build();
                let mapping = LaunchTemplateBlockDeviceMappingRequest::builder().device_name(device);
                data = data.block_device_mappings(mapping.ebs(volume).build());
            }
            None => {
                tracing::warn!(
                    image = image.id,
                    "the image leaves no device free: the machine gets no cache"
                );
            }
        }
    }
    // The fleet's own call tags the instance.
    for kind in [ResourceType::Volume, ResourceType::NetworkInterface] {
        let tagged = LaunchTemplateTagSpecificationRequest::builder();
        data = data.tag_specifications(tagged.resource_type(kind).set_tags(Some(tags(request))).build());
    }
    if let Some(profile) = &request.instance_profile {
        let spec = LaunchTemplateIamInstanceProfileSpecificationRequest::builder();
        let spec = if profile.starts_with("arn:") { spec.arn(profile) } else { spec.name(profile) };
        data = data.iam_instance_profile(spec.build());
    }
    data.build()
}

impl AwsCloud {
    /// Creates the template. The same call again returns the same template.
    pub(crate) async fn make_template(
        &self,
        request: &LaunchRequest,
        region: &str,
        version: &str,
        image: &ResolvedImage,
        disks: &[Disk],
        group: &str,
    ) -> Result<(), CloudError> {
        let doing = format!("preparing the launch in {region}");
        let own_tags = TagSpecification::builder()
            .resource_type(ResourceType::LaunchTemplate)
            .set_tags(Some(tags(request)));
        let call = self.clients.ec2(region).create_launch_template();
        let call = call.launch_template_name(name(request, version));
        let call = call.client_token(format!("{}{version}", request.client_token()));
        let call = call.tag_specifications(own_tags.build());
        let sent = call.launch_template_data(data(request, image, disks, group)).send().await;
        sent.map(|_| ()).map_err(|error| failed(&doing, "ec2:CreateLaunchTemplate", &error))
    }

    /// Removes a template; a missing one is a success.
    pub(crate) async fn remove_template(&self, region: &str, name: &str) -> Result<(), CloudError> {
        let doing = format!("removing launch template {name} in {region}");
        let client = self.clients.ec2(region);
        let removed = repeat(|| async {
            let call = client.delete_launch_template().launch_template_name(name);
            call.send().await.map_err(|error| failed(&doing, "ec2:DeleteLaunchTemplate", &error))
        })
        .await;
        match removed {
            Ok(_) => Ok(()),
            Err(error) if error.code.as_deref().is_some_and(codes::is_unknown_template) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes this program's templates that are older than this: those left by launches that were killed.
    pub(crate) async fn sweep_region(
        &self,
        region: &str,
        owner: Option<&str>,
        older_than: Timestamp,
        dry_run: bool,
    ) -> Result<Vec<String>, CloudError> {
        let doing = format!("looking for leftover launch templates in {region}");
        let by = |name: String, value: &str| Filter::builder().name(name).values(value).build();
        let mut filters = vec![by("tag-key".to_owned(), tag::LAUNCH)];
        filters.extend(owner.map(|owner| by(format!("tag:{}", tag::OWNER), owner)));
        let client = self.clients.ec2(region);
        let mut leftover = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let answer = repeat(|| async {
                let call = client.describe_launch_templates().set_filters(Some(filters.clone()));
                call.set_next_token(next.clone())
                    .send()
                    .await
                    .map_err(|error| failed(&doing, "ec2:DescribeLaunchTemplates", &error))
            })
            .await?;
            leftover.extend(answer.launch_templates().iter().filter_map(|template| {
                let made_at = template.create_time()?.secs();
                (made_at < older_than.as_second())
                    .then(|| template.launch_template_name().map(str::to_owned))?
            }));
            next = answer.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if next.is_none() {
                break;
            }
        }
        for name in leftover.iter().filter(|_| !dry_run) {
            self.remove_template(region, name).await?;
        }
        Ok(leftover)
    }
}
