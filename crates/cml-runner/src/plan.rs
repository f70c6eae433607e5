//! `cml-runner plan`: what a cml.yaml would launch now. Reads only, and changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use cml_cloud::{Cloud, Instance, InstanceFilter, RegionFailure};
use cml_controller::reconcile::{Clocks, Observation, Reconciler};
use cml_controller::{Forge, LAUNCH};
use cml_journal::MemoryJournal;
use cml_planner::RunnerStatus;
use serde_json::json;

use crate::actions::now;
use crate::args::{self, Global};
use crate::cloud_router::CloudRouter;
use crate::context;
use crate::daemon::query;
use crate::exit::{CliError, ExitCode};
use crate::progress::Progress;

/// The daemon that the plan is made for.
const DAEMON: &str = "the daemon";

fn why_unanswered(failed: &[RegionFailure]) -> Vec<String> {
    failed.iter().map(|failure| format!("{}: {}", failure.region, failure.error.cause_and_cure())).collect()
}

pub(crate) async fn plan(global: &Global, args: &args::Plan) -> Result<String, CliError> {
    let config = crate::validate::read(&args.spec)?;
    let github = context::github_with(
        global,
        "set REPO_TOKEN to a fine-grained token with \"Actions: read\" and \"Administration: read\" (organization: \
         \"Self-hosted runners: read\"), or use --app-id and --app-key-file",
    )?;
    let all = BTreeSet::new();
    let (jobs, runners) = tokio::join!(Forge::jobs(&github, &[], &all), github.runners(None));
    let region = context::default_region();
    let cloud = CloudRouter::open(&region, args.state.state_dir.clone())?;
    let mut offers = BTreeMap::new();
    let mut unanswered = BTreeMap::new();
    let mut regions: BTreeSet<String> = BTreeSet::new();
    for runners in &config.runners {
        let query = query(runners, &region);
        let name = &runners.spec.name;
        // A failure of one pool or region does not affect the others.
        match cloud.offers(&query).await {
            Ok(sold) => {
                let whys = why_unanswered(&sold.failed);
                for why in &whys {
                    Progress::new(false).warn(&format!("{name} cannot buy in {why}"));
                }
                unanswered.insert(name.clone(), whys);
                offers.insert(name.clone(), sold.found);
            }
            Err(error) => {
                let why = format!("{}: {}", error.doing, error.cause_and_cure());
                unanswered.insert(name.clone(), vec![why]);
            }
        }
        regions.extend(query.regions);
    }
    let filter = InstanceFilter {
        regions: regions.into_iter().collect(),
        owner: Some(github.scope()),
        ..InstanceFilter::default()
    };
    let shown = crate::machines::told_of(cloud.instances(&filter).await?);
    let silent_regions: BTreeSet<String> = shown.failed.into_iter().map(|failure| failure.region).collect();
    let name = args.controller.as_deref();
    let instances = shown.found.into_iter().map(|instance| as_the_daemons(instance, name)).collect();
    let known = |runner: cml_github::Runner| RunnerStatus {
        id: runner.id,
        name: runner.name,
        online: runner.online,
        busy: runner.busy,
        labels: runner.labels,
    };
    let look = Observation {
        jobs: Some(jobs?.jobs),
        instances: Some(instances),
        silent_regions,
        unanswered,
        runners: Some(runners?.into_iter().map(known).collect()),
        offers,
        ..Observation::default()
    };
    let specs = config.runners.iter().map(|runners| runners.spec.clone()).collect();
    let failed = |error: cml_journal::JournalError| CliError::new(ExitCode::Failed, error.to_string());
    let mut fleet = Reconciler::open(MemoryJournal::default(), specs).map_err(failed)?;
    fleet.set_budgets(config.budgets.clone());
    fleet.name(Some(DAEMON), now(), &String::new).map_err(failed)?;
    let clocks = Clocks { wall: now(), uptime: std::time::Duration::ZERO };
    let plan = fleet.dry_run(look, clocks).map_err(failed)?;
    if !global.json {
        return Ok(plan.to_string());
    }
    let actions: Vec<String> = plan.actions.iter().map(ToString::to_string).collect();
    let waiting: Vec<_> =
        plan.waiting.iter().map(|it| json!({"job": it.job, "why": it.why.to_string()})).collect();
    Ok(format!("{}\n", json!({"actions": actions, "waiting": waiting})))
}

/// Makes an instance the daemon's own. A plan has no journal: without the daemon's name, machines of pools count as its
/// own, whichever daemon made them.
fn as_the_daemons(instance: Instance, name: Option<&str>) -> Instance {
    let tagged = instance.controller.as_deref();
    let is_its_own = name.map_or(tagged != Some(LAUNCH), |name| tagged == Some(name));
    if is_its_own { Instance { controller: Some(DAEMON.to_owned()), ..instance } } else { instance }
}

#[cfg(test)]
mod tests {
    use cml_cloud::{InstanceId, InstanceState, Market};
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn machines_of_launch_steps_and_of_other_daemons_are_not_the_daemons() {
        let is_counted = |tagged: Option<&str>, name: Option<&str>| {
            let instance = Instance {
                id: InstanceId("i-1".to_owned()),
                launch: None,
                spec: None,
                state: InstanceState::Running,
                region: "us-east-1".to_owned(),
                zone: None,
                instance_type: "t3.micro".to_owned(),
                market: Market::Spot,
                started_at: Timestamp::UNIX_EPOCH,
                ended_at: None,
                deadline: None,
                owner: None,
                controller: tagged.map(str::to_owned),
                runner_name: None,
                ended_because: None,
                is_interrupted: false,
            };
            as_the_daemons(instance, name).controller.as_deref() == Some(DAEMON)
        };
        assert!(is_counted(Some("a"), None) && is_counted(None, None) && !is_counted(Some(LAUNCH), None));
        assert!(is_counted(Some("a"), Some("a")) && !is_counted(Some("b"), Some("a")));
        assert!(!is_counted(None, Some("a")) && !is_counted(Some(LAUNCH), Some("a")));
    }
}
