//! Results of a simulation: as a table, as JSON, as a page with plots.

use std::fmt::Write as _;

use cml_cloud::Usd;
use cml_world::fleet::{Figures, Outcome};
use comfy_table::{Table, presets};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::json;

const HEADINGS: [&str; 11] = [
    "file",
    "spec",
    "jobs",
    "done",
    "cost",
    "wasted",
    "wait p50",
    "wait p95",
    "machines",
    "on-demand",
    "interrupted",
];
/// The assumptions behind the figures.
const NOTE: &str = "Prices: list prices of us-east-1, 2026-07. Machines with a GPU have the spot market of one V100 in 2023 (capacity and price relative \
to the list), others are always there at 40 % of the list. Boots take 20 to 90 s. Everything else is as the daemon would decide.";

fn rows(outcomes: &[(String, Outcome)]) -> Vec<[String; 11]> {
    let row = |file: &str, name: &str, figures: &Figures| {
        let wait = |percent| figures.wait_seconds(percent).map_or("–".to_owned(), length);
        [
            file.to_owned(),
            name.to_owned(),
            figures.jobs.to_string(),
            figures.done.to_string(),
            cents(figures.cost),
            cents(figures.wasted),
            wait(50),
            wait(95),
            figures.machines.to_string(),
            figures.on_demand.to_string(),
            figures.interruptions.to_string(),
        ]
    };
    outcomes
        .iter()
        .flat_map(|(file, outcome)| outcome.specs.iter().map(|(name, figures)| row(file, name, figures)))
        .collect()
}

fn cents(amount: Decimal) -> String {
    format!("${:.2}", amount.round_dp(2))
}

fn length(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

/// Returns the remarks below the table.
fn remarks(outcomes: &[(String, Outcome)]) -> Vec<String> {
    let mut remarks = Vec::new();
    for (file, outcome) in outcomes {
        let refused: Vec<String> = outcome
            .refused
            .iter()
            .filter(|(why, _)| **why != "GitHub silent")
            .map(|(why, jobs)| format!("{jobs} jobs waited or were refused: {why}"))
            .collect();
        remarks.extend(refused.into_iter().map(|text| format!("{file}: {text}")));
        if outcome.unserved > 0 {
            remarks.push(format!("{file}: {} jobs ask for labels that no spec has", outcome.unserved));
        }
    }
    remarks
}

/// Formats the results for a terminal.
pub(crate) fn table(outcomes: &[(String, Outcome)], jobs: usize) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(HEADINGS);
    for row in rows(outcomes) {
        table.add_row(row.map(|cell| cml_text::line(&cell).into_owned()));
    }
    let mut text = format!("{jobs} jobs\n\n{}\n", table.trim_fmt());
    for remark in remarks(outcomes) {
        writeln!(text, "{}", cml_text::line(&remark)).ok();
    }
    write!(text, "\n{NOTE}\n").ok();
    text
}

/// Formats the results for programs. Money is text, so that no digit is lost.
pub(crate) fn as_json(outcomes: &[(String, Outcome)]) -> String {
    let figures = |it: &Figures| {
        json!({
            "jobs": it.jobs,
            "done": it.done,
            "cost_usd": it.cost.round_dp(6),
            "wasted_usd": it.wasted.round_dp(6),
            "wait_seconds_p50": it.wait_seconds(50),
            "wait_seconds_p95": it.wait_seconds(95),
            "machines": it.machines,
            "on_demand": it.on_demand,
            "interruptions": it.interruptions,
        })
    };
    let one = |(file, outcome): &(String, Outcome)| {
        let specs: serde_json::Map<String, serde_json::Value> =
            outcome.specs.iter().map(|(name, it)| (name.clone(), figures(it))).collect();
        json!({
            "file": file,
            "specs": specs,
            "refused": outcome.refused,
            "unserved": outcome.unserved,
            "partial": outcome.is_partial,
        })
    };
    format!("{}\n", json!({"simulations": outcomes.iter().map(one).collect::<Vec<_>>(), "note": NOTE}))
}

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #ffffff; --faint: #8a939e; --one: #2f6fbb; --two: #d97706; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --paper: #14171b; --faint: #7d8792; --one: #6aa6ec; --two: #f0a742; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; } th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid var(--faint); }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; } .scroll { overflow-x: auto; }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; } .axis { stroke: var(--faint); } p.note { color: var(--faint); }
.c0 { fill: var(--one); } .c1 { fill: var(--two); }";

/// Returns a self-contained page.
pub(crate) fn page(outcomes: &[(String, Outcome)], jobs: usize) -> String {
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>cml-runner simulate</title><style>{STYLE}</style><h1>What it would have cost</h1><p>{jobs} jobs.</p><div class=\"scroll\"><table><tr>"
    );
    for heading in HEADINGS {
        write!(html, "<th>{heading}</th>").ok();
    }
    html.push_str("</tr>");
    for row in rows(outcomes) {
        html.push_str("<tr>");
        for cell in row {
            write!(html, "<td>{}</td>", escaped(&cell)).ok();
        }
        html.push_str("</tr>");
    }
    html.push_str("</table></div>");
    for remark in remarks(outcomes) {
        write!(html, "<p>{}</p>", escaped(&remark)).ok();
    }
    html.push_str("<h2>Cost per day</h2>");
    html.push_str(&bars(&per_day(outcomes), "day", |value| cents(Usd(value).0)));
    html.push_str("<h2>Waits until a job starts</h2>");
    html.push_str(&bars(&waits(outcomes), "", |value| format!("{value} jobs")));
    writeln!(html, "<p class=\"note\">{NOTE}</p></html>").ok();
    html
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Groups of bars: a name, and one value for each file.
type Bars = Vec<(String, Vec<Decimal>)>;

fn per_day(outcomes: &[(String, Outcome)]) -> Bars {
    let sums = outcomes.iter().map(|(_, outcome)| {
        let mut days = std::collections::BTreeMap::new();
        for figures in outcome.specs.values() {
            for (day, cost) in &figures.cost_by_day {
                *days.entry(*day).or_insert(Decimal::ZERO) += cost;
            }
        }
        days
    });
    let sums: Vec<_> = sums.collect();
    let last = sums.iter().filter_map(|days| days.keys().next_back()).max().copied().unwrap_or(0);
    (0..=last)
        .map(|day| {
            let values = sums.iter().map(|days| days.get(&day).copied().unwrap_or_default());
            ((day + 1).to_string(), values.collect())
        })
        .collect()
}

fn waits(outcomes: &[(String, Outcome)]) -> Bars {
    let limits: [(i64, &str); 6] = [
        (60, "≤ 1 min"),
        (180, "≤ 3 min"),
        (600, "≤ 10 min"),
        (3600, "≤ 1 h"),
        (21_600, "≤ 6 h"),
        (i64::MAX, "longer"),
    ];
    let mut before = -1;
    let mut all = Bars::new();
    for (limit, name) in limits {
        let count = |(_, outcome): &(String, Outcome)| {
            let waits = outcome.specs.values().flat_map(|figures| &figures.waits_seconds);
            Decimal::from(waits.filter(|wait| **wait > before && **wait <= limit).count())
        };
        all.push((name.to_owned(), outcomes.iter().map(count).collect()));
        before = limit;
    }
    all
}

/// Returns an SVG with bars side by side; each shows its value on hover.
fn bars(groups: &Bars, word: &str, say: impl Fn(Decimal) -> String) -> String {
    let (width, height, bottom) = (860.0, 220.0, 30.0);
    let most = groups.iter().flat_map(|(_, values)| values).max().copied().unwrap_or_default();
    let most_shown = most.to_f64().filter(|most| *most > 0.0).unwrap_or(1.0);
    #[allow(clippy::cast_precision_loss, reason = "pixels")]
    let group_width = width / groups.len().max(1) as f64;
    let files = groups.first().map_or(1, |(_, values)| values.len().max(1));
    #[allow(clippy::cast_precision_loss, reason = "pixels")]
    let bar_width = (group_width * 0.8 / files as f64).max(1.0);
    let every = groups.len().div_ceil(14).max(1);
    let mut svg = format!(
        "<svg viewBox=\"0 -16 {width} {}\" role=\"img\"><text x=\"0\" y=\"-4\">{}</text><line class=\"axis\" x1=\"0\" x2=\"{width}\" y1=\"{height}\" y2=\"{height}\"/>",
        height + bottom + 16.0,
        say(most)
    );
    for (number, (name, values)) in groups.iter().enumerate() {
        #[allow(clippy::cast_precision_loss, reason = "pixels")]
        let left = number as f64 * group_width + group_width * 0.1;
        for (file, value) in values.iter().enumerate() {
            let tall = value.to_f64().unwrap_or(0.0) / most_shown * (height - 10.0);
            #[allow(clippy::cast_precision_loss, reason = "pixels")]
            let x = left + file as f64 * bar_width;
            write!(
                svg,
                "<rect class=\"c{}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{bar_width:.1}\" height=\"{tall:.1}\"><title>{word} {name}: {}</title></rect>",
                file % 2,
                height - tall,
                say(*value)
            )
            .ok();
        }
        if number % every == 0 {
            write!(svg, "<text x=\"{left:.1}\" y=\"{}\">{name}</text>", height + 18.0).ok();
        }
    }
    svg.push_str("</svg>");
    svg
}
