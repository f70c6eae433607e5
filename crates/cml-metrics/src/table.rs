//! Rows and columns for plots, as DVC reads them: CSV, TSV, JSON lines, or JSON with a list of objects.

use std::collections::HashMap;

use crate::error::{Fault, Problem, ReadError, list, quoted};
use crate::format::{Format, decode};
use crate::tree::Node;
use crate::value::Value;
use crate::{json, separated, toml_text, yaml};

/// With more columns it is not a table for plots.
const COLUMNS_MAX: usize = 10_000;
/// Limit on the characters of a wrong cell in a message.
const TOLD_MAX: usize = 40;

/// A table. Only existing cells take memory: the rows of a hostile file may have a column each.
#[derive(Clone, Debug)]
pub struct Table {
    path: String,
    columns: Vec<Column>,
    rows: usize,
}

#[derive(Clone, Debug)]
struct Column {
    name: String,
    cells: Vec<Cell>,
}

/// A cell that is not blank.
#[derive(Clone, Debug)]
struct Cell {
    row: usize,
    line: usize,
    value: Value,
}

/// Error: a column cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// There is no column of this name.
    #[error("{path}: there is no column {}; known: {}", quoted(.column), list(.there))]
    NoColumn {
        /// The file.
        path: String,
        /// The requested name.
        column: String,
        /// The existing columns.
        there: Vec<String>,
    },
    /// A cell is not a number.
    #[error("{path}:{line}: {text:?} in the column {} is no number", quoted(.column))]
    NoNumber {
        /// The file.
        path: String,
        /// The line.
        line: usize,
        /// The column.
        column: String,
        /// The cell's text.
        text: String,
    },
}

impl Table {
    /// Reads a table. In JSON and YAML the rows are a list of objects, at the top or below: then `at` is its dotted
    /// name, which may be omitted if there is one list only. Objects in a row become dotted columns.
    ///
    /// # Errors
    /// When the file is not of its extension's format, or when there are no rows, or several lists of them.
    pub fn read(path: &str, bytes: &[u8], at: Option<&str>) -> Result<Self, ReadError> {
        let read = |format, text: &str| rows(format, text, at);
        let (columns, rows) = decode(bytes)
            .and_then(|text| match Format::of_path(path) {
                Some(format) => read(format, text),
                None => Format::sniff(text, read),
            })
            .map_err(|fault| fault.in_file(path))?;
        Ok(Self { path: path.to_owned(), columns, rows })
    }

    /// Returns the columns' names in their order.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Returns whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Returns a column as numbers, one for each row; NaN for a missing cell.
    ///
    /// # Errors
    /// When there is no such column, or a cell is not a number.
    pub fn numbers(&self, column: &str) -> Result<Vec<f64>, TableError> {
        let mut numbers = vec![f64::NAN; self.rows];
        for Cell { row, line, value } in self.cells(column)? {
            numbers[*row] = match value {
                Value::Null => f64::NAN,
                Value::Number(number) => number.value(),
                other => {
                    return Err(TableError::NoNumber {
                        path: self.path.clone(),
                        line: *line,
                        column: column.to_owned(),
                        text: other.to_string().chars().take(TOLD_MAX).collect(),
                    });
                }
            };
        }
        Ok(numbers)
    }

    /// Returns a column as text, one for each row, numbers as they are written; `None` for a missing cell.
    ///
    /// # Errors
    /// When there is no such column.
    pub fn texts(&self, column: &str) -> Result<Vec<Option<String>>, TableError> {
        let mut texts = vec![None; self.rows];
        for Cell { row, value, .. } in self.cells(column)? {
            texts[*row] = if matches!(value, Value::Null) { None } else { Some(value.to_string()) };
        }
        Ok(texts)
    }

    fn cells(&self, column: &str) -> Result<&[Cell], TableError> {
        let found = self.columns.iter().find(|there| there.name == column);
        found.map(|column| column.cells.as_slice()).ok_or_else(|| TableError::NoColumn {
            path: self.path.clone(),
            column: column.to_owned(),
            there: self.columns().map(str::to_owned).collect(),
        })
    }
}

type Rows = (Vec<Column>, usize);

fn rows(format: Format, text: &str, at: Option<&str>) -> Result<Rows, Fault> {
    format.check_length(text)?;
    match format {
        Format::Csv | Format::Tsv => of_records(&separated::records(format, text)?),
        Format::JsonLines => of_objects(json::lines(text)?),
        Format::Json => of_objects(list_in(json::parse(text, 1)?, at)?),
        Format::Yaml => of_objects(list_in(yaml::parse(text)?, at)?),
        Format::Toml => of_objects(list_in(toml_text::parse(text)?, at)?),
    }
}

fn of_records(records: &[separated::Record]) -> Result<Rows, Fault> {
    let (first, rest) = records.split_first().ok_or(Problem::Empty)?;
    let names = separated::header(first)?.into_iter();
    let mut columns: Vec<Column> = names.map(|name| Column { name, cells: Vec::new() }).collect();
    for (row, record) in rest.iter().enumerate() {
        for (column, cell) in columns.iter_mut().zip(&record.cells) {
            let value = Value::of_cell(cell);
            column.cells.extend(value.map(|value| Cell { row, line: record.line, value }));
        }
    }
    Ok((columns, rest.len()))
}

/// Returns the list of objects in a tree: the one under a dotted name, else the only one.
fn list_in(root: Node, at: Option<&str>) -> Result<Vec<Node>, Fault> {
    let mut lists = Vec::new();
    collect_lists(root, "", &mut lists);
    if let Some(asked) = at {
        let there = lists.iter().map(|(name, _)| name.clone()).collect();
        let found = lists.into_iter().find(|(name, _)| name == asked);
        return found
            .map(|(_, rows)| rows)
            .ok_or_else(|| Problem::NoList { asked: asked.to_owned(), there }.into());
    }
    if lists.len() > 1 {
        return Err(Problem::SeveralLists(lists.into_iter().map(|(name, _)| name).collect()).into());
    }
    lists.pop().map(|(_, rows)| rows).ok_or_else(|| Problem::NoRows.into())
}

fn collect_lists(node: Node, name: &str, lists: &mut Vec<(String, Vec<Node>)>) {
    match node {
        Node::List(items) if !items.is_empty() && items.iter().all(|item| matches!(item, Node::Map(_))) => {
            lists.push((name.to_owned(), items));
        }
        Node::Map(pairs) => {
            for (key, node) in pairs {
                let below = if name.is_empty() { key } else { format!("{name}.{key}") };
                collect_lists(node, &below, lists);
            }
        }
        Node::List(_) | Node::Scalar(..) => {}
    }
}

fn of_objects(objects: Vec<Node>) -> Result<Rows, Fault> {
    let mut columns: Vec<Column> = Vec::new();
    let mut positions: HashMap<String, usize> = HashMap::new();
    let rows = objects.len();
    for (row, object) in objects.into_iter().enumerate() {
        if !matches!(object, Node::Map(_)) {
            return Err(Problem::NoRows.into());
        }
        for (name, value, line) in object.flatten(COLUMNS_MAX)? {
            let position = *positions.entry(name).or_insert_with_key(|name| {
                columns.push(Column { name: name.clone(), cells: Vec::new() });
                columns.len() - 1
            });
            if position >= COLUMNS_MAX {
                return Err(Fault::on_line(line, Problem::TooMany));
            }
            columns[position].cells.push(Cell { row, line, value });
        }
    }
    if rows == 0 { Err(Problem::NoRows.into()) } else { Ok((columns, rows)) }
}
