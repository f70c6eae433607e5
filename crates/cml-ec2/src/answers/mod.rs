//! AWS's answers as values: the bodies of the services whose requests the program builds itself, and texts within EC2's
//! answers that its SDK does not parse.
//!
//! A parser accepts any text. Its error message has a maximum length, however long the text is: it is written to logs
//! and journals.
//!
//! Not allowed here: calls to AWS, and classification of its error codes (`errors/codes.rs` of `cml-aws`).

pub mod cost_explorer;
pub mod instance;
pub mod parameter;
pub mod policy_simulation;
pub mod prices;
pub mod quota;
pub mod refusal;

use roxmltree::Document;
use serde::de::DeserializeOwned;

/// Maximum length of a parse error, in characters: parsers quote what they cannot parse, which may be all of it.
const WHY_CHARS: usize = 300;
/// Maximum length of a value quoted in a message, in characters.
const VALUE_CHARS: usize = 100;
/// Maximum number of attributes of an XML document. AWS's have one; time grows with the square of their number, and
/// faster where they are namespaces.
const ATTRIBUTES_MAX: usize = 1_000;

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// Its items.
    pub items: Vec<T>,
    /// The token of the next page.
    pub next: Option<String>,
}

fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| cut(&error.to_string(), WHY_CHARS))
}

fn xml(text: &str) -> Result<Document<'_>, String> {
    if text.matches('=').count() > ATTRIBUTES_MAX {
        return Err(format!("it has more than {ATTRIBUTES_MAX} attributes"));
    }
    Document::parse(text).map_err(|error| cut(&error.to_string(), WHY_CHARS))
}

/// Truncates a text to at most so many characters.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Quotes a value for a message.
fn quoted(value: &str) -> String {
    format!("{:?}", cut(value, VALUE_CHARS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_an_answer_is_not_as_long_as_the_answer() {
        assert_eq!((cut("añb", 3).as_str(), cut("añb", 2).as_str()), ("añb", "añ…"));
        let why = json::<u8>(format!("\"{}\"", "x".repeat(100_000)).as_bytes()).expect_err("is no number");
        assert!(why.starts_with("invalid type: string") && why.chars().count() <= WHY_CHARS + 1, "{why}");
        let why = xml(&format!("<{}>", "x".repeat(100_000))).expect_err("has no end");
        assert!(why.chars().count() <= WHY_CHARS + 1, "{why}");
    }

    #[test]
    fn an_answer_that_would_take_hours_is_not_read() {
        let attributes: String = (0..100_000).map(|at| format!(" xmlns:a{at}='{at}'")).collect();
        let why = xml(&format!("<a{attributes}/>")).expect_err("has too many");
        assert_eq!(why, "it has more than 1000 attributes");
    }
}
