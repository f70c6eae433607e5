//! The automatic idle timeout: how long an idle machine is worth keeping.
//!
//! Keeping a machine costs its price; letting it go costs a cold start when the next job comes. Without knowing the next
//! arrival, keeping it for exactly one cold start's worth (the break-even rule) costs at most twice what hindsight would.
//! Where jobs come rarely, hardly keeping it is cheaper. Which of the two is right is derived from the spec's own gaps.

use jiff::SignedDuration;

/// Gaps that count, the latest ones.
const GAPS_MAX: usize = 200;
/// With fewer gaps than this the break-even rule holds.
const GAPS_MIN: usize = 8;
/// Ending a machine within its first minute saves nothing: EC2 bills 60 s at least.
const SHORTEST: SignedDuration = SignedDuration::from_secs(60);

/// Returns the idle timeout for a spec whose jobs came with these gaps (seconds, latest last): one cold start's worth or the
/// shortest, whichever would have cost less over them.
///
/// `cold_start` is what a cold start costs, as seconds of the machine's price; `max` is the user's own limit.
///
/// Whatever gaps come, this costs at most twice the break-even rule, and a few cold starts per `GAPS_MAX` gaps. Why: the
/// shortest is only chosen while it has cost no more than the rule over the latest gaps. Cut the past into stretches of
/// `GAPS_MAX` that each end where it was last chosen: in each, what it cost is at most what the rule cost there, but for
/// the last gap; and all other gaps cost what the rule costs. (Choosing freely among many time-outs has no such bound.)
#[must_use]
pub fn auto_idle_timeout(
    gaps_seconds: &[u64],
    cold_start: SignedDuration,
    max: SignedDuration,
) -> SignedDuration {
    let shortest = SHORTEST.min(max);
    let rule = cold_start.min(max).max(shortest);
    let latest = &gaps_seconds[gaps_seconds.len().saturating_sub(GAPS_MAX)..];
    let cold = seconds(cold_start);
    let is_shortest_cheaper = cost(latest, seconds(shortest), cold) < cost(latest, seconds(rule), cold);
    if latest.len() >= GAPS_MIN && is_shortest_cheaper { shortest } else { rule }
}

/// Returns what a fixed timeout would have cost over these gaps, in seconds of the machine's price.
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
        assert_eq!(auto_idle_timeout(&[180; 40], COLD, MAX), COLD);
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
        /// Gaps may be anything, or just longer than what was kept, which is the worst that can come.
        #[test]
        fn never_worse_than_twice_the_break_even_rule(
            gaps in prop::collection::vec(prop_oneof![3 => Just(None), 1 => (0_u64..20_000).prop_map(Some)], 1..900),
            cold in 60_i64..2_000,
        ) {
            let cold_start = SignedDuration::from_secs(cold);
            let cold = seconds(cold_start);
            let (mut past, mut ours, mut rule) = (Vec::new(), 0, 0);
            for gap in gaps {
                let timeout = seconds(auto_idle_timeout(&past, cold_start, MAX));
                past.push(gap.unwrap_or(timeout + 1));
                let now = &past[past.len() - 1..];
                ours += cost(now, timeout, cold);
                rule += cost(now, seconds(cold_start.min(MAX)), cold);
                let slack = u128::from(2 * cold) * (1 + (past.len() / GAPS_MAX) as u128);
                prop_assert!(ours <= 2 * rule + slack, "{ours} > 2 × {rule} + {slack} after {past:?}");
            }
        }

        #[test]
        fn never_longer_than_the_user_allows(past in prop::collection::vec(0_u64..20_000, 0..60), max in 1_i64..4_000) {
            let max = SignedDuration::from_secs(max);
            prop_assert!(auto_idle_timeout(&past, COLD, max) <= max);
        }
    }
}
