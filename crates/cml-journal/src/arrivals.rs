//! Arrival times of the jobs of one pool.

use cml_planner::JobId;
use jiff::Timestamp;

/// Maximum number of gaps remembered per pool.
const GAPS_MAX: usize = 200;

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Arrivals {
    last: Option<(JobId, Timestamp)>,
    gaps_seconds: Vec<u64>,
}

impl Arrivals {
    pub(crate) fn add(&mut self, job: JobId, at: Timestamp) {
        if let Some((last, before)) = self.last {
            if last == job {
                return;
            }
            self.gaps_seconds.push(u64::try_from(at.duration_since(before).as_secs()).unwrap_or(0));
            let over = self.gaps_seconds.len().saturating_sub(GAPS_MAX);
            self.gaps_seconds.drain(..over);
        }
        self.last = Some((job, at));
    }

    /// Returns the seconds between arrivals, the latest last.
    pub(crate) fn gaps_seconds(&self) -> &[u64] {
        &self.gaps_seconds
    }
}
