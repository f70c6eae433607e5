//! Rate limit of registrations, below GitHub's secondary limits, which cannot be queried in advance: 900 points a
//! minute, 5 for a call that writes.
//! <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits>

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);

/// Registrations a minute on github.com. The burst is as large as what is earned in the next minute, so no minute has
/// more than twice as many: 750 of 900 points; the others are for reading and, above all, for removing.
pub(crate) const PER_MINUTE: u32 = 75;

/// A limiter with a burst, followed by a constant rate.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    /// Rate; `None`: no limit.
    per_minute: Option<u32>,
    /// Time at which everything taken will have been earned.
    earned: Mutex<Option<Instant>>,
}

impl RateLimiter {
    pub(crate) fn new(per_minute: Option<u32>) -> Self {
        Self { per_minute: per_minute.filter(|&most| most > 0), earned: Mutex::default() }
    }

    /// Waits until the next registration may be sent, in the order of the calls.
    pub(crate) async fn next(&self) {
        let Some(per_minute) = self.per_minute else { return };
        let go = {
            let now = Instant::now();
            // A panicked thread has left a value that is still valid.
            let mut earned = self.earned.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let after = earned.unwrap_or(now).max(now) + MINUTE / per_minute;
            *earned = Some(after);
            after.checked_sub(MINUTE).unwrap_or(now)
        };
        tokio::time::sleep_until(go).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the seconds after which each of so many was allowed.
    async fn times(pace: &RateLimiter, many: u32) -> Vec<u64> {
        let began = Instant::now();
        let mut times = Vec::new();
        for _ in 0..many {
            pace.next().await;
            times.push(began.elapsed().as_secs());
        }
        times
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_at_once_and_what_is_beyond_it_at_the_rate() {
        let pace = RateLimiter::new(Some(60));
        let times = times(&pace, 100).await;
        assert!(times[..60].iter().all(|&time| time == 0), "{times:?}");
        assert_eq!(times[60..], (1..=40).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn no_minute_has_more_than_twice_the_rate_and_a_quiet_minute_earns_a_burst_again() {
        let pace = RateLimiter::new(Some(PER_MINUTE));
        let all = times(&pace, 300).await;
        for start in 0..300 {
            let within = all.iter().filter(|&&time| time >= start && time < start + 60).count();
            assert!(within <= 2 * PER_MINUTE as usize, "{within} from {start} s on");
        }
        tokio::time::sleep(MINUTE).await;
        assert_eq!(times(&pace, PER_MINUTE).await.last(), Some(&0));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_nobody_waits() {
        assert_eq!(times(&RateLimiter::new(None), 1000).await.last(), Some(&0));
    }
}
