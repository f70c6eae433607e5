//! Deliberate bugs at the seams of the controller: each must be caught by a law within the standard seeds.
#![allow(missing_docs)]

mod many;

use std::collections::BTreeSet;

use cml_world::fleet::{History, Sabotage};
use many::{SEEDS, play_all};

#[test]
#[allow(clippy::print_stdout, reason = "which law caught what, with --nocapture")]
fn every_deliberate_bug_is_caught() {
    let mut missed = BTreeSet::new();
    for sabotage in Sabotage::ALL.iter().copied() {
        let caught = |history: &History| !history.violations.is_empty();
        let histories = play_all(SEEDS, Some(sabotage), caught);
        match histories.iter().find(|history| caught(history)) {
            Some(history) => println!("{sabotage:?}: seed {}: {}", history.seed, history.violations[0]),
            None => drop(missed.insert(format!("{sabotage:?}"))),
        }
    }
    assert!(missed.is_empty(), "nothing noticed {missed:?}");
}
