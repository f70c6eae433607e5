//! Many histories on all processors: they share nothing.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use cml_world::fleet::{Mutant, RunConfig, RunResult, run};

pub(crate) const JOBS: usize = 50;
/// The standard seeds.
pub(crate) const SEEDS: Range<u64> = 1..2001;

/// Returns whether everything is to run, as in CI (CONTRIBUTING.md, Tests).
#[allow(clippy::disallowed_methods, reason = "the tests' edge: which tier runs")]
pub(crate) fn is_full() -> bool {
    std::env::var("CML_TESTS").is_ok_and(|tier| tier == "full")
}

/// Runs seeds on all processors until `until` is true, and returns the results.
pub(crate) fn play_all(
    seeds: Range<u64>,
    mutant: Option<Mutant>,
    until: impl Fn(&RunResult) -> bool + Sync,
) -> Vec<RunResult> {
    let (next, over) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let histories = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || over.load(Ordering::Relaxed) {
                        return;
                    }
                    let history = run(&RunConfig { seed, jobs: JOBS, mutant, ..RunConfig::default() });
                    if until(&history) {
                        over.store(true, Ordering::Relaxed);
                    }
                    histories.lock().expect("nobody panics").push(history);
                }
            });
        }
    });
    histories.into_inner().expect("nobody panics")
}
