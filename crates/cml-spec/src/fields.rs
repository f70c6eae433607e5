//! Keys and values of a mapping, each parsed as its type; problems are recorded, and parsing continues.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use crate::duration;
use crate::problem::{Place, Problems, nearest};
use crate::tree::{Kind, Node};

/// One mapping with known keys.
pub(crate) struct Fields<'a> {
    pub(crate) path: String,
    pub(crate) place: Place,
    values: BTreeMap<&'a str, (&'a Node, &'a Node)>,
}

/// Opens a mapping; records unknown and repeated keys.
pub(crate) fn open<'a>(
    node: &'a Node,
    place: Place,
    path: &str,
    known: &[&str],
    problems: &mut Problems<'_>,
) -> Option<Fields<'a>> {
    let pairs = pairs(node, path, problems)?;
    let mut values: BTreeMap<&str, (&Node, &Node)> = BTreeMap::new();
    for (key, value) in pairs {
        let Some(name) = name(key, path, problems) else { continue };
        let full = join(path, name);
        if !known.contains(&name) {
            let help = match nearest(name, known.iter().copied()) {
                _ if name == "token" => {
                    "a token never stands in this file: put it into the environment, and name the variable: \
                     `token_env: REPO_TOKEN`"
                        .to_owned()
                }
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", known.join(", ")),
            };
            problems.wrong(key.place, &full, "unknown key", help);
        } else if let Some((first, _)) = values.get(name) {
            let help = format!("it is on line {} already; only one of them can hold", first.place.line);
            problems.wrong(key.place, &full, "the key is there twice", help);
        } else {
            values.insert(name, (key, value));
        }
    }
    Some(Fields { path: path.to_owned(), place, values })
}

/// Returns the pairs of a mapping whose keys are names of the user's own.
pub(crate) fn pairs<'a>(
    node: &'a Node,
    path: &str,
    problems: &mut Problems<'_>,
) -> Option<&'a [(Node, Node)]> {
    let Kind::Map(pairs) = &node.kind else {
        problems.wrong(
            node.place,
            path,
            format!("{} where keys are expected", found(node)),
            "write `key: value` lines",
        );
        return None;
    };
    Some(pairs)
}

/// Returns a key as a word.
pub(crate) fn name<'a>(key: &'a Node, path: &str, problems: &mut Problems<'_>) -> Option<&'a str> {
    let Kind::Text { text, .. } = &key.kind else {
        problems.wrong(key.place, path, "a key that is no word", "");
        return None;
    };
    Some(text)
}

pub(crate) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn found(node: &Node) -> &'static str {
    match &node.kind {
        Kind::Text { text, plain: true } if text.is_empty() || text == "~" || text == "null" => {
            "nothing is given"
        }
        Kind::Text { .. } => "a value is given",
        Kind::List(_) => "a list is given",
        Kind::Map(_) => "a mapping is given",
    }
}

impl<'a> Fields<'a> {
    pub(crate) fn path(&self, key: &str) -> String {
        join(&self.path, key)
    }

    pub(crate) fn node(&self, key: &str) -> Option<&'a Node> {
        self.values.get(key).map(|(_, value)| *value)
    }

    /// Returns the place of the value, else that of the mapping.
    pub(crate) fn place(&self, key: &str) -> Place {
        self.values.get(key).map_or(self.place, |(key, value)| match value.kind {
            Kind::Text { .. } => value.place,
            _ => key.place,
        })
    }

    /// Records that a key is missing.
    pub(crate) fn missing(&self, key: &str, help: &str, problems: &mut Problems<'_>) {
        problems.wrong(self.place, &self.path, format!("`{key}` is missing"), help);
    }

    /// Opens a mapping below this one.
    pub(crate) fn open(&self, key: &str, known: &[&str], problems: &mut Problems<'_>) -> Option<Fields<'a>> {
        open(self.node(key)?, self.place(key), &self.path(key), known, problems)
    }

    /// Returns a value of one line.
    pub(crate) fn text(&self, key: &str, example: &str, problems: &mut Problems<'_>) -> Option<&'a str> {
        one_line(self.node(key)?, &self.path(key), example, problems)
    }

    /// Returns a value that may have many lines, such as a script.
    pub(crate) fn block(&self, key: &str, problems: &mut Problems<'_>) -> Option<&'a str> {
        text(self.node(key)?, &self.path(key), "|", problems)
    }

    /// Returns a value parsed by `read`; its error is recorded with the example.
    pub(crate) fn value<T>(
        &self,
        key: &str,
        example: &str,
        problems: &mut Problems<'_>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(key, example, problems)?;
        match read(text) {
            Ok(value) => Some(value),
            Err(what) => {
                problems.wrong(self.place(key), &self.path(key), what, format!("such as `{key}: {example}`"));
                None
            }
        }
    }

    pub(crate) fn number(&self, key: &str, example: &str, problems: &mut Problems<'_>) -> Option<u32> {
        self.value(key, example, problems, |text| {
            text.parse().map_err(|_| format!("`{text}` is no whole number from 0 on"))
        })
    }

    pub(crate) fn duration(
        &self,
        key: &str,
        example: &str,
        problems: &mut Problems<'_>,
    ) -> Option<SignedDuration> {
        self.value(key, example, problems, |text| {
            if text.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(format!("`{text}` has no unit: {text}s, {text}m or {text}h?"));
            }
            duration::parse(text).map_err(|error| error.to_string())
        })
    }

    pub(crate) fn truth(&self, key: &str, problems: &mut Problems<'_>) -> Option<bool> {
        self.value(key, "true", problems, |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            other => Err(format!("`{other}` is neither true nor false")),
        })
    }

    /// Returns one of a few words.
    pub(crate) fn choice<T: Copy>(
        &self,
        key: &str,
        choices: &[(&str, T)],
        problems: &mut Problems<'_>,
    ) -> Option<T> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let text = self.text(key, words.first().copied().unwrap_or_default(), problems)?;
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let help = match nearest(text, words.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("one of {}", words.join(", ")),
        };
        problems.wrong(
            self.place(key),
            &self.path(key),
            format!("`{text}` is none of {}", words.join(", ")),
            help,
        );
        None
    }

    /// Returns words with their places; a single word is a list of one.
    pub(crate) fn words(
        &self,
        key: &str,
        example: &str,
        problems: &mut Problems<'_>,
    ) -> Vec<(&'a str, Place)> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let path = self.path(key);
        let nodes = match &node.kind {
            Kind::List(nodes) => nodes.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let words =
            nodes.iter().filter_map(|node| Some((one_line(node, &path, example, problems)?, node.place)));
        words.collect()
    }
}

/// Returns a word without line breaks: a line break would begin a line of its own in a script, in a file of outputs or
/// in a log.
fn one_line<'a>(node: &'a Node, path: &str, example: &str, problems: &mut Problems<'_>) -> Option<&'a str> {
    let found = text(node, path, example, problems)?;
    let Err(what) = crate::of_one_line(found) else { return Some(found) };
    problems.wrong(node.place, path, what, format!("such as `{example}`"));
    None
}

fn text<'a>(node: &'a Node, path: &str, example: &str, problems: &mut Problems<'_>) -> Option<&'a str> {
    match &node.kind {
        Kind::Text { text, plain } if !(*plain && (text.is_empty() || text == "~" || text == "null")) => {
            Some(text)
        }
        _ => {
            let help = format!("such as `{example}`");
            problems.wrong(node.place, path, format!("{} where a word is expected", found(node)), help);
            None
        }
    }
}
