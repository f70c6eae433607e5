//! The ledger matches the journals, however and however often they are read.
#![allow(missing_docs)]

use std::path::Path;

use cml_cloud::{
    Arch, Deadline, Disk, InstanceId, LaunchId, Market, Offer, Resources, Usd, UsdPerGibMonth, UsdPerHour,
};
use cml_cost::{GroupBy, Ledger, Query, Report, Window, report};
use cml_journal::{EndReason, Event, JobFacts, Journal, SqliteJournal, State};
use cml_planner::JobId;
use cml_prices::Book;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use rust_decimal::Decimal;

/// 2027-01-15 08:00 UTC.
const BEGIN: i64 = 1_800_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(BEGIN + second).expect("in range")
}

fn now() -> Timestamp {
    at(20 * 86_400)
}

fn launch(number: u128) -> LaunchId {
    LaunchId::new(ulid::Ulid::from_parts(1_800_000_000_000, number))
}

fn offer(number: u128) -> Offer {
    let is_spot = number.is_multiple_of(2);
    Offer {
        region: "us-east-1".to_owned(),
        zone: Some(if number.is_multiple_of(3) { "us-east-1a" } else { "us-east-1b" }.to_owned()),
        instance_type: "g5.xlarge".to_owned(),
        market: if is_spot { Market::Spot } else { Market::OnDemand },
        price: Some(UsdPerHour(Decimal::new(if is_spot { 37 } else { 1006 }, 3))),
        resources: Resources { vcpus: 4, memory_mib: 16_384, gpu: None, arch: Arch::X64 },
        driver: cml_cloud::Driver::None,
        quota: None,
        disk: Some(Disk { gib: 100, price: UsdPerGibMonth(Decimal::new(8, 2)) }),
    }
}

fn came(job: u64) -> Event {
    let facts = JobFacts {
        repository: format!("acme/{}", job % 2),
        run_id: job * 10,
        name: "train".to_owned(),
        event: "push".to_owned(),
        actor: if job.is_multiple_of(3) { "mona" } else { "hubot" }.to_owned(),
        workflow: "CI".to_owned(),
        branch: "main".to_owned(),
    };
    Event::JobCame { job: JobId(job), spec: "gpu".to_owned(), facts }
}

fn intended(number: u128, job: Option<u64>) -> Event {
    Event::LaunchIntended {
        launch: launch(number),
        spec: if number.is_multiple_of(2) { "gpu" } else { "cpu" }.to_owned(),
        labels: vec!["gpu".to_owned()],
        region: None,
        job: job.map(JobId),
        deadline: Deadline(at(86_400)),
        price: UsdPerHour(Decimal::ONE),
        disk: None,
        vcpus: 4,
        writer: None,
    }
}

fn bought(number: u128) -> Event {
    let instance = InstanceId(format!("i-{number:017x}"));
    Event::LaunchBought { launch: launch(number), instance, offer: offer(number) }
}

fn write(path: &Path, events: &[(i64, Event)]) {
    let mut journal = SqliteJournal::open(path).expect("opens");
    for (second, event) in events {
        let seen = journal.last().expect("reads");
        journal.append(seen, at(*second), std::slice::from_ref(event)).expect("appends");
    }
}

fn all(by: GroupBy) -> Query {
    Query { window: Window::since(SignedDuration::from_hours(24 * 60), now()), by, top: 100 }
}

fn asked(ledger: &mut Ledger, by: GroupBy) -> Report {
    report(ledger, all(by), now(), &Book::shipped()).expect("reports")
}

/// Builds a new ledger from these journals.
fn fresh(dir: &Path, journals: &[&Path]) -> Report {
    let path = dir.join("fresh.db");
    drop(std::fs::remove_file(&path));
    let mut ledger = Ledger::open(&path).expect("opens");
    for journal in journals {
        ledger.take_in(journal, now(), &Book::shipped()).expect("is taken in");
    }
    asked(&mut ledger, GroupBy::Spec)
}

/// Returns the total cost by the journal's own fold, existing machines up to now.
fn by_the_fold(path: &Path) -> Decimal {
    let state = State::of(&SqliteJournal::open(path).expect("opens").read_after(0).expect("reads"));
    let gone: Decimal = state.ledger().iter().map(|entry| entry.cost.0).sum();
    let living: Decimal = state.running(now()).iter().map(|(entry, _)| entry.cost.0).sum();
    gone + living
}

fn close(one: Usd, other: Decimal) -> bool {
    (one.0 - other).abs() < Decimal::new(1, 6)
}

/// Generates any history: duplicates, jobs on the wrong machine, lives that never end, ends without a start. Each
/// machine is bought once.
fn history() -> impl Strategy<Value = Vec<(i64, Event)>> {
    let one = (0_u128..6, 0_i64..40_000, 0..10_u8, 0_u64..5);
    prop::collection::vec(one, 0..60).prop_map(|all| {
        let mut second = 0;
        let mut gone = std::collections::BTreeSet::new();
        let mut history = Vec::new();
        for (number, later, kind, job) in all {
            second += later;
            let launch = launch(number);
            let event = match kind {
                0 => came(job),
                1 if gone.contains(&number) => continue,
                1 => intended(number, Some(job)),
                2 => bought(number),
                3 => Event::RunnerIdle { launch },
                4 | 5 => Event::RunnerBusy { launch, job: Some(JobId(job)) },
                6 => Event::InstanceStopped { launch, started_at: None, stopped_at: None },
                7 => Event::InstanceStarted { launch, started_at: at(second) },
                8 => Event::SpotPrice {
                    region: "us-east-1".to_owned(),
                    zone: Some("us-east-1a".to_owned()),
                    instance_type: "g5.xlarge".to_owned(),
                    since: at(second),
                    price: UsdPerHour(Decimal::new(30 + i64::try_from(job).expect("small"), 2)),
                },
                _ => {
                    gone.insert(number);
                    let end = if later % 3 == 0 { EndReason::TakenBack } else { EndReason::Ours };
                    Event::InstanceGone { launch, end, started_at: None, ended_at: None, lacks_prices: false }
                }
            };
            history.push((second, event));
        }
        history
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn it_says_what_the_journal_says_wherever_reading_it_was_broken_off(
        history in history(),
        cuts in prop::collection::vec(0_usize..60, 0..4),
    ) {
        let dir = tempfile::tempdir().expect("a directory");
        let journal = dir.path().join("journal.db");
        let path = dir.path().join("ledger.db");
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(history.len())).collect();
        cuts.push(history.len());
        cuts.sort_unstable();
        let mut written = 0;
        for cut in cuts {
            write(&journal, &history[written..cut]);
            written = cut;
            // Another process each time, which knows only the file; and twice, without a further effect.
            for _ in 0..2 {
                let mut ledger = Ledger::open(&path).expect("opens");
                ledger.take_in(&journal, now(), &Book::shipped()).expect("is taken in");
            }
        }
        let mut ledger = Ledger::open(&path).expect("opens");
        ledger.take_in(&journal, now(), &Book::shipped()).expect("is taken in");
        let report = asked(&mut ledger, GroupBy::Spec);
        let expected = by_the_fold(&journal);
        prop_assert!(close(report.total.cost(), expected), "{} for {expected}", report.total.cost());
        prop_assert_eq!(&report.rows, &fresh(dir.path(), &[&journal]).rows);
    }

    /// The journal of a `launch` may be read together with that of a daemon that has found its machine.
    #[test]
    fn a_machine_that_two_journals_tell_of_counts_once_and_in_any_order(history in history()) {
        let dir = tempfile::tempdir().expect("a directory");
        let (one, other) = (dir.path().join("one.db"), dir.path().join("other.db"));
        write(&one, &history);
        write(&other, &history);
        let alone = fresh(dir.path(), &[&one]);
        prop_assert_eq!(&fresh(dir.path(), &[&one, &other]).rows, &alone.rows);
        prop_assert_eq!(&fresh(dir.path(), &[&other, &one, &one]).rows, &alone.rows);
    }

    #[test]
    fn every_way_of_grouping_adds_up_to_the_same(history in history()) {
        let dir = tempfile::tempdir().expect("a directory");
        let journal = dir.path().join("journal.db");
        write(&journal, &history);
        let mut ledger = Ledger::open(&dir.path().join("ledger.db")).expect("opens");
        ledger.take_in(&journal, now(), &Book::shipped()).expect("is taken in");
        let total = asked(&mut ledger, GroupBy::Spec).total;
        for by in GroupBy::ALL {
            let report = asked(&mut ledger, by);
            let sum: Decimal = report.rows.iter().map(|row| row.tally.cost().0).sum();
            prop_assert_eq!(report.total, total, "{}", by);
            prop_assert_eq!(sum, total.cost().0, "{}", by);
            let days: Decimal = report.days.iter().flat_map(|day| &day.by_owner).map(|cost| cost.0).sum();
            prop_assert_eq!(days, total.cost().0);
            let few = Query { top: 1, ..all(by) };
            let few = cml_cost::report(&mut ledger, few, now(), &Book::shipped()).expect("reports");
            let sum: Decimal = few.rows.iter().map(|row| row.tally.cost().0).sum();
            prop_assert_eq!(sum, total.cost().0, "the rest is one row");
        }
    }
}

/// The daemon's journal was lost, and another one has grown to more records than were read of it.
#[test]
fn another_journal_of_the_same_name_is_read_from_its_beginning() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = dir.path().join("journal.db");
    let life = |number: u128, from: i64| {
        let gone = Event::InstanceGone {
            launch: launch(number),
            end: EndReason::Ours,
            started_at: None,
            ended_at: None,
            lacks_prices: false,
        };
        vec![(from, intended(number, None)), (from, bought(number)), (from + 3600, gone)]
    };
    let mut ledger = Ledger::open(&dir.path().join("ledger.db")).expect("opens");
    write(&journal, &life(1, 0));
    ledger.take_in(&journal, now(), &Book::shipped()).expect("is taken in");
    for ending in ["", "-wal", "-shm"] {
        drop(std::fs::remove_file(format!("{}{ending}", journal.display())));
    }
    write(&journal, &[life(3, 5000), life(5, 10_000)].concat());
    ledger.take_in(&journal, now(), &Book::shipped()).expect("is taken in");
    assert_eq!(asked(&mut ledger, GroupBy::Spec).total.machines, 3);
}

/// A machine without a recorded price, as a daemon finds one that another controller launched.
#[test]
fn a_machine_without_a_known_price_has_the_books_and_is_an_estimate_where_that_guesses() {
    let dir = tempfile::tempdir().expect("a directory");
    let cost = |number: u128, region: &str| {
        let journal = dir.path().join(format!("{number}-{region}.db"));
        let offer = Offer { region: region.to_owned(), price: None, disk: None, ..offer(number) };
        let found = Event::InstanceFound {
            launch: launch(number),
            spec: "launch".to_owned(),
            labels: Vec::new(),
            deadline: Deadline(at(86_400)),
            instance: InstanceId(format!("i-{number}")),
            offer,
            started_at: at(0),
        };
        let end = Event::InstanceGone {
            launch: launch(number),
            end: EndReason::Ours,
            started_at: Some(at(0)),
            ended_at: Some(at(3600)),
            lacks_prices: false,
        };
        write(&journal, &[(0, found), (3600, end)]);
        let report = fresh(dir.path(), &[&journal]);
        (report.total.cost().to_string(), report.estimated == report.total.cost())
    };
    assert_eq!(cost(1, "us-east-1"), ("$1.006".to_owned(), false), "the list of that region");
    assert_eq!(cost(1, "eu-west-2"), ("$1.006".to_owned(), true), "the list of another one");
    assert!(cost(2, "us-east-1").1, "no spot price was fetched");
}

#[test]
fn a_life_over_midnight_is_split_and_each_part_has_its_owner() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = dir.path().join("journal.db");
    // Bought at 23:00, online at 23:10, with a job from 23:15 to 00:30.
    let evening = 15 * 3600;
    let gone = Event::InstanceGone {
        launch: launch(1),
        end: EndReason::Ours,
        started_at: None,
        ended_at: None,
        lacks_prices: false,
    };
    let events = [
        (evening, came(4)),
        (evening, intended(1, Some(4))),
        (evening, bought(1)),
        (evening + 600, Event::RunnerIdle { launch: launch(1) }),
        (evening + 900, Event::RunnerBusy { launch: launch(1), job: Some(JobId(4)) }),
        (evening + 5400, gone),
    ];
    write(&journal, &events);
    let mut ledger = Ledger::open(&dir.path().join("ledger.db")).expect("opens");
    ledger.take_in(&journal, now(), &Book::shipped()).expect("is taken in");
    let by_day = asked(&mut ledger, GroupBy::Day);
    let days: Vec<_> =
        by_day.rows.iter().map(|row| (row.name.as_str(), row.tally.seconds, row.tally.jobs)).collect();
    assert_eq!(days, [("2027-01-15", 3600, 1), ("2027-01-16", 1800, 0)]);
    let by_job = asked(&mut ledger, GroupBy::Job);
    let rows: Vec<_> = by_job.rows.iter().map(|row| (row.name.as_str(), row.tally.seconds)).collect();
    assert_eq!(rows, [("acme/0 train 4", 4500), ("boot", 600), ("idle", 300)]);
    assert_eq!(by_job.rows[0].page.as_deref(), Some("acme/0/actions/runs/40/job/4"));
    // 5400 s of 1.006 USD an hour, and of 100 GiB in a month of 31 days: 1.509 + 0.0161290….
    assert_eq!(by_job.total.cost().0.round_dp(6), Decimal::new(1_525_129, 6));
}
