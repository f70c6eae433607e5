//! `cml-runner prices show`: known prices on this machine. Makes no calls.

use cml_prices::{Book, Quote, Source, Store};
use comfy_table::{Table, presets};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::json;

use super::{Wanted, args, not_kept, path, wanted};
use crate::actions::now;
use crate::args::Global;
use crate::exit::{CliError, ExitCode};

/// One price.
struct Row<'a> {
    what: &'a str,
    region: &'a str,
    /// `on-demand`, `spot` or `storage`.
    market: &'static str,
    zone: Option<String>,
    /// In dollars, without the unit.
    figure: String,
    /// With the unit.
    price: String,
    source: Source,
}

pub(crate) fn show(global: &Global, args: &args::Show) -> Result<String, CliError> {
    let wanted = wanted(&args.types, &args.wanted)?;
    let now = now();
    let book = Store::book(&path(&args.wanted.state), None).map_err(|error| not_kept(&error))?;
    let rows = rows(&book, &wanted, now);
    if let Some((region, unknown)) = unknown(&rows, &wanted) {
        let what = format!("nothing is known of {unknown} in {region}");
        return Err(CliError::new(ExitCode::Failed, what).hint(format!(
            "is it a type of EC2's? If it is newer than the shipped table, ask AWS: cml-runner prices refresh --type \
             {unknown} --region {region}"
        )));
    }
    if global.json {
        return Ok(format!("{}\n", json!({"prices": rows.iter().map(Row::json).collect::<Vec<_>>()})));
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["TYPE", "WHERE", "MARKET", "PRICE", "BY"]);
    for row in &rows {
        let place = row.zone.as_deref().unwrap_or(row.region);
        let by = by(&row.source, now);
        table.add_row([row.what, place, row.market, &row.price, &by].map(cml_text::line));
    }
    Ok(format!("{}\n", table.trim_fmt()))
}

fn rows<'a>(book: &Book, wanted: &'a Wanted, now: Timestamp) -> Vec<Row<'a>> {
    let mut rows = Vec::new();
    for (region, types) in wanted {
        for name in types {
            let row = |market, zone: Option<String>, quote: Quote| Row {
                what: name,
                region,
                market,
                zone,
                figure: quote.price.0.normalize().to_string(),
                price: quote.price.to_string(),
                source: quote.source,
            };
            rows.extend(book.on_demand(region, name, now).map(|quote| row("on-demand", None, quote)));
            let zones: Vec<&str> = book.spot_zones(region, name).collect();
            if zones.is_empty() {
                rows.extend(book.spot(region, None, name, now).map(|quote| row("spot", None, quote)));
            }
            for zone in zones {
                let quote = book.spot(region, Some(zone), name, now);
                rows.extend(quote.map(|quote| row("spot", Some(zone.to_owned()), quote)));
            }
        }
        let storage = book.volume_gib_month(region);
        rows.push(Row {
            what: "gp3",
            region,
            market: "storage",
            zone: None,
            figure: storage.price.0.normalize().to_string(),
            price: storage.price.to_string(),
            source: storage.source,
        });
    }
    rows
}

fn unknown<'a>(rows: &[Row<'_>], wanted: &'a Wanted) -> Option<(&'a str, &'a str)> {
    let mut asked =
        wanted.iter().flat_map(|(region, types)| types.iter().map(move |it| (region.as_str(), it.as_str())));
    asked.find(|(region, name)| !rows.iter().any(|row| row.region == *region && row.what == *name))
}

/// Returns the source of a price, and its age.
fn by(source: &Source, now: Timestamp) -> String {
    let since = match source {
        Source::Listed { as_of } => {
            as_of.to_zoned_datetime(TimeZone::UTC).map(|zoned| zoned.timestamp()).ok()
        }
        Source::Fetched { at } => Some(*at),
        Source::Estimated { .. } => None,
    };
    let Some(age) = since.map(|since| now.duration_since(since)) else { return source.to_string() };
    let (hours, days) = (age.as_hours().max(0), age.as_hours().max(0) / 24);
    if days >= 2 { format!("{source}, {days} days old") } else { format!("{source}, {hours} h old") }
}

impl Row<'_> {
    fn json(&self) -> serde_json::Value {
        let unit = if self.market == "storage" { "usd_per_gib_month" } else { "usd_per_hour" };
        json!({
            "what": self.what, "region": self.region, "zone": self.zone, "market": self.market,
            unit: self.figure, "source": self.source,
        })
    }
}
