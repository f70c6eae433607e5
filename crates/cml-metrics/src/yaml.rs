//! YAML, from the parser's events: these keep every number as written and have the position of every node.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::error::{Fault, Location, Problem};
use crate::format::{Format, VALUES_MAX};
use crate::number::Number;
use crate::tree::{DEPTH_MAX, Node};
use crate::value::Value;

/// Limit on the bytes that aliases may add: ten lines of them could else fill the memory.
const ALIASED_MAX: usize = 16 * 1024 * 1024;

/// A list or map that is not complete yet.
struct Open {
    is_map: bool,
    anchor: usize,
    at: Location,
    /// For a map: key, value, key, value…
    items: Vec<(Node, Location)>,
}

/// Parses the one document of a text.
pub(crate) fn parse(text: &str) -> Result<Node, Fault> {
    let mut open: Vec<Open> = Vec::new();
    let mut anchors: HashMap<usize, Node> = HashMap::new();
    let mut aliased = 0;
    let mut root = None;
    let mut values = 0;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let at = Location { line: error.marker().line(), column: Some(error.marker().col() + 1) };
            let tabs =
                if text.contains('\t') { " (YAML is indented with spaces, never with tabs)" } else { "" };
            Fault::syntax(Format::Yaml, Some(at), format!("{}{tabs}", error.info()))
        })?;
        let at = place(span);
        values += 1;
        if values > VALUES_MAX {
            return Err(Fault { at: Some(at), problem: Problem::TooManyCells });
        }
        let (node, at, anchor) = match event {
            Event::DocumentStart(_) if root.is_some() => {
                let why = "there is a second document; one file is one document";
                return Err(Fault::syntax(Format::Yaml, Some(at), why));
            }
            Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) => {
                if open.len() >= DEPTH_MAX {
                    return Err(Fault { at: Some(at), problem: Problem::TooDeep });
                }
                let is_map = matches!(event, Event::MappingStart(..));
                open.push(Open { is_map, anchor, at, items: Vec::new() });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(done) => {
                    let (at, anchor) = (done.at, done.anchor);
                    (close(done)?, at, anchor)
                }
                None => continue,
            },
            Event::Scalar(text, style, anchor, _) => {
                let value =
                    if style == ScalarStyle::Plain { plain(&text) } else { Value::Text(text.into_owned()) };
                (Node::Scalar(value, at.line), at, anchor)
            }
            Event::Alias(id) => {
                let Some(node) = anchors.get(&id) else {
                    return Err(Fault::syntax(
                        Format::Yaml,
                        Some(at),
                        "an alias is part of what it stands for",
                    ));
                };
                aliased += node.weight();
                if aliased > ALIASED_MAX {
                    return Err(Fault { at: Some(at), problem: Problem::Aliases });
                }
                if open.len() + node.depth() > DEPTH_MAX {
                    return Err(Fault { at: Some(at), problem: Problem::TooDeep });
                }
                (node.clone(), at, 0)
            }
            _ => continue,
        };
        if anchor != 0 {
            aliased += node.weight();
            if aliased > ALIASED_MAX {
                return Err(Fault { at: Some(at), problem: Problem::Aliases });
            }
            anchors.insert(anchor, node.clone());
        }
        match open.last_mut() {
            Some(parent) => parent.items.push((node, at)),
            None => root = Some(node),
        }
    }
    match root {
        None | Some(Node::Scalar(Value::Null, _)) => Err(Problem::Empty.into()),
        Some(root) => Ok(root),
    }
}

fn close(open: Open) -> Result<Node, Fault> {
    if !open.is_map {
        return Ok(Node::List(open.items.into_iter().map(|(node, _)| node).collect()));
    }
    let mut pairs: Vec<(String, Node)> = Vec::new();
    let mut merged = Vec::new();
    let mut seen = HashSet::new();
    let mut items = open.items.into_iter();
    while let (Some((key, at)), Some((node, _))) = (items.next(), items.next()) {
        let Node::Scalar(key, _) = key else {
            let why = "a list or map cannot be the name of a metric";
            return Err(Fault::syntax(Format::Yaml, Some(at), why));
        };
        match (key.to_string(), node) {
            // The merge key: the map's own entries take precedence.
            (key, Node::Map(more)) if key == "<<" => merged.extend(more),
            (key, _) if seen.contains(&key) => {
                return Err(Fault { at: Some(at), problem: Problem::Duplicate(key) });
            }
            (key, node) => {
                seen.insert(key.clone());
                pairs.push((key, node));
            }
        }
    }
    pairs.extend(merged.into_iter().filter(|(key, _)| seen.insert(key.clone())));
    Ok(Node::Map(pairs))
}

/// Returns the value of a scalar without quotes by YAML's core schema; also `1e-5` and `nan`, which Python and people
/// write.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => Number::parse(text)
            .or_else(|| Number::parse_prefixed(text))
            .map_or_else(|| Value::Text(text.to_owned()), Value::Number),
    }
}

fn place(span: Span) -> Location {
    Location { line: span.start.line(), column: Some(span.start.col() + 1) }
}
