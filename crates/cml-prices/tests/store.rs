//! The store of prices: nothing is lost, duplicated or stored in part.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use cml_cloud::{SpotPrice, UsdPerGibMonth, UsdPerHour};
use cml_prices::{Book, Fetched, ImportStats, OnDemandPrice, SpotAnswer, Store, VolumePrice};
use jiff::Timestamp;

const T4: &str = "g4dn.xlarge";

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn change(since: &str, price: &str) -> SpotPrice {
    SpotPrice {
        region: "eu-west-1".to_owned(),
        zone: Some("eu-west-1a".to_owned()),
        instance_type: T4.to_owned(),
        since: at(since),
        price: UsdPerHour(price.parse().expect("a price")),
    }
}

fn fetched(asked: &str, since: &str, changes: &[(&str, &str)]) -> Fetched {
    let effective = at("2026-11-01T00:00:00Z");
    Fetched {
        region: "eu-west-1".to_owned(),
        asked: at(asked),
        on_demand: vec![OnDemandPrice {
            region: "eu-west-1".to_owned(),
            instance_type: T4.to_owned(),
            price: UsdPerHour("0.587".parse().expect("a price")),
            effective,
        }],
        volume: Some(VolumePrice {
            region: "eu-west-1".to_owned(),
            price: UsdPerGibMonth("0.088".parse().expect("a price")),
            effective,
        }),
        spot: vec![SpotAnswer {
            types: vec![T4.to_owned()],
            since: at(since),
            changes: changes.iter().map(|(since, price)| change(since, price)).collect(),
        }],
    }
}

fn first() -> Fetched {
    let changes = [("2026-11-10T03:00:00Z", "0.2"), ("2026-11-10T09:00:00Z", "0.25")];
    fetched("2026-11-10T12:00:00Z", "2026-11-10T06:00:00Z", &changes)
}

fn second() -> Fetched {
    let changes = [("2026-11-10T09:00:00Z", "0.25"), ("2026-11-10T15:00:00Z", "0.3")];
    fetched("2026-11-11T12:00:00Z", "2026-11-10T11:00:00Z", &changes)
}

fn words(book: &Book, time: &str) -> [String; 3] {
    let time = at(time);
    let words = |quote: cml_prices::Quote| format!("{} ({})", quote.price, quote.source);
    let volume = book.volume_gib_month("eu-west-1");
    [
        book.on_demand("eu-west-1", T4, time).map(words).unwrap_or_default(),
        book.spot("eu-west-1", Some("eu-west-1a"), T4, time).map(words).unwrap_or_default(),
        format!("{} ({})", volume.price, volume.source),
    ]
}

fn put(path: &Path, fetched: &Fetched) -> ImportStats {
    Store::open(path).expect("opens").put(fetched).expect("is put in")
}

#[test]
fn what_was_put_in_is_in_the_book_and_only_the_owner_can_read_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("below/prices.db");
    assert_eq!(Store::book(&path, None).expect("reads"), Book::shipped(), "no file, nothing fetched");
    assert!(!path.exists(), "looking makes no file");
    assert_eq!(put(&path, &first()), ImportStats { listed: 2, spot: 2 });
    let mode = std::fs::metadata(&path).expect("is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(
        words(&Store::book(&path, None).expect("reads"), "2026-11-10T10:00:00Z"),
        [
            "$0.587/h (AWS, asked 2026-11-10 12:00 UTC)",
            "$0.25/h (AWS, asked 2026-11-10 12:00 UTC)",
            "$0.088/GiB-month (AWS, asked 2026-11-10 12:00 UTC)",
        ]
    );
}

#[test]
fn a_repeat_adds_nothing_and_the_order_does_not_matter() {
    let dir = tempfile::tempdir().expect("a directory");
    let (one, other) = (dir.path().join("one.db"), dir.path().join("other.db"));
    assert_eq!(put(&one, &first()), ImportStats { listed: 2, spot: 2 });
    assert_eq!(put(&one, &first()), ImportStats::default());
    assert_eq!(put(&one, &second()), ImportStats { listed: 0, spot: 1 });
    for answer in [second(), first(), second()] {
        put(&other, &answer);
    }
    let book = Store::book(&one, None).expect("reads");
    assert_eq!(book, Store::book(&other, None).expect("reads"));
    let store = Store::open(&one).expect("opens");
    let until = store.spot_known_until("eu-west-1", T4).expect("reads");
    assert_eq!(until, Some(at("2026-11-11T12:00:00Z")));
    assert_eq!(store.spot_known_until("eu-west-1", "g5.xlarge").expect("reads"), None);
    assert_eq!(words(&book, "2026-11-10T10:00:00Z")[1], "$0.25/h (AWS, asked 2026-11-11 12:00 UTC)");
}

#[test]
fn a_part_of_the_book_has_the_price_in_force_at_its_begin() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("prices.db");
    put(&path, &first());
    put(&path, &second());
    let part = Store::book(&path, Some(at("2026-11-10T12:00:00Z"))).expect("reads");
    let whole = Store::book(&path, None).expect("reads");
    assert_ne!(part, whole, "the first change is left out");
    for time in ["2026-11-10T12:00:00Z", "2026-11-10T18:00:00Z"] {
        assert_eq!(words(&part, time), words(&whole, time));
    }
}

#[test]
fn an_answer_is_put_in_whole_or_not_at_all() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("prices.db");
    put(&path, &first());
    let before = Store::book(&path, None).expect("reads");
    // The last table that is written to refuses the write: as if the process had died before the end.
    let connection = rusqlite::Connection::open(&path).expect("opens");
    let refuse = "CREATE TRIGGER t BEFORE INSERT ON spot_asked BEGIN SELECT raise(ABORT, 'died'); END";
    connection.execute_batch(refuse).expect("runs");
    let error = Store::open(&path).expect("opens").put(&second()).expect_err("dies").to_string();
    assert!(error.contains("died") && error.contains("prices.db"), "{error}");
    assert_eq!(Store::book(&path, None).expect("reads"), before);
    connection.execute_batch("DROP TRIGGER t").expect("runs");
    assert_eq!(put(&path, &second()), ImportStats { listed: 0, spot: 1 });
}

#[test]
fn two_at_once_do_no_harm() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("prices.db");
    let new: usize = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..8).map(|_| scope.spawn(|| put(&path, &first()).spot)).collect();
        runs.into_iter().map(|run| run.join().expect("ends")).sum()
    });
    assert_eq!(new, 2, "each change was new to one of them");
}

#[test]
fn a_file_of_a_later_version_or_of_somebody_else_is_not_touched() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("prices.db");
    put(&path, &first());
    let connection = rusqlite::Connection::open(&path).expect("opens");
    connection.pragma_update(None, "user_version", 99).expect("writes");
    let error = Store::book(&path, None).expect_err("is too new").to_string();
    assert!(error.contains("schema 99, this one knows 1") && error.contains("update cml-runner"), "{error}");
    connection.pragma_update(None, "user_version", 1).expect("writes");
    connection.execute("UPDATE spot SET price = 'cheap'", []).expect("writes");
    let error = Store::book(&path, None).expect_err("is junk").to_string();
    assert!(error.contains("\"cheap\" is no price"), "{error}");
    let junk = dir.path().join("junk.db");
    std::fs::write(&junk, "this is no database, and longer than a header of one would have to be")
        .expect("written");
    let error = Store::book(&junk, None).expect_err("is junk").to_string();
    assert!(error.contains("not a database"), "{error}");
}
