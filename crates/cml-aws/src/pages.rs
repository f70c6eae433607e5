//! Paged answers: all pages, or an error. A part must never pass for the whole.

use std::collections::HashSet;

use cml_cloud::{CloudError, ErrorKind};

/// Maximum number of pages: no answer needed here has more, so an endless one is an error.
const PAGES_MAX: usize = 2_000;

/// Follows the tokens from page to page.
#[derive(Default)]
pub(crate) struct Pages {
    next: Option<String>,
    seen: HashSet<String>,
}

impl Pages {
    /// Returns the token of the page to request; `None` for the first.
    pub(crate) fn token(&self) -> Option<String> {
        self.next.clone()
    }

    /// Stores the token at the end of a page; returns false after the last page.
    ///
    /// # Errors
    /// When AWS names a page that was read already: following it would never end.
    pub(crate) fn follow(&mut self, doing: &str, next: Option<&str>) -> Result<bool, CloudError> {
        self.next = next.filter(|token| !token.is_empty()).map(str::to_owned);
        match &self.next {
            Some(token) if !self.seen.insert(token.clone()) => {
                Err(incomplete(doing, "its pages lead back to one that was read already"))
            }
            Some(_) if self.seen.len() > PAGES_MAX => Err(incomplete(doing, "it has no end")),
            next => Ok(next.is_some()),
        }
    }
}

/// Creates the error for an incomplete or unparseable answer.
pub(crate) fn incomplete(doing: &str, why: &str) -> CloudError {
    CloudError::new(ErrorKind::Transient, doing, format!("AWS's answer cannot be used: {why}"))
        .hint("run it again; if it stays, please report it: AWS may have changed its answers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_followed_to_the_end_and_never_in_a_circle() {
        let mut pages = Pages::default();
        assert_eq!(pages.token(), None);
        assert!(pages.follow("reading", Some("2")).expect("goes on"));
        assert_eq!(pages.token().as_deref(), Some("2"));
        assert!(pages.follow("reading", Some("3")).expect("goes on"));
        let error = pages.follow("reading", Some("2")).expect_err("a circle").to_string();
        assert!(error.contains("lead back"), "{error}");
        let mut endless = (0..).map(|page| page.to_string());
        let mut follow = |pages: &mut Pages| pages.follow("reading", endless.next().as_deref());
        let mut pages = Pages::default();
        let error = (0..=PAGES_MAX).find_map(|_| follow(&mut pages).err()).expect("is given up").to_string();
        assert!(error.contains("has no end"), "{error}");
        assert!(!Pages::default().follow("reading", Some("")).expect("the end"));
        assert!(!Pages::default().follow("reading", None).expect("the end"));
    }
}
