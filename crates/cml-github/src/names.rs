//! Validation and escaping of foreign names for paths of the API: one function for each position in a path.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::{GitHubError, GitHubErrorKind};

/// Characters that need no escaping in a path. <https://www.rfc-editor.org/rfc/rfc3986#section-2.3>
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Returns whether GitHub allows this name for an owner or a repository; none of its characters needs escaping in a
/// path.
pub(crate) fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c);
    !text.is_empty() && text.len() <= 100 && text.chars().all(allowed) && !is_dots(text)
}

/// Returns true for `owner/name` in GitHub's shape.
pub(crate) fn is_full_name(text: &str) -> bool {
    text.split_once('/').is_some_and(|(owner, name)| is_name(owner) && is_name(name))
}

/// Returns a repository's path in the API: `/repos/acme/vision`.
///
/// # Errors
/// [`GitHubErrorKind::Invalid`] for an invalid name: no other path may be requested with the token.
pub(crate) fn repository_path(full_name: &str, doing: &str) -> Result<String, GitHubError> {
    if is_full_name(full_name) {
        return Ok(format!("/repos/{full_name}"));
    }
    Err(GitHubError {
        kind: GitHubErrorKind::Invalid,
        doing: doing.to_owned(),
        cause: format!(
            "{full_name:?} is no repository's name: OWNER/NAME of letters, digits, `-`, `_` and `.`"
        ),
        hint: None,
    })
}

/// Escapes one segment of a path. Dots alone would climb; they name nothing at GitHub, and neither does the escaped
/// form.
pub(crate) fn segment(text: &str) -> String {
    if is_dots(text) { "_".to_owned() } else { utf8_percent_encode(text, ESCAPED).to_string() }
}

/// Escapes a reference's name, except for its slashes.
pub(crate) fn reference(text: &str) -> String {
    text.split('/').map(segment).collect::<Vec<String>>().join("/")
}

fn is_dots(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c == '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_githubs_shape_of_a_repository_gets_into_a_path() {
        for right in ["acme/vision", "a-b_c.d/.github", "acme/..vision", "Acme/VISION-2.0"] {
            let path = repository_path(right, "looking").expect(right);
            assert_eq!(path, format!("/repos/{right}"));
        }
        for wrong in [
            "",
            "acme",
            "acme/",
            "/vision",
            "acme/vision/x",
            "../user?x=",
            "acme/..",
            "./vision",
            "a/../../orgs/evil/actions/secrets?",
            "acme/vision?x=1",
            "acme/vision#x",
            "acme/vi%2Fsion",
            "acme/vi sion",
            "acme/vision\n",
            "acme/größe",
            "acme\\vision/x",
        ] {
            let error = repository_path(wrong, "looking").expect_err(wrong);
            assert_eq!(error.kind, GitHubErrorKind::Invalid, "{wrong}");
        }
    }

    #[test]
    fn what_a_person_names_stays_within_its_part_of_a_path() {
        assert_eq!(segment("main?x=/../#"), "main%3Fx%3D%2F..%2F%23");
        assert_eq!(segment(".."), "_");
        assert_eq!(reference("heads/feature/größe 1"), "heads/feature/gr%C3%B6%C3%9Fe%201");
        assert_eq!(reference("heads/../../user"), "heads/_/_/user");
    }
}
