//! Checks of the machines' network, and whether it reaches GitHub.

use cml_aws::AwsCloud;
use cml_aws::inspect::{NetworkFacts, SubnetFacts, WayOut};

use super::aws::failed;
use super::checks::Checks;
use super::targets::LaunchTarget;

const FIX: &str = "a machine must reach GitHub: give the subnet a default route to a NAT gateway, or to an internet gateway and let it \
                   assign public addresses; or name other subnets (`subnets` in cml.yaml, --subnet), or a `proxy`";

/// Checks the network of the first target; the subnets with a route out come first.
pub(super) async fn look(
    checks: &mut Checks,
    cloud: &AwsCloud,
    region: &str,
    wants: &[&LaunchTarget],
) -> Option<NetworkFacts> {
    let name = format!("network {region}");
    let mut first = None;
    let mut seen = Vec::new();
    for want in wants {
        let asked = (want.query.network.clone(), want.has_proxy);
        if seen.contains(&asked) {
            continue;
        }
        match cloud.network_facts(region, &asked.0).await {
            Ok(facts) => {
                subnets(checks, &name, &facts, want.has_proxy);
                group(checks, &name, &facts, want.has_proxy);
                first.get_or_insert(facts);
            }
            Err(error) => failed(checks, &name, &error),
        }
        seen.push(asked);
    }
    if let Some(facts) = &mut first {
        facts.subnets.sort_by_key(|subnet| !subnet.reaches_out());
    }
    first
}

fn subnets(checks: &mut Checks, name: &str, facts: &NetworkFacts, has_proxy: bool) {
    let (out, cut): (Vec<&SubnetFacts>, Vec<&SubnetFacts>) =
        facts.subnets.iter().partition(|subnet| subnet.reaches_out());
    let reasons: Vec<String> =
        cut.iter().map(|subnet| format!("{} {}", subnet.id, why_cut(subnet))).collect();
    let reasons = reasons.join("; ");
    if facts.subnets.iter().any(|subnet| subnet.way_out == WayOut::NotSeen) {
        let fix = "allow ec2:DescribeRouteTables to have them looked at (a launch does not need it)";
        checks.skip(name, "these credentials may not look at routes", Some(fix.to_owned()));
    } else if cut.is_empty() {
        checks.ok(name, format!("{} subnets of {} with a way out", out.len(), facts.vpc));
    } else if has_proxy {
        checks.skip(
            name,
            format!("whether the proxy reaches GitHub cannot be seen from here; {reasons}"),
            None,
        );
    } else if out.is_empty() {
        checks.fail(name, format!("no subnet of {} has a way out: {reasons}", facts.vpc), FIX);
    } else {
        let all = facts.subnets.len();
        let found = format!(
            "{} of {all} subnets have a way out; machines in the others never register: {reasons}",
            out.len()
        );
        checks.warn(name, found, FIX);
    }
    let full: Vec<&str> = facts
        .subnets
        .iter()
        .filter(|subnet| subnet.free_addresses == Some(0))
        .map(|subnet| subnet.id.as_str())
        .collect();
    if !full.is_empty() {
        checks.warn(
            name,
            format!("no address is free in {}", full.join(", ")),
            "free some, or name more subnets",
        );
    }
}

fn why_cut(subnet: &SubnetFacts) -> &'static str {
    match subnet.way_out {
        WayOut::Gateway(_) => "has an internet gateway, but gives no public address",
        WayOut::Blackhole => "has a default route to something that is gone",
        WayOut::Through(_) | WayOut::None | WayOut::NotSeen => "has no default route",
    }
}

fn group(checks: &mut Checks, name: &str, facts: &NetworkFacts, has_proxy: bool) {
    let Some(group) = &facts.group else {
        return checks
            .ok(name, "the first launch makes the security group cml-runner, without inbound rules");
    };
    let lets_out = group.lets_https_out || has_proxy && group.lets_something_out;
    if !lets_out {
        checks.fail(
            name,
            format!("security group {} lets no HTTPS out", group.id),
            "add an outbound rule: TCP 443 to 0.0.0.0/0, or to the `proxy` of cml.yaml",
        );
    } else if group.inbound_rules > 0 {
        checks.warn(
            name,
            format!("security group {} has {} inbound rules", group.id, group.inbound_rules),
            "remove them, unless somebody must reach the machines: a runner only asks",
        );
    } else {
        checks.ok(name, format!("security group {}, nothing comes in", group.id));
    }
}
