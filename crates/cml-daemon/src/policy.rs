//! Content-Security-Policy of the pages: a browser may run the one script and apply the styles of the templates, by
//! their hashes, and nothing else. If foreign text ever gets into a page unescaped, it stays text.
//! <https://www.w3.org/TR/CSP3/#match-element-to-source-list>

use std::fmt::Write;
use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

/// The pages before any data is inserted.
const TEMPLATES: [&str; 3] = [
    include_str!("../../../templates/page.html"),
    include_str!("../../../templates/login.html"),
    include_str!("../../../templates/cost.html"),
];

static POLICY: LazyLock<String> = LazyLock::new(|| policy(""));

/// Returns the policy of every response.
pub(crate) fn standing() -> &'static str {
    &POLICY
}

/// Returns the policy of a page with these additional rules.
fn policy(rules: &str) -> String {
    let mut styles: Vec<&str> = TEMPLATES.iter().flat_map(|page| within(page, "style")).collect();
    if !rules.is_empty() {
        styles.push(rules);
    }
    let scripts: Vec<&str> = TEMPLATES.iter().flat_map(|page| within(page, "script")).collect();
    format!(
        "default-src 'none'; style-src{}; script-src{}; connect-src 'self'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'",
        sources(&styles),
        sources(&scripts)
    )
}

fn sources(texts: &[&str]) -> String {
    let mut all = String::new();
    for text in texts {
        let hash = BASE64_STANDARD.encode(Sha256::digest(text.as_bytes()));
        // Writing to a string cannot fail.
        let _ = write!(all, " 'sha256-{hash}'");
    }
    if all.is_empty() { " 'none'".to_owned() } else { all }
}

/// Returns the texts between `<name>` and `</name>`.
fn within<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    page.split(&open).skip(1).filter_map(|rest| rest.split(&close).next()).collect()
}

/// Moves style attributes (position and length of bars) out of a page: each becomes a rule of one additional style
/// sheet, which the policy names. A quotation mark in foreign text is escaped, so an attribute is always the
/// template's.
pub(crate) fn without_attributes(page: &str) -> (String, String) {
    const ATTRIBUTE: &str = " style=\"";
    let mut known: Vec<&str> = Vec::new();
    let mut parts = page.split(ATTRIBUTE);
    let mut body = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let Some((style, rest)) = part.split_once('"') else {
            body.push_str(part);
            continue;
        };
        let number = known.iter().position(|one| *one == style).unwrap_or_else(|| {
            known.push(style);
            known.len() - 1
        });
        let _ = write!(body, " data-at=\"{number}\"{rest}");
    }
    let mut rules = String::new();
    for (number, style) in known.iter().enumerate() {
        // An attribute takes precedence over any rule; so must its replacement.
        let all: Vec<String> = style
            .split(';')
            .map(str::trim)
            .filter(|one| !one.is_empty() && !one.contains(['<', '>', '{', '}']))
            .map(|one| format!("{one}!important"))
            .collect();
        let _ = write!(rules, "[data-at=\"{number}\"]{{{}}}", all.join(";"));
    }
    if !rules.is_empty() {
        body = body.replacen("</style>", &format!("</style>\n<style>{rules}</style>"), 1);
    }
    (body, policy(&rules))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_what_the_templates_hold_and_allows_nothing_inline() {
        let policy = standing();
        assert!(!policy.contains("unsafe"), "{policy}");
        let script = policy.split("script-src").nth(1).and_then(|rest| rest.split(';').next()).expect("one");
        assert_eq!(script.matches("sha256-").count(), 1, "{script}");
        assert_eq!(policy.matches("sha256-").count(), 4, "{policy}");
    }

    #[test]
    fn templates_hold_nothing_that_a_hash_cannot_stand_for() {
        for page in TEMPLATES {
            for text in within(page, "style").into_iter().chain(within(page, "script")) {
                assert!(!text.contains("{{") && !text.contains("{%"), "{text}");
            }
            let tags = page.matches("<script").count() + page.matches("<style").count();
            assert_eq!(tags, within(page, "script").len() + within(page, "style").len());
            let handlers = [" onclick=", " onload=", " onerror=", "javascript:"];
            assert!(handlers.iter().all(|handler| !page.contains(handler)));
        }
        for page in &TEMPLATES[..2] {
            assert!(!page.contains(" style="), "the page and the log-in have no attribute to be replaced");
        }
    }

    #[test]
    fn styles_of_elements_become_rules_that_the_policy_names() {
        let page = "<style>i{x:1}</style><i class=\"a\" style=\"left:5%;width:2%\"></i><b style=\"left:5%;width:2%\"></b>\
                    <u style=\"top:1%\">a style=&quot;x&quot;</u>";
        let (page, policy) = without_attributes(page);
        assert!(!page.contains(" style=\""), "{page}");
        assert!(
            page.contains("<i class=\"a\" data-at=\"0\"></i><b data-at=\"0\"></b><u data-at=\"1\">"),
            "{page}"
        );
        let rules = "[data-at=\"0\"]{left:5%!important;width:2%!important}[data-at=\"1\"]{top:1%!important}";
        assert!(page.contains(&format!("<style>{rules}</style>")), "{page}");
        assert!(policy.contains(sources(&[rules]).trim()), "{policy}");
    }
}
