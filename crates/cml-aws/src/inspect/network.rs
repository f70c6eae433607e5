//! Whether a machine in a subnet would reach GitHub: an outbound route, a public address, a security group that allows
//! it. <https://docs.aws.amazon.com/vpc/latest/userguide/VPC_Route_Tables.html>

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{Filter, Route, RouteState, RouteTable, SecurityGroup};
use cml_cloud::{CloudError, ErrorKind, Network};

use crate::clients::repeat;
use crate::cloud::AwsCloud;
use crate::errors::failed;

/// Outbound route of a subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WayOut {
    /// An internet gateway: only machines with a public address can use it.
    Gateway(String),
    /// A target with an address of its own: a NAT gateway, a transit gateway, ….
    Through(String),
    /// A route whose target no longer exists.
    Blackhole,
    /// No route.
    None,
    /// These credentials may not read it.
    NotSeen,
}

/// One subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubnetFacts {
    /// `subnet-…`.
    pub id: String,
    /// Its zone.
    pub zone: String,
    /// Its outbound route.
    pub way_out: WayOut,
    /// Whether machines get a public address.
    pub gives_public_address: bool,
    /// Number of free addresses; `None` when AWS did not report it.
    pub free_addresses: Option<u32>,
}

impl SubnetFacts {
    /// Returns whether a machine there reaches the internet.
    #[must_use]
    pub fn reaches_out(&self) -> bool {
        match &self.way_out {
            WayOut::Gateway(_) => self.gives_public_address,
            // An unreadable route is no evidence of a problem.
            WayOut::Through(_) | WayOut::NotSeen => true,
            WayOut::Blackhole | WayOut::None => false,
        }
    }
}

/// The security group of machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupFacts {
    /// `sg-…`.
    pub id: String,
    /// Number of inbound rules.
    pub inbound_rules: usize,
    /// Whether a rule allows outbound HTTPS to any address.
    pub lets_https_out: bool,
    /// Whether it allows any outbound traffic, for example to a proxy.
    pub lets_something_out: bool,
}

/// Network of a region's machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkFacts {
    /// The VPC.
    pub vpc: String,
    /// Its subnets in use.
    pub subnets: Vec<SubnetFacts>,
    /// The group; `None` when the first launch creates it.
    pub group: Option<GroupFacts>,
}

impl AwsCloud {
    /// Returns the network of a region's machines.
    ///
    /// # Errors
    /// The errors that a launch would get. Without `ec2:DescribeRouteTables`, routes are [`WayOut::NotSeen`].
    pub async fn network_facts(&self, region: &str, network: &Network) -> Result<NetworkFacts, CloudError> {
        let known = self.subnets(region, network).await?;
        let vpc = known.vpc.clone();
        let tables = match self.route_tables(region, &vpc).await {
            Err(error) if error.kind == ErrorKind::Denied => None,
            tables => Some(tables?),
        };
        let group = self.group_facts(region, &vpc, network).await?;
        let ids: Vec<String> = known.subnets.iter().map(|subnet| subnet.id.clone()).collect();
        let doing = format!("looking at subnets in {region}");
        let client = self.clients.ec2(region);
        let answer = repeat(|| async {
            let sent = client.describe_subnets().set_subnet_ids(Some(ids.clone())).send().await;
            sent.map_err(|error| failed(&doing, "ec2:DescribeSubnets", &error))
        })
        .await?;
        let facts = |subnet: &aws_sdk_ec2::types::Subnet| {
            let id = subnet.subnet_id()?.to_owned();
            Some(SubnetFacts {
                way_out: tables.as_ref().map_or(WayOut::NotSeen, |tables| way_out(tables, &id)),
                id,
                zone: subnet.availability_zone().unwrap_or_default().to_owned(),
                gives_public_address: subnet.map_public_ip_on_launch().unwrap_or(false),
                free_addresses: subnet.available_ip_address_count().and_then(|count| count.try_into().ok()),
            })
        };
        Ok(NetworkFacts { vpc, subnets: answer.subnets().iter().filter_map(facts).collect(), group })
    }

    async fn route_tables(&self, region: &str, vpc: &str) -> Result<Vec<RouteTable>, CloudError> {
        let doing = format!("looking at routes of {vpc} in {region}");
        let client = self.clients.ec2(region);
        let mut all = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let answer = repeat(|| async {
                let call = client.describe_route_tables();
                let call = call.filters(Filter::builder().name("vpc-id").values(vpc).build());
                let sent = call.set_next_token(next.clone()).send().await;
                sent.map_err(|error| failed(&doing, "ec2:DescribeRouteTables", &error))
            })
            .await?;
            all.extend(answer.route_tables().iter().cloned());
            next = answer.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if next.is_none() {
                return Ok(all);
            }
        }
    }

    async fn group_facts(
        &self,
        region: &str,
        vpc: &str,
        network: &Network,
    ) -> Result<Option<GroupFacts>, CloudError> {
        let Some(id) = self.known_group(region, vpc, network.security_group.as_deref()).await? else {
            return Ok(None);
        };
        let doing = format!("looking at security group {id} in {region}");
        let client = self.clients.ec2(region);
        let answer = repeat(|| async {
            let sent = client.describe_security_groups().group_ids(&id).send().await;
            sent.map_err(|error| failed(&doing, "ec2:DescribeSecurityGroups", &error))
        })
        .await?;
        Ok(answer.security_groups().first().map(|group| GroupFacts {
            id: id.clone(),
            inbound_rules: group.ip_permissions().len(),
            lets_https_out: lets_https_out(group),
            lets_something_out: !group.ip_permissions_egress().is_empty(),
        }))
    }
}

fn lets_https_out(group: &SecurityGroup) -> bool {
    group.ip_permissions_egress().iter().any(|rule| {
        let is_all = rule.ip_protocol() == Some("-1");
        let is_tcp = rule.ip_protocol() == Some("tcp") || rule.ip_protocol() == Some("6");
        let has_port = rule.from_port().is_some_and(|from| from <= 443)
            && rule.to_port().is_some_and(|to| to >= 443 || to == -1);
        let to_anywhere = rule.ip_ranges().iter().any(|range| range.cidr_ip() == Some("0.0.0.0/0"))
            || rule.ipv6_ranges().iter().any(|range| range.cidr_ipv6() == Some("::/0"));
        // A prefix list or another group may be a proxy: that cannot be decided here.
        let to_something = !rule.prefix_list_ids().is_empty() || !rule.user_id_group_pairs().is_empty();
        (is_all || is_tcp && has_port) && (to_anywhere || to_something)
    })
}

/// Returns the outbound route of a subnet: by its own table, else by the VPC's main one.
fn way_out(tables: &[RouteTable], subnet: &str) -> WayOut {
    let of_subnet = tables
        .iter()
        .find(|table| table.associations().iter().any(|association| association.subnet_id() == Some(subnet)));
    let main = || {
        tables
            .iter()
            .find(|table| table.associations().iter().any(|association| association.main().unwrap_or(false)))
    };
    let Some(table) = of_subnet.or_else(main) else { return WayOut::None };
    let to = |block: &str| table.routes().iter().find(|route| route.destination_cidr_block() == Some(block));
    // A default route that is split in two counts, too.
    to("0.0.0.0/0").or_else(|| to("0.0.0.0/1")).map_or(WayOut::None, by_route)
}

fn by_route(route: &Route) -> WayOut {
    if route.state() == Some(&RouteState::Blackhole) {
        return WayOut::Blackhole;
    }
    if let Some(gateway) = route.gateway_id()
        && gateway.starts_with("igw-")
    {
        return WayOut::Gateway(gateway.to_owned());
    }
    let others = BTreeMap::from([
        ("NAT gateway", route.nat_gateway_id()),
        ("transit gateway", route.transit_gateway_id()),
        ("network interface", route.network_interface_id()),
        ("core network", route.core_network_arn()),
        ("local gateway", route.local_gateway_id()),
        ("carrier gateway", route.carrier_gateway_id()),
        ("gateway", route.gateway_id()),
    ]);
    // A peered VPC forwards nothing to the internet.
    // https://docs.aws.amazon.com/vpc/latest/peering/vpc-peering-basics.html
    let found = others.into_iter().find_map(|(kind, id)| Some(format!("{kind} {}", id?)));
    found.map_or(WayOut::None, WayOut::Through)
}
