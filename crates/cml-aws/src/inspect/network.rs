//! Whether a machine in a subnet would reach GitHub: a route out, an address to go by, a group that lets it.
//! <https://docs.aws.amazon.com/vpc/latest/userguide/VPC_Route_Tables.html>

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{Filter, Route, RouteState, RouteTable, SecurityGroup};
use cml_cloud::{CloudError, ErrorKind, Network};

use crate::clients::repeat;
use crate::cloud::AwsCloud;
use crate::errors::failed;

/// How traffic leaves a subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WayOut {
    /// An internet gateway: only machines with a public address go through it.
    Gateway(String),
    /// Something else that has an address of its own: a NAT gateway, a transit gateway, ….
    Through(String),
    /// There is a route, to something that is gone.
    Blackhole,
    /// There is none.
    None,
    /// These credentials may not look.
    NotSeen,
}

/// One subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubnetFacts {
    /// `subnet-…`.
    pub id: String,
    /// Its zone.
    pub zone: String,
    /// How traffic leaves.
    pub way_out: WayOut,
    /// Whether machines get a public address.
    pub gives_public_address: bool,
    /// Addresses that are free; none when AWS did not say.
    pub free_addresses: Option<u32>,
}

impl SubnetFacts {
    /// Whether a machine there reaches the internet.
    #[must_use]
    pub fn reaches_out(&self) -> bool {
        match &self.way_out {
            WayOut::Gateway(_) => self.gives_public_address,
            // What cannot be seen is no reason to doubt.
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
    /// Rules that let others in.
    pub inbound_rules: usize,
    /// Whether something lets HTTPS out to anywhere.
    pub lets_https_out: bool,
    /// Whether it lets anything out at all: to a proxy, for one.
    pub lets_something_out: bool,
}

/// Where machines of a region would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkFacts {
    /// The VPC.
    pub vpc: String,
    /// Its subnets that are used.
    pub subnets: Vec<SubnetFacts>,
    /// The group; none when the first launch makes it.
    pub group: Option<GroupFacts>,
}

impl AwsCloud {
    /// Where machines of a region would be.
    ///
    /// # Errors
    /// As a launch would get them. Without `ec2:DescribeRouteTables` ways out are [`WayOut::NotSeen`].
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
        // A list of prefixes or another group may be a proxy: not for us to say.
        let to_something = !rule.prefix_list_ids().is_empty() || !rule.user_id_group_pairs().is_empty();
        (is_all || is_tcp && has_port) && (to_anywhere || to_something)
    })
}

/// How traffic leaves a subnet: by its own table, else by the VPC's main one.
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
    // A default route that is split in two is one, too.
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
    // A peered VPC passes nothing on to the internet. https://docs.aws.amazon.com/vpc/latest/peering/vpc-peering-basics.html
    let found = others.into_iter().find_map(|(kind, id)| Some(format!("{kind} {}", id?)));
    found.map_or(WayOut::None, WayOut::Through)
}
