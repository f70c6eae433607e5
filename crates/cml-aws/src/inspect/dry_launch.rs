//! Dry run of a launch: it reveals what would make a real one fail, including the organization's rules and an image
//! that must be subscribed to first. <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html>

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{
    HttpTokensState, IamInstanceProfileSpecification, InstanceMarketOptionsRequest,
    InstanceMetadataOptionsRequest, InstanceType, MarketType, ResourceType, ShutdownBehavior, Tag,
    TagSpecification,
};
use cml_cloud::{CloudError, ErrorKind, Market, tag};

use super::ImageFacts;
use crate::cloud::AwsCloud;
use crate::disks;
use crate::errors::{codes, failed, in_region};

/// Parameters of a dry run.
#[derive(Clone, Debug)]
pub struct DryLaunch<'a> {
    /// `us-east-1`.
    pub region: &'a str,
    /// The image that would boot.
    pub image: &'a ImageFacts,
    /// `g5.xlarge`.
    pub instance_type: &'a str,
    /// `subnet-…`.
    pub subnet: &'a str,
    /// `sg-…`; `None`: the VPC's own one, since this program's is not created for a dry run.
    pub group: Option<&'a str>,
    /// The market.
    pub market: Market,
    /// The scope that it would work for, `acme/vision`.
    pub owner: &'a str,
    /// Root disk, GiB; `None`: as a launch chooses it.
    pub disk_gib: Option<u32>,
    /// The user's tags.
    pub tags: &'a BTreeMap<String, String>,
    /// The instance profile of the machine.
    pub instance_profile: Option<&'a str>,
}

/// Result of a dry run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DryRun {
    /// EC2 would launch it.
    Ok,
    /// The zone does not sell this type.
    NotSold,
}

impl AwsCloud {
    /// Performs a dry run. Nothing is launched.
    ///
    /// # Errors
    /// The errors that a launch would get, as far as EC2 reports them before it checks capacity.
    pub async fn dry_launch(&self, asked: &DryLaunch<'_>) -> Result<DryRun, CloudError> {
        let doing = format!("asking for a dry run of a launch in {}", asked.region);
        let mark = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
        let mut marks: Vec<Tag> = asked.tags.iter().map(|(key, value)| mark(key, value)).collect();
        if !asked.tags.contains_key("Name") {
            marks.push(mark("Name", "cml-doctor"));
        }
        marks.extend([
            mark(tag::LAUNCH, "doctor"),
            mark(tag::SPEC, "doctor"),
            mark(tag::DEADLINE, "doctor"),
            mark(tag::OWNER, asked.owner),
            mark(tag::CONTROLLER, "doctor"),
            mark(tag::RUNNER, "doctor"),
        ]);
        // As in a launch: an organization's rules may require these options.
        let metadata = InstanceMetadataOptionsRequest::builder()
            .http_tokens(HttpTokensState::Required)
            .http_put_response_hop_limit(1)
            .build();
        let disks = disks::for_dry_run(&disks::planned(&asked.image.0, asked.disk_gib)?);
        let profile = asked.instance_profile.map(|profile| {
            let spec = IamInstanceProfileSpecification::builder();
            if profile.starts_with("arn:") { spec.arn(profile).build() } else { spec.name(profile).build() }
        });
        let mut call = self
            .clients
            .ec2(asked.region)
            .run_instances()
            .dry_run(true)
            .image_id(asked.image.id())
            .instance_type(InstanceType::from(asked.instance_type))
            .subnet_id(asked.subnet)
            .set_security_group_ids(asked.group.map(|group| vec![group.to_owned()]))
            .metadata_options(metadata)
            .set_block_device_mappings(Some(disks))
            .set_iam_instance_profile(profile)
            .instance_initiated_shutdown_behavior(ShutdownBehavior::Terminate)
            .min_count(1)
            .max_count(1);
        for kind in [ResourceType::Instance, ResourceType::Volume, ResourceType::NetworkInterface] {
            let tagged = TagSpecification::builder().resource_type(kind).set_tags(Some(marks.clone()));
            call = call.tag_specifications(tagged.build());
        }
        if asked.market == Market::Spot {
            call = call.instance_market_options(
                InstanceMarketOptionsRequest::builder().market_type(MarketType::Spot).build(),
            );
        }
        match call.send().await.map_err(|error| failed(&doing, "ec2:RunInstances", &error)) {
            Err(error) if error.code.as_deref().is_some_and(codes::would_succeed) => Ok(DryRun::Ok),
            Err(error) if error.code.as_deref().is_some_and(codes::is_not_sold) => Ok(DryRun::NotSold),
            Err(error) => Err(in_region(asked.region, error)),
            // The endpoint ignored the dry run: what it may have created must not stay.
            Ok(made) => {
                for instance in made.instances() {
                    if let Some(id) = instance.instance_id() {
                        self.end(asked.region, &cml_cloud::InstanceId(id.to_owned())).await?;
                    }
                }
                Err(CloudError::new(ErrorKind::Invalid, doing, "the answer was not that of a dry run")
                    .hint("is AWS_ENDPOINT_URL set to something that does not know dry runs?"))
            }
        }
    }
}
