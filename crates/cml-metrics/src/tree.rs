//! The common tree of JSON, YAML and TOML, and its dotted names.

use std::collections::HashSet;

use crate::error::{Fault, Problem};
use crate::value::Value;

/// Deeper files are not metrics; and recursion over a tree needs a limit.
pub(crate) const DEPTH_MAX: usize = 64;
/// Limit on the bytes of a dotted name.
pub(crate) const NAME_MAX: usize = 1000;

#[derive(Clone, Debug)]
pub(crate) enum Node {
    Scalar(Value, usize),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// A value with its dotted name and its line.
pub(crate) type Leaf = (String, Value, usize);

impl Node {
    /// Returns its depth; at most [`DEPTH_MAX`] for trees of all parsers.
    pub(crate) fn depth(&self) -> usize {
        match self {
            Self::Scalar(..) => 0,
            Self::List(items) => 1 + items.iter().map(Self::depth).max().unwrap_or_default(),
            Self::Map(pairs) => 1 + pairs.iter().map(|(_, node)| node.depth()).max().unwrap_or_default(),
        }
    }

    /// Returns the approximate size of a copy, bytes.
    pub(crate) fn weight(&self) -> usize {
        const NODE: usize = 64;
        NODE + match self {
            Self::Scalar(Value::Text(text), _) => text.len(),
            Self::Scalar(..) => 0,
            Self::List(items) => items.iter().map(Self::weight).sum(),
            Self::Map(pairs) => pairs.iter().map(|(key, node)| key.len() + node.weight()).sum(),
        }
    }

    /// Returns all values under their dotted names, at most `limit`, in the order of the file.
    pub(crate) fn flatten(self, limit: usize) -> Result<Vec<Leaf>, Fault> {
        let mut leaves = Vec::new();
        self.flatten_into("", limit, &mut leaves)?;
        let mut seen = HashSet::new();
        for (name, _, line) in &leaves {
            if !seen.insert(name.as_str()) {
                return Err(Fault::on_line(*line, Problem::Duplicate(name.clone())));
            }
        }
        Ok(leaves)
    }

    fn flatten_into(self, name: &str, limit: usize, leaves: &mut Vec<Leaf>) -> Result<(), Fault> {
        let under = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
        if name.len() > NAME_MAX {
            return Err(Problem::LongName.into());
        }
        match self {
            Self::Scalar(_, line) if leaves.len() >= limit => {
                return Err(Fault::on_line(line, Problem::TooMany));
            }
            Self::Scalar(value, line) => leaves.push((name.to_owned(), value, line)),
            Self::List(items) => {
                for (index, node) in items.into_iter().enumerate() {
                    node.flatten_into(&under(&index.to_string()), limit, leaves)?;
                }
            }
            Self::Map(pairs) => {
                for (key, node) in pairs {
                    node.flatten_into(&under(&key), limit, leaves)?;
                }
            }
        }
        Ok(())
    }
}
