//! How long an idle machine is worth keeping.
//!
//! Keeping a machine costs its price; letting it go costs a cold start when the next job comes. Without knowing the next
//! arrival, keeping it for exactly one cold start's worth costs at most twice what hindsight would (the ski-rental
//! bound). Knowing past gaps, a shorter time is often better and never has to be worse than that bound.

use jiff::SignedDuration;

/// Gaps that are looked at, the latest ones.
const GAPS_MAX: usize = 200;
/// With fewer gaps than this nothing is learned.
const GAPS_MIN: usize = 8;
/// Ending a machine within its first minute saves nothing: EC2 bills 60 s at least.
const SHORTEST: SignedDuration = SignedDuration::from_secs(60);

/// The idle time-out for a spec whose jobs came with these gaps (seconds, latest last).
///
/// `cold_start` is what a cold start costs, as seconds of the machine's price; `max` is the user's own limit. The answer is
/// never longer than the cold start: so whatever the next gap is, keeping costs at most `cold_start` and letting go costs
/// one more `cold_start`, which is at most twice what the break-even rule pays.
#[must_use]
pub fn auto_idle_timeout(
    gaps_seconds: &[u64],
    cold_start: SignedDuration,
    max: SignedDuration,
) -> SignedDuration {
    let longest = cold_start.min(max).max(SignedDuration::ZERO);
    let latest = &gaps_seconds[gaps_seconds.len().saturating_sub(GAPS_MAX)..];
    if latest.len() < GAPS_MIN {
        return longest.max(SHORTEST.min(max));
    }
    let cold = seconds(cold_start);
    // The best fixed time-out for these gaps is just after one of them, or none at all.
    let candidates = latest.iter().copied().filter(|gap| *gap <= seconds(longest)).chain([0]);
    let best = candidates.min_by_key(|timeout| (cost(latest, *timeout, cold), *timeout)).unwrap_or(0);
    // A little more than the gap itself, so that a gap of the same length is met.
    let best = best + best / 4;
    SignedDuration::from_secs(i64::try_from(best).unwrap_or(i64::MAX)).min(longest).max(SHORTEST.min(max))
}

/// What a fixed time-out would have cost over these gaps, in seconds of the machine's price.
fn cost(gaps: &[u64], timeout: u64, cold: u64) -> u128 {
    let one =
        |gap: &u64| if *gap <= timeout { u128::from(*gap) } else { u128::from(timeout) + u128::from(cold) };
    gaps.iter().map(one).sum()
}

fn seconds(duration: SignedDuration) -> u64 {
    u64::try_from(duration.as_secs()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COLD: SignedDuration = SignedDuration::from_secs(300);
    const MAX: SignedDuration = SignedDuration::from_secs(1800);

    #[test]
    fn a_burst_keeps_machines_for_a_short_time_and_rare_jobs_keep_none() {
        let burst: Vec<u64> = std::iter::repeat_n([20, 30, 25, 7200], 10).flatten().collect();
        assert_eq!(auto_idle_timeout(&burst, COLD, MAX), SHORTEST);
        assert_eq!(auto_idle_timeout(&[9000; 40], COLD, MAX), SHORTEST);
    }

    #[test]
    fn steady_jobs_keep_the_machine_from_one_to_the_next() {
        assert_eq!(auto_idle_timeout(&[180; 40], COLD, MAX), SignedDuration::from_secs(225));
    }

    #[test]
    fn without_a_history_the_break_even_rule_holds() {
        assert_eq!(auto_idle_timeout(&[10; 3], COLD, MAX), COLD);
        assert_eq!(
            auto_idle_timeout(&[], COLD, SignedDuration::from_secs(30)),
            SignedDuration::from_secs(30)
        );
    }

    proptest! {
        /// On any past and any future, never worse than twice the break-even rule, once a machine's first minute is
        /// paid for anyway.
        #[test]
        fn never_worse_than_twice_the_break_even_rule(
            past in prop::collection::vec(0_u64..20_000, 0..60),
            future in prop::collection::vec(0_u64..20_000, 1..60),
            cold in 60_i64..2_000,
        ) {
            let cold_start = SignedDuration::from_secs(cold);
            let timeout = seconds(auto_idle_timeout(&past, cold_start, MAX));
            let cold = seconds(cold_start);
            let (ours, rule) = (cost(&future, timeout, cold), cost(&future, cold, cold));
            prop_assert!(ours <= 2 * rule + u128::from(60_u64) * future.len() as u128, "{ours} > 2 × {rule}");
        }

        #[test]
        fn never_longer_than_the_user_allows(past in prop::collection::vec(0_u64..20_000, 0..60), max in 1_i64..4_000) {
            let max = SignedDuration::from_secs(max);
            prop_assert!(auto_idle_timeout(&past, COLD, max) <= max);
        }
    }
}
