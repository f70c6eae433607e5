//! The supply: each machine with its launch, its instance and its runner.

use std::collections::{BTreeMap, BTreeSet};

use cml_cloud::{Deadline, Instance, InstanceId, LaunchId};
use jiff::{SignedDuration, Timestamp};

use crate::input::{JobState, LaunchRecord, PlanningInput, RunnerStatus};

/// How long a launch may have a machine that does not show yet, whichever process executes it. EC2's describes lag by seconds; a call
/// may hang for half a minute and be repeated.
pub const UNSEEN_GRACE: SignedDuration = SignedDuration::from_mins(5);

/// A poll of all jobs comes within this after a runner was seen busy, and shows which job it has.
const JOB_SHOWS_WITHIN: SignedDuration = SignedDuration::from_secs(90);

/// What a machine is doing, as far as it counts for jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// On its way: its runner has never been online.
    Starting,
    /// Online, without a job, since then.
    Idle(Timestamp),
    /// Has a job, or it is not known that it has none.
    Busy,
    /// Its runner was online and is gone: it has done its job and powers off.
    Done,
    /// The cloud is about to interrupt it, or terminates it.
    Terminating,
}

/// One machine, or the intent to launch one.
#[derive(Clone, Debug)]
pub(crate) struct Machine<'a> {
    pub(crate) launch: Option<LaunchId>,
    pub(crate) record: Option<&'a LaunchRecord>,
    pub(crate) instance: Option<&'a Instance>,
    pub(crate) runner: Option<&'a RunnerStatus>,
    pub(crate) phase: Phase,
}

impl Machine<'_> {
    pub(crate) fn spec(&self) -> Option<&str> {
        self.record.map(|record| record.spec.as_str())
    }

    /// Returns its runner's labels: as GitHub lists them, else as they were or will be registered.
    pub(crate) fn labels<'a>(&'a self, record: &'a LaunchRecord) -> &'a [String] {
        self.runner.map_or(&record.labels, |runner| &runner.labels)
    }

    pub(crate) fn instance_id(&self) -> Option<&InstanceId> {
        self.instance.map(|instance| &instance.id)
    }

    /// Returns the tag's deadline first: the machine itself obeys it.
    pub(crate) fn deadline(&self) -> Option<Deadline> {
        self.instance.and_then(|instance| instance.deadline).or(self.record.map(|record| record.deadline))
    }

    /// Returns true for a machine that a queued job may still get, or has just got: GitHub shows the runner busy at once and the job
    /// queued for some seconds more, and without counting it there would be a second machine for that job.
    pub(crate) fn is_free_or_just_taken(&self, now: Timestamp) -> bool {
        match self.phase {
            Phase::Starting | Phase::Idle(_) => true,
            Phase::Busy => self
                .record
                .and_then(|record| record.busy_unknown_since)
                .is_some_and(|since| now.duration_since(since) < JOB_SHOWS_WITHIN),
            Phase::Done | Phase::Terminating => false,
        }
    }
}

/// Returns all machines, oldest launch first, then those that no record explains.
pub(crate) fn machines(observed: &PlanningInput, now: Timestamp) -> Vec<Machine<'_>> {
    let launch_of = |runner: &RunnerStatus| LaunchId::from_runner_name(&runner.name);
    let runners: BTreeMap<LaunchId, &RunnerStatus> =
        observed.runners.iter().flatten().filter_map(|runner| Some((launch_of(runner)?, runner))).collect();
    let mut instances: BTreeMap<LaunchId, &Instance> = BTreeMap::new();
    for instance in observed.instances.iter().flatten() {
        let Some(launch) = instance.launch else { continue };
        let known = instances.entry(launch).or_insert(instance);
        // A dead one may still show with a living one of the same launch: the living one counts.
        if instance.is_alive() && !known.is_alive() {
            *known = instance;
        }
    }
    // GitHub's list of jobs counts as much as its list of runners.
    let running = observed.jobs.iter().flatten().filter(|job| job.state == JobState::Running);
    let at_work: BTreeSet<LaunchId> =
        running.filter_map(|job| LaunchId::from_runner_name(job.runner.as_deref()?)).collect();
    let mut records: Vec<&LaunchRecord> = observed.launches.iter().collect();
    records.sort_by_key(|record| record.id);
    let mut all: Vec<Machine<'_>> = Vec::new();
    for record in records {
        let instance = instances.remove(&record.id);
        let runner = runners.get(&record.id).copied();
        let Some(phase) = phase(observed, record, instance, runner, now) else { continue };
        // One answer that shows it without a job is no evidence against another one that shows it at work (L3).
        let is_at_work = at_work.contains(&record.id) && phase != Phase::Terminating;
        let phase = if is_at_work { Phase::Busy } else { phase };
        all.push(Machine { launch: Some(record.id), record: Some(record), instance, runner, phase });
    }
    let explained: BTreeSet<&InstanceId> = all.iter().filter_map(Machine::instance_id).collect();
    let unexplained: Vec<&Instance> = observed
        .instances
        .iter()
        .flatten()
        .filter(|instance| instance.is_alive() && !explained.contains(&instance.id))
        .collect();
    for instance in unexplained {
        let runner = instance.launch.and_then(|launch| runners.get(&launch).copied());
        // No record has its decision: until its deadline it may be at work for another controller.
        all.push(Machine {
            launch: instance.launch,
            record: None,
            instance: Some(instance),
            runner,
            phase: Phase::Busy,
        });
    }
    all
}

/// Returns the phase; none once the launch is over.
fn phase(
    observed: &PlanningInput,
    record: &LaunchRecord,
    instance: Option<&Instance>,
    runner: Option<&RunnerStatus>,
    now: Timestamp,
) -> Option<Phase> {
    use cml_cloud::InstanceState::{Pending, Running, Stopped, Stopping, Terminated};
    // Whatever the cloud shows (a person may have removed the tags): a runner that is connected runs somewhere.
    let is_connected = runner.is_some_and(|runner| runner.online || runner.busy);
    let would_show = observed.instances.is_some() && record.would_show(&observed.silent_regions, now);
    match (instance.map(|instance| instance.state), would_show) {
        (Some(Terminated), _) => return None,
        (Some(Stopping | Stopped), _) => return Some(Phase::Terminating),
        // The cloud was asked and shows nothing: too young to show, or over.
        (None, true) if record.watched_for > record.shows_within && !is_connected => return None,
        (None | Some(Pending | Running), _) => {}
    }
    if record.notice_at.is_some() {
        return Some(Phase::Terminating);
    }
    Some(match (runner, observed.runners.is_some()) {
        (Some(runner), _) if runner.busy => Phase::Busy,
        (Some(runner), _) if runner.online => Phase::Idle(record.idle_since.unwrap_or(now)),
        // Registered before its machine boots, and offline until then. Offline later is no proof of anything.
        (Some(_), _) if record.online_at.is_none() => Phase::Starting,
        (Some(_), _) => Phase::Busy,
        (None, true) if record.online_at.is_some() => Phase::Done,
        (None, true) => Phase::Starting,
        (None, false) if record.online_at.is_none() => Phase::Starting,
        // GitHub did not answer: not sure whether it is busy means busy (L3).
        (None, false) => Phase::Busy,
    })
}
