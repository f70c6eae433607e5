//! Checks of the AWS account: identity, permissions, quotas, and the network of machines.

use cml_aws::AwsCloud;
use cml_aws::inspect::{
    DAEMON_ACTIONS, DryLaunch, DryRun, Identity, LAUNCH_ACTIONS, Needed, NetworkFacts, Verdict,
};
use cml_cloud::{CloudError, ErrorKind, Market};
use jiff::SignedDuration;

use super::checks::Checks;
use super::image::{self, Bootable};
use super::targets::LaunchTarget;
use super::{network, quota, words};
use crate::actions::now;
use crate::context;

/// Credentials that expire sooner cause a warning.
const SOON: SignedDuration = SignedDuration::from_mins(15);
const POLICY: &str =
    "`cml-runner init --print launch-policy` prints what it takes (daemon-policy for a daemon)";

/// Checks everything at AWS that these targets need.
pub(super) async fn look(cloud: &AwsCloud, wants: &[&LaunchTarget], is_daemon: bool, owner: &str) -> Checks {
    let mut checks = Checks::default();
    let regions = regions(&mut checks, wants);
    let identity = match cloud.identity(&regions).await {
        Ok(identity) => identity,
        Err(error) => {
            failed(&mut checks, "aws credentials", &error);
            checks.skip("aws", "nothing else can be looked at without credentials", None);
            return checks;
        }
    };
    of_identity(&mut checks, &identity);
    for region in regions {
        let here: Vec<&LaunchTarget> = wants.iter().filter(|want| is_in(want, &region)).copied().collect();
        permissions(&mut checks, cloud, &identity, (&region, owner), is_daemon).await;
        let network = network::look(&mut checks, cloud, &region, &here).await;
        let bootable = image::look(&mut checks, cloud, &region, &here).await;
        quota::look(&mut checks, cloud, &region, &here).await;
        match (network, bootable) {
            (Some(network), Some(bootable)) => {
                dry_launch(&mut checks, cloud, (&region, owner), &network, &bootable).await;
            }
            _ => {
                checks.skip(
                    &format!("dry run {region}"),
                    "there is no network or no image to ask with",
                    None,
                );
            }
        }
    }
    checks
}

pub(super) fn failed(checks: &mut Checks, name: &str, error: &CloudError) {
    let fix = error.hint.clone().unwrap_or_else(|| "run it again".to_owned());
    checks.fail(name, error.cause.clone(), fix);
}

/// Reports something that may not be read as skipped, not failed: a launch does not read it.
pub(super) fn not_seen(checks: &mut Checks, name: &str, permission: &str, error: &CloudError) {
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
    if identity.is_root() {
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
    } else if identity.is_long_lived && context::env("GITHUB_ACTIONS").is_some() {
        checks.warn(
            name,
            format!("{arn}, by a key that never expires"),
            "let the workflow assume a role by OIDC, and delete the key: `cml-runner init --print cloudformation`",
        );
    } else {
        checks.ok(name, format!("{arn}{until}"));
    }
}

fn regions(checks: &mut Checks, wants: &[&LaunchTarget]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for name in wants.iter().flat_map(|want| &want.query.regions) {
        match cml_ec2::region(name) {
            Ok(region) if all.contains(&region) => {}
            Ok(region) => all.push(region),
            Err(error) => failed(checks, &format!("region {name}"), &error),
        }
    }
    all
}

fn is_in(want: &LaunchTarget, region: &str) -> bool {
    want.query.regions.iter().any(|name| cml_ec2::region(name).is_ok_and(|its| its == region))
}

async fn permissions(
    checks: &mut Checks,
    cloud: &AwsCloud,
    identity: &Identity,
    (region, owner): (&str, &str),
    is_daemon: bool,
) {
    let name = format!("permissions {region}");
    let mut needed: Vec<Needed> = LAUNCH_ACTIONS.to_vec();
    if is_daemon {
        needed.extend(DAEMON_ACTIONS);
    }
    let permissions = match cloud.permissions(identity, region, owner, &needed).await {
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
        checks.skip(&name, format!("not known: {}", unknown.join(", ")), permissions.without_iam);
    }
}

/// Runs a dry launch of one target in this region, as far as AWS offers it.
async fn dry_launch(
    checks: &mut Checks,
    cloud: &AwsCloud,
    (region, owner): (&str, &str),
    network: &NetworkFacts,
    Bootable { want, kind, image }: &Bootable<'_>,
) {
    let name = format!("dry run {region}");
    let is_of_kind = |choice: &&cml_ec2::Choice| {
        choice.resources.as_ref().is_none_or(|it| (it.arch, choice.driver) == *kind)
    };
    let (Some(choice), Some(subnet)) = (want.types.iter().find(is_of_kind), network.subnets.first()) else {
        return checks.skip(&name, "there is no type or no subnet to ask with", None);
    };
    let market = want.markets().first().copied().unwrap_or(Market::OnDemand);
    let asked = DryLaunch {
        region,
        image,
        instance_type: &choice.name,
        subnet: &subnet.id,
        group: network.group.as_ref().map(|group| group.id.as_str()),
        market,
        owner,
        disk_gib: want.query.disk_gib,
        tags: &want.tags,
        instance_profile: want.instance_profile.as_deref(),
    };
    match cloud.dry_launch(&asked).await {
        Ok(DryRun::Ok) => {
            checks.ok(&name, format!("EC2 would launch {} ({market}) in {}", choice.name, subnet.zone));
        }
        // A zone without this type does not exclude the others.
        Ok(DryRun::NotSold) => {
            checks.skip(&name, format!("{} does not sell {}", subnet.zone, choice.name), None);
        }
        Err(error) => failed(checks, &name, &error),
    }
}
