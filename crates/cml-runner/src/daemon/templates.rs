//! Conversion of a cml.yaml to the controller's specs and machine templates.

use std::sync::Arc;

use cml_cloud::{Image, Network, OfferQuery};
use cml_controller::{DesiredState, MachineTemplate, MachineTemplates, RunnerMode, RunnerPackageSource};
use cml_github::RunnerGroup;
use cml_spec::{CloudName, Config, Idle, Runners};
use jiff::SignedDuration;

/// Region of machines on this host.
const LOCAL_REGION: &str = cml_cloud::local::LOCAL;

/// Converts a whole file.
pub(crate) fn wanted(config: &Config, default_region: &str, packages: &RunnerPackageSource) -> DesiredState {
    let recipe = |runners: &Runners| (runners.spec.name.clone(), recipe(runners, default_region, packages));
    let recipes: MachineTemplates = config.runners.iter().map(recipe).collect();
    let specs = config.runners.iter().map(|runners| runners.spec.clone()).collect();
    DesiredState { specs, budgets: config.budgets.clone(), templates: Arc::new(recipes) }
}

fn recipe(runners: &Runners, default_region: &str, packages: &RunnerPackageSource) -> MachineTemplate {
    let spec = &runners.spec;
    MachineTemplate {
        spec: spec.name.clone(),
        labels: spec.labels.clone(),
        default_labels: spec.default_labels,
        group: spec.group.clone().map_or(RunnerGroup::Id(1), RunnerGroup::Named),
        mode: RunnerMode::Ephemeral,
        query: query(runners, default_region),
        image: Image { name: runners.image.clone() },
        network: network(runners),
        instance_profile: runners.instance_profile.clone(),
        tags: runners.tags.clone(),
        boot_timeout: spec.boot_timeout,
        idle_timeout: own_idle_timeout(runners),
        setup: runners.setup.clone(),
        packages: packages.clone(),
    }
}

/// Returns the offer query of a pool.
pub(crate) fn query(runners: &Runners, default_region: &str) -> OfferQuery {
    let regions = match runners.cloud {
        CloudName::Local => vec![LOCAL_REGION.to_owned()],
        CloudName::Aws if runners.regions.is_empty() => vec![default_region.to_owned()],
        CloudName::Aws => runners.regions.clone(),
    };
    OfferQuery {
        regions,
        types: runners.instance_types.clone(),
        needs: runners.needs.clone(),
        gpu: None,
        spot: runners.spec.spot,
        spot_price_max: runners.spot_price_max,
        network: network(runners),
        image: Image { name: runners.image.clone() },
        disk_gib: runners.disk_gib,
        cache_snapshot: runners.setup.cache.as_ref().map(|cache| cache.snapshot.clone()),
    }
}

fn network(runners: &Runners) -> Network {
    Network { subnets: runners.subnets.clone(), security_group: runners.security_group.clone() }
}

/// Returns the idle time after which the machine ends itself, whether a daemon runs or not. One that is kept warm must
/// not end itself: then only the daemon, or the deadline, ends it.
fn own_idle_timeout(runners: &Runners) -> Option<SignedDuration> {
    let spec = &runners.spec;
    if spec.min > 0 || !spec.warm.is_empty() {
        return None;
    }
    match spec.idle {
        Idle::After(timeout) => Some(timeout),
        Idle::Never => None,
        Idle::Auto { max, .. } => Some(max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe_of(keys: &str) -> MachineTemplate {
        let text = format!(
            "runners:\n  it:\n    labels: [gpu]\n    cloud: aws\n    instance_types: [g5.xlarge]\n    max: 2\n{keys}"
        );
        let config = cml_spec::read("cml.yaml", &text, &|_| Ok(Vec::new())).expect("is right");
        let wanted = wanted(&config, "eu-west-1", &RunnerPackageSource::Latest);
        wanted.templates["it"].clone()
    }

    #[test]
    fn a_machine_that_is_kept_ready_does_not_end_itself_for_being_idle() {
        assert_eq!(recipe_of("").idle_timeout, Some(SignedDuration::from_mins(5)));
        assert_eq!(recipe_of("    warm: { count: 1 }\n").idle_timeout, None);
        assert_eq!(recipe_of("    min: 1\n").idle_timeout, None);
        assert_eq!(recipe_of("    idle_timeout: never\n").idle_timeout, None);
    }

    #[test]
    fn a_spec_without_a_region_is_in_the_users_own() {
        assert_eq!(recipe_of("").query.regions, ["eu-west-1"]);
        assert_eq!(recipe_of("    regions: [us-east-1]\n").query.regions, ["us-east-1"]);
    }
}
