//! A report as text: a table for a terminal, Markdown for a comment.

use comfy_table::{CellAlignment, Table, presets};

use crate::format::{count, dollars, hours, percent, some};
use crate::query::GroupBy;
use crate::report::{Report, Row, Totals};
use crate::usage_row::Class;

const HEADINGS: [&str; 8] = ["cost", "work", "boot", "idle", "waste", "jobs", "machines", "time"];

fn cells(tally: &Totals) -> [String; 8] {
    let class = |class| dollars(tally.class(class));
    let number = |number| if number == 0 { "–".to_owned() } else { count(number) };
    [
        dollars(tally.cost()),
        class(Class::Work),
        class(Class::Boot),
        class(Class::Idle),
        class(Class::Waste),
        number(tally.jobs),
        number(tally.machines),
        hours(tally.seconds),
    ]
}

fn title(by: GroupBy) -> &'static str {
    by.word()
}

/// Renders a table for a terminal, as wide as needed.
#[must_use]
pub fn table(report: &Report) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(std::iter::once(title(report.query.by)).chain(HEADINGS));
    for Row { name, tally, .. } in &report.rows {
        table.add_row(std::iter::once(cml_text::line(name).into_owned()).chain(cells(tally)));
    }
    table.add_row(std::iter::once("all".to_owned()).chain(cells(&report.total)));
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = format!("What machines cost, {} (UTC)\n", report.query.window);
    text.push_str(&table.to_string());
    for line in remarks(report) {
        text.push('\n');
        text.push_str(&cml_text::line(&line));
    }
    text.push('\n');
    text
}

/// Renders Markdown for a comment or a wiki page.
#[must_use]
pub fn markdown(report: &Report) -> String {
    let mut text = format!("### What machines cost, {} (UTC)\n\n", report.query.window);
    text.push_str(&format!("| {} | {} |\n", title(report.query.by), HEADINGS.join(" | ")));
    text.push_str(&format!("|---|{}\n", "--:|".repeat(HEADINGS.len())));
    let mut row = |name: &str, tally: &Totals| {
        text.push_str(&format!("| {name} | {} |\n", cells(tally).join(" | ")));
    };
    for Row { name, tally, .. } in &report.rows {
        row(&cml_text::table_cell(name), tally);
    }
    row("**all**", &report.total);
    for line in remarks(report) {
        text.push_str(&format!("\n{}\n", cml_text::line(&line)));
    }
    text
}

/// Returns remarks on the meaning, the sources and the gaps of the figures.
#[must_use]
pub fn remarks(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    if report.total.cost().0.is_zero() && report.running.is_empty() {
        lines.push("No machine of these days is in the ledger.".to_owned());
    }
    let waste: Vec<_> = report.waste.iter().filter(|(_, cost)| !cost.0.is_zero()).collect();
    if !waste.is_empty() {
        let words = waste.iter().map(|(kind, cost)| format!("{} {}", kind.words(), dollars(*cost)));
        lines.push(format!("Waste: {}.", words.collect::<Vec<_>>().join(", ")));
    }
    lines.extend(saving(report));
    lines.extend(running(report));
    lines.extend(basis(report));
    lines
}

fn saving(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    let comparison = &report.comparison;
    if !comparison.spot_on_demand.0.is_zero() {
        let (paid, list) = (dollars(comparison.spot), dollars(comparison.spot_on_demand));
        let saved = comparison.saved_percent().unwrap_or_default();
        lines.push(format!("Spot: {paid} where on-demand would have been {list}, {saved} % less."));
    }
    let hosted = &comparison.hosted;
    if let Some(as_of) = hosted.as_of {
        let cost = dollars(hosted.cost);
        let mut line = format!(
            "GitHub's own machines: {cost} for {} of these jobs, by GitHub's prices of {as_of}",
            count(u64::try_from(hosted.jobs).unwrap_or(u64::MAX))
        );
        if hosted.unfit > 0 {
            line.push_str(&format!("; for {} others it has none", hosted.unfit));
        }
        line.push('.');
        lines.push(line);
    }
    lines
}

fn running(report: &Report) -> Vec<String> {
    let (overdue, alive): (Vec<_>, Vec<_>) = report.running.iter().partition(|it| it.is_overdue);
    let sum = |costs: &mut dyn Iterator<Item = cml_cloud::Usd>| {
        dollars(cml_cloud::Usd(costs.map(|cost| cost.0).sum()))
    };
    let mut lines = Vec::new();
    if !alive.is_empty() {
        let so_far = sum(&mut alive.iter().map(|it| it.cost));
        let rest = sum(&mut alive.iter().map(|it| it.committed));
        lines.push(format!(
            "{} running: {so_far} so far, which is counted; up to {rest} more until their deadlines.",
            machines(alive.len())
        ));
    }
    if !overdue.is_empty() {
        let cost = sum(&mut overdue.iter().map(|it| it.cost));
        lines.push(format!(
            "Nobody has seen {} end: counted until their deadlines, {cost} at most. --reconstruct asks GitHub when their \
             jobs ended.",
            machines(overdue.len())
        ));
    }
    lines
}

fn machines(number: usize) -> String {
    some(number, "machine", "machines")
}

fn basis(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    if !report.estimated.0.is_zero() {
        lines.push(format!(
            "{} ({}) rest on times or prices that are not the cloud's own.",
            dollars(report.estimated),
            percent(report.estimated, report.total.cost())
        ));
    }
    let sources: Vec<&str> = report.comparison.sources.iter().map(|(source, _)| source.as_str()).collect();
    if !sources.is_empty() {
        lines.push(format!("On-demand prices: {}.", sources.join("; ")));
    }
    lines.push("Machines and their root disks; without data transfer, snapshots and taxes.".to_owned());
    lines
}
