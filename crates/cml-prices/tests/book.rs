//! The book of prices: its answers, their certainty, and independence of the order in which prices are added.

use cml_cloud::{SpotPrice, UsdPerGibMonth, UsdPerHour};
use cml_prices::{Book, OnDemandPrice, Quote, VolumePrice};
use jiff::Timestamp;
use proptest::prelude::*;
use rust_decimal::Decimal;

const T4: &str = "g4dn.xlarge";

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn usd(text: &str) -> UsdPerHour {
    UsdPerHour(text.parse().expect("a number"))
}

fn listed(region: &str, price: &str, effective: &str) -> OnDemandPrice {
    OnDemandPrice {
        region: region.to_owned(),
        instance_type: T4.to_owned(),
        price: usd(price),
        effective: at(effective),
    }
}

fn change(zone: &str, since: &str, price: &str) -> SpotPrice {
    SpotPrice {
        region: "eu-west-1".to_owned(),
        zone: Some(zone.to_owned()),
        instance_type: T4.to_owned(),
        since: at(since),
        price: usd(price),
    }
}

fn words(quote: Option<Quote>) -> String {
    quote.map_or("unknown".to_owned(), |quote| format!("{} ({})", quote.price, quote.source))
}

#[test]
fn the_shipped_tables_say_of_what_date_they_are_and_what_is_an_estimate() {
    let book = Book::shipped();
    let now = at("2026-11-25T10:00:00Z");
    assert_eq!(words(book.on_demand("us-east-1", T4, now)), "$0.526/h (shipped table of 2026-07-20)");
    assert_eq!(words(book.on_demand("eu-west-1", T4, now)), "$0.526/h (estimate: the us-east-1 price)");
    assert_eq!(words(book.on_demand("us-east-1", "x99.huge", now)), "unknown");
    assert_eq!(
        words(book.spot("af-south-1", None, "c5.12xlarge", now)),
        "$0.2652/h (estimate: the on-demand price less 87 %, what spot saved by 2025-07-28)"
    );
    assert_eq!(
        words(book.spot("mars-north-1", Some("mars-north-1a"), T4, now)),
        "$0.526/h (estimate: the on-demand price; no spot price is known)"
    );
    assert_eq!(words(book.spot("us-east-1", None, "x99.huge", now)), "unknown");
    assert!(book.spot_changes("us-east-1", "us-east-1a", "x99.huge", now, now).is_empty());
}

#[test]
fn a_list_price_holds_from_its_date_and_the_later_answer_counts() {
    let mut book = Book::shipped();
    let asked = at("2026-11-20T06:00:00Z");
    book.add_on_demand(listed("eu-west-1", "0.587", "2026-10-01T00:00:00Z"), at("2026-10-20T06:00:00Z"));
    book.add_on_demand(listed("eu-west-1", "0.571", "2026-11-01T00:00:00Z"), asked);
    book.add_on_demand(listed("eu-west-1", "0.575", "2026-11-01T00:00:00Z"), at("2026-11-19T06:00:00Z"));
    let on = |time: &str| words(book.on_demand("eu-west-1", T4, at(time)));
    assert_eq!(on("2026-09-30T23:59:59Z"), "$0.587/h (estimate: the list price of later)");
    assert_eq!(on("2026-10-01T00:00:00Z"), "$0.587/h (AWS, asked 2026-10-20 06:00 UTC)");
    assert_eq!(on("2026-11-01T00:00:00Z"), "$0.571/h (AWS, asked 2026-11-20 06:00 UTC)");
    // Before the first fetched list, the shipped one is the better source where there is one.
    book.add_on_demand(listed("us-east-1", "0.51", "2026-11-01T00:00:00Z"), asked);
    let earlier = book.on_demand("us-east-1", T4, at("2026-08-01T00:00:00Z"));
    assert_eq!(words(earlier), "$0.526/h (shipped table of 2026-07-20)");
}

#[test]
fn a_spot_price_is_that_of_its_zone_and_moment() {
    let mut book = Book::shipped();
    for (zone, since, price) in [
        ("eu-west-1a", "2026-11-01T00:00:00Z", "0.20"),
        ("eu-west-1a", "2026-11-01T06:00:00Z", "0.20"),
        ("eu-west-1a", "2026-11-01T12:00:00Z", "0.30"),
        ("eu-west-1b", "2026-11-01T00:00:00Z", "0.25"),
    ] {
        book.add_spot(change(zone, since, price));
    }
    book.spot_asked("eu-west-1", T4, at("2026-11-01T00:00:00Z"), at("2026-11-02T00:00:00Z"));
    let spot = |zone: Option<&str>, time: &str| words(book.spot("eu-west-1", zone, T4, at(time)));
    let a = Some("eu-west-1a");
    assert_eq!(spot(a, "2026-11-01T11:59:59Z"), "$0.2/h (AWS, asked 2026-11-02 00:00 UTC)");
    assert_eq!(spot(a, "2026-11-01T12:00:00Z"), "$0.3/h (AWS, asked 2026-11-02 00:00 UTC)");
    assert_eq!(spot(a, "2026-11-03T12:00:00Z"), "$0.3/h (AWS, asked 2026-11-02 00:00 UTC)");
    assert_eq!(
        spot(a, "2026-11-03T12:00:01Z"),
        "$0.3/h (estimate: the last spot price that is known, of earlier)"
    );
    assert_eq!(
        spot(a, "2026-10-31T00:00:00Z"),
        "$0.2/h (estimate: the first spot price that is known, of later)"
    );
    assert_eq!(spot(None, "2026-11-01T13:00:00Z"), "$0.275/h (estimate: the mean of the region's zones)");
    assert_eq!(
        spot(Some("eu-west-1c"), "2026-11-01T13:00:00Z"),
        "$0.275/h (estimate: the mean of the region's zones)"
    );
    let from = at("2026-11-01T03:00:00Z");
    let changes = book.spot_changes("eu-west-1", "eu-west-1a", T4, from, at("2026-11-02T00:00:00Z"));
    assert_eq!(changes, [(from, usd("0.20")), (at("2026-11-01T12:00:00Z"), usd("0.30"))]);
    let short = book.spot_changes("eu-west-1", "eu-west-1a", T4, from, at("2026-11-01T12:00:00Z"));
    assert_eq!(short, [(from, usd("0.20"))], "the end does not belong to it");
    assert_eq!(book.spot_changes("eu-west-1", "eu-west-1a", T4, from, from), [(from, usd("0.20"))]);
}

#[test]
fn a_time_that_nobody_asked_about_is_an_estimate_though_later_prices_are_known() {
    let mut book = Book::shipped();
    for since in ["2026-03-01T00:00:00Z", "2026-11-01T00:00:00Z"] {
        book.add_spot(change("eu-west-1a", since, "0.20"));
    }
    book.spot_asked("eu-west-1", T4, at("2026-11-01T00:00:00Z"), at("2026-11-20T00:00:00Z"));
    book.spot_asked("eu-west-1", T4, at("2026-03-01T00:00:00Z"), at("2026-03-10T00:00:00Z"));
    book.spot_asked("eu-west-1", T4, at("2026-03-09T00:00:00Z"), at("2026-04-01T00:00:00Z"));
    let known = |time: &str| {
        let quote = book.spot("eu-west-1", Some("eu-west-1a"), T4, at(time)).expect("a price");
        !quote.source.is_estimate()
    };
    assert!(known("2026-03-05T00:00:00Z") && known("2026-04-02T00:00:00Z") && known("2026-11-15T00:00:00Z"));
    assert!(
        !known("2026-04-03T00:00:00Z") && !known("2026-10-31T00:00:00Z") && !known("2026-11-22T00:00:00Z")
    );
}

#[test]
fn storage_costs_what_aws_says_last() {
    let mut book = Book::shipped();
    let price = |price: &str, effective: &str| VolumePrice {
        region: "eu-west-1".to_owned(),
        price: UsdPerGibMonth(price.parse().expect("a number")),
        effective: at(effective),
    };
    let asked = at("2026-11-20T06:00:00Z");
    book.add_volume(price("0.085", "2026-11-01T00:00:00Z"), asked);
    book.add_volume(price("0.088", "2026-10-01T00:00:00Z"), asked);
    let quote = book.volume_gib_month("eu-west-1");
    assert_eq!(quote.price.to_string(), "$0.085/GiB-month");
    assert_eq!(quote.source.to_string(), "AWS, asked 2026-11-20 06:00 UTC");
}

#[test]
fn figures_beyond_all_bounds_give_no_answer_rather_than_a_panic() {
    let mut book = Book::shipped();
    let now = at("2026-11-25T10:00:00Z");
    let huge = UsdPerHour(Decimal::MAX);
    book.add_on_demand(
        OnDemandPrice { price: huge, ..listed("ca-central-1", "1", "2026-01-01T00:00:00Z") },
        now,
    );
    book.add_on_demand(
        OnDemandPrice {
            price: huge,
            instance_type: "p5.48xlarge".to_owned(),
            ..listed("ca-central-1", "1", "2026-01-01T00:00:00Z")
        },
        now,
    );
    assert_eq!(book.spot("ca-central-1", None, "p5.48xlarge", now), None);
    for zone in ["eu-west-1a", "eu-west-1b"] {
        book.add_spot(SpotPrice { price: huge, ..change(zone, "2026-01-01T00:00:00Z", "1") });
    }
    assert_eq!(book.spot("eu-west-1", None, T4, now), None);
    assert!(book.spot("eu-west-1", Some("eu-west-1a"), T4, Timestamp::MAX).is_some());
    assert!(book.spot("eu-west-1", Some("eu-west-1a"), T4, Timestamp::MIN).is_some());
}

fn hour(number: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + number * 3600).expect("a time")
}

prop_compose! {
    fn changes()(list in prop::collection::vec((0..3_usize, 0..40_i64, 1..5_i64), 0..60)) -> Vec<SpotPrice> {
        let zones = ["eu-west-1a", "eu-west-1b", "eu-west-1c"];
        list.into_iter().map(|(zone, number, cents)| SpotPrice {
            since: hour(number),
            price: UsdPerHour(Decimal::new(cents, 2)),
            ..change(zones[zone], "2026-01-01T00:00:00Z", "1")
        }).collect()
    }
}

fn book_of(changes: &[SpotPrice]) -> Book {
    let mut book = Book::shipped();
    changes.iter().for_each(|change| book.add_spot(change.clone()));
    book
}

proptest! {
    #[test]
    fn neither_order_nor_repeats_change_the_book(
        (given, shuffled) in changes().prop_flat_map(|list| (Just(list.clone()), Just(list).prop_shuffle())),
        again in 0..60_usize,
        (spans, moved) in prop::collection::vec((0..40_i64, 0..10_i64), 0..8)
            .prop_flat_map(|list| (Just(list.clone()), Just(list).prop_shuffle())),
    ) {
        let mut twice = shuffled;
        twice.extend(given.iter().take(again).cloned());
        let book = |changes: &[SpotPrice], spans: &[(i64, i64)]| {
            let mut book = book_of(changes);
            for (from, hours) in spans {
                book.spot_asked("eu-west-1", T4, hour(*from), hour(from + hours));
            }
            book
        };
        prop_assert_eq!(book(&given, &spans), book(&twice, &moved));
    }

    #[test]
    fn changes_agree_with_the_price_at_each_moment(given in changes(), from in 0..40_i64, hours in 0..40_i64) {
        let book = book_of(&given);
        let told = book.spot_changes("eu-west-1", "eu-west-1a", T4, hour(from), hour(from + hours));
        for number in from..from + hours {
            let told = told.iter().rev().find(|(since, _)| *since <= hour(number)).map(|(_, price)| *price);
            // A zone without a series of its own has an estimate, which does not change within the span.
            if given.iter().any(|change| change.zone.as_deref() == Some("eu-west-1a")) {
                let quoted = book.spot("eu-west-1", Some("eu-west-1a"), T4, hour(number));
                prop_assert_eq!(told, quoted.map(|quote| quote.price));
            }
        }
        prop_assert!(told.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 != pair[1].1));
    }
}
