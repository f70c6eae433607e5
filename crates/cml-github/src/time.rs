//! GitHub's time, by the `Date` of its answers: the clock of this machine may be wrong by any amount.
//! <https://www.rfc-editor.org/rfc/rfc9110#field.date>

use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// The time of an answer.
#[derive(Clone, Copy, Debug)]
pub struct GitHubTime {
    /// Time by GitHub's clock.
    pub at: Timestamp,
    /// Time by this process's monotonic clock.
    pub received: Instant,
}

impl GitHubTime {
    /// Returns how far a clock that shows `wall` now is ahead of GitHub's; negative where it is behind.
    #[must_use]
    pub fn ahead(&self, wall: Timestamp) -> SignedDuration {
        let passed = SignedDuration::try_from(self.received.elapsed()).unwrap_or(SignedDuration::MAX);
        wall.duration_since(self.at).saturating_sub(passed)
    }
}

/// The time of the latest answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct LatestTime(Arc<Mutex<Option<GitHubTime>>>);

impl LatestTime {
    pub(crate) fn get(&self) -> Option<GitHubTime> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, at: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(GitHubTime { at, received: Instant::now() });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_is_noticed_without_another_answer() {
        let time = GitHubTime { at: Timestamp::UNIX_EPOCH, received: Instant::now() };
        tokio::time::sleep(Duration::from_secs(600)).await;
        let wall = |seconds| Timestamp::from_second(seconds).expect("a time");
        assert_eq!(time.ahead(wall(600)), SignedDuration::ZERO);
        assert_eq!(time.ahead(wall(660)), SignedDuration::from_secs(60));
        assert_eq!(time.ahead(wall(0)), SignedDuration::from_secs(-600));
    }
}
