//! CSV and TSV: names and values, or a log with a header.

use std::collections::HashSet;

use csv_core::ReadFieldResult;

use crate::error::{Fault, Location, Problem};
use crate::format::{Format, VALUES_MAX};
use crate::number::Number;
use crate::value::{METRICS_MAX, Value, last_of_each};

/// A row and its first line.
pub(crate) struct Record {
    pub(crate) line: usize,
    pub(crate) cells: Vec<String>,
}

/// Returns all rows, including the header; each has as many cells as the first.
pub(crate) fn records(format: Format, text: &str) -> Result<Vec<Record>, Fault> {
    let delimiter = delimiter(format, text);
    check_cells(text, delimiter)?;
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .delimiter(delimiter)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut records = Vec::new();
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
        records.push(Record { line, cells: record.iter().map(str::to_owned).collect() });
    }
    Ok(records)
}

/// Refuses more cells than the limit, before any of them takes memory: `csv` keeps a whole row, and a row may be all of
/// the file.
fn check_cells(text: &str, delimiter: u8) -> Result<(), Fault> {
    let (cells, line) = count_cells(text, delimiter, VALUES_MAX);
    if cells > VALUES_MAX { Err(Fault::on_line(line, Problem::TooManyCells)) } else { Ok(()) }
}

/// Returns the number of cells, and the line of the last one. Counting ends with the first one beyond `most`.
fn count_cells(text: &str, delimiter: u8, most: usize) -> (usize, usize) {
    let mut reader = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
    let mut rest = text.as_bytes();
    let mut unused = [0; 1024];
    let mut cells = 0;
    loop {
        let line = usize::try_from(reader.line()).unwrap_or(usize::MAX);
        let (result, read, _) = reader.read_field(rest, &mut unused);
        rest = &rest[read..];
        match result {
            ReadFieldResult::Field { .. } if cells == most => return (cells + 1, line),
            ReadFieldResult::Field { .. } => cells += 1,
            ReadFieldResult::End => return (cells, line),
            // A long cell, or the end of the text, which an empty rest signals.
            ReadFieldResult::InputEmpty | ReadFieldResult::OutputFull => {}
        }
    }
}

/// Returns the line of a row that begins at a position; blank lines before it are not part of it.
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

/// Returns the names in the first row of a table, all of them distinct.
pub(crate) fn header(record: &Record) -> Result<Vec<String>, Fault> {
    let mut seen = HashSet::new();
    for name in record.cells.iter().filter(|name| !name.is_empty()) {
        if !seen.insert(name) {
            return Err(Fault::on_line(record.line, Problem::Duplicate(name.clone())));
        }
    }
    Ok(record.cells.clone())
}

/// Reads metrics by the rule of [`Format::Csv`].
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

/// Returns whether a text begins like `2026-01-31`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_counted_as_they_are_read_and_counting_ends_beyond_the_most() {
        for (text, cells) in [
            ("", 0),
            ("a", 1),
            ("a,b\n1,2\n", 4),
            ("a,b\r\n\r\n1,2", 4),
            ("\"a, b, c\",\"d\n,\"\"e\"\n", 2),
            (",,", 3),
        ] {
            assert_eq!(count_cells(text, b',', 10).0, cells, "{text:?}");
        }
        let long_cell = "x".repeat(5000);
        assert_eq!(count_cells(&format!("a\n{long_cell};{long_cell}"), b';', 10), (3, 2));
        assert_eq!(count_cells(&",".repeat(5 << 20), b',', VALUES_MAX), (VALUES_MAX + 1, 1));
    }
}
