//! Network placement of machines: subnets with their zones, and a security group without inbound rules.

use aws_sdk_ec2::types::{Filter, ResourceType, Tag, TagSpecification};
use cml_cloud::{CloudError, ErrorKind, Network};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::clients::repeat;
use crate::cloud::AwsCloud;
use crate::errors::{codes, failed};

/// Name of this program's group.
pub(crate) const GROUP: &str = "cml-runner";
/// Time for which answers are cached. Outdated ones are noticed when a launch is refused.
const KEEP: SignedDuration = SignedDuration::from_hours(24);

/// One subnet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Subnet {
    pub(crate) id: String,
    pub(crate) zone: String,
}

/// Subnets of one VPC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Subnets {
    pub(crate) vpc: String,
    pub(crate) subnets: Vec<Subnet>,
}

impl Subnets {
    pub(crate) fn zones(&self) -> Vec<&str> {
        let mut zones: Vec<&str> = self.subnets.iter().map(|subnet| subnet.zone.as_str()).collect();
        zones.sort_unstable();
        zones.dedup();
        zones
    }
}

/// Subnets of one VPC, and the security group of machines there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NetworkPlacement {
    pub(crate) subnets: Vec<Subnet>,
    pub(crate) group: String,
}

fn question(region: &str, network: &Network) -> String {
    let group = network.security_group.as_deref().unwrap_or("");
    format!("network-{region}-{}-{group}", network.subnets.join("+"))
}

fn question_of_subnets(region: &str, network: &Network) -> String {
    format!("subnets-{region}-{}", network.subnets.join("+"))
}

impl AwsCloud {
    /// Returns subnets and group for this region, from the cache or from AWS.
    pub(crate) async fn landing(
        &self,
        region: &str,
        network: &Network,
    ) -> Result<NetworkPlacement, CloudError> {
        let question = question(region, network);
        if let Some(kept) = self.cache.read(&question, KEEP) {
            return Ok(kept);
        }
        // Queried again: a group is searched for, and created, in this very network.
        let found = self.find_subnets(region, network).await?;
        self.cache.write(&question_of_subnets(region, network), &found);
        let Subnets { vpc, subnets } = found;
        let group = match self.known_group(region, &vpc, network.security_group.as_deref()).await? {
            Some(id) => id,
            None => self.make_group(region, &vpc).await?,
        };
        let landing = NetworkPlacement { subnets, group };
        self.cache.write(&question, &landing);
        Ok(landing)
    }

    pub(crate) fn forget_landing(&self, region: &str, network: &Network) {
        self.cache.forget(&question(region, network));
        self.cache.forget(&question_of_subnets(region, network));
    }

    /// Returns the subnets for this region, from the cache or from AWS. Nothing is created.
    pub(crate) async fn subnets(&self, region: &str, network: &Network) -> Result<Subnets, CloudError> {
        let question = question_of_subnets(region, network);
        if let Some(kept) = self.cache.read(&question, KEEP) {
            return Ok(kept);
        }
        let found = self.find_subnets(region, network).await?;
        self.cache.write(&question, &found);
        Ok(found)
    }

    async fn find_subnets(&self, region: &str, network: &Network) -> Result<Subnets, CloudError> {
        let doing = format!("looking for subnets in {region}");
        let (given, default) = if network.subnets.is_empty() {
            (None, Some(vec![Filter::builder().name("default-for-az").values("true").build()]))
        } else {
            (Some(network.subnets.clone()), None)
        };
        let client = self.clients.ec2(region);
        let answer = repeat(|| async {
            let call = client.describe_subnets().set_subnet_ids(given.clone()).set_filters(default.clone());
            call.send().await.map_err(|error| failed(&doing, "ec2:DescribeSubnets", &error))
        })
        .await?;
        let mut vpcs: Vec<&str> = answer.subnets().iter().filter_map(|subnet| subnet.vpc_id()).collect();
        vpcs.dedup();
        let subnets: Vec<Subnet> = answer
            .subnets()
            .iter()
            .filter_map(|subnet| {
                Some(Subnet {
                    id: subnet.subnet_id()?.to_owned(),
                    zone: subnet.availability_zone()?.to_owned(),
                })
            })
            .collect();
        let invalid = |cause: String| CloudError::new(ErrorKind::Invalid, doing.as_str(), cause);
        match vpcs.as_slice() {
            [] => Err(invalid("there is no default VPC with subnets".to_owned())
                .hint("name subnets with --subnet, or make a default VPC: aws ec2 create-default-vpc")),
            [vpc] => Ok(Subnets { vpc: (*vpc).to_owned(), subnets }),
            several => Err(invalid(format!("the subnets lie in several VPCs: {}", several.join(", ")))
                .hint("name subnets of one VPC: a security group belongs to one")),
        }
    }

    /// Returns the group of machines there, by its id or name; else this program's. `None` when the first launch is to
    /// create it.
    pub(crate) async fn known_group(
        &self,
        region: &str,
        vpc: &str,
        given: Option<&str>,
    ) -> Result<Option<String>, CloudError> {
        let Some(name) = given else { return self.group_by_name(region, vpc, GROUP).await };
        if name.starts_with("sg-") {
            return Ok(Some(name.to_owned()));
        }
        let found = self.group_by_name(region, vpc, name).await?;
        found.map(Some).ok_or_else(|| {
            CloudError::new(
                ErrorKind::Invalid,
                format!("looking for security group {name:?} in {region}"),
                format!("{vpc} has no group of this name"),
            )
            .hint("give the group's id (sg-…), or leave the option out: then a group without inbound rules is made")
        })
    }

    async fn group_by_name(&self, region: &str, vpc: &str, name: &str) -> Result<Option<String>, CloudError> {
        let doing = format!("looking for security group {name:?} in {region}");
        let client = self.clients.ec2(region);
        let filter = |key: &str, value: &str| Filter::builder().name(key).values(value).build();
        let answer = repeat(|| async {
            let call = client.describe_security_groups();
            let call = call.filters(filter("group-name", name)).filters(filter("vpc-id", vpc));
            call.send().await.map_err(|error| failed(&doing, "ec2:DescribeSecurityGroups", &error))
        })
        .await?;
        let found = answer.security_groups().first();
        if let Some(group) = found
            && name == GROUP
            && !group.ip_permissions().is_empty()
        {
            tracing::warn!(
                "security group {GROUP} in {region} has inbound rules that cml-runner never makes: are they wanted?"
            );
        }
        Ok(found.and_then(|group| group.group_id()).map(str::to_owned))
    }

    /// Creates this program's group; when another launch was faster, its group is used.
    async fn make_group(&self, region: &str, vpc: &str) -> Result<String, CloudError> {
        let doing = format!("making security group {GROUP} in {region}");
        let name = Tag::builder().key("Name").value(GROUP).build();
        let tags = TagSpecification::builder().resource_type(ResourceType::SecurityGroup).tags(name).build();
        let call = self.clients.ec2(region).create_security_group();
        let call = call.group_name(GROUP).description("cml-runner: machines that nothing connects to");
        let made = match call.vpc_id(vpc).tag_specifications(tags).send().await {
            Ok(made) => made.group_id().map(str::to_owned),
            Err(error) => {
                let error = failed(&doing, "ec2:CreateSecurityGroup", &error);
                let maybe_made = error.code.as_deref().is_some_and(codes::is_duplicate_group)
                    || error.kind == ErrorKind::Transient;
                if !maybe_made {
                    return Err(error);
                }
                self.group_by_name(region, vpc, GROUP).await?
            }
        };
        made.ok_or_else(|| {
            CloudError::new(ErrorKind::Transient, doing, "AWS did not say which group it made")
                .hint("run it again")
        })
    }
}
