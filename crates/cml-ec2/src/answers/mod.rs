//! What AWS answers, as values: the bodies of the services whose requests the program writes itself, and texts within EC2's
//! answers that its SDK leaves as they are.
//!
//! A reader takes any text. What it says of one that it does not understand has an end, however long the text is: it goes into
//! logs and journals.
//!
//! What may not happen here: asking AWS, and judging its error codes (`errors/codes.rs` of `cml-aws`).

pub mod cost_explorer;
pub mod instance;
pub mod parameter;
pub mod policy_simulation;
pub mod prices;
pub mod quota;
pub mod refusal;

use roxmltree::Document;
use serde::de::DeserializeOwned;

/// Characters of why an answer is not understood: parsers repeat what they do not understand, which may be all of it.
const WHY_CHARS: usize = 300;
/// Characters of a value that a sentence of ours repeats.
const VALUE_CHARS: usize = 100;
/// Attributes of an XML document. AWS's have one; time grows with the square of their number, and faster where they are
/// namespaces.
const ATTRIBUTES_MAX: usize = 1_000;

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it.
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

/// A text of at most so many characters.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A value for a sentence.
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
