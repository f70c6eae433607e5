//! YAML as a tree in which every node has its line: texts are edited by line, never regenerated.

use saphyr_parser::{Event, Parser, ScalarStyle};

/// Deeper files are not workflows.
const DEPTH_MAX: usize = 64;

#[derive(Debug)]
pub(crate) struct Node {
    /// Counted from 0.
    pub(crate) line: usize,
    /// Counted in characters from 0.
    pub(crate) column: usize,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    /// A scalar; `plain` on one line and without quotes.
    Text {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    /// An alias: its target is not resolved.
    Alias,
}

impl Node {
    pub(crate) fn text(&self) -> Option<&str> {
        if let Kind::Text { text, .. } = &self.kind { Some(text) } else { None }
    }

    pub(crate) fn pairs(&self) -> &[(Node, Node)] {
        if let Kind::Map(pairs) = &self.kind { pairs } else { &[] }
    }

    pub(crate) fn items(&self) -> &[Node] {
        if let Kind::List(items) = &self.kind { items } else { &[] }
    }

    /// Returns a key and its value.
    pub(crate) fn entry(&self, key: &str) -> Option<&(Node, Node)> {
        self.pairs().iter().find(|(name, _)| name.text() == Some(key))
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|(_, value)| value)
    }

    /// Returns a scalar alone or the scalars of a list.
    pub(crate) fn words(&self) -> Vec<&str> {
        match &self.kind {
            Kind::Text { text, .. } => vec![text],
            Kind::List(items) => items.iter().filter_map(Node::text).collect(),
            _ => Vec::new(),
        }
    }
}

/// Parses the first document of a text.
pub(crate) fn parse(text: &str) -> Result<Node, String> {
    let mut open: Vec<(Node, Vec<Node>)> = Vec::new();
    let mut root = None;
    for event in Parser::new_from_str(text) {
        let (event, span) =
            event.map_err(|error| format!("line {}: not YAML: {}", error.marker().line(), error.info()))?;
        let (line, column) = (span.start.line().saturating_sub(1), span.start.col());
        let done = match event {
            Event::Scalar(text, style, ..) => {
                let plain = style == ScalarStyle::Plain && span.start.line() == span.end.line();
                Some(Node { line, column, kind: Kind::Text { text: text.into_owned(), plain } })
            }
            Event::Alias(_) => Some(Node { line, column, kind: Kind::Alias }),
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                if open.len() >= DEPTH_MAX {
                    return Err(format!("line {}: nested too deeply", line + 1));
                }
                let is_list = matches!(event, Event::SequenceStart(..));
                let kind = if is_list { Kind::List(Vec::new()) } else { Kind::Map(Vec::new()) };
                open.push((Node { line, column, kind }, Vec::new()));
                None
            }
            Event::SequenceEnd | Event::MappingEnd => open.pop().map(|(node, items)| close(node, items)),
            _ => None,
        };
        if let Some(node) = done {
            match open.last_mut() {
                Some((_, items)) => items.push(node),
                None if root.is_none() => root = Some(node),
                None => return Err("there is a second document".to_owned()),
            }
        }
    }
    root.ok_or_else(|| "the file is empty".to_owned())
}

fn close(mut node: Node, items: Vec<Node>) -> Node {
    match &mut node.kind {
        Kind::Map(pairs) => {
            let mut items = items.into_iter();
            while let (Some(key), Some(value)) = (items.next(), items.next()) {
                pairs.push((key, value));
            }
        }
        Kind::List(list) => *list = items,
        _ => {}
    }
    node
}
