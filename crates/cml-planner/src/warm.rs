//! Warm machines: how many a spec keeps ready.

use cml_spec::Spec;
use jiff::Timestamp;

/// Returns the number of idle machines to keep ready now.
pub(crate) fn warm_count(spec: &Spec, now: Timestamp) -> u32 {
    let active = |hours: &Option<cml_spec::WarmHours>| hours.as_ref().is_none_or(|hours| hours.contains(now));
    spec.warm.iter().filter(|warm| active(&warm.hours)).map(|warm| warm.count).max().unwrap_or(0)
}
