//! CSV and TSV: names and values, or a log with a header.

use std::collections::HashSet;

use crate::error::{Fault, Location, Problem};
use crate::format::{Format, VALUES_MAX};
use crate::number::Number;
use crate::value::{METRICS_MAX, Value, last_of_each};

/// A row and the line where it begins.
pub(crate) struct Record {
    pub(crate) line: usize,
    pub(crate) cells: Vec<String>,
}

/// All rows, the header among them; each has as many cells as the first.
pub(crate) fn records(format: Format, text: &str) -> Result<Vec<Record>, Fault> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .delimiter(delimiter(format, text))
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut records = Vec::new();
    let mut cells = 0;
    for record in reader.records() {
        let record = record.map_err(|error| {
            let line = error.position().map(|position| position.line() as usize);
            let why = match error.kind() {
                csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                    format!("this row has {len} cells, the first one has {expected_len}")
                }
                _ => error.to_string(),
            };
            Fault::syntax(format, line.map(|line| Location { line, column: None }), why)
        })?;
        let line = record.position().map_or(1, |position| first_line(text, position));
        cells += record.len();
        if cells > VALUES_MAX {
            return Err(Fault::on_line(line, Problem::TooManyCells));
        }
        records.push(Record { line, cells: record.iter().map(str::to_owned).collect() });
    }
    Ok(records)
}

/// The line of a row that begins somewhere; blank lines before it are no part of it.
fn first_line(text: &str, position: &csv::Position) -> usize {
    let rest = text.as_bytes().get(position.byte() as usize..).unwrap_or_default();
    let blank = rest.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).filter(|byte| **byte == b'\n');
    position.line() as usize + blank.count()
}

fn delimiter(format: Format, text: &str) -> u8 {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    match format {
        Format::Tsv => b'\t',
        _ if line.contains(',') => b',',
        _ if line.contains(';') => b';',
        _ if line.contains('\t') => b'\t',
        _ => b',',
    }
}

/// The names in the first row of a table, none of them twice.
pub(crate) fn header(record: &Record) -> Result<Vec<String>, Fault> {
    let mut seen = HashSet::new();
    for name in record.cells.iter().filter(|name| !name.is_empty()) {
        if !seen.insert(name) {
            return Err(Fault::on_line(record.line, Problem::Duplicate(name.clone())));
        }
    }
    Ok(record.cells.clone())
}

/// By the rule told at [`Format::Csv`].
pub(crate) fn metrics(format: Format, text: &str) -> Result<Vec<(String, Value)>, Fault> {
    let records = records(format, text)?;
    let Some((first, rest)) = records.split_first() else {
        return Err(Problem::Empty.into());
    };
    let is_number = |cell: &str| Number::parse(cell).is_some();
    let is_name = |cell: &str| !is_number(cell) && !is_date(cell);
    let is_pairs = first.cells.len() == 2
        && is_name(&first.cells[0])
        && rest.iter().all(|record| is_name(&record.cells[0]))
        && (!rest.is_empty() || is_number(&first.cells[1]));
    if is_pairs {
        let first_is_header = matches!(Value::of_cell(&first.cells[1]), Some(Value::Text(_)));
        return pairs(if first_is_header { rest } else { &records });
    }
    let names = header(first)?;
    // A blank name is pandas' index.
    let cells = rest.iter().flat_map(|record| names.iter().zip(&record.cells));
    let named = cells.filter(|(name, _)| !name.is_empty());
    last_of_each(named.filter_map(|(name, cell)| Some((name.clone(), Value::of_cell(cell)?))))
}

/// Whether a text begins as `2026-01-31` does.
fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 10
        && bytes[..10].iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => matches!(byte, b'-' | b'/' | b'.'),
            _ => byte.is_ascii_digit(),
        })
}

fn pairs(records: &[Record]) -> Result<Vec<(String, Value)>, Fault> {
    let mut seen = HashSet::new();
    let mut metrics = Vec::new();
    for Record { line, cells } in records {
        let [name, cell] = cells.as_slice() else { continue };
        if !seen.insert(name) {
            return Err(Fault::on_line(*line, Problem::Duplicate(name.clone())));
        }
        if metrics.len() >= METRICS_MAX {
            return Err(Fault::on_line(*line, Problem::TooMany));
        }
        metrics.push((name.clone(), Value::of_cell(cell).unwrap_or(Value::Null)));
    }
    Ok(metrics)
}
