//! YAML as a tree whose nodes have their places. Anchors, aliases and tags are refused: a configuration that people
//! read needs none, and none can then be a bomb.

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::problem::{Place, Problems};

/// Maximum size: longer files are no configuration.
const BYTES_MAX: usize = 1024 * 1024;
/// Maximum depth: nor are deeper ones.
const DEPTH_MAX: usize = 32;

pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) kind: Kind,
}

pub(crate) enum Kind {
    /// A scalar; `plain` without quotes.
    Text {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

/// Parses the one document of a text; `None` when it cannot be parsed, which is recorded as a problem.
pub(crate) fn parse(text: &str, problems: &mut Problems<'_>) -> Option<Node> {
    let start = Place { line: 1, column: 1, length: 1 };
    if text.len() > BYTES_MAX {
        problems.wrong(start, "", "the file is longer than 1 MiB", "a cml.yaml has some kilobytes");
        return None;
    }
    let mut open: Vec<(Node, Vec<Node>)> = Vec::new();
    let mut root = None;
    for event in Parser::new_from_str(text) {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                let at = error.marker();
                let place = Place { line: at.line(), column: at.col() + 1, length: 1 };
                problems.wrong(place, "", format!("not YAML: {}", error.info()), help(text, place.line));
                return None;
            }
        };
        let place = place_of(span);
        let refused = |what: &str| format!("{what} are not understood here");
        let done = match event {
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => {
                problems.wrong(place, "", refused("tags (!…)"), "leave it out");
                return None;
            }
            Event::Alias(_) => {
                problems.wrong(place, "", refused("aliases (*…)"), "write the value out");
                return None;
            }
            Event::DocumentStart(_) if root.is_some() => {
                problems.wrong(place, "", "there is a second document", "one file is one document");
                return None;
            }
            Event::Scalar(text, style, ..) => {
                let plain = style == ScalarStyle::Plain;
                Some(Node { place, kind: Kind::Text { text: text.into_owned(), plain } })
            }
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                if open.len() >= DEPTH_MAX {
                    problems.wrong(place, "", "the file is nested too deeply", "");
                    return None;
                }
                let kind = if matches!(event, Event::SequenceStart(..)) {
                    Kind::List(Vec::new())
                } else {
                    Kind::Map(Vec::new())
                };
                open.push((Node { place: Place { length: 1, ..place }, kind }, Vec::new()));
                None
            }
            Event::SequenceEnd | Event::MappingEnd => open.pop().map(|(mut node, items)| {
                match &mut node.kind {
                    Kind::Map(pairs) => {
                        let mut items = items.into_iter();
                        while let (Some(key), Some(value)) = (items.next(), items.next()) {
                            pairs.push((key, value));
                        }
                    }
                    Kind::List(list) => *list = items,
                    Kind::Text { .. } => {}
                }
                node
            }),
            _ => None,
        };
        if let Some(node) = done {
            match open.last_mut() {
                Some((_, items)) => items.push(node),
                None => root = Some(node),
            }
        }
    }
    if root.is_none() {
        problems.wrong(start, "", "the file is empty", "it needs at least `runners:` with one spec");
    }
    root
}

/// Returns the most frequent cause of an error of the parser, which detects it lines after its cause.
fn help(text: &str, line: usize) -> &'static str {
    let marks = ["<<<<<<<", "=======", ">>>>>>>"];
    // The text after a mistake is not its cause; the mark may be on the line after the reported one.
    if text.lines().take(line + 1).any(|line| marks.iter().any(|mark| line.starts_with(mark))) {
        return "there are the marks of a merge conflict (<<<<<<<, =======, >>>>>>>): settle it";
    }
    if text.contains('\t') {
        return "YAML is indented with spaces, never with tabs";
    }
    "often something before it is not closed ([, {, \"), or is indented differently than its neighbours"
}

fn place_of(span: Span) -> Place {
    let (start, end) = (span.start, span.end);
    let length = if start.line() == end.line() { end.col().saturating_sub(start.col()) } else { 1 };
    Place { line: start.line(), column: start.col() + 1, length: length.max(1) }
}
