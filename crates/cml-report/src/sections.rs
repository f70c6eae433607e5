//! Shared comments of several jobs: each writes its own section, and leaves the others' unchanged.

use crate::error::ReportError;

/// Sections of one comment, in order, with the text before and after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sections {
    parts: Vec<(String, String)>,
}

fn begin(name: &str) -> String {
    format!("<!-- cml-section begin: {name} -->")
}

fn end(name: &str) -> String {
    format!("<!-- cml-section end: {name} -->")
}

/// Checks that a name can be part of an HTML comment.
pub(crate) fn check(name: &str) -> Result<(), ReportError> {
    let good = |c: char| c.is_alphanumeric() || [' ', '.', '_', '-'].contains(&c);
    if name.trim().is_empty() || name.trim() != name || name.contains("--") || !name.chars().all(good) {
        return Err(ReportError::BadSection(name.to_owned()));
    }
    Ok(())
}

impl Sections {
    /// Parses a comment.
    pub(crate) fn read(body: &str) -> Self {
        let mut parts: Vec<(String, String)> = Vec::new();
        let mut rest = body;
        while let Some((_, after)) = rest.split_once("<!-- cml-section begin: ") {
            let Some((name, after)) = after.split_once(" -->") else { break };
            let Some((text, after)) = after.split_once(&end(name)) else { break };
            let text = text.trim_matches(['\r', '\n']);
            if parts.iter().all(|(known, _)| known != name) {
                parts.push((name.to_owned(), text.to_owned()));
            }
            rest = after;
        }
        Self { parts }
    }

    /// Returns whether a comment has any.
    pub(crate) fn are_in(body: &str) -> bool {
        body.contains("<!-- cml-section begin: ") || body.contains("<!-- cml-section end: ")
    }

    /// Returns whether a comment consists of sections and the watermark only, so that deleting it loses no other text.
    pub(crate) fn are_all_of(body: &str) -> bool {
        let text = Self::read(body).text();
        let body = body.replace("\r\n", "\n");
        body.strip_prefix(&text).is_some_and(|rest| {
            let rest = rest.trim();
            rest.is_empty()
                || (rest.starts_with("<!-- cml-watermark ")
                    && rest.matches("-->").count() == 1
                    && rest.ends_with("-->"))
        })
    }

    /// Returns one section.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.parts.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str())
    }

    /// Inserts a section, in order of names: the order of the jobs must not matter.
    pub(crate) fn set(&mut self, name: &str, text: &str) {
        let text = text.trim_matches(['\r', '\n']).to_owned();
        match self.parts.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = text,
            None => {
                self.parts.push((name.to_owned(), text));
                self.parts.sort_by(|(one, _), (other, _)| one.cmp(other));
            }
        }
    }

    /// Adds the sections of another comment that are missing here.
    pub(crate) fn add_missing(&mut self, others: &Self) {
        for (name, text) in &others.parts {
            if self.get(name).is_none() {
                self.set(name, text);
            }
        }
    }

    /// Renders the comment's text.
    pub(crate) fn text(&self) -> String {
        let part = |(name, text): &(String, String)| format!("{}\n\n{text}\n\n{}", begin(name), end(name));
        self.parts.iter().map(part).collect::<Vec<_>>().join("\n\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_read_back_as_they_were_written_whoever_came_first() {
        let mut one = Sections::read("");
        one.set("train", "# Train\n\nok\n");
        one.set("data", "# Data");
        let mut other = Sections::read("");
        other.set("data", "# Data");
        other.set("train", "# Train\n\nok");
        assert_eq!(one.text(), other.text());
        assert_eq!(Sections::read(&one.text()), one);
        assert_eq!(one.get("train"), Some("# Train\n\nok"));
    }

    #[test]
    fn a_section_is_replaced_and_the_others_stay() {
        let mut sections = Sections::read("");
        sections.set("a", "1");
        sections.set("b", "2");
        sections.set("a", "3");
        assert_eq!((sections.get("a"), sections.get("b")), (Some("3"), Some("2")));
    }

    #[test]
    fn a_name_that_would_break_the_comment_is_refused() {
        for name in ["", " a", "a-->", "a--b", "a\nb", "<a>"] {
            assert!(check(name).is_err(), "{name:?}");
        }
        assert!(check("train on gpu-1").is_ok());
    }

    #[test]
    fn a_comment_somebody_broke_is_read_as_far_as_it_goes() {
        let broken = "<!-- cml-section begin: a -->\n\n1\n\n<!-- cml-section end: a -->\n<!-- cml-section begin: b -->\n2";
        let sections = Sections::read(broken);
        assert_eq!((sections.get("a"), sections.get("b")), (Some("1"), None));
    }
}
