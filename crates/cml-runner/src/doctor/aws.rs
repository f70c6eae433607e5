//! The account: whose it is, what may be done in it, how much, and whether a machine would get anywhere.

use std::collections::BTreeMap;

use cml_aws::inspect::{
    DAEMON_ACTIONS, DryLaunch, Identity, LAUNCH_ACTIONS, Needed, NetworkFacts, QuotaClass, SubnetFacts,
    Verdict, WayOut,
};
use cml_aws::{AwsCloud, Choice};
use cml_cloud::{CloudError, ErrorKind, Market};
use jiff::SignedDuration;

use super::checks::Checks;
use super::wants::Want;
use super::words;
use crate::actions::now;
use crate::place;

/// Credentials that end sooner are worth a word.
const SOON: SignedDuration = SignedDuration::from_mins(15);
const POLICY: &str =
    "`cml-runner init --print launch-policy` prints what it takes (daemon-policy for a daemon)";

/// Looks at everything that these wants need of AWS.
pub(super) async fn look(cloud: &AwsCloud, wants: &[&Want], is_daemon: bool, owner: &str) -> Checks {
    let mut checks = Checks::default();
    let identity = match cloud.identity().await {
        Ok(identity) => identity,
        Err(error) => {
            failed(&mut checks, "aws credentials", &error);
            checks.skip("aws", "nothing else can be looked at without credentials", None);
            return checks;
        }
    };
    of_identity(&mut checks, &identity);
    for region in regions(&mut checks, wants) {
        let here: Vec<&Want> = wants.iter().filter(|want| is_in(want, &region)).copied().collect();
        permissions(&mut checks, cloud, &identity, &region, is_daemon).await;
        let network = network(&mut checks, cloud, &region, &here).await;
        let image = images(&mut checks, cloud, &region, &here).await;
        quotas(&mut checks, cloud, &region, &here).await;
        if let (Some(network), Some(image)) = (network, image) {
            dry_launch(&mut checks, cloud, &region, &here, &network, &image, owner).await;
        }
    }
    checks
}

fn failed(checks: &mut Checks, name: &str, error: &CloudError) {
    let fix = error.hint.clone().unwrap_or_else(|| "run it again".to_owned());
    checks.fail(name, error.cause.clone(), fix);
}

/// Something that may not be looked at is no failure: a launch does not look at it.
fn not_seen(checks: &mut Checks, name: &str, permission: &str, error: &CloudError) {
    if error.kind == ErrorKind::Denied {
        let fix = format!("allow {permission} to have it looked at (a launch does not need it)");
        checks.skip(name, "these credentials may not look", Some(fix));
    } else {
        failed(checks, name, error);
    }
}

fn of_identity(checks: &mut Checks, identity: &Identity) {
    let name = "aws credentials";
    let arn = &identity.arn;
    let left = identity.expires_at.map(|at| at.duration_since(now()));
    let until = left.map(|left| format!(", for {} more", words::time(left))).unwrap_or_default();
    if identity.arn.ends_with(":root") {
        checks.warn(
            name,
            format!("{arn}: the account's root user"),
            "use a role that may do only what is needed: `cml-runner init --print cloudformation`",
        );
    } else if left.is_some_and(|left| left < SOON) {
        checks.warn(
            name,
            format!("{arn}{until}"),
            "sign in again, or raise role-duration-seconds in the workflow",
        );
    } else if identity.is_long_lived && place::env("GITHUB_ACTIONS").is_some() {
        checks.warn(
            name,
            format!("{arn}, by a key that never expires"),
            "let the workflow assume a role by OIDC, and delete the key: `cml-runner init --print cloudformation`",
        );
    } else {
        checks.ok(name, format!("{arn}{until}"));
    }
}

fn regions(checks: &mut Checks, wants: &[&Want]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for name in wants.iter().flat_map(|want| &want.query.regions) {
        match cml_aws::region(name) {
            Ok(region) if all.contains(&region) => {}
            Ok(region) => all.push(region),
            Err(error) => failed(checks, &format!("region {name}"), &error),
        }
    }
    all
}

fn is_in(want: &Want, region: &str) -> bool {
    want.query.regions.iter().any(|name| cml_aws::region(name).is_ok_and(|its| its == region))
}

async fn permissions(
    checks: &mut Checks,
    cloud: &AwsCloud,
    identity: &Identity,
    region: &str,
    is_daemon: bool,
) {
    let name = format!("permissions {region}");
    let mut needed: Vec<Needed> = LAUNCH_ACTIONS.to_vec();
    if is_daemon {
        needed.extend(DAEMON_ACTIONS);
    }
    let permissions = match cloud.permissions(identity, region, &needed).await {
        Ok(permissions) => permissions,
        Err(error) => return failed(checks, &name, &error),
    };
    let allowed = permissions.verdicts.iter().filter(|(_, verdict)| *verdict == Verdict::Allowed).count();
    for (one, verdict) in &permissions.verdicts {
        if let Verdict::Denied(why) = verdict {
            let found = format!("{}: {why}; without it {}", one.action, one.without);
            let fix = format!("allow {}; {POLICY}", one.action);
            if one.is_essential {
                checks.fail(&name, found, fix);
            } else {
                checks.warn(&name, found, fix);
            }
        }
    }
    let unknown: Vec<&str> = permissions
        .verdicts
        .iter()
        .filter(|(_, verdict)| matches!(verdict, Verdict::Unknown(_)))
        .map(|(one, _)| one.action)
        .collect();
    if allowed > 0 {
        let by = if permissions.without_iam.is_some() { "by dry run" } else { "as IAM says" };
        checks.ok(&name, format!("{allowed} of {} are there, {by}", permissions.verdicts.len()));
    }
    if !unknown.is_empty() {
        let fix = permissions.without_iam.map(|_| {
            "allow iam:SimulatePrincipalPolicy on this role to have all of them looked at (a launch does not need it)"
                .to_owned()
        });
        checks.skip(&name, format!("not known: {}", unknown.join(", ")), fix);
    }
}

/// Where machines would be; the subnets that reach out come first.
async fn network(
    checks: &mut Checks,
    cloud: &AwsCloud,
    region: &str,
    wants: &[&Want],
) -> Option<NetworkFacts> {
    let name = format!("network {region}");
    let mut first = None;
    let mut seen = Vec::new();
    for want in wants {
        let network = &want.query.network;
        if seen.contains(network) {
            continue;
        }
        seen.push(network.clone());
        match cloud.network_facts(region, network).await {
            Ok(facts) => {
                subnets(checks, &name, &facts);
                group(checks, &name, &facts);
                first.get_or_insert(facts);
            }
            Err(error) => not_seen(checks, &name, "ec2:DescribeRouteTables", &error),
        }
    }
    if let Some(facts) = &mut first {
        facts.subnets.sort_by_key(|subnet| !subnet.reaches_out());
    }
    first
}

fn subnets(checks: &mut Checks, name: &str, facts: &NetworkFacts) {
    let (out, cut): (Vec<&SubnetFacts>, Vec<&SubnetFacts>) =
        facts.subnets.iter().partition(|subnet| subnet.reaches_out());
    let full: Vec<&str> = facts
        .subnets
        .iter()
        .filter(|subnet| subnet.free_addresses == Some(0))
        .map(|subnet| subnet.id.as_str())
        .collect();
    let fix = "a machine must reach GitHub: give the subnet a default route to a NAT gateway, or to an internet gateway and let it \
               assign public addresses; or name other subnets (`subnets` in cml.yaml, --subnet)";
    let reasons: Vec<String> =
        cut.iter().map(|subnet| format!("{} {}", subnet.id, why_cut(subnet))).collect();
    if out.is_empty() {
        checks.fail(name, format!("no subnet of {} has a way out: {}", facts.vpc, reasons.join("; ")), fix);
    } else if !cut.is_empty() {
        checks.warn(
            name,
            format!(
                "{} of {} subnets have a way out; machines in the others never register: {}",
                out.len(),
                facts.subnets.len(),
                reasons.join("; ")
            ),
            fix,
        );
    } else {
        checks.ok(name, format!("{} subnets of {} with a way out", out.len(), facts.vpc));
    }
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
        WayOut::Through(_) | WayOut::None => "has no default route",
    }
}

fn group(checks: &mut Checks, name: &str, facts: &NetworkFacts) {
    match &facts.group {
        None => {
            checks.ok(name, "the first launch makes the security group cml-runner, without inbound rules");
        }
        Some(group) if !group.lets_https_out => checks.fail(
            name,
            format!("security group {} lets no HTTPS out", group.id),
            "add an outbound rule: TCP 443 to 0.0.0.0/0, or to your proxy",
        ),
        Some(group) if group.inbound_rules > 0 => checks.warn(
            name,
            format!("security group {} has {} inbound rules", group.id, group.inbound_rules),
            "remove them, unless somebody must reach the machines: a runner only asks",
        ),
        Some(group) => checks.ok(name, format!("security group {}, nothing comes in", group.id)),
    }
}

/// Images of all kinds of machines; the first one.
async fn images(checks: &mut Checks, cloud: &AwsCloud, region: &str, wants: &[&Want]) -> Option<String> {
    let mut first = None;
    for want in wants {
        let name = format!("image {}", want.name);
        for (arch, has_gpu) in want.kinds() {
            match cloud.image_facts(region, &want.image, arch, has_gpu).await {
                Ok(facts) => {
                    let found = format!("{} {} in {region}", facts.id, facts.name);
                    if has_gpu && !facts.tells_of_driver {
                        checks.warn(
                            &name,
                            format!("{found}: nothing tells of an NVIDIA driver, and these machines have a GPU"),
                            "take ubuntu-22.04-gpu, or be sure that the driver is in it: without one a machine ends before its job",
                        );
                    } else {
                        checks.ok(&name, found);
                    }
                    first.get_or_insert(facts.id);
                }
                Err(error) => failed(checks, &name, &error),
            }
        }
    }
    first
}

/// What is wanted of one quota.
#[derive(Default)]
struct Asked {
    /// vCPUs of the smallest machine that will do.
    smallest: u64,
    /// vCPUs of all machines at once, each the smallest that will do.
    all: u64,
    /// Whether every want could be served in another market.
    has_another: bool,
    names: Vec<String>,
}

async fn quotas(checks: &mut Checks, cloud: &AwsCloud, region: &str, wants: &[&Want]) {
    let mut asked: BTreeMap<(QuotaClass, Market), Asked> = BTreeMap::new();
    for want in wants {
        let mut smallest: BTreeMap<QuotaClass, u64> = BTreeMap::new();
        for choice in &want.types {
            if let (Some(class), Some(has)) = (QuotaClass::of(&choice.name), &choice.resources) {
                let vcpus = u64::from(has.vcpus);
                let entry = smallest.entry(class).or_insert(vcpus);
                *entry = vcpus.min(*entry);
            }
        }
        for (class, vcpus) in smallest {
            for market in want.markets() {
                let entry = asked.entry((class, *market)).or_insert_with(|| Asked {
                    smallest: vcpus,
                    has_another: true,
                    ..Asked::default()
                });
                entry.smallest = entry.smallest.min(vcpus);
                entry.all += vcpus * want.max;
                entry.has_another &= want.markets().len() > 1;
                entry.names.push(want.name.clone());
            }
        }
    }
    for ((class, market), asked) in asked {
        quota(checks, cloud, region, class, market, &asked).await;
    }
}

async fn quota(
    checks: &mut Checks,
    cloud: &AwsCloud,
    region: &str,
    class: QuotaClass,
    market: Market,
    asked: &Asked,
) {
    let name = format!("quota {region}");
    let quota = match cloud.quota(region, class, market).await {
        Ok(quota) => quota,
        Err(error) => return not_seen(checks, &name, "servicequotas:GetServiceQuota", &error),
    };
    let code = class.code(market);
    let fix = format!(
        "ask for {all} at https://{region}.console.aws.amazon.com/servicequotas/home/services/ec2/quotas/{code}\n\
         (it can take a day), or by\n\
         aws service-quotas request-service-quota-increase --region {region} --service-code ec2 --quota-code {code} --desired-value {all}",
        all = asked.all
    );
    let found = format!("{} vCPUs of {} ({market})", quota.vcpus, class.name);
    let names = asked.names.join(", ");
    if quota.vcpus < asked.smallest {
        let found = format!("{found}: no machine of {names} fits, the smallest has {}", asked.smallest);
        if asked.has_another {
            checks.warn(&name, found, fix);
        } else {
            checks.fail(&name, found, fix);
        }
    } else if quota.vcpus < asked.all {
        checks.warn(&name, format!("{found}: {names} may want {} at once", asked.all), fix);
    } else {
        checks.ok(&name, format!("{found}, {} wanted at most by {names}", asked.all));
    }
}

async fn dry_launch(
    checks: &mut Checks,
    cloud: &AwsCloud,
    region: &str,
    wants: &[&Want],
    network: &NetworkFacts,
    image: &str,
    owner: &str,
) {
    let name = format!("dry run {region}");
    let (Some(want), Some(subnet)) = (wants.first(), network.subnets.first()) else { return };
    // The image is that of the want's first kind.
    let kind = want.kinds().first().copied();
    let is_of_kind =
        |choice: &&Choice| choice.resources.as_ref().map(|it| (it.arch, it.gpu.is_some())) == kind;
    let Some(choice) = want.types.iter().find(is_of_kind).or(want.types.first()) else { return };
    let market = want.markets().first().copied().unwrap_or(Market::OnDemand);
    let asked = DryLaunch {
        region,
        image,
        instance_type: &choice.name,
        subnet: &subnet.id,
        group: network.group.as_ref().map(|group| group.id.as_str()),
        market,
        owner,
    };
    match cloud.dry_launch(&asked).await {
        Ok(()) => checks.ok(&name, format!("EC2 would launch {} ({market}) in {}", choice.name, subnet.zone)),
        Err(error) => failed(checks, &name, &error),
    }
}
