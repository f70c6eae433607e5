//! Machine-readable reports: JSON and CSV. Amounts are decimal texts in US dollars, times are seconds.

use serde_json::{Value, json};

use crate::report::{Report, Row, Totals};
use crate::usage_row::Class;

/// Returns the whole report as one object.
#[must_use]
pub fn json(report: &Report) -> Value {
    let comparison = &report.comparison;
    json!({
        "from": report.query.window.first.to_string(),
        "to": report.query.window.after.yesterday().map(|day| day.to_string()).unwrap_or_default(),
        "made_at": report.now.to_string(),
        "by": report.query.by.word(),
        "rows": report.rows.iter().map(row).collect::<Vec<_>>(),
        "total": tally(&report.total),
        "waste_usd": report.waste.iter().map(|(kind, cost)| json!({"cause": kind.words(), "usd": cost})).collect::<Vec<_>>(),
        "days": report.days.iter().map(|day| json!({
            "day": day.day.to_string(),
            "usd": day.by_owner,
        })).collect::<Vec<_>>(),
        "owners": report.owners,
        "running": report.running.iter().map(|it| json!({
            "launch_id": it.launch,
            "spec": it.spec,
            "instance_type": it.instance_type,
            "market": it.market,
            "since": it.since.to_string(),
            "deadline": it.deadline.to_string(),
            "usd": it.cost,
            "committed_usd": it.committed,
            "end_not_seen": it.is_overdue,
        })).collect::<Vec<_>>(),
        "spot_usd": comparison.spot,
        "spot_on_demand_usd": comparison.spot_on_demand,
        "github_hosted": {
            "usd": comparison.hosted.cost,
            "jobs": comparison.hosted.jobs,
            "jobs_without_a_machine": comparison.hosted.unfit,
            "prices_of": comparison.hosted.as_of.map(|date| date.to_string()),
        },
        "estimated_usd": report.estimated,
        "price_sources": comparison.sources.iter().map(|(source, _)| source).collect::<Vec<_>>(),
    })
}

fn row(row: &Row) -> Value {
    let mut value = tally(&row.tally);
    value["name"] = json!(row.name);
    value
}

fn tally(tally: &Totals) -> Value {
    json!({
        "usd": tally.cost(),
        "work_usd": tally.class(Class::Work),
        "boot_usd": tally.class(Class::Boot),
        "idle_usd": tally.class(Class::Idle),
        "waste_usd": tally.class(Class::Waste),
        "disk_usd": tally.disk(),
        "jobs": tally.jobs,
        "machines": tally.machines,
        "seconds": tally.seconds,
    })
}

/// Returns the rows as CSV, without the total.
///
/// # Errors
/// When the text cannot be written.
pub fn csv(report: &Report) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let by = report.query.by.word();
    writer.write_record([
        by,
        "usd",
        "work_usd",
        "boot_usd",
        "idle_usd",
        "waste_usd",
        "disk_usd",
        "jobs",
        "machines",
        "seconds",
    ])?;
    for Row { name, tally, .. } in &report.rows {
        let class = |class| tally.class(class).0.to_string();
        writer.write_record([
            &spreadsheet_safe(name),
            &tally.cost().0.to_string(),
            &class(Class::Work),
            &class(Class::Boot),
            &class(Class::Idle),
            &class(Class::Waste),
            &tally.disk().0.to_string(),
            &tally.jobs.to_string(),
            &tally.machines.to_string(),
            &tally.seconds.to_string(),
        ])?;
    }
    let bytes = writer.into_inner().map_err(|error| error.into_error())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Escapes a name for a spreadsheet: names of branches and jobs are untrusted, and must not be read as formulas.
/// <https://owasp.org/www-community/attacks/CSV_Injection>
fn spreadsheet_safe(name: &str) -> String {
    if name.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{name}") } else { name.to_owned() }
}
