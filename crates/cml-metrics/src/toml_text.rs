//! TOML, in the order of the file and with every number as written.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::{Fault, Problem};
use crate::format::Format;
use crate::lines::Lines;
use crate::number::Number;
use crate::tree::{DEPTH_MAX, Node};
use crate::value::Value;

pub(crate) fn parse(text: &str) -> Result<Node, Fault> {
    let lines = Lines::new(text);
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map(|span| lines.location(span.start));
        let key = error.span().and_then(|span| text.get(span)).filter(|_| error.message() == "duplicate key");
        if let Some(key) = key {
            return Fault { at, problem: Problem::Duplicate(key.to_owned()) };
        }
        Fault::syntax(Format::Toml, at, error.message())
    })?;
    map(&lines, table.get_ref(), 1)
}

fn map(lines: &Lines<'_>, table: &DeTable<'_>, depth: usize) -> Result<Node, Fault> {
    let pairs = table.iter().map(|(key, value)| Ok((key.get_ref().to_string(), node(lines, value, depth)?)));
    Ok(Node::Map(pairs.collect::<Result<_, Fault>>()?))
}

fn node(lines: &Lines<'_>, value: &Spanned<DeValue<'_>>, depth: usize) -> Result<Node, Fault> {
    let at = || lines.location(value.span().start);
    if depth > DEPTH_MAX {
        return Err(Fault { at: Some(at()), problem: Problem::TooDeep });
    }
    let number = |digits: &str, prefix: &str| {
        let digits = digits.replace('_', "");
        let number = if prefix.is_empty() {
            Number::parse(&digits)
        } else {
            Number::parse_prefixed(&format!("{prefix}{digits}"))
        };
        number.map(Value::Number).ok_or_else(|| {
            Fault::syntax(
                Format::Toml,
                Some(at()),
                "this integer has more than 64 bits; write it as a decimal",
            )
        })
    };
    let read = match value.get_ref() {
        DeValue::Table(table) => return map(lines, table, depth + 1),
        DeValue::Array(items) => {
            let items = items.iter().map(|item| node(lines, item, depth + 1));
            return Ok(Node::List(items.collect::<Result<_, _>>()?));
        }
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(when) => Value::Text(when.to_string()),
        DeValue::Float(float) => number(float.as_str(), "")?,
        DeValue::Integer(integer) => number(
            integer.as_str(),
            match integer.radix() {
                16 => "0x",
                8 => "0o",
                2 => "0b",
                _ => "",
            },
        )?,
    };
    // Not `at().line`, which counts the columns: a line may have a million values.
    Ok(Node::Scalar(read, lines.line(value.span().start)))
}
