//! Lifetime of an instance, by a clock that cannot be set.
//!
//! The deadline is a wall-clock time, and the wall clock of your own computer may be set while a job works: by days,
//! where it was wrong. So the rest of the lease is computed once, at the start, and then measured by the time since
//! boot, which also counts while the computer sleeps.

use std::time::Duration;

use jiff::Timestamp;

use super::record::Record;

/// The time since boot at which an instance must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    until: Duration,
}

impl Lease {
    /// Returns the remaining time by the wall clock, but never more than the instance was granted: the clock may have
    /// been set back since.
    pub(super) fn of(record: &Record, now: Timestamp, since_boot: Duration) -> Self {
        let given = record.deadline.0.duration_since(record.started_at);
        let left = record.deadline.0.duration_since(now).min(given);
        Self { until: since_boot + Duration::try_from(left).unwrap_or_default() }
    }

    pub(super) fn is_over(self, since_boot: Duration) -> bool {
        since_boot >= self.until
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::SignedDuration;
    use ulid::Ulid;

    use super::super::Limits;
    use super::super::record::Phase;
    use super::*;
    use crate::{Deadline, LaunchId};

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).expect("in range")
    }

    /// Creates the record of a machine that was granted one hour at time 0.
    fn record() -> Record {
        Record {
            launch: LaunchId::new(Ulid::from_parts(1_800_000_000_000, 7)),
            attempt: 1,
            spec: "launch".to_owned(),
            owner: "acme/vision".to_owned(),
            runner_name: "cml-7".to_owned(),
            deadline: Deadline(at(0) + SignedDuration::from_hours(1)),
            tags: BTreeMap::new(),
            limits: Limits::default(),
            users: Vec::new(),
            place: None,
            started_at: at(0),
            phase: Phase::Pending,
            supervisor: None,
            cgroup: None,
            ended_at: None,
            ended_because: None,
        }
    }

    #[test]
    fn a_wall_clock_that_is_set_after_the_start_gives_neither_more_time_nor_less() {
        let booted = Duration::from_secs(500);
        let lease = Lease::of(&record(), at(60), booted);
        let left = HOUR - Duration::from_secs(60);
        assert!(!lease.is_over(booted + left - Duration::from_secs(1)));
        assert!(lease.is_over(booted + left), "whatever the wall clock says by then");
    }

    #[test]
    fn a_wall_clock_that_was_set_back_before_the_start_gives_no_more_than_the_machine_was_given() {
        let lease = Lease::of(&record(), at(-86_400), Duration::ZERO);
        assert!(!lease.is_over(HOUR - Duration::from_secs(1)));
        assert!(lease.is_over(HOUR));
    }

    #[test]
    fn a_machine_whose_deadline_has_passed_before_its_start_ends_at_once() {
        let booted = Duration::from_secs(500);
        assert!(Lease::of(&record(), at(3601), booted).is_over(booted));
    }
}
