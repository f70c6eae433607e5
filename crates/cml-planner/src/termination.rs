//! Termination: which machines and registrations must end, and why. Busy machines end at their deadline only (L3).

use std::collections::BTreeSet;
use std::fmt;

use cml_cloud::LaunchId;
use cml_spec::{Idle, Spec};
use jiff::{SignedDuration, Timestamp};

use crate::idle_timeout::auto_idle_timeout;
use crate::input::{PlanningInput, RunnerStatus};
use crate::supply::{Machine, Phase};

/// How long a machine has to power itself off before the controller terminates it.
pub(crate) const SELF_SHUTDOWN_GRACE: SignedDuration = SignedDuration::from_mins(5);
/// How long a registration without a machine is kept: its machine may be about to show.
pub(crate) const ORPHAN_GRACE: SignedDuration = SignedDuration::from_mins(15);
/// Lifetime of one of our machines that has lost its deadline: the longest job that GitHub allows.
const WITHOUT_DEADLINE: SignedDuration = SignedDuration::from_hours(5 * 24);

/// Why a machine or a registration is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TerminationReason {
    /// Its deadline has passed.
    Deadline,
    /// Its runner never came online in its time.
    NeverRegistered,
    /// Its runner has done its job and it has not ended by itself.
    Finished,
    /// It has had no job for its idle time-out.
    Idle,
    /// The registration has no machine.
    NoMachine,
}

impl fmt::Display for TerminationReason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Deadline => "its deadline has passed",
            Self::NeverRegistered => "its runner never came online",
            Self::Finished => "its job is done and it has not gone by itself",
            Self::Idle => "it has had no job for its idle time-out",
            Self::NoMachine => "it has no machine",
        })
    }
}

/// Returns why this machine must end now, except for idleness. `github_answered`: without GitHub's answer a machine whose runner was
/// never seen may still be at work.
pub(crate) fn must_terminate(
    machine: &Machine<'_>,
    spec: Option<&Spec>,
    github_answered: bool,
    now: Timestamp,
) -> Option<TerminationReason> {
    let instance = machine.instance?;
    let deadline = machine.deadline().map(|deadline| deadline.0);
    let deadline = deadline.or(instance.started_at.checked_add(WITHOUT_DEADLINE).ok());
    if deadline.is_some_and(|deadline| now.duration_since(deadline) >= SELF_SHUTDOWN_GRACE) {
        return Some(TerminationReason::Deadline);
    }
    let record = machine.record?;
    let older = |since: Timestamp, than: SignedDuration| now.duration_since(since) > than;
    match machine.phase {
        Phase::Starting => {
            let limit = spec.map_or(ORPHAN_GRACE, |spec| spec.boot_timeout) + SELF_SHUTDOWN_GRACE;
            (github_answered && record.watched_for > limit).then_some(TerminationReason::NeverRegistered)
        }
        Phase::Done => {
            let since = record.idle_since.or(record.online_at).unwrap_or(record.intended_at);
            older(since, SELF_SHUTDOWN_GRACE).then_some(TerminationReason::Finished)
        }
        Phase::Idle(_) | Phase::Busy | Phase::Terminating => None,
    }
}

/// Returns the idle timeout of a spec; none when idleness ends no machine.
pub(crate) fn idle_timeout(observed: &PlanningInput, spec: &Spec) -> Option<SignedDuration> {
    match spec.idle {
        Idle::Never => None,
        Idle::After(timeout) => Some(timeout),
        Idle::Auto { cold_start, max } => {
            let gaps = observed.gaps_seconds.get(&spec.name).map_or(&[] as &[u64], Vec::as_slice);
            Some(auto_idle_timeout(gaps, cold_start, max))
        }
    }
}

/// Returns our registrations without a machine, only when both GitHub and the cloud have answered.
pub(crate) fn orphans<'a>(
    observed: &'a PlanningInput,
    machines: &[Machine<'_>],
    now: Timestamp,
) -> Vec<&'a RunnerStatus> {
    if observed.instances.is_none() {
        return Vec::new();
    }
    let alive: BTreeSet<LaunchId> = machines.iter().filter_map(|machine| machine.launch).collect();
    let is_orphan = |runner: &&RunnerStatus| {
        // What this controller has not launched is a foreign runner.
        let launch = LaunchId::from_runner_name(&runner.name).filter(|launch| observed.ours.contains(launch));
        launch.is_some_and(|launch| {
            let age = now.duration_since(launch.made_at());
            !alive.contains(&launch) && !runner.online && !runner.busy && age > ORPHAN_GRACE
        })
    };
    observed.runners.iter().flatten().filter(is_orphan).collect()
}
