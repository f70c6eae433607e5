//! A team's machines over some weeks, generated deterministically: spot and on-demand, interrupted ones, ones that
//! never registered, that their deadline ended, that still exist, and one whose end was not seen.

#![allow(dead_code, reason = "each suite that includes this uses a part of it")]

use std::path::{Path, PathBuf};

use cml_cloud::{Deadline, Disk, InstanceId, LaunchId, Market, Offer, UsdPerGibMonth, UsdPerHour};
use cml_cost::{GroupBy, Ledger, Query, Report, Window, report};
use cml_journal::{EndReason, Event, JobFacts, SqliteJournal};
use cml_planner::JobId;
use cml_prices::Book;
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use ulid::Ulid;

/// A Wednesday afternoon.
const NOW: &str = "2026-11-18T14:30:00Z";
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const REPOSITORIES: [&str; 6] = [
    "acme/vision",
    "acme/speech",
    "acme/recommender",
    "acme/website",
    "acme/infrastructure",
    "acme-research/robot-grasping-experiments",
];
const PEOPLE: [&str; 5] = ["ada", "grace", "hedy", "katherine-j", "dependabot[bot]"];
const WORKFLOWS: [&str; 4] = ["train", "test", "nightly", "release"];
const BRANCHES: [&str; 5] = ["main", "main", "data-v3", "fix/ocr", "dependabot/pip/torch-2.9"];

/// A pool and its usage.
struct Pool {
    spec: &'static str,
    types: &'static [&'static str],
    /// Number of spot machines among ten.
    spot_of_ten: u64,
    per_day: u64,
    /// The shortest jobs; some take up to sixteen times as long.
    minutes: i64,
    jobs_most: u64,
    lifetime: i64,
    disk_gib: u32,
}

const POOLS: [Pool; 3] = [
    Pool {
        spec: "gpu",
        types: &["g5.xlarge", "g4dn.xlarge", "g5.2xlarge"],
        spot_of_ten: 8,
        per_day: 9,
        minutes: 9,
        jobs_most: 1,
        lifetime: 6 * HOUR,
        disk_gib: 100,
    },
    Pool {
        spec: "cpu",
        types: &["c7i.2xlarge", "m7i.xlarge"],
        spot_of_ten: 6,
        per_day: 12,
        minutes: 2,
        jobs_most: 3,
        lifetime: 4 * HOUR,
        disk_gib: 40,
    },
    Pool {
        spec: "train-large",
        types: &["g5.12xlarge"],
        spot_of_ten: 3,
        per_day: 1,
        minutes: 20,
        jobs_most: 1,
        lifetime: 12 * HOUR,
        disk_gib: 300,
    },
];

/// Fate of a machine.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Works,
    NeverRegisters,
    TakenBack,
    Capped,
    /// Its end is not seen.
    Lost,
}

/// A very small team.
pub(crate) struct Short<'a> {
    pub(crate) spec: &'a str,
    pub(crate) repository: &'a str,
    /// Whether the second machine still exists.
    pub(crate) is_there: bool,
}

/// The ledger of such a team, and the time of the query.
pub(crate) struct Sample {
    pub(crate) ledger: Ledger,
    pub(crate) journal: PathBuf,
    pub(crate) book: Book,
    pub(crate) now: Timestamp,
    window: Window,
    _dir: tempfile::TempDir,
}

impl Sample {
    /// Creates a sample of so many days up to now.
    pub(crate) fn of_days(days: i64) -> Self {
        let now: Timestamp = NOW.parse().expect("a time");
        let mut maker = Maker { random: 20_261_118, events: Vec::new(), jobs: 0, book: Book::shipped() };
        maker.all(now.as_second(), days);
        let mut events = maker.events;
        events.retain(|(at, _)| *at <= now.as_second());
        events.sort_by_key(|(at, _)| *at);
        Self::of_events(&events, Window::since(SignedDuration::from_secs(days * DAY), now), now)
    }

    /// Creates two machines: one that has ended, and one that may still exist.
    pub(crate) fn short(what: &Short<'_>) -> Self {
        let now: Timestamp = NOW.parse().expect("a time");
        let mut maker = Maker { random: 7, events: Vec::new(), jobs: 0, book: Book::shipped() };
        maker.short(now.as_second(), what);
        let mut events = maker.events;
        events.retain(|(at, _)| *at <= now.as_second());
        events.sort_by_key(|(at, _)| *at);
        Self::of_events(&events, Window::since(SignedDuration::from_secs(2 * DAY), now), now)
    }

    /// Creates a sample of these events, at these seconds since 1970.
    pub(crate) fn of_events(events: &[(i64, Event)], window: Window, now: Timestamp) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("journal.sqlite3");
        write(&path, events);
        let mut ledger = Ledger::open(&dir.path().join("ledger.sqlite3")).expect("a ledger");
        let book = Book::shipped();
        ledger.take_in(&path, now, &book).expect("is taken in");
        Self { ledger, journal: path, book, now, window, _dir: dir }
    }

    pub(crate) fn report(&mut self, by: GroupBy) -> Report {
        let query = Query { window: self.window, by, top: 12 };
        report(&mut self.ledger, query, self.now, &self.book).expect("a report")
    }
}

/// Writes events in one transaction: a journal waits for the disk with every call, which for thousands of records takes
/// long.
fn write(path: &Path, events: &[(i64, Event)]) {
    drop(SqliteJournal::open(path).expect("a journal"));
    let mut connection = rusqlite::Connection::open(path).expect("the same file");
    let transaction = connection.transaction().expect("begins");
    for (at, event) in events {
        let text = serde_json::to_string(event).expect("is written");
        let insert = "INSERT INTO lines (at, event) VALUES (?1, ?2)";
        transaction.execute(insert, (time(*at).to_string(), text)).expect("is kept");
    }
    transaction.commit().expect("is on the disk");
}

struct Maker {
    random: u64,
    events: Vec<(i64, Event)>,
    jobs: u64,
    book: Book,
}

impl Maker {
    fn all(&mut self, now: i64, days: i64) {
        for day in (0..days).rev() {
            let midnight = now.div_euclid(DAY) * DAY - day * DAY;
            // Day 0 of 1970 was a Thursday.
            let is_weekend = matches!(midnight.div_euclid(DAY).rem_euclid(7), 2 | 3);
            for pool in &POOLS {
                let usual = if is_weekend { pool.per_day / 4 } else { pool.per_day };
                for _ in 0..usual + self.below(1 + usual / 2) {
                    let at = midnight + 7 * HOUR + self.seconds_below(13 * HOUR);
                    let fate = self.fate();
                    self.machine(at, pool, fate);
                }
            }
        }
        // Independent of the random numbers: machines at work now, and one whose end was not seen.
        for (pool, minutes, fate) in [(0, 3, Fate::Works), (2, 25, Fate::Works), (1, 4 * 60 + 35, Fate::Lost)]
        {
            self.machine(now - minutes * 60, &POOLS[pool], fate);
        }
    }

    fn short(&mut self, now: i64, what: &Short<'_>) {
        self.machine(now - 26 * HOUR, &POOLS[0], Fate::Works);
        match what.is_there {
            true => self.machine(now - HOUR / 2, &POOLS[1], Fate::Lost),
            false => self.machine(now - 8 * HOUR, &POOLS[1], Fate::Works),
        }
        for (_, event) in &mut self.events {
            match event {
                Event::LaunchIntended { spec, .. } => what.spec.clone_into(spec),
                Event::JobCame { spec, facts, .. } => {
                    what.spec.clone_into(spec);
                    what.repository.clone_into(&mut facts.repository);
                }
                _ => {}
            }
        }
    }

    fn fate(&mut self) -> Fate {
        match self.below(100) {
            0..3 => Fate::NeverRegisters,
            3..10 => Fate::TakenBack,
            10..12 => Fate::Capped,
            _ => Fate::Works,
        }
    }

    /// Generates one machine's life.
    fn machine(&mut self, at: i64, pool: &Pool, fate: Fate) {
        let offer = self.offer(at, pool);
        let fate =
            if fate == Fate::TakenBack && offer.market == Market::OnDemand { Fate::Works } else { fate };
        let made_at = u64::try_from(at * 1000).expect("after 1970");
        let launch = LaunchId::new(Ulid::from_parts(made_at, u128::from(self.below(u64::MAX))));
        let deadline = at + pool.lifetime;
        let first = self.job(at - 4, pool);
        self.buy(at, launch, pool, &offer, first);
        if fate == Fate::NeverRegisters {
            return self.gone(at, at + 15 * 60, launch, EndReason::Ours);
        }
        let mut now = at + 45 + self.seconds_below(70);
        self.events.push((now, Event::RunnerIdle { launch }));
        let jobs = 1 + self.below(pool.jobs_most);
        for number in 0..jobs {
            let job = if number == 0 { first } else { self.job(now, pool) };
            now += 2;
            self.events.push((now, Event::RunnerBusy { launch, job: Some(job) }));
            let minutes = pool.minutes + self.seconds_below(pool.minutes);
            now += minutes * 60 * (1 << self.below(5)) + self.seconds_below(60);
            if number + 1 == jobs && fate != Fate::Works {
                break;
            }
            self.events.push((now, Event::RunnerIdle { launch }));
            now += 10 + self.seconds_below(290);
        }
        match fate {
            Fate::Lost => {}
            Fate::TakenBack => self.gone(at, now, launch, EndReason::TakenBack),
            Fate::Capped => self.gone(at, deadline.max(now), launch, EndReason::Ours),
            Fate::Works | Fate::NeverRegisters => self.gone(at, now, launch, EndReason::Ours),
        }
    }

    fn offer(&mut self, at: i64, pool: &Pool) -> Offer {
        let instance_type = self.one_of(pool.types);
        let market = if self.below(10) < pool.spot_of_ten { Market::Spot } else { Market::OnDemand };
        let (region, zone) = self.one_of(&[
            ("us-east-1", "us-east-1a"),
            ("us-east-1", "us-east-1d"),
            ("us-west-2", "us-west-2b"),
        ]);
        let quote = match market {
            Market::Spot => self.book.spot(region, Some(zone), instance_type, time(at)),
            Market::OnDemand => self.book.on_demand(region, instance_type, time(at)),
        };
        Offer {
            region: region.to_owned(),
            zone: Some(zone.to_owned()),
            instance_type: instance_type.to_owned(),
            market,
            price: Some(quote.expect("the type has a price").price),
            resources: cml_prices::find(instance_type).expect("is a type").resources.clone(),
            driver: cml_cloud::Driver::None,
            quota: None,
            disk: Some(Disk { gib: pool.disk_gib, price: UsdPerGibMonth(Decimal::new(8, 2)) }),
        }
    }

    fn job(&mut self, at: i64, pool: &Pool) -> JobId {
        self.jobs += 1;
        let job = JobId(71_000_000_000 + self.jobs * 37);
        // The first repositories have more jobs than the last.
        let most = 1 + self.below(REPOSITORIES.len() as u64);
        let repository = REPOSITORIES[usize::try_from(self.below(most)).expect("is small")];
        let workflow = self.one_of(&WORKFLOWS);
        let facts = JobFacts {
            repository: repository.to_owned(),
            run_id: 19_000_000_000 + self.jobs * 11,
            name: format!("{workflow} ({})", pool.spec),
            event: "push".to_owned(),
            actor: self.one_of(&PEOPLE).to_owned(),
            workflow: workflow.to_owned(),
            branch: self.one_of(&BRANCHES).to_owned(),
        };
        self.events.push((at, Event::JobCame { job, spec: pool.spec.to_owned(), facts }));
        job
    }

    fn buy(&mut self, at: i64, launch: LaunchId, pool: &Pool, offer: &Offer, job: JobId) {
        let intended = Event::LaunchIntended {
            launch,
            spec: pool.spec.to_owned(),
            labels: vec![pool.spec.to_owned()],
            region: None,
            job: Some(job),
            deadline: Deadline(time(at + pool.lifetime)),
            price: offer.price.unwrap_or(UsdPerHour(Decimal::ZERO)),
            disk: offer.disk,
            vcpus: offer.resources.vcpus,
            writer: None,
        };
        let instance = InstanceId(format!("i-{:017x}", self.below(u64::MAX)));
        self.events.push((at - 2, intended));
        self.events.push((at, Event::LaunchBought { launch, instance, offer: offer.clone() }));
    }

    /// Writes the end. For one in eight machines the cloud does not report when it ended.
    fn gone(&mut self, began: i64, ended: i64, launch: LaunchId, end: EndReason) {
        let is_told = self.below(8) > 0;
        let ended_at = is_told.then(|| time(ended));
        let gone =
            Event::InstanceGone { launch, end, started_at: Some(time(began)), ended_at, lacks_prices: false };
        self.events.push((ended + 4, gone));
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).expect("is small")]
    }

    fn seconds_below(&mut self, most: i64) -> i64 {
        i64::try_from(self.below(most.unsigned_abs())).expect("is small")
    }

    /// Returns a random number below `most`, by SplitMix64.
    fn below(&mut self, most: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % most.max(1)
    }
}

pub(crate) fn time(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}
