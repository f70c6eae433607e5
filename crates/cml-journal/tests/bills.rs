//! EC2's billing rules: bills computed by hand, and properties of every bill.
#![allow(missing_docs)]

use cml_cloud::{Disk, Market, Usd, UsdPerGibMonth, UsdPerHour};
use cml_journal::{BillableUsage, EndReason, TimeRange};
use jiff::Timestamp;
use proptest::prelude::*;
use rust_decimal::Decimal;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    bill: Vec<Bill>,
}

#[derive(Deserialize)]
struct Bill {
    name: String,
    market: Market,
    prices: Vec<(Timestamp, UsdPerHour)>,
    runs: Vec<(Timestamp, Timestamp)>,
    end: EndReason,
    disk: Option<DiskLife>,
    cost: Decimal,
}

#[derive(Deserialize)]
struct DiskLife {
    gib: u32,
    price: UsdPerGibMonth,
    from: Timestamp,
    to: Timestamp,
}

#[test]
fn bills_are_those_that_were_computed_by_hand() {
    let golden: Golden = toml::from_str(include_str!("bills.toml")).expect("is read");
    assert!(golden.bill.len() >= 20);
    for bill in golden.bill {
        let disk = bill.disk.map(|it| {
            let disk = Disk { gib: it.gib, price: it.price };
            (disk, TimeRange { from: it.from, to: it.to })
        });
        let runs = bill.runs.into_iter().map(|(from, to)| TimeRange { from, to }).collect();
        let tenure = BillableUsage { market: bill.market, prices: bill.prices, runs, end: bill.end, disk };
        assert_eq!(tenure.cost().0.round_dp(6), bill.cost, "{}", bill.name);
    }
}

/// Generates any second of some months, including ends of months, leap days and daylight saving changes.
fn second() -> impl Strategy<Value = Timestamp> {
    // From December 2027 to the end of April 2028, and around a past leap second.
    let long = 1_827_619_200_i64..1_841_000_000;
    let leap = 1_483_228_700_i64..1_483_228_900;
    prop_oneof![4 => long, 1 => leap].prop_map(|second| Timestamp::from_second(second).expect("in range"))
}

fn tenure() -> impl Strategy<Value = BillableUsage> {
    let price = (second(), 1_i64..5_000).prop_map(|(at, tenths)| (at, UsdPerHour(Decimal::new(tenths, 4))));
    let run = (second(), 0_i64..200_000, 0_i64..9_000);
    let disk = prop::option::of((8_u32..2_000, 0_i64..100_000));
    (any::<bool>(), any::<bool>(), prop::collection::vec(price, 0..6), run, disk).prop_map(
        |(spot, taken, mut prices, (from, length, pause), disk)| {
            prices.sort_by_key(|(since, _)| *since);
            prices.dedup_by_key(|(since, _)| *since);
            let later = |at: Timestamp, seconds: i64| {
                Timestamp::from_second(at.as_second() + seconds).expect("in range")
            };
            let stop = later(from, length);
            let mut runs = vec![TimeRange { from, to: stop }];
            if pause > 60 {
                runs.push(TimeRange { from: later(stop, pause), to: later(stop, pause + length / 2) });
            }
            let disk = disk.map(|(gib, more)| {
                let to = later(runs[runs.len() - 1].to, more);
                (Disk { gib, price: UsdPerGibMonth(Decimal::new(8, 2)) }, TimeRange { from, to })
            });
            BillableUsage {
                market: if spot { Market::Spot } else { Market::OnDemand },
                prices,
                runs,
                end: if taken { EndReason::TakenBack } else { EndReason::Ours },
                disk,
            }
        },
    )
}

fn in_window(tenure: &BillableUsage, window: TimeRange) -> Decimal {
    tenure.machine(window).0 + tenure.disk(window).0
}

/// Rounds an amount: thirds have no finite decimal form.
fn rounded(cost: Decimal) -> Decimal {
    cost.round_dp(15)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn cost_is_additive_over_any_split_of_time(tenure in tenure(), cuts in prop::collection::vec(second(), 0..8)) {
        let whole = tenure.whole();
        let mut cuts: Vec<_> = cuts.into_iter().filter(|cut| (whole.from..whole.to).contains(cut)).collect();
        cuts.extend([whole.from, whole.to]);
        cuts.sort();
        let parts: Decimal = cuts.windows(2).map(|pair| in_window(&tenure, TimeRange { from: pair[0], to: pair[1] })).sum();
        prop_assert_eq!(rounded(parts), rounded(tenure.cost().0));
        prop_assert!(parts >= Decimal::ZERO);
    }

    #[test]
    fn nothing_is_billed_outside_of_what_is_billed(tenure in tenure()) {
        let whole = tenure.whole();
        prop_assert_eq!(in_window(&tenure, TimeRange { from: Timestamp::MIN, to: whole.from }), Decimal::ZERO);
        prop_assert_eq!(in_window(&tenure, TimeRange { from: whole.to, to: Timestamp::MAX }), Decimal::ZERO);
        let all = TimeRange { from: Timestamp::MIN, to: Timestamp::MAX };
        prop_assert_eq!(Usd(in_window(&tenure, all)), tenure.cost());
    }

    #[test]
    fn a_longer_life_never_costs_less(tenure in tenure(), more in 0_i64..100_000) {
        // Except for the first hour of a spot machine that EC2 interrupts.
        let tenure = BillableUsage { end: EndReason::Ours, ..tenure };
        let mut longer = tenure.clone();
        let last = longer.runs.last_mut().expect("one at least");
        last.to = Timestamp::from_second(last.to.as_second() + more).expect("in range");
        prop_assert!(rounded(longer.machine(longer.whole()).0) >= rounded(tenure.machine(tenure.whole()).0));
    }
}
