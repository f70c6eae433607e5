//! Checks of quotas: whether each target could have its smallest machine in one of its markets, and all of its machines
//! at once.

use std::collections::BTreeMap;

use cml_aws::AwsCloud;
use cml_cloud::{CloudError, Market};
use cml_ec2::quotas::QuotaClass;

use super::aws::not_seen;
use super::checks::Checks;
use super::targets::LaunchTarget;

/// vCPU quotas by class and market; `None` where it is unknown.
type Quotas = BTreeMap<(QuotaClass, Market), Option<u64>>;

pub(super) async fn look(checks: &mut Checks, cloud: &AwsCloud, region: &str, wants: &[&LaunchTarget]) {
    let name = format!("quota {region}");
    let mut quotas = Quotas::new();
    for key in wants.iter().flat_map(|want| smallest(want).into_keys()) {
        if quotas.contains_key(&key) {
            continue;
        }
        let known = match quota_of(cloud, region, key).await {
            Ok(vcpus) => vcpus,
            Err(error) => {
                not_seen(checks, &name, "servicequotas:GetServiceQuota", &error);
                None
            }
        };
        quotas.insert(key, known);
    }
    for ((class, market), vcpus) in &quotas {
        if let Some(vcpus) = vcpus {
            judge(checks, &name, region, (*class, *market, *vcpus), wants, &quotas);
        }
    }
}

/// Returns a vCPU quota; `None` where AWS has no such quota.
async fn quota_of(
    cloud: &AwsCloud,
    region: &str,
    (class, market): (QuotaClass, Market),
) -> Result<Option<u64>, CloudError> {
    let Some(asked) = class.quota(market) else { return Ok(None) };
    Ok(cloud.quota(region, asked).await?.map(|quota| quota.vcpus))
}

/// Returns the vCPUs of the smallest suitable machine, by quota class.
fn smallest(want: &LaunchTarget) -> BTreeMap<(QuotaClass, Market), u64> {
    let mut all = BTreeMap::new();
    for choice in &want.types {
        if let (Some(class), Some(has)) = (QuotaClass::of(&choice.name), &choice.resources) {
            for market in want.markets() {
                let vcpus = u64::from(has.vcpus);
                let entry = all.entry((class, *market)).or_insert(vcpus);
                *entry = vcpus.min(*entry);
            }
        }
    }
    all
}

/// Returns whether the quotas allow any machine; unknown quotas count as sufficient.
fn may_be_had(want: &LaunchTarget, quotas: &Quotas) -> bool {
    let has_others =
        want.types.iter().any(|choice| QuotaClass::of(&choice.name).is_none() || choice.resources.is_none());
    let fits = |(key, vcpus): (&(QuotaClass, Market), &u64)| {
        quotas.get(key).copied().flatten().is_none_or(|quota| *vcpus <= quota)
    };
    has_others || smallest(want).iter().any(fits)
}

fn judge(
    checks: &mut Checks,
    name: &str,
    region: &str,
    (class, market, vcpus): (QuotaClass, Market, u64),
    wants: &[&LaunchTarget],
    quotas: &Quotas,
) {
    let of_this =
        |want: &&LaunchTarget| Some((want.name.clone(), want.max, *smallest(want).get(&(class, market))?));
    let asking: Vec<(String, u64, u64)> = wants.iter().filter_map(of_this).collect();
    let all: u64 = asking.iter().map(|(_, max, smallest)| max * smallest).sum();
    let Some(cml_ec2::quotas::ServiceQuota { code, .. }) = class.quota(market) else { return };
    let fix = format!(
        "ask for {all} at https://{region}.console.aws.amazon.com/servicequotas/home/services/ec2/quotas/{code}\n\
         (it can take a day), or by\n\
         aws service-quotas request-service-quota-increase --region {region} --service-code ec2 --quota-code {code} --desired-value {all}"
    );
    let found = format!("{vcpus} vCPUs of {} ({market})", class.name);
    let too_large: Vec<&(String, u64, u64)> =
        asking.iter().filter(|(_, _, smallest)| *smallest > vcpus).collect();
    if let Some((_, _, least)) = too_large.first() {
        let names: Vec<&str> = too_large.iter().map(|(name, ..)| name.as_str()).collect();
        let has_none =
            |want: &&&LaunchTarget| names.contains(&want.name.as_str()) && !may_be_had(want, quotas);
        let found = format!("{found}: no machine of {} fits, the smallest has {least}", names.join(", "));
        if wants.iter().any(|want| has_none(&want)) {
            checks.fail(name, found, fix);
        } else {
            checks.warn(name, format!("{found}; it is bought otherwise"), fix);
        }
        return;
    }
    let names: Vec<&str> = asking.iter().map(|(name, ..)| name.as_str()).collect();
    let names = names.join(", ");
    if vcpus < all {
        checks.warn(name, format!("{found}: {names} may want {all} at once"), fix);
    } else {
        checks.ok(name, format!("{found}, {all} wanted at most by {names}"));
    }
}
