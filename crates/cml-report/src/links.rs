//! Targets of images and links in a report, as byte ranges of its text: exactly these are replaced, every other byte
//! stays. Code, HTML and text that only resembles a link are left alone, because a real Markdown parser reads the text.

use std::ops::Range;

use percent_encoding::percent_decode_str;
use pulldown_cmark::{Event, LinkType, Options, Parser, Tag};

/// One target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Byte range of the target in the text.
    pub range: Range<usize>,
    /// The decoded target: escapes and `%20` are resolved.
    pub target: String,
}

/// Returns all targets that are local files or data in the text, in order. Remote addresses and anchors within the page
/// are left out.
#[must_use]
pub fn local_links(markdown: &str) -> Vec<Link> {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS;
    let parser = Parser::new_ext(markdown, options);
    let mut found: Vec<Link> = Vec::new();
    for (_, definition) in parser.reference_definitions().iter() {
        let after_label = after_label(markdown, &definition.span);
        found.extend(target_in(markdown, after_label..definition.span.end, &definition.dest));
    }
    // Open links, innermost last: range, target, end of what was seen inside.
    let mut open: Vec<(Range<usize>, String, usize, bool)> = Vec::new();
    for (event, range) in parser.into_offset_iter() {
        match event {
            Event::Start(Tag::Link { link_type, dest_url, .. }) => {
                open.push((
                    range.clone(),
                    dest_url.to_string(),
                    range.start + 1,
                    link_type == LinkType::Inline,
                ));
            }
            Event::Start(Tag::Image { link_type, dest_url, .. }) => {
                open.push((
                    range.clone(),
                    dest_url.to_string(),
                    range.start + 2,
                    link_type == LinkType::Inline,
                ));
            }
            Event::End(pulldown_cmark::TagEnd::Link | pulldown_cmark::TagEnd::Image) => {
                let Some((range, target, inner, is_inline)) = open.pop() else { continue };
                if is_inline && let Some(bracket) = markdown[inner..range.end].find("](") {
                    found.extend(target_in(markdown, inner + bracket + 2..range.end, &target));
                }
                if let Some(outer) = open.last_mut() {
                    outer.2 = outer.2.max(range.end);
                }
            }
            _ => {
                if let Some(outer) = open.last_mut() {
                    outer.2 = outer.2.max(range.end);
                }
            }
        }
    }
    found.sort_by_key(|link| link.range.start);
    found.dedup();
    found.retain(|link| is_local(&link.target));
    for link in &mut found {
        if !link.target.starts_with("data:") {
            link.target = percent_decode_str(&link.target).decode_utf8_lossy().into_owned();
        }
    }
    found
}

/// Returns the text with these targets replaced.
#[must_use]
pub fn replaced(markdown: &str, with: &[(Range<usize>, String)]) -> String {
    let mut out = String::with_capacity(markdown.len());
    let mut done = 0;
    for (range, target) in with {
        out.push_str(&markdown[done..range.start]);
        out.push_str(target);
        done = range.end;
    }
    out.push_str(&markdown[done..]);
    out
}

/// Returns the position after `[label]:`.
fn after_label(markdown: &str, span: &Range<usize>) -> usize {
    span.start + markdown[span.clone()].find("]:").map_or(0, |at| at + 2)
}

/// Returns the target within a part of the text that begins with it, except for blanks: `<a b.png>` or `a.png`.
fn target_in(markdown: &str, part: Range<usize>, target: &str) -> Option<Link> {
    let text = &markdown[part.clone()];
    let blank = text.len() - text.trim_start().len();
    let text = &text[blank..];
    let start = part.start + blank;
    let length = if text.starts_with('<') {
        end_of(text, |c, _| c == '>')? + 1
    } else {
        end_of(text, |c, depth| c.is_whitespace() || (c == ')' && depth == 0)).unwrap_or(text.len())
    };
    // In a quotation a target may follow marks that are no part of it: better none than a wrong one.
    let plain = |text: &str| text.replace('\\', "");
    let written = text[..length].trim_start_matches('<').trim_end_matches('>');
    let is_it = plain(written) == plain(target) || written.contains('&');
    (length > 0 && is_it).then(|| Link { range: start..start + length, target: target.to_owned() })
}

/// Returns the end of a target: parentheses may be nested in it, and a backslash escapes the next character.
fn end_of(text: &str, ends: impl Fn(char, usize) -> bool) -> Option<usize> {
    let mut depth = 0_usize;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if escaped {
            escaped = false;
            continue;
        }
        if ends(c, depth) {
            return Some(at);
        }
        match c {
            '\\' => escaped = true,
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

fn is_local(target: &str) -> bool {
    if target.starts_with("data:image/") {
        return true;
    }
    let has_scheme = target.split_once(':').is_some_and(|(scheme, _)| {
        scheme.len() > 1 && scheme.chars().all(|c| c.is_ascii_alphanumeric() || ['+', '-', '.'].contains(&c))
    });
    !target.is_empty() && !has_scheme && !target.starts_with('#') && !target.starts_with("//")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn targets(markdown: &str) -> Vec<(String, String)> {
        let links = local_links(markdown);
        links.into_iter().map(|link| (markdown[link.range].to_owned(), link.target)).collect()
    }

    fn one(markdown: &str) -> (String, String) {
        let all = targets(markdown);
        assert_eq!(all.len(), 1, "{markdown:?}: {all:?}");
        all[0].clone()
    }

    fn pair(written: &str, meant: &str) -> (String, String) {
        (written.to_owned(), meant.to_owned())
    }

    #[test]
    fn every_way_to_write_a_target_is_found_where_it_stands() {
        assert_eq!(one("![](a.png)"), pair("a.png", "a.png"));
        assert_eq!(one("![ROC](./plots/a.png \"a title\")"), pair("./plots/a.png", "./plots/a.png"));
        assert_eq!(one("[data]( table.csv )"), pair("table.csv", "table.csv"));
        assert_eq!(one("![](my%20plot.png)"), pair("my%20plot.png", "my plot.png"));
        assert_eq!(one("![](<my plot.png>)"), pair("<my plot.png>", "my plot.png"));
        assert_eq!(one("![](a(1).png)"), pair("a(1).png", "a(1).png"));
        assert_eq!(one("![a\\]( b](c.png)"), pair("c.png", "c.png"));
        assert_eq!(one("![`](x)`](c.png)"), pair("c.png", "c.png"));
        assert_eq!(one("![roc]\n\n[roc]: plots/roc.png 'ROC'\n"), pair("plots/roc.png", "plots/roc.png"));
        assert_eq!(one("![](data:image/png;base64,AAAA)").1, "data:image/png;base64,AAAA");
        assert_eq!(one("| a |\n|---|\n| ![](t.png) |\n"), pair("t.png", "t.png"));
    }

    #[test]
    fn an_image_in_a_link_has_two_targets() {
        assert_eq!(
            targets("[![x](small.png)](large.png)"),
            [pair("small.png", "small.png"), pair("large.png", "large.png")]
        );
    }

    #[test]
    fn code_html_remote_addresses_and_anchors_are_left_alone() {
        for markdown in [
            "```\n![](a.png)\n```",
            "    ![](a.png)",
            "`![](a.png)`",
            "<img src=\"a.png\">",
            "![](https://example.com/a.png)",
            "[mail](mailto:a@b.c)",
            "[top](#top)",
            "![](//example.com/a.png)",
            "\\![](\u{20}",
            "<https://example.com>",
        ] {
            assert_eq!(targets(markdown), [], "{markdown}");
        }
    }

    #[test]
    fn what_is_replaced_is_the_target_alone() {
        let markdown = "*  ![a](a.png \"t\")\r\n\r\n* * *\r\n![b][b]\r\n\r\n[b]: b.png\r\n\r\n\r\n";
        let links = local_links(markdown);
        let with: Vec<_> =
            links.into_iter().map(|link| (link.range, format!("https://x/{}", link.target))).collect();
        let expected = markdown.replace("a.png", "https://x/a.png").replace("b.png", "https://x/b.png");
        assert_eq!(replaced(markdown, &with), expected);
    }

    proptest! {
        #[test]
        fn any_text_can_be_read_and_ranges_never_overlap(text in "(\\!|\\[|\\]|\\(|\\)|<|>|`|\\\\|\"|\n|:| |a.png|é|_|\\*){0,40}") {
            let links = local_links(&text);
            for pair in links.windows(2) {
                prop_assert!(pair[0].range.end <= pair[1].range.start, "{:?}", links);
            }
            let same: Vec<_> = links.iter().map(|link| (link.range.clone(), text[link.range.clone()].to_owned())).collect();
            prop_assert_eq!(replaced(&text, &same), text);
        }
    }
}
