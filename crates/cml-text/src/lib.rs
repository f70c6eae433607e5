//! Escaping of untrusted text (names of jobs and branches, messages of AWS and GitHub, consoles of machines) for places
//! where some characters have an effect. There is one function for each place; all text for that place passes through
//! it.
//!
//! Forbidden here: input and output.

mod cell;

use std::borrow::Cow;

pub use cell::table_cell;

/// Returns one line for a terminal or a log: no character moves the cursor, changes colours, changes the direction of
/// writing or begins a line, and GitHub Actions finds no command in it. Characters that would are shown as an escape:
/// `\u{1b}`.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, false)
}

/// Returns many lines for a terminal or a log, each escaped as by [`line`]: line feeds stay, and a carriage return
/// before one is removed.
#[must_use]
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, true)
}

fn escaped(text: &str, may_break: bool) -> Cow<'_, str> {
    let is_plain = |c: char| !acts(c) || may_break && matches!(c, '\n' | '\t');
    if text.chars().all(is_plain) && !text.contains("##[") && !text.contains("::") {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    // Only blanks so far: a command of Actions could begin here.
    let mut begins = true;
    let mut rest = text.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        let after = &text[at..];
        match c {
            '\n' if may_break => {
                shown.push('\n');
                begins = true;
                continue;
            }
            '\r' if may_break && matches!(rest.peek(), Some((_, '\n'))) => continue,
            '\t' if may_break => shown.push('\t'),
            // ActionCommand.cs of actions/runner: `::` begins a command at the beginning of a line, `##[` anywhere.
            ':' if begins && after.starts_with("::") => shown.push_str("\\u{3a}"),
            '#' if after.starts_with("##[") => shown.push_str("\\u{23}"),
            c if acts(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
        begins = begins && c.is_whitespace();
    }
    Cow::Owned(shown)
}

/// Returns whether a character has an effect instead of a glyph: control characters (C0, C1, DEL), line and paragraph
/// separators, and those that change the direction of writing or have no width.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Returns the first character that a name, a label, a tag or any other word of one line may not have: it would begin a
/// new line in a script, a file of lines or a log, or hide the content of the word.
#[must_use]
pub fn not_of_a_line(text: &str) -> Option<char> {
    text.chars().find(|c| acts(*c) && !matches!(c, '\u{200c}' | '\u{200d}'))
}

/// Returns text between backticks in Markdown: nothing in it is markup, and it cannot end the code span early.
#[must_use]
pub fn code(text: &str) -> String {
    let shown = line(text);
    let longest = shown.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    // A backtick at either end would become a part of the fence.
    let blank = if shown.starts_with('`') || shown.ends_with('`') { " " } else { "" };
    format!("{fence}{blank}{shown}{blank}{fence}")
}

/// Returns one value for `GITHUB_OUTPUT` or `GITHUB_ENV`, whatever it contains. `None` when the value contains the
/// delimiter: use another one. GitHub requires an unguessable delimiter.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#multiline-strings>
#[must_use]
pub fn named_value(name: &str, value: &str, delimiter: &str) -> Option<String> {
    (!value.contains(delimiter)).then(|| format!("{name}<<{delimiter}\n{value}\n{delimiter}\n"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_text_stays_as_it_is() {
        for text in ["", "a b", "Grüße, 名前 🦀", "a::b", "#[derive]", "C:\\x", "## x", "-1.5 %"] {
            assert_eq!(line(text), text);
            assert_eq!(lines(text), text);
        }
        assert_eq!(lines("a\n\tb\r\nc"), "a\n\tb\nc");
    }

    #[test]
    fn what_does_something_is_shown_instead() {
        assert_eq!(line("\u{1b}[31mred"), "\\u{1b}[31mred");
        assert_eq!(line("a\r\nb\u{7}\u{9b}2J\u{7f}"), "a\\u{d}\\u{a}b\\u{7}\\u{9b}2J\\u{7f}");
        assert_eq!(line("user\u{202e}txt.exe\u{2066}"), "user\\u{202e}txt.exe\\u{2066}");
        assert_eq!(lines("over\rwritten\n"), "over\\u{d}written\n");
    }

    #[test]
    fn actions_finds_no_command() {
        assert_eq!(line("::error::x"), "\\u{3a}:error::x");
        assert_eq!(line("  ::error::x"), "  \\u{3a}:error::x");
        assert_eq!(lines("a\n \t::set-output name=x::y\nb::c"), "a\n \t\\u{3a}:set-output name=x::y\nb::c");
        assert_eq!(line("x ##[error]y ###[group]z"), "x \\u{23}#[error]y #\\u{23}#[group]z");
        assert_eq!(line("a\n::error::x"), "a\\u{a}::error::x");
    }

    #[test]
    fn code_cannot_be_left() {
        assert_eq!(code("a"), "`a`");
        assert_eq!(code("a`b``c"), "```a`b``c```");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(code("a\n\n# b"), "`a\\u{a}\\u{a}# b`");
    }

    #[test]
    fn a_delimiter_that_stands_in_the_value_is_refused() {
        assert_eq!(named_value("n", "a\nb", "D").as_deref(), Some("n<<D\na\nb\nD\n"));
        assert_eq!(named_value("n", "a\nD\nx=y", "D"), None);
    }

    #[test]
    fn words_of_one_line_have_no_character_that_acts() {
        assert_eq!(not_of_a_line("gpu-\u{e9}1"), None);
        for c in ['\n', '\r', '\t', '\0', '\u{1b}', '\u{85}', '\u{2028}', '\u{202e}'] {
            assert_eq!(not_of_a_line(&format!("a{c}b")), Some(c));
        }
    }

    proptest! {
        #[test]
        fn nothing_acts_on_a_terminal(text in any::<String>()) {
            let shown = line(&text);
            prop_assert!(!shown.chars().any(acts), "{shown:?}");
            prop_assert!(!shown.contains("##[") && !shown.trim_start().starts_with("::"), "{shown:?}");
            let shown = lines(&text);
            prop_assert!(!shown.chars().any(|c| acts(c) && !matches!(c, '\n' | '\t')), "{shown:?}");
            prop_assert!(!shown.lines().any(|line| line.trim_start().starts_with("::")), "{shown:?}");
            prop_assert_eq!(lines(&shown).into_owned(), shown.into_owned(), "shown twice is shown once");
        }
    }
}
