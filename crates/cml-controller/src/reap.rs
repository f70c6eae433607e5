//! Reaps: terminates machines that are past their deadline or that have no runner, and removes registrations without a machine.
//!
//! This is the second safety net. The first is the machine itself, which powers off at its deadline without help.

use cml_cloud::{ByRegion, Cloud, CloudError, Instance, InstanceFilter, InstanceId, LaunchId, RegionFailure};
use cml_github::{GitHubError, Removal, Runner};
use jiff::{SignedDuration, Timestamp};

use crate::clock::wrong_clock;
use crate::forge::Forge;
use crate::undo_log::terminate;

/// Why a machine was terminated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReapReason {
    /// Its deadline has passed.
    DeadlinePassed,
    /// It is older than the grace and GitHub has no runner for it.
    NoRunner,
}

impl std::fmt::Display for ReapReason {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::DeadlinePassed => "its deadline has passed",
            Self::NoRunner => "GitHub has no runner for it",
        })
    }
}

/// The result of a pass.
#[derive(Debug, Default)]
pub struct ReapReport {
    /// Machines that were terminated (or would be).
    pub instances: Vec<(Instance, ReapReason)>,
    /// Registrations that were removed (or would be).
    pub runners: Vec<String>,
    /// Launch templates of killed launches that were removed (or would be).
    pub swept: Vec<String>,
    /// Machines that could not be terminated, with the reason.
    pub failed: Vec<(InstanceId, CloudError)>,
    /// Regions that did not answer: no machine was terminated there, and no registration was removed whose machine may be there.
    pub silent: Vec<RegionFailure>,
    /// Why GitHub could not be asked: only deadlines counted then.
    pub github_error: Option<GitHubError>,
    /// How far the clock is ahead of GitHub's, where it is too wrong to decide what is late: nothing was done.
    pub wrong_clock: Option<SignedDuration>,
}

/// Returns why this machine should be terminated now, if it should.
///
/// `runners` is `None` when GitHub could not be asked: then only the deadline counts (not sure means busy, L3).
#[must_use]
pub fn reap_reason(
    instance: &Instance,
    runners: Option<&[Runner]>,
    now: Timestamp,
    grace: SignedDuration,
) -> Option<ReapReason> {
    if !instance.is_alive() {
        return None;
    }
    if instance.deadline.is_some_and(|deadline| deadline.passed(now)) {
        return Some(ReapReason::DeadlinePassed);
    }
    let name = instance.runner_name.as_ref()?;
    let old_enough = now.duration_since(instance.started_at) > grace;
    let unknown_at_github = runners?.iter().all(|runner| !runner.name.eq_ignore_ascii_case(name));
    (old_enough && unknown_at_github).then_some(ReapReason::NoRunner)
}

/// Makes one pass over everything that belongs to the GitHub scope of `github`. With `dry_run` nothing is changed.
///
/// # Errors
/// [`CloudError`] when the machines cannot be listed. Single failures are in the report.
pub async fn reap<C: Cloud, F: Forge>(
    filter: &InstanceFilter,
    now: Timestamp,
    grace: SignedDuration,
    dry_run: bool,
    cloud: &C,
    github: &F,
) -> Result<ReapReport, CloudError> {
    // The cloud first: a machine that is launched after this request is not in the list, and its runner is too young to be removed.
    let ByRegion { found: instances, failed: silent } = cloud.instances(filter).await?;
    let mut report = ReapReport { silent, ..ReapReport::default() };
    let runners = match github.runners(None).await {
        Ok(runners) => Some(runners),
        Err(error) => {
            report.github_error = Some(error);
            None
        }
    };
    report.wrong_clock = wrong_clock(github, now);
    if report.wrong_clock.is_some() {
        return Ok(report);
    }
    for instance in &instances {
        let Some(finding) = reap_reason(instance, runners.as_deref(), now, grace) else { continue };
        if finding == ReapReason::NoRunner && !is_unknown(instance, github).await {
            continue;
        }
        if !dry_run && let Err(error) = terminate(cloud, &instance.region, &instance.id).await {
            report.failed.push((instance.id.clone(), error));
            continue;
        }
        report.instances.push((instance.clone(), finding));
    }
    // A region that does not answer may have the machine of any registration.
    let orphans = runners.iter().flatten().filter(|_| report.silent.is_empty());
    for runner in orphans.filter(|runner| is_orphan(runner, &instances, now, grace)) {
        let removed = dry_run || matches!(github.remove_runner(runner.id).await, Ok(Removal::Removed));
        if removed {
            report.runners.push(runner.name.clone());
        }
    }
    let older_than = now.checked_sub(grace).unwrap_or(Timestamp::MIN);
    let ByRegion { found: swept, failed } = cloud.collect_garbage(filter, older_than, dry_run).await?;
    report.swept = swept;
    let is_new = |failure: &RegionFailure| report.silent.iter().all(|known| known.region != failure.region);
    let failed: Vec<RegionFailure> = failed.into_iter().filter(is_new).collect();
    report.silent.extend(failed);
    Ok(report)
}

/// Asks GitHub once more about this one runner: a list that lacks it is no evidence (L3).
async fn is_unknown<F: Forge>(instance: &Instance, github: &F) -> bool {
    let Some(name) = &instance.runner_name else { return false };
    match github.runners(Some(name)).await {
        Ok(found) => found.iter().all(|runner| !runner.name.eq_ignore_ascii_case(name)),
        Err(error) => {
            tracing::warn!(%error, id = %instance.id, "not ended: GitHub cannot say whether it has a runner");
            false
        }
    }
}

fn is_orphan(runner: &Runner, instances: &[Instance], now: Timestamp, grace: SignedDuration) -> bool {
    let Some(launch) = LaunchId::from_runner_name(&runner.name) else { return false };
    let has_machine = instances.iter().any(|instance| instance.is_alive() && instance.launch == Some(launch));
    !runner.online && !runner.busy && !has_machine && now.duration_since(launch.made_at()) > grace
}

#[cfg(test)]
mod tests {
    use cml_cloud::{Deadline, InstanceState, Market};

    use super::*;

    const GRACE: SignedDuration = SignedDuration::from_mins(15);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("in range")
    }

    fn instance() -> Instance {
        Instance {
            spec: None,
            ended_at: None,
            id: InstanceId("i-1".to_owned()),
            launch: None,
            state: InstanceState::Running,
            region: "us-east-1".to_owned(),
            zone: None,
            instance_type: "g4dn.xlarge".to_owned(),
            market: Market::Spot,
            started_at: at(0),
            deadline: Some(Deadline(at(10_000))),
            owner: None,
            controller: None,
            runner_name: Some("cml-a".to_owned()),
            ended_because: None,
            is_interrupted: false,
        }
    }

    #[test]
    fn a_machine_past_its_deadline_is_ended_even_when_github_is_down() {
        assert_eq!(reap_reason(&instance(), None, at(10_000), GRACE), Some(ReapReason::DeadlinePassed));
    }

    #[test]
    fn a_machine_without_a_runner_is_ended_after_the_grace_only() {
        assert_eq!(reap_reason(&instance(), Some(&[]), at(800), GRACE), None);
        assert_eq!(reap_reason(&instance(), Some(&[]), at(1000), GRACE), Some(ReapReason::NoRunner));
    }

    #[test]
    fn not_knowing_the_runners_means_busy() {
        assert_eq!(reap_reason(&instance(), None, at(5000), GRACE), None);
    }

    #[test]
    fn a_dead_machine_is_left_alone() {
        let dead = Instance { state: InstanceState::Terminated, ..instance() };
        assert_eq!(reap_reason(&dead, Some(&[]), at(20_000), GRACE), None);
    }
}
