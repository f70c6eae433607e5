//! Untrusted text in a cell of a Markdown table.

use crate::acts;

/// Longer texts are cut.
const CHARACTERS_MAX: usize = 200;

/// Returns a text as one cell: it cannot end the cell or the line, be markup, or mention anybody. Text that could is
/// put into `<code>`, where GitHub links no `@name`, `#1` or address, with every punctuation character as a numeric
/// reference.
#[must_use]
pub fn table_cell(text: &str) -> String {
    let cut: String = text.chars().take(CHARACTERS_MAX).collect();
    let more = if cut.len() < text.len() { "…" } else { "" };
    if cut.trim().is_empty() {
        return format!("<code>{}</code>", "&nbsp;".repeat(cut.len().clamp(1, 4)));
    }
    if is_plain(&cut) {
        return format!("{}{more}", cut.replace('<', "&lt;").replace('>', "&gt;"));
    }
    let mut code = String::new();
    for c in cut.chars() {
        match c {
            '\n' | '\r' => code.push('↵'),
            '\t' => code.push(' '),
            c if acts(c) => code.push('\u{fffd}'),
            c if c.is_ascii_punctuation() && !matches!(c, '.' | ',' | '/' | '-') => {
                code.push_str(&format!("&#{};", u32::from(c)));
            }
            c => code.push(c),
        }
    }
    format!("<code>{code}{more}</code>")
}

/// Returns whether Markdown keeps a text unchanged: an underscore, for one, has to be inside a word.
fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_word = |at: Option<usize>| {
        at.and_then(|at| bytes.get(at)).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    };
    // GitHub makes links of these: an address, an issue (GH-1).
    let folded = text.to_ascii_lowercase();
    text.trim() == text
        && !folded.contains("www.")
        && !folded.contains("gh-")
        && bytes.iter().enumerate().all(|(at, byte)| match byte {
            b'_' => is_word(at.checked_sub(1)) && is_word(Some(at + 1)),
            b':' => bytes.get(at + 1) == Some(&b' '),
            b'.' | b'-' | b'/' | b' ' | b'(' | b')' | b'%' | b'+' | b',' | b'<' | b'>' | b'=' | b'!' => true,
            byte => byte.is_ascii_alphanumeric(),
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_metrics_stay_as_they_are() {
        for name in
            ["train.loss", "val_top1_acc", "macro avg.f1-score", "eval/metrics.json", "-0.5", "top (1)"]
        {
            assert_eq!(table_cell(name), name);
        }
    }

    #[test]
    fn text_that_could_be_markup_or_a_mention_is_code() {
        assert_eq!(table_cell("loss is 0.3, required < 0.2"), "loss is 0.3, required &lt; 0.2");
        assert_eq!(table_cell("see GH-1"), "<code>see GH-1</code>");
        assert_eq!(table_cell("a|b"), "<code>a&#124;b</code>");
        assert_eq!(table_cell("two\nlines"), "<code>two↵lines</code>");
        assert_eq!(table_cell("@someone"), "<code>&#64;someone</code>");
        assert_eq!(table_cell("<b>`x`"), "<code>&#60;b&#62;&#96;x&#96;</code>");
        assert_eq!(table_cell("__init__"), "<code>&#95;&#95;init&#95;&#95;</code>");
        assert_eq!(table_cell("a\\|b"), "<code>a&#92;&#124;b</code>");
        assert_eq!(table_cell(""), "<code>&nbsp;</code>");
        assert_eq!(table_cell("a\u{202e}b"), "<code>a\u{fffd}b</code>");
        assert_eq!(table_cell("a\u{2060}b\u{e0041}"), "<code>a\u{fffd}b\u{fffd}</code>");
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(table_cell(&"x".repeat(500)).chars().count(), CHARACTERS_MAX + 1);
    }

    proptest! {
        #[test]
        fn no_text_breaks_out_of_its_table_cell(text in any::<String>()) {
            let cell = table_cell(&text);
            prop_assert!(!cell.contains(['|', '\n', '\r', '`', '@', '*', '[', '\\']));
            prop_assert_eq!(cell.matches('<').count(), if cell.starts_with("<code>") { 2 } else { 0 });
        }
    }
}
