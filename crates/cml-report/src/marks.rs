//! The mark by which a comment of ours is found again: an HTML comment, which nobody sees. CML's own mark, an image with
//! a title, is found too, so that a comment that CML wrote is taken over.

use serde::{Deserialize, Serialize};

use crate::ci::Ci;

const BEGIN: &str = "<!-- cml-watermark ";
const END: &str = " -->";
/// What CML's image begins with; a hash, its title in quotes and `)` follow.
const CML_IMAGE: &str = "![](https://cml.dev/watermark.png#";
const CML_TITLE: &str = "CML watermark";

/// The mark of one comment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermark {
    /// Comments with the same title are versions of one report.
    pub title: String,
    /// The commit that the report is about.
    #[serde(default)]
    pub sha: String,
    /// Another one at each posting: it tells whether a write whose answer was lost was done.
    #[serde(default)]
    pub id: String,
}

impl Watermark {
    /// A mark with `{workflow}` and `{run}` filled in, as in CML.
    #[must_use]
    pub fn new(title: &str, ci: &Ci, id: String) -> Self {
        let run = ci.run_id.map(|id| id.to_string()).unwrap_or_default();
        let title =
            title.replace("{workflow}", ci.workflow.as_deref().unwrap_or_default()).replace("{run}", &run);
        Self { title: title.trim().to_owned(), sha: ci.head_sha.clone().unwrap_or_default(), id }
    }

    /// The text to put below a report.
    #[must_use]
    pub fn text(&self) -> String {
        // As JSON, in which nothing may look like the end of an HTML comment.
        let json =
            serde_json::to_string(self).unwrap_or_default().replace('-', "\\u002d").replace('>', "\\u003e");
        format!("{BEGIN}{json}{END}")
    }

    /// The last mark in a comment.
    #[must_use]
    pub fn find(body: &str) -> Option<Self> {
        ours(body).or_else(|| of_cml(body))
    }

    /// Whether the comment is a version of the same report.
    #[must_use]
    pub fn is_in(&self, body: &str) -> bool {
        Self::find(body).is_some_and(|found| found.title == self.title)
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
    Some(Watermark { title: plain.trim().to_owned(), sha: sha.to_owned(), id: String::new() })
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
        assert!(mark("my_model").is_in(body));
        assert!(!mark("").is_in(body));
        assert!(mark("").is_in("x\n\n![](https://cml.dev/watermark.png#3f2a \"CML watermark\")"));
        assert!(!mark("").is_in("![](https://cml.dev/watermark.png#none \"CML watermark\")"));
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
