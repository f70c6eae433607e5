//! Truncation of a report that exceeds GitHub's limit.

/// Maximum size of a comment, bytes. GitHub names 65,536 characters in its error; a limit in bytes is always within
/// that. <https://github.com/orgs/community/discussions/27190>
pub const BODY_LIMIT: usize = 65_536;

/// Returns the beginning of a report that fits in `limit` bytes, cut before a heading, else before a paragraph, else
/// before a line; `None` when it fits as it is. A cut code block is closed.
#[must_use]
pub fn fit(report: &str, limit: usize) -> Option<String> {
    if report.len() <= limit {
        return None;
    }
    // Maximum length of a closing fence, with its line end.
    let limit = limit.saturating_sub(FENCE_ROOM);
    let (mut heading, mut paragraph, mut line) = (0, 0, 0);
    let mut fence: Option<String> = None;
    let mut fence_at_line = None;
    let mut at = 0;
    let mut after_blank = true;
    for text in report.split_inclusive('\n') {
        if at > limit {
            break;
        }
        if fence.is_none() {
            if text.starts_with('#') && at > 0 {
                heading = at;
            }
            if after_blank {
                paragraph = at;
            }
        }
        (line, fence_at_line) = (at, fence.clone());
        fence = next_fence(fence, text);
        after_blank = text.trim().is_empty();
        at += text.len();
    }
    // A cut at a heading near the beginning of a long report would leave next to nothing.
    let good = |cut: usize| cut >= limit / 2;
    let (cut, open) = match [heading, paragraph].into_iter().find(|cut| good(*cut)) {
        Some(cut) => (cut, None),
        None if good(line) => (line, fence_at_line),
        None => (floor_char(report, limit), fence_at_line),
    };
    let mut kept = report[..cut].trim_end().to_owned();
    if let Some(open) = open {
        kept.push('\n');
        kept.push_str(&open);
    }
    Some(kept)
}

const FENCE_ROOM: usize = 64;

fn next_fence(open: Option<String>, line: &str) -> Option<String> {
    let text = line.trim_start_matches(' ').trim_end();
    let mark = text.chars().next().filter(|mark| ['`', '~'].contains(mark));
    let run: String = mark.map(|mark| text.chars().take_while(|c| *c == mark).collect()).unwrap_or_default();
    match open {
        Some(fence) if run.starts_with(&fence) && run.len() == text.len() => None,
        Some(fence) => Some(fence),
        None if (3..FENCE_ROOM - 1).contains(&run.len()) => Some(run),
        None => None,
    }
}

fn floor_char(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_long_report_is_cut_before_a_heading() {
        let report = format!("# A\n{}\n\n## B\n{}\n", "a\n".repeat(60), "b\n".repeat(100));
        let kept = fit(&report, 250).expect("it is too long");
        assert!(kept.starts_with("# A\n") && kept.ends_with("\na"), "{kept}");
    }

    #[test]
    fn a_heading_in_code_is_none_and_code_that_is_cut_is_closed() {
        let report = format!("```sh\n{}```\n", "# comment\n".repeat(100));
        let kept = fit(&report, 300).expect("it is too long");
        assert!(kept.ends_with("# comment\n```"), "{kept}");
        assert!(kept.len() <= 300);
    }

    #[test]
    fn what_fits_is_left_alone() {
        assert_eq!(fit("abc", 3), None);
    }

    proptest! {
        #[test]
        fn what_is_kept_fits_and_is_the_beginning(report in "(#|`{3}|~{4}|\n|a|é| ){70,400}") {
            if let Some(kept) = fit(&report, 128) {
                prop_assert!(kept.len() <= 128, "{}", kept.len());
                let body = kept.lines().next().unwrap_or_default();
                prop_assert!(report.starts_with(body) || body.starts_with(['`', '~']));
            }
        }
    }
}
