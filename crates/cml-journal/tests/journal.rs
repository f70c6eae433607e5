//! The journal on a real disk.
#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use cml_cloud::{Arch, Deadline, InstanceId, LaunchId, Market, Offer, Resources, Usd, UsdPerHour};
use cml_journal::{
    CostCategory, EndReason, Event, JobFacts, Journal, JournalError, SqliteJournal, State, Waste,
};
use cml_planner::{JobId, Refusal, RefusalKind};
use jiff::Timestamp;
use proptest::prelude::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).expect("in range")
}

fn launch(number: u128) -> LaunchId {
    LaunchId::new(ulid::Ulid::from_parts(1_800_000_000_000, number))
}

fn price(text: &str) -> UsdPerHour {
    UsdPerHour(text.parse().expect("a number"))
}

fn offer() -> Offer {
    Offer {
        region: "us-east-1".to_owned(),
        zone: Some("us-east-1a".to_owned()),
        instance_type: "g5.xlarge".to_owned(),
        market: Market::Spot,
        price: Some(price("0.36")),
        resources: Resources { vcpus: 4, memory_mib: 16_384, gpu: None, arch: Arch::X64 },
        driver: cml_cloud::Driver::None,
        quota: None,
        disk: None,
    }
}

fn intended(number: u128) -> Event {
    Event::LaunchIntended {
        launch: launch(number),
        spec: "gpu".to_owned(),
        labels: vec!["gpu".to_owned()],
        region: None,
        job: Some(JobId(7)),
        deadline: Deadline(at(3600)),
        price: price("0.5"),
        disk: None,
        vcpus: 4,
        writer: None,
    }
}

fn bought(number: u128) -> Event {
    Event::LaunchBought {
        launch: launch(number),
        instance: InstanceId(format!("i-{number:017x}")),
        offer: offer(),
    }
}

/// A life of 1000 s: boots for 100 s, waits for 100 s, works for 700 s, is idle for 100 s.
fn life(number: u128) -> Vec<(i64, Event)> {
    let launch = launch(number);
    vec![
        (0, intended(number)),
        (0, bought(number)),
        (100, Event::RunnerIdle { launch }),
        (200, Event::RunnerBusy { launch, job: Some(JobId(7)) }),
        (900, Event::RunnerIdle { launch }),
        (
            1000,
            Event::InstanceGone {
                launch,
                end: EndReason::Ours,
                started_at: None,
                ended_at: None,
                lacks_prices: false,
            },
        ),
    ]
}

fn facts() -> JobFacts {
    JobFacts {
        repository: "acme/vision".to_owned(),
        run_id: 70,
        name: "train".to_owned(),
        event: "push".to_owned(),
        actor: "mona".to_owned(),
        workflow: "train".to_owned(),
        branch: "main".to_owned(),
    }
}

fn open(path: &Path) -> SqliteJournal {
    SqliteJournal::open(path).expect("opens")
}

fn write(journal: &mut SqliteJournal, events: &[(i64, Event)]) {
    for (second, event) in events {
        let seen = journal.read_after(0).expect("reads").last().map_or(0, |line| line.seq);
        journal.append(seen, at(*second), std::slice::from_ref(event)).expect("appends");
    }
}

#[test]
fn what_is_written_is_read_by_another_and_only_by_its_owner() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("state/journal.db");
    let mut one = open(&path);
    write(&mut one, &life(1));
    let other = open(&path);
    let lines = other.read_after(0).expect("reads");
    assert_eq!(lines.iter().map(|line| line.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(lines[0].event, intended(1));
    assert_eq!(other.read_after(4).expect("reads").len(), 2);
    for file in std::fs::read_dir(path.parent().expect("a directory")).expect("reads") {
        let file = file.expect("a file");
        assert_eq!(file.metadata().expect("is there").permissions().mode() & 0o077, 0, "{file:?}");
    }
}

#[test]
fn who_decided_on_what_is_not_true_any_more_writes_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("journal.db");
    let (mut one, mut other) = (open(&path), open(&path));
    assert_eq!(one.append(0, at(0), &[intended(1)]).expect("appends"), 1);
    let error = other.append(0, at(0), &[intended(2)]).expect_err("is overtaken");
    assert!(matches!(error, JournalError::Conflict { seen: 0, last: 1 }), "{error}");
    assert_eq!(other.append(1, at(0), &[intended(2), bought(2)]).expect("appends"), 3);
}

#[test]
fn two_writers_at_once_lose_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("journal.db");
    let _first = open(&path);
    let writer = |base: u128| {
        let path = path.clone();
        std::thread::spawn(move || {
            let mut journal = open(&path);
            for number in 0..40 {
                let mut seen = 0;
                loop {
                    match journal.append(seen, at(0), &[intended(base + number)]) {
                        Ok(_) => break,
                        Err(JournalError::Conflict { last, .. }) => seen = last,
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        })
    };
    let writers = [writer(0), writer(1000)];
    for writer in writers {
        writer.join().expect("finishes");
    }
    let lines = open(&path).read_after(0).expect("reads");
    assert_eq!(lines.len(), 80);
    assert!(lines.iter().zip(1..).all(|(line, number)| line.seq == number));
    assert_eq!(State::of(&lines).launches().len(), 80);
}

#[test]
fn a_torn_tail_loses_no_more_than_what_was_not_finished() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("journal.db");
    let mut journal = open(&path);
    for number in 0..20 {
        let seen = i64::try_from(number).expect("small") * 2;
        journal.append(seen, at(0), &[intended(number), bought(number)]).expect("appends");
    }
    let side = |name: &str| dir.path().join(format!("journal.db{name}"));
    let wal = std::fs::read(side("-wal")).expect("the side file");
    let mut seen = BTreeMap::new();
    for length in (0..=wal.len()).step_by(997) {
        let copy = dir.path().join(format!("torn-{length}.db"));
        std::fs::copy(&path, &copy).expect("copies");
        std::fs::write(dir.path().join(format!("torn-{length}.db-wal")), &wal[..length]).expect("writes");
        let lines = open(&copy).read_after(0).expect("reads");
        assert_eq!(lines.len() % 2, 0, "half an append is none");
        assert!(lines.iter().zip(1..).all(|(line, number)| line.seq == number));
        seen.insert(lines.len(), length);
    }
    assert!(seen.len() > 5, "the tail was really torn in many places: {seen:?}");
}

#[test]
fn several_who_make_the_journal_at_the_same_moment_all_get_it() {
    let dir = tempfile::tempdir().expect("a directory");
    for round in 0..100 {
        let path = dir.path().join(format!("{round}.db"));
        let together = std::sync::Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    together.wait();
                    assert!(open(&path).read_after(0).expect("reads").is_empty());
                });
            }
        });
    }
}

#[test]
fn a_file_that_is_no_journal_is_told_as_such_and_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("journal.db");
    let text = "this is a letter, not a database. ".repeat(100);
    std::fs::write(&path, &text).expect("writes");
    let error = SqliteJournal::open(&path).map(|_| ()).expect_err("is refused");
    assert!(
        error.to_string().contains("journal.db: damaged, or no file of cml-runner: file is not a database"),
        "{error}"
    );
    assert_eq!(std::fs::read_to_string(&path).expect("reads"), text);
}

#[test]
fn a_life_is_billed_and_every_cent_has_an_owner() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut journal = open(&dir.path().join("journal.db"));
    write(&mut journal, &life(1));
    let state = State::of(&journal.read_after(0).expect("reads"));
    assert!(state.launches().is_empty());
    let [entry] = state.ledger() else { panic!("{:?}", state.ledger()) };
    let usd = |text: &str| Usd(text.parse().expect("a number"));
    assert_eq!(entry.cost, usd("0.1"));
    let parts: Vec<_> = entry.segments.iter().map(|part| (part.category, part.cost())).collect();
    let expected = [
        (CostCategory::Boot, usd("0.01")),
        (CostCategory::Idle, usd("0.01")),
        (CostCategory::Work(Some(JobId(7))), usd("0.07")),
        (CostCategory::Idle, usd("0.01")),
    ];
    assert_eq!(parts, expected);
    let spent = state.spent(at(2000));
    assert_eq!(spent.iter().map(|it| it.cost.0).sum::<rust_decimal::Decimal>(), usd("0.1").0);
    assert!(state.spent(at(60 * 86_400)).is_empty());
}

#[test]
fn a_machine_that_never_did_anything_is_waste() {
    let launch = launch(1);
    let lines = [
        (0, intended(1)),
        (0, bought(1)),
        (
            500,
            Event::InstanceGone {
                launch,
                end: EndReason::Ours,
                started_at: None,
                ended_at: None,
                lacks_prices: false,
            },
        ),
    ];
    let dir = tempfile::tempdir().expect("a directory");
    let mut journal = open(&dir.path().join("journal.db"));
    write(&mut journal, &lines);
    let state = State::of(&journal.read_after(0).expect("reads"));
    assert_eq!(state.ledger()[0].segments[0].category, CostCategory::Waste(Waste::NeverRegistered));
}

/// The cloud shows an ended machine for an hour; its prices and the process that writes the bill may take longer.
#[test]
fn an_end_that_was_seen_is_billed_though_the_cloud_has_forgotten_the_machine() {
    let launch = launch(1);
    let (started_at, ended_at) = (at(10), at(500));
    let ended = Event::InstanceEnded { launch, end: EndReason::Ours, started_at, ended_at };
    let gone = Event::InstanceGone {
        launch,
        end: EndReason::Ours,
        started_at: None,
        ended_at: None,
        lacks_prices: true,
    };
    let lines = [(0, intended(1)), (0, bought(1)), (600, ended), (9000, gone)];
    let dir = tempfile::tempdir().expect("a directory");
    let mut journal = open(&dir.path().join("journal.db"));
    write(&mut journal, &lines[..3]);
    let state = State::of(&journal.read_after(0).expect("reads"));
    assert!(state.has_ended(launch) && state.is_open(launch), "its bill waits");
    assert_eq!(state.running(at(3000))[0].0.to, ended_at);
    write(&mut journal, &lines[3..]);
    let state = State::of(&journal.read_after(0).expect("reads"));
    let entry = &state.ledger()[0];
    assert_eq!((entry.from, entry.to, entry.estimated), (started_at, ended_at, true));
}

#[test]
fn refusals_in_a_row_are_counted_until_something_is_sold() {
    let refused = |second| {
        let offer = offer();
        let refusal = Refusal {
            region: offer.region,
            zone: offer.zone,
            instance_type: offer.instance_type,
            market: offer.market,
            quota: None,
            kind: RefusalKind::Capacity,
            of_region: false,
            cause: None,
            in_a_row: 1,
            at: at(second),
        };
        (second, Event::Refused { refusal })
    };
    let dir = tempfile::tempdir().expect("a directory");
    let mut journal = open(&dir.path().join("journal.db"));
    write(&mut journal, &[refused(0), refused(200), refused(600)]);
    assert_eq!(State::of(&journal.read_after(0).expect("reads")).refusals()[0].in_a_row, 3);
    write(&mut journal, &[(700, intended(1)), (701, bought(1))]);
    assert!(State::of(&journal.read_after(0).expect("reads")).refusals().is_empty());
}

fn events() -> impl Strategy<Value = Vec<(i64, Event)>> {
    let one = (0_u128..4, 0_i64..200, 0..8_u8, prop::option::of(0_u64..3));
    prop::collection::vec(one, 0..40).prop_map(|all| {
        let mut second = 0;
        all.into_iter()
            .map(|(number, later, kind, job)| {
                second += later;
                let launch = launch(number);
                let event = match kind {
                    0 => intended(number),
                    1 => bought(number),
                    2 => Event::LaunchFailed { launch, why: "no capacity".to_owned() },
                    3 => Event::RunnerIdle { launch },
                    4 => Event::RunnerBusy { launch, job: job.map(JobId) },
                    5 => Event::NoticeSeen { launch },
                    6 => Event::InstanceGone {
                        launch,
                        end: if later % 2 == 0 { EndReason::Ours } else { EndReason::TakenBack },
                        started_at: None,
                        ended_at: None,
                        lacks_prices: false,
                    },
                    _ => Event::JobCame {
                        job: JobId(job.unwrap_or(9)),
                        spec: "gpu".to_owned(),
                        facts: facts(),
                    },
                };
                (second, event)
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// L7: a process that was killed and reads again recovers its state, wherever it stopped reading before.
    #[test]
    fn replaying_gives_the_same_state(events in events(), cut in 0_usize..40) {
        let dir = tempfile::tempdir().expect("a directory");
        let mut journal = open(&dir.path().join("journal.db"));
        for (number, (second, event)) in events.iter().enumerate() {
            let seen = i64::try_from(number).expect("small");
            journal.append(seen, at(*second), std::slice::from_ref(event)).expect("appends");
        }
        let lines = journal.read_after(0).expect("reads");
        let whole = State::of(&lines);
        let mut parts = State::of(&lines[..cut.min(lines.len())]);
        parts.apply_all(&journal.read_after(parts.seen()).expect("reads"));
        prop_assert_eq!(&parts, &whole);
        parts.apply_all(&lines);
        prop_assert_eq!(&parts, &whole, "what is known already changes nothing");
        for entry in whole.ledger() {
            let sum = entry.segments.iter().map(|part| part.cost().0).sum();
            prop_assert_eq!(entry.usage.cost().0.round_dp(18), entry.cost.0.round_dp(18));
            prop_assert_eq!(Usd(sum), entry.cost, "every cent has an owner (L6)");
        }
    }
}

#[test]
fn a_writer_lives_as_long_as_its_process_holds_the_journal() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("journal.db");
    let (mut one, other) = (open(&path), open(&path));
    let name = one.writer().expect("has a name");
    assert_eq!(one.writer().as_ref(), Some(&name), "the same for as long as it is open");
    assert!(one.may_act(&name) && other.may_act(&name));
    drop(one);
    assert!(!other.may_act(&name));
    // A killed process leaves its lock file behind, without a lock on it.
    let mark = dir.path().join("journal.db.writer-0123456789abcdef");
    std::fs::write(&mark, b"").expect("written");
    assert!(!other.may_act("0123456789abcdef") && !mark.exists());
    assert!(other.may_act("../elsewhere"), "no name of ours: it cannot be known");
    let link = dir.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).expect("a link");
    let mut by_link = open(&link);
    let name = by_link.writer().expect("has a name");
    assert!(other.may_act(&name), "the same journal by another name");
}
