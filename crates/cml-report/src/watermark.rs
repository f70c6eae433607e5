//! The watermark by which a comment is found again: an HTML comment, which is not displayed. CML's own watermark, an
//! image with a title, is recognized too, so that a comment of CML is taken over.

use serde::{Deserialize, Serialize};

use crate::ci::Ci;

const BEGIN: &str = "<!-- cml-watermark ";
const END: &str = " -->";
/// Beginning of CML's image; a hash, its title in quotes and `)` follow.
const CML_IMAGE: &str = "![](https://cml.dev/watermark.png#";
const CML_TITLE: &str = "CML watermark";

/// The watermark of one comment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermark {
    /// Comments with the same title are versions of one report.
    pub title: String,
    /// The commit that the report is about.
    #[serde(default)]
    pub sha: String,
    /// Unique for each posting: it shows whether a write whose answer was lost was done.
    #[serde(default)]
    pub id: String,
    /// The person who wrote the comment; empty for a bot, and where it is unknown. A name that differs from the
    /// comment's author shows that the watermark was copied.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// Whether CML wrote it; CML names no writer.
    #[serde(skip)]
    pub of_cml: bool,
}

impl Watermark {
    /// Creates a watermark with `{workflow}` and `{run}` filled in, as in CML.
    #[must_use]
    pub fn new(title: &str, ci: &Ci, id: String) -> Self {
        let run = ci.run_id.map(|id| id.to_string()).unwrap_or_default();
        let title =
            title.replace("{workflow}", ci.workflow.as_deref().unwrap_or_default()).replace("{run}", &run);
        Self {
            title: title.trim().to_owned(),
            sha: ci.head_sha.clone().unwrap_or_default(),
            id,
            ..Self::default()
        }
    }

    /// Returns the same in a comment of this person.
    #[must_use]
    pub fn by(&self, person: Option<&str>) -> Self {
        Self { by: person.unwrap_or_default().to_owned(), ..self.clone() }
    }

    /// Returns the text to append to a report.
    #[must_use]
    pub fn text(&self) -> String {
        // As JSON, in which nothing may resemble the end of an HTML comment.
        let json =
            serde_json::to_string(self).unwrap_or_default().replace('-', "\\u002d").replace('>', "\\u003e");
        format!("{BEGIN}{json}{END}")
    }

    /// Returns the last watermark in a comment.
    #[must_use]
    pub fn find(body: &str) -> Option<Self> {
        ours(body).or_else(|| of_cml(body))
    }
}

fn ours(body: &str) -> Option<Watermark> {
    let (_, rest) = body.rsplit_once(BEGIN)?;
    let (json, _) = rest.split_once(END)?;
    serde_json::from_str(json).ok()
}

fn of_cml(body: &str) -> Option<Watermark> {
    let (_, rest) = body.rsplit_once(CML_IMAGE)?;
    let (sha, rest) = rest.split_once(' ')?;
    let title = rest.strip_prefix('"')?.strip_prefix(CML_TITLE)?;
    let (title, _) = title.split_once("\")")?;
    if sha.is_empty() || !sha.chars().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    let mut plain = String::new();
    let mut letters = title.chars().peekable();
    while let Some(letter) = letters.next() {
        match (letter, letters.peek()) {
            ('\\', Some('_' | '*' | '[' | '<')) => {}
            _ => plain.push(letter),
        }
    }
    Some(Watermark {
        title: plain.trim().to_owned(),
        sha: sha.to_owned(),
        of_cml: true,
        ..Watermark::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mark(title: &str) -> Watermark {
        let ci = Ci { workflow: Some("train".to_owned()), run_id: Some(9), ..Ci::default() };
        Watermark::new(title, &ci, "1".to_owned())
    }

    #[test]
    fn a_title_has_workflow_and_run_filled_in() {
        assert_eq!(mark("{workflow} of {run}").title, "train of 9");
    }

    #[test]
    fn a_comment_that_cml_wrote_is_ours_too() {
        let body = "report\n\n![](https://cml.dev/watermark.png#3f2a \"CML watermark my\\_model\")";
        let title = |body: &str| Watermark::find(body).map(|found| (found.title, found.of_cml));
        assert_eq!(title(body), Some(("my_model".to_owned(), true)));
        let untitled = "x\n\n![](https://cml.dev/watermark.png#3f2a \"CML watermark\")";
        assert_eq!(title(untitled), Some((String::new(), true)));
        assert_eq!(title("![](https://cml.dev/watermark.png#none \"CML watermark\")"), None);
    }

    proptest! {
        #[test]
        fn any_title_is_found_again_and_never_ends_the_html_comment(title in ".{0,40}") {
            let mark = mark(&title);
            let text = mark.text();
            prop_assert_eq!(text.matches("-->").count(), 1);
            let body = format!("report\n\n{text}");
            prop_assert_eq!(Watermark::find(&body), Some(mark));
        }

        #[test]
        fn any_comment_can_be_looked_through(body in "(<!-- cml-watermark |!\\[\\]\\(https://cml.dev/watermark.png#|.){0,20}") {
            let _ = Watermark::find(&body);
        }
    }
}
