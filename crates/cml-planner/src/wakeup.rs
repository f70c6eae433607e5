//! When time alone changes a plan: the control loop observes again then.

use cml_cloud::Deadline;
use jiff::{SignedDuration, Timestamp};

use crate::input::PlanningInput;
use crate::plan::Waiting;
use crate::supply::{Machine, Phase};
use crate::termination::{self, SELF_SHUTDOWN_GRACE};
use crate::wait_reason::WaitReason;

/// Returns the first time after `now` at which the same observation may lead to another plan; none when nothing is due.
pub(crate) fn next_look_at(
    observed: &PlanningInput,
    machines: &[Machine<'_>],
    waiting: &[Waiting],
    now: Timestamp,
) -> Option<Timestamp> {
    let after = |at: Timestamp, time: SignedDuration| at.checked_add(time).ok();
    let of_machine = |machine: &Machine<'_>| {
        let spec = observed.specs.iter().find(|spec| machine.spec() == Some(spec.name.as_str()));
        let by_phase = match (machine.phase, machine.record, spec) {
            (Phase::Idle(since), _, Some(spec)) => {
                termination::idle_timeout(observed, spec).and_then(|timeout| after(since, timeout))
            }
            (Phase::Starting, Some(record), Some(spec)) => {
                after(record.intended_at, spec.boot_timeout + SELF_SHUTDOWN_GRACE)
            }
            (Phase::Done, Some(record), _) => after(
                record.idle_since.or(record.online_at).unwrap_or(record.intended_at),
                SELF_SHUTDOWN_GRACE,
            ),
            _ => None,
        };
        let by_deadline =
            machine.deadline().and_then(|Deadline(deadline)| after(deadline, SELF_SHUTDOWN_GRACE));
        [by_phase, by_deadline]
    };
    let of_refusal = |waiting: &Waiting| match &waiting.why {
        WaitReason::Refused { again_at, .. } => *again_at,
        WaitReason::Budget { balance, .. } => Some(balance.renews_at),
        _ => None,
    };
    let mut hours = observed.specs.iter().flat_map(|spec| &spec.warm).filter_map(|warm| warm.hours.as_ref());
    let all = machines
        .iter()
        .flat_map(of_machine)
        .flatten()
        .chain(waiting.iter().filter_map(of_refusal))
        // Warm hours begin and end on whole minutes, and no pause is longer than a minute.
        .chain(next_minute(now).filter(|at| hours.any(|it| it.contains(*at) != it.contains(now))));
    all.filter(|at| *at > now).min()
}

fn next_minute(now: Timestamp) -> Option<Timestamp> {
    Timestamp::from_second((now.as_second().div_euclid(60) + 1) * 60).ok()
}
