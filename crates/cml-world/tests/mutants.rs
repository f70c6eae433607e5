//! Mutants at the boundaries of the controller: a law must catch each of them within the standard seeds.
#![allow(missing_docs)]

mod many;

use std::collections::BTreeSet;

use cml_world::fleet::{Fault, Mutant, RunConfig, RunResult, run};
use many::{JOBS, SEEDS, is_full, play_all};

/// A history that has shown each bug; it is tried first. Another order of chances moves them: then it is searched for, which takes
/// longer, and `CML_TESTS=full cargo test --workspace --test mutant -- --nocapture` prints what belongs here.
const SHOWN_BY: &[(Mutant, u64)] = &[
    (Mutant::ForgetTheIntent, 1),
    (Mutant::ReuseTheToken, 1),
    (Mutant::TerminatingIsFree, 1),
    (Mutant::IgnoreTheDeadline, 1),
    (Mutant::UnknownIsIdle, 2),
    (Mutant::TrustWebhooks, 2),
    (Mutant::SkipPagination, 2),
    (Mutant::BillTheFirstHour, 2),
    (Mutant::NoRerunCap, 330),
    (Mutant::NeverRerun, 2),
    (Mutant::LeakTheSecret, 1),
    (Mutant::KeepOrphans, 1),
    (Mutant::NoBudget, 2),
    (Mutant::GoOnOvertaken, 3),
    (Mutant::NoGrace, 7),
    (Mutant::ServeForks, 3),
    (Mutant::ReserveForStrangers, 1),
    (Mutant::TrustTheClock, 8),
    (Mutant::EndWhenSeen, 2),
    (Mutant::NeverTerminate, 23),
    (Mutant::TrustOneList, 281),
    (Mutant::EverythingIsOurs, 4),
    (Mutant::SilenceIsEmpty, 6),
    (Mutant::NoDefaultLabels, 2),
    (Mutant::GuessLabels, 1),
    (Mutant::OneDisk, 7),
];

#[test]
fn every_deliberate_bug_is_caught_where_it_was_last_seen_or_elsewhere() {
    let pinned: BTreeSet<Mutant> = SHOWN_BY.iter().map(|(mutant, _)| *mutant).collect();
    assert_eq!(pinned, Mutant::ALL.iter().copied().collect());
    let caught = |history: &RunResult| !history.violations.is_empty();
    let is_missed = |(mutant, seed): &&(Mutant, u64)| {
        let what = RunConfig { seed: *seed, jobs: JOBS, mutant: Some(*mutant), ..RunConfig::default() };
        !caught(&run(&what)) && !play_all(SEEDS, Some(*mutant), caught).iter().any(caught)
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
    for mutant in Mutant::ALL.iter().copied() {
        let caught = |history: &RunResult| !history.violations.is_empty();
        let histories = play_all(SEEDS, Some(mutant), caught);
        match histories.iter().find(|history| caught(history)) {
            Some(history) => {
                println!("(Mutant::{mutant:?}, {}), // {}", history.seed, history.violations[0]);
            }
            None => drop(missed.insert(format!("{mutant:?}"))),
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
    let play = |seed, mutant| {
        run(&RunConfig { seed, jobs: 40, mutant, only: Some(armed.to_vec()), ..RunConfig::default() })
    };
    let is_caught = |history: &RunResult| history.violations.iter().any(|broken| broken.starts_with("L3"));
    let caught = (1..=20).find(|seed| is_caught(&play(*seed, Some(Mutant::TrustOneList))));
    let seed = caught.expect("a law notices");
    assert_eq!(play(seed, None).violations, Vec::<String>::new());
}
