//! Deliberate bugs at the seams of the controller: each must be caught by a law within the standard seeds.
#![allow(missing_docs)]

mod many;

use std::collections::BTreeSet;

use cml_world::fleet::{Fault, History, Play, Sabotage, play};
use many::{JOBS, SEEDS, is_full, play_all};

/// A history that has shown each bug; it is tried first. Another order of chances moves them: then it is searched for, which takes
/// longer, and `CML_TESTS=full cargo test --workspace --test sabotage -- --nocapture` prints what belongs here.
const SHOWN_BY: &[(Sabotage, u64)] = &[
    (Sabotage::ForgetTheIntent, 1),
    (Sabotage::ReuseTheToken, 1),
    (Sabotage::TerminatingIsFree, 1),
    (Sabotage::IgnoreTheDeadline, 1),
    (Sabotage::UnknownIsIdle, 2),
    (Sabotage::TrustWebhooks, 2),
    (Sabotage::SkipPagination, 2),
    (Sabotage::BillTheFirstHour, 2),
    (Sabotage::NoRerunCap, 330),
    (Sabotage::NeverRerun, 2),
    (Sabotage::LeakTheSecret, 1),
    (Sabotage::KeepOrphans, 1),
    (Sabotage::NoBudget, 2),
    (Sabotage::GoOnOvertaken, 3),
    (Sabotage::NoGrace, 7),
    (Sabotage::ServeForks, 3),
    (Sabotage::ReserveForStrangers, 1),
    (Sabotage::TrustTheClock, 8),
    (Sabotage::EndWhenSeen, 2),
    (Sabotage::NeverTerminate, 23),
    (Sabotage::TrustOneList, 281),
    (Sabotage::EverythingIsOurs, 4),
    (Sabotage::SilenceIsEmpty, 6),
    (Sabotage::NoDefaultLabels, 2),
    (Sabotage::GuessLabels, 1),
    (Sabotage::OneDisk, 7),
];

#[test]
fn every_deliberate_bug_is_caught_where_it_was_last_seen_or_elsewhere() {
    let pinned: BTreeSet<Sabotage> = SHOWN_BY.iter().map(|(sabotage, _)| *sabotage).collect();
    assert_eq!(pinned, Sabotage::ALL.iter().copied().collect());
    let caught = |history: &History| !history.violations.is_empty();
    let is_missed = |(sabotage, seed): &&(Sabotage, u64)| {
        let what = Play { seed: *seed, jobs: JOBS, sabotage: Some(*sabotage), ..Play::default() };
        !caught(&play(&what)) && !play_all(SEEDS, Some(*sabotage), caught).iter().any(caught)
    };
    let missed: Vec<_> = SHOWN_BY.iter().filter(is_missed).collect();
    assert!(missed.is_empty(), "nothing noticed {missed:?}");
}

#[test]
#[allow(clippy::print_stdout, reason = "which law caught what, with --nocapture")]
fn every_deliberate_bug_is_caught() {
    if !is_full() {
        return;
    }
    let mut missed = BTreeSet::new();
    for sabotage in Sabotage::ALL.iter().copied() {
        let caught = |history: &History| !history.violations.is_empty();
        let histories = play_all(SEEDS, Some(sabotage), caught);
        match histories.iter().find(|history| caught(history)) {
            Some(history) => {
                println!("(Sabotage::{sabotage:?}, {}), // {}", history.seed, history.violations[0]);
            }
            None => drop(missed.insert(format!("{sabotage:?}"))),
        }
    }
    assert!(missed.is_empty(), "nothing noticed {missed:?}");
}

/// Few histories have the time for it: a process that begins anew while a list lacks a runner at work, and has not yet heard of
/// the job.
#[test]
fn who_trusts_one_list_ends_a_machine_at_work() {
    let armed =
        [(Fault::ListShort, 500), (Fault::Crash, 30), (Fault::GitHubFails, 300), (Fault::WebhookLost, 1000)];
    let play = |seed, sabotage| {
        play(&Play { seed, jobs: 40, sabotage, only: Some(armed.to_vec()), ..Play::default() })
    };
    let is_caught = |history: &History| history.violations.iter().any(|broken| broken.starts_with("L3"));
    let caught = (1..=20).find(|seed| is_caught(&play(*seed, Some(Sabotage::TrustOneList))));
    let seed = caught.expect("a law notices");
    assert_eq!(play(seed, None).violations, Vec::<String>::new());
}
