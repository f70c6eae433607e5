//! Reports on a made-up month, and on untrusted names.
#![allow(missing_docs)]

mod sample;

use std::collections::BTreeMap;

use cml_cloud::{LaunchId, Market};
use cml_cost::{Assumed, GroupBy, Ledger, PastJob, Query, Window, advice_text, advise, reconstruct, report};
use cml_journal::{Event, JobFacts, Journal, SqliteJournal};
use cml_prices::Book;
use jiff::{SignedDuration, Timestamp};
use sample::Sample;

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

#[test]
fn the_table_says_who_cost_what_and_what_it_rests_on() {
    let mut sample = Sample::of_days(30);
    insta::assert_snapshot!("by_spec", cml_cost::table(&sample.report(GroupBy::Spec)));
    insta::assert_snapshot!("by_repo", cml_cost::table(&sample.report(GroupBy::Repo)));
    insta::assert_snapshot!("by_market_as_markdown", cml_cost::markdown(&sample.report(GroupBy::Market)));
    insta::assert_snapshot!(
        "by_actor_as_csv",
        cml_cost::csv(&sample.report(GroupBy::Actor)).expect("is written")
    );
}

#[test]
fn json_says_all_of_it_in_decimal_texts() {
    let mut sample = Sample::of_days(3);
    let json = cml_cost::json(&sample.report(GroupBy::Type));
    let usd = |text: &serde_json::Value| {
        text.as_str().expect("a text").parse::<rust_decimal::Decimal>().expect("a number")
    };
    let rows = json["rows"].as_array().expect("a list");
    let sum: rust_decimal::Decimal = rows.iter().map(|row| usd(&row["usd"])).sum();
    assert_eq!(sum, usd(&json["total"]["usd"]));
    assert_eq!(json["from"], "2026-11-16");
    assert_eq!(json["to"], "2026-11-18");
    assert!(!json["running"].as_array().expect("a list").is_empty());
}

#[test]
fn advice_names_the_amount_and_the_change() {
    let mut sample = Sample::of_days(30);
    let window = Window::since(SignedDuration::from_hours(24 * 30), sample.now);
    let advice = advise(&mut sample.ledger, window, sample.now, &sample.book).expect("advises");
    insta::assert_snapshot!("advice", advice_text(&advice, window));
    let none = Window::month("2020-01".parse().expect("a month"));
    let nothing = advise(&mut sample.ledger, none, sample.now, &sample.book).expect("advises");
    assert!(advice_text(&nothing, none).contains("Nothing that the ledger knows of"));
}

#[test]
fn an_empty_ledger_says_so_in_every_format() {
    let now = at("2026-11-18T12:00:00Z");
    let window = Window::since(SignedDuration::from_hours(24), now);
    let mut sample = Sample::of_events(&[], window, now);
    let report = sample.report(GroupBy::Repo);
    for text in [cml_cost::table(&report), cml_cost::markdown(&report)] {
        assert!(text.contains("No machine of these days is in the ledger."), "{text}");
    }
    assert_eq!(cml_cost::csv(&report).expect("is written").lines().count(), 1);
    assert_eq!(cml_cost::json(&report)["total"]["usd"], "0");
}

/// Creates one machine for one job of a repository, actor and branch of these names.
fn named(name: &str) -> Sample {
    let now = at("2026-11-18T12:00:00Z");
    let launch = LaunchId::new(ulid::Ulid::from_parts(1_763_000_000_000, 1));
    let job = past("7", &launch.runner_name_for("g5.xlarge", Some(Market::Spot)), name);
    let assumed = Assumed { region: "us-east-1".to_owned(), disk_gib: 35, ..Assumed::default() };
    let made = reconstruct(&[job], &BTreeMap::new(), &assumed, &Book::shipped());
    let events: Vec<(i64, Event)> =
        made.events.into_iter().map(|(at, event)| (at.as_second(), event)).collect();
    Sample::of_events(&events, Window::since(SignedDuration::from_hours(24 * 600), now), now)
}

fn past(id: &str, runner: &str, name: &str) -> PastJob {
    PastJob {
        id: id.parse().expect("a number"),
        facts: JobFacts {
            repository: name.to_owned(),
            run_id: 70,
            name: name.to_owned(),
            event: "push".to_owned(),
            actor: name.to_owned(),
            workflow: name.to_owned(),
            branch: name.to_owned(),
        },
        runner: runner.to_owned(),
        came: at("2025-11-13T02:13:00Z"),
        began: at("2025-11-13T02:15:20Z"),
        ended: at("2025-11-13T03:15:20Z"),
    }
}

#[test]
fn names_that_anybody_chose_stay_names() {
    let mut formula = named("=HYPERLINK(\"http://evil\")");
    let csv = cml_cost::csv(&formula.report(GroupBy::Actor)).expect("is written");
    assert!(csv.contains("\"'=HYPERLINK(\"\"http://evil\"\")\""), "{csv}");
    let mut markup = named("a|b <img src=x> @everyone `x` #1\n# title");
    let markdown = cml_cost::markdown(&markup.report(GroupBy::Branch));
    let shown = "<code>a&#124;b &#60;img src&#61;x&#62; &#64;everyone &#96;x&#96; &#35;1↵&#35; title</code>";
    assert!(markdown.contains(&format!("| {shown} |")), "{markdown}");
    let mut page = named("<script>alert(1)</script>");
    let site = cml_cost::Site { scope: "<b>", forge: "https://github.com" };
    let html = cml_cost::html(&page.report(GroupBy::Repo), site).expect("is written");
    assert!(!html.contains("<script") && !html.contains("<b>"), "it is escaped");
}

#[test]
fn what_github_remembers_is_enough_for_a_good_guess() {
    // Launched at 02:13:20, gone 20 s after the end of its job at 03:15:20.
    let mut sample = named("acme/vision");
    let report = sample.report(GroupBy::Repo);
    assert_eq!(report.total.seconds, 62 * 60 + 20);
    assert_eq!(report.total.cost(), report.estimated, "all of it is an estimate, and told as one");
    let spot = Book::shipped()
        .spot("us-east-1", None, "g5.xlarge", at("2025-11-13T00:00:00Z"))
        .expect("an estimate");
    let machine = report.total.cost().0 - report.total.disk().0;
    assert_eq!(machine.round_dp(6), spot.price.for_seconds(62 * 60 + 20).0.round_dp(6));
    assert_eq!(report.rows[0].name, "acme/vision");
}

#[test]
fn a_job_that_seems_to_begin_before_its_launch_is_its_own() {
    let launch = LaunchId::new(ulid::Ulid::from_parts(1_763_000_000_900, 1));
    let runner = launch.runner_name_for("g5.xlarge", Some(Market::Spot));
    let began = Timestamp::from_second(1_763_000_000).expect("in range");
    let job = PastJob { came: began, began, ..past("7", &runner, "acme/vision") };
    let assumed = Assumed { region: "us-east-1".to_owned(), disk_gib: 35, ..Assumed::default() };
    let made = reconstruct(&[job], &BTreeMap::new(), &assumed, &Book::shipped());
    let place = |is_it: fn(&Event) -> bool| made.events.iter().position(|(_, event)| is_it(event));
    let bought = place(|event| matches!(event, Event::LaunchBought { .. }));
    assert!(bought < place(|event| matches!(event, Event::RunnerBusy { .. })), "{:#?}", made.events);
}

#[test]
fn a_machine_whose_type_nobody_tells_is_left_out_and_counted() {
    let runner = LaunchId::new(ulid::Ulid::from_parts(1_763_000_000_000, 1)).runner_name();
    let jobs = [past("7", &runner, "acme/vision"), past("8", "somebody-elses-runner", "acme/vision")];
    let assumed = Assumed { region: "us-east-1".to_owned(), disk_gib: 35, ..Assumed::default() };
    let made = reconstruct(&jobs, &BTreeMap::new(), &assumed, &Book::shipped());
    assert_eq!((made.events.len(), made.without_type), (0, 1));
    let named =
        Assumed { instance_type: Some("m7i.large".to_owned()), market: Some(Market::OnDemand), ..assumed };
    let made = reconstruct(&jobs, &BTreeMap::new(), &named, &Book::shipped());
    assert_eq!(made.without_type, 0);
    let is_bought = |event: &Event| matches!(event, Event::LaunchBought { offer, .. } if offer.instance_type == "m7i.large");
    assert!(made.events.iter().any(|(_, event)| is_bought(event)));
}

/// The journal of a `launch` has the purchase but not the end; GitHub has the latter.
#[test]
fn a_launch_whose_end_nobody_saw_gets_it_from_github_and_counts_once() {
    let now = at("2026-11-18T12:00:00Z");
    let launch = LaunchId::new(ulid::Ulid::from_parts(1_763_000_000_000, 1));
    let runner = launch.runner_name_for("g5.xlarge", Some(Market::Spot));
    let assumed = Assumed { region: "us-east-1".to_owned(), disk_gib: 35, ..Assumed::default() };
    let jobs = [past("7", &runner, "acme/vision")];
    let known = reconstruct(&jobs, &BTreeMap::new(), &assumed, &Book::shipped()).events;
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("launch.db");
    let mut journal = SqliteJournal::open(&path).expect("opens");
    let begun = known
        .iter()
        .filter(|(_, event)| matches!(event, Event::LaunchIntended { .. } | Event::LaunchBought { .. }));
    let mut seen = 0;
    for (at, event) in begun {
        seen = journal.append(seen, *at, std::slice::from_ref(event)).expect("is written");
    }
    let mut ledger = Ledger::open(&dir.path().join("ledger.db")).expect("opens");
    ledger.take_in(&path, now, &Book::shipped()).expect("is taken in");
    let bought = ledger.bought();
    assert!(bought.contains_key(&launch));
    let made = reconstruct(&jobs, &bought, &Assumed::default(), &Book::shipped());
    let other = dir.path().join("reconstructed.db");
    let mut journal = SqliteJournal::open(&other).expect("opens");
    let mut seen = 0;
    for (at, event) in &made.events {
        seen = journal.append(seen, *at, std::slice::from_ref(event)).expect("is written");
    }
    ledger.take_in(&other, now, &Book::shipped()).expect("is taken in");
    let query =
        Query { window: Window::since(SignedDuration::from_hours(24 * 600), now), by: GroupBy::Repo, top: 9 };
    let report = report(&mut ledger, query, now, &Book::shipped()).expect("reports");
    assert_eq!((report.total.machines, report.running.len()), (1, 0));
    assert_eq!(report.rows[0].name, "acme/vision");
}

#[test]
fn a_name_in_the_table_is_one_line_whatever_is_in_it() {
    let mut sample = Sample::of_days(3);
    let mut report = sample.report(GroupBy::Spec);
    let lines = cml_cost::table(&report).lines().count();
    report.rows[0].name = "x\u{1b}]0;t\u{7}\u{202e}\r\n::error::forged ##[group]".to_owned();
    let text = cml_cost::table(&report);
    assert_eq!(text.lines().count(), lines, "{text}");
    assert!(
        text.contains("x\\u{1b}]0;t\\u{7}\\u{202e}\\u{d}\\u{a}::error::forged \\u{23}#[group]"),
        "{text}"
    );
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
}

#[test]
fn a_name_in_the_markdown_table_is_one_cell_whatever_is_in_it() {
    let mut sample = Sample::of_days(3);
    let mut report = sample.report(GroupBy::Spec);
    let lines = cml_cost::markdown(&report).lines().count();
    report.rows[0].name = "x\u{1b}]0;t\u{7}\u{202e}\u{200b}\r\n|@mallory ![](http://x)".to_owned();
    let text = cml_cost::markdown(&report);
    assert_eq!(text.lines().count(), lines, "{text}");
    assert!(!text.contains(['\u{1b}', '\u{202e}', '\u{200b}', '\r', '@', '!']), "{text:?}");
    let row = text.lines().find(|line| line.contains("mallory")).expect("its row");
    let columns = text.lines().find(|line| line.starts_with("|---")).expect("a table").matches('|').count();
    assert_eq!(row.matches('|').count(), columns, "{row}");
}
