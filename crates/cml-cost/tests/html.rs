//! The page of a report: its content, and how a browser renders it.

mod browser;
mod sample;

use browser::{Browser, Theme};
use cml_cloud::{Market, Usd};
use cml_cost::{Class, DaySpend, GroupBy, Report, Site, Window, html};
use jiff::ToSpan;
use jiff::civil::date;
use rust_decimal::Decimal;
use sample::{Sample, Short};

const SITE: Site<'_> = Site { scope: "acme", forge: "https://github.com/" };
/// Widths of a phone's and of a desktop's window.
const WIDTHS: [u32; 2] = [390, 1280];

fn page(report: &Report) -> String {
    html(report, SITE).expect("a page")
}

fn usual() -> Report {
    Sample::of_days(30).report(GroupBy::Repo)
}

/// Creates a report of one machine of this pool, which ran one job of this repository.
fn short(spec: &str, repository: &str, by: GroupBy) -> Report {
    Sample::short(&Short { spec, repository, is_there: false }).report(by)
}

fn empty() -> Report {
    let now = "2026-11-18T14:30:00Z".parse().expect("a time");
    let window = Window { first: date(2026, 11, 12), after: date(2026, 11, 19) };
    Sample::of_events(&[], window, now).report(GroupBy::Repo)
}

/// Stretches a report over so many days.
fn stretched(mut report: Report, count: i64) -> Report {
    let first = date(2026, 3, 15);
    let day = |number: i64| first.checked_add(number.days()).expect("a day");
    report.query.window = Window { first, after: day(count) };
    let usual = std::mem::take(&mut report.days);
    let spend = |(number, day_spend): (i64, &DaySpend)| DaySpend { day: day(number), ..day_spend.clone() };
    report.days = (0..count).zip(usual.iter().cycle()).map(spend).collect();
    report
}

/// Replaces every amount of a report with so many dollars.
fn huge(dollars: Decimal) -> Report {
    let mut report = usual();
    report.job_costs.extend([Usd(dollars); 2]);
    report.comparison.spot_on_demand = Usd(dollars);
    report.comparison.hosted.cost = Usd(dollars);
    report.estimated = Usd(dollars);
    for running in &mut report.running {
        (running.cost, running.committed) = (Usd(dollars), Usd(dollars));
    }
    for day in &mut report.days[..2] {
        day.by_owner.fill(Usd(dollars));
    }
    report
}

#[test]
fn the_sample_has_everything_that_a_page_shows() {
    let report = usual();
    assert_eq!(report.days.len(), 30);
    assert!(Class::ALL.iter().all(|class| !report.total.class(*class).0.is_zero()), "{:?}", report.total);
    assert!(report.waste.len() >= 3, "{:?}", report.waste);
    assert!(report.running.iter().any(|it| it.is_overdue), "{:?}", report.running);
    assert!(
        report.running.iter().any(|it| !it.is_overdue && it.market == Market::Spot),
        "{:?}",
        report.running
    );
    assert!(report.comparison.hosted.jobs > 0 && report.comparison.hosted.unfit > 0);
    assert!(!report.estimated.0.is_zero() && report.job_costs.len() > 300);
}

#[test]
fn a_small_report_as_a_page() {
    let report =
        Sample::short(&Short { spec: "gpu", repository: "acme/vision", is_there: true }).report(GroupBy::Job);
    let page = page(&report);
    let (head, rest) = page.split_once("<style>").expect("a style");
    let (_, body) = rest.split_once("</style>").expect("its end");
    insta::assert_snapshot!(format!("{head}<style></style>{body}"));
}

#[test]
fn the_page_asks_nothing_of_anybody() {
    let page = page(&usual());
    assert!(page.contains("default-src 'none'"), "no policy");
    for word in ["<script", "src=", "url(", "@import", "<link", "<iframe", "undefined", "NaN"] {
        assert!(!page.contains(word), "{word}");
    }
}

#[test]
fn hostile_names_are_text() {
    let name = r#"</title><script>alert(1)</script>"><img src=x onerror='alert(2)'>&amp; {{ 7 * 7 }}"#;
    let site = Site { scope: name, forge: r#"https://github.com" onclick="x"# };
    for by in GroupBy::ALL {
        let report = Sample::short(&Short { spec: name, repository: name, is_there: true }).report(by);
        let page = html(&report, site).expect("a page");
        for raw in ["<script", "<img", "'alert(2)'", r#"" onclick"#] {
            assert!(!page.contains(raw), "{by}: {raw}");
        }
        assert!(page.contains("{{ 7 * 7 }}") && page.contains("&amp;amp;"), "{by}");
    }
}

#[test]
fn a_job_links_to_its_page() {
    let page = page(&short("gpu", "acme/vision", GroupBy::Job));
    let link = r#"<a href="https:&#x2f;&#x2f;github.com&#x2f;acme&#x2f;vision&#x2f;actions&#x2f;runs&#x2f;19000000011&#x2f;job&#x2f;71000000037">"#;
    assert!(page.contains(link), "{page}");
}

#[test]
fn nothing_spent_is_said_in_words() {
    let page = page(&empty());
    assert!(page.contains("Nothing was spent") && page.contains("2026-11-12 to 2026-11-18"), "{page}");
    assert!(!page.contains("<svg") && !page.contains("<table"), "{page}");
}

#[test]
fn no_sum_is_too_large_to_be_told() {
    assert!(page(&huge(Decimal::MAX)).contains("$79,228,162,514,264,337,593,543,950,335.00"));
}

#[test]
fn what_is_not_known_is_said() {
    let mut report = short("gpu", "acme/vision", GroupBy::Repo);
    report.comparison = Default::default();
    let told = page(&report);
    for words in ["there was no spot machine whose on-demand price is known", "there was no job to compare"] {
        assert!(told.contains(words), "{words}");
    }
    report.comparison.hosted.unfit = 3;
    assert!(page(&report).contains("No price: 3 jobs fit on none of them"));
    report.comparison.spot = Usd(Decimal::from(3));
    report.comparison.spot_on_demand = Usd(Decimal::from(2));
    assert!(page(&report).contains("Spot machines cost $1.00 (50 %) more"));
}

#[test]
fn a_browser_shows_every_kind_of_report_in_its_window() {
    let Some(browser) = Browser::find() else {
        let mut out = std::io::stderr();
        std::io::Write::write_all(&mut out, b"skipped: there is no chromium here\n").expect("is told");
        return;
    };
    let long = "supercalifragilistic\u{1f9ea}".repeat(12);
    let kinds = [
        ("month", page(&usual())),
        ("jobs", page(&Sample::of_days(30).report(GroupBy::Job))),
        ("year", page(&stretched(usual(), 366))),
        ("quarter", page(&stretched(usual(), 92))),
        ("day", page(&stretched(usual(), 1))),
        ("empty", page(&empty())),
        ("huge", page(&huge(Decimal::from(1_000_000_000_000_i64)))),
        ("long", page(&short(&long, &format!("{long}/{long}"), GroupBy::Repo))),
    ];
    for theme in [Theme::Light, Theme::Dark] {
        let windows: Vec<(&str, u32)> =
            kinds.iter().flat_map(|(_, page)| WIDTHS.map(|width| (page.as_str(), width))).collect();
        let measured = browser.measure(&windows, theme);
        assert_eq!(measured.len(), windows.len());
        let names = kinds.iter().flat_map(|(name, _)| WIDTHS.map(|width| (*name, width)));
        for (((name, width), (page, _)), found) in names.zip(&windows).zip(&measured) {
            assert_eq!(found.wider, 0, "{name} at {width}");
            assert_eq!(found.overlaps, 0, "labels of {name} at {width}");
            assert!(found.names >= 1 || name == "empty", "{name} at {width}: {found:?}");
            assert!(found.text.contains("Not counted"), "{name} at {width}: {found:?}");
            let paper = if theme == Theme::Dark { "rgb(21, 24, 28)" } else { "rgb(255, 255, 255)" };
            assert_eq!(found.paper, paper, "{name} at {width}, {theme:?}");
            if ["month", "year", "day"].contains(&name) {
                browser.photograph(page, (width, found.tall), theme, name);
            }
        }
    }
    Browser::is_in_the_book("cost-month-1280-light.png", "cost.png");
}
