//! Time and memory of a report over many entries. Run by `just bench-cost`.
#![allow(missing_docs, clippy::print_stdout)]

use std::path::Path;
use std::time::Instant;

use cml_cloud::{
    Arch, Deadline, Disk, InstanceId, LaunchId, Market, Offer, Resources, UsdPerGibMonth, UsdPerHour,
};
use cml_cost::{GroupBy, Ledger, Query, Window, report};
use cml_journal::{EndReason, Event, JobFacts, SqliteJournal};
use cml_planner::JobId;
use cml_prices::Book;
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;

const TYPES: [&str; 4] = ["g5.xlarge", "g4dn.xlarge", "m7i.xlarge", "c7i.2xlarge"];
/// The span in which all machines end, in seconds: a year.
const YEAR: i64 = 365 * 86_400;

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("in range")
}

/// Writes one machine's life: four entries (boot, idle, a job, idle), and a fifth when it crosses midnight.
fn life(number: u64, of: u64, write: &mut dyn FnMut(i64, &Event)) {
    let began = 1_800_000_000 - YEAR
        + i64::try_from(number * u64::try_from(YEAR - 90_000).expect("small") / of).expect("small");
    let launch = LaunchId::new(ulid::Ulid::from_parts(
        u64::try_from(began).expect("after 1970") * 1000,
        number.into(),
    ));
    let at = |second: i64| Timestamp::from_second(began + second).expect("in range");
    let job = JobId(number + 1);
    let spec = format!("spec-{}", number % 7);
    let facts = JobFacts {
        repository: format!("acme/repository-{}", number % 40),
        run_id: number,
        name: format!("train-{}", number % 5),
        event: "push".to_owned(),
        actor: format!("person-{}", number % 60),
        workflow: format!("workflow-{}", number % 90),
        branch: format!("branch-{}", number % 500),
    };
    let length = 300 + i64::try_from(number * 7919 % 5000).expect("small");
    let offer = Offer {
        region: "us-east-1".to_owned(),
        zone: Some(format!("us-east-1{}", ["a", "b", "c"][usize::try_from(number % 3).expect("small")])),
        instance_type: TYPES[usize::try_from(number % 4).expect("small")].to_owned(),
        market: if number.is_multiple_of(5) { Market::OnDemand } else { Market::Spot },
        price: Some(UsdPerHour(Decimal::new(100 + i64::try_from(number % 900).expect("small"), 3))),
        resources: Resources { vcpus: 4, memory_mib: 16_384, gpu: None, arch: Arch::X64 },
        driver: cml_cloud::Driver::None,
        quota: None,
        disk: Some(Disk { gib: 100, price: UsdPerGibMonth(Decimal::new(8, 2)) }),
    };
    let (price, disk, labels) = (UsdPerHour(Decimal::ONE), None, vec!["gpu".to_owned()]);
    let deadline = Deadline(at(43_200));
    write(0, &Event::JobCame { job, spec: spec.clone(), facts });
    write(
        0,
        &Event::LaunchIntended {
            launch,
            spec,
            labels,
            region: None,
            job: Some(job),
            deadline,
            price,
            disk,
            vcpus: 4,
            writer: None,
        },
    );
    write(2, &Event::LaunchBought { launch, instance: InstanceId(format!("i-{number:017x}")), offer });
    write(60, &Event::RunnerIdle { launch });
    write(70, &Event::RunnerBusy { launch, job: Some(job) });
    write(length, &Event::RunnerIdle { launch });
    let end = if number.is_multiple_of(11) { EndReason::TakenBack } else { EndReason::Ours };
    write(
        length + 30,
        &Event::InstanceGone {
            launch,
            end,
            started_at: None,
            ended_at: Some(at(length + 30)),
            lacks_prices: false,
        },
    );
}

fn journal(path: &Path, machines: u64) {
    drop(SqliteJournal::open(path).expect("opens"));
    let mut connection = rusqlite::Connection::open(path).expect("the same file");
    let transaction = connection.transaction().expect("begins");
    {
        let mut insert =
            transaction.prepare("INSERT INTO lines (at, event) VALUES (?1, ?2)").expect("is understood");
        for number in 0..machines {
            let began = 1_800_000_000 - YEAR
                + i64::try_from(number * u64::try_from(YEAR - 90_000).expect("small") / machines)
                    .expect("small");
            life(number, machines, &mut |second, event| {
                let at = Timestamp::from_second(began + second).expect("in range");
                let text = serde_json::to_string(event).expect("is written");
                insert.execute((at.to_string(), text)).expect("is kept");
            });
        }
    }
    transaction.commit().expect("is on the disk");
}

/// Returns the peak memory since the last reset, in MiB.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("is told");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") / 1024
}

#[test]
#[ignore = "a benchmark: run it with `just bench-cost`"]
fn reports_over_many_entries() {
    println!("| entries | taken in, s | report by repo, s | report by job, s | peak, MiB | file, MiB |");
    println!("|--:|--:|--:|--:|--:|--:|");
    for entries in [10_000_u64, 100_000, 1_000_000] {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, ledger_path) = (dir.path().join("journal.db"), dir.path().join("ledger.db"));
        journal(&path, entries / 4);
        let begin = Instant::now();
        let mut ledger = Ledger::open(&ledger_path).expect("opens");
        ledger.take_in(&path, now(), &Book::shipped()).expect("is taken in");
        let taken_in = begin.elapsed();
        drop(ledger);
        // Resets the peak: only the memory that a report needs is measured.
        std::fs::write("/proc/self/clear_refs", "5").expect("may forget");
        let mut seconds = Vec::new();
        for by in [GroupBy::Repo, GroupBy::Job] {
            let begin = Instant::now();
            let mut ledger = Ledger::open(&ledger_path).expect("opens");
            ledger.take_in(&path, now(), &Book::shipped()).expect("is taken in");
            let window = Window::since(SignedDuration::from_hours(24 * 366), now());
            let report =
                report(&mut ledger, Query { window, by, top: 20 }, now(), &Book::shipped()).expect("reports");
            assert_eq!(report.total.machines, entries / 4);
            seconds.push(begin.elapsed().as_secs_f64());
        }
        let size = std::fs::metadata(&ledger_path).expect("is there").len() / 1024 / 1024;
        println!(
            "| {entries} | {:.2} | {:.3} | {:.3} | {} | {size} |",
            taken_in.as_secs_f64(),
            seconds[0],
            seconds[1],
            peak_mib()
        );
    }
}
