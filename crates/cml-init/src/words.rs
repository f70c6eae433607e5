//! Findings, steps and changes as text for a terminal. Commands are never wrapped: they are copied.

use crate::next::Step;
use crate::summary::Line;
use crate::translate::Change;

/// Width at which text is wrapped.
const WIDTH: usize = 100;

/// Formats findings, one below the other.
#[must_use]
pub fn findings_text(lines: &[Line]) -> String {
    let width = lines.iter().map(|line| line.about.len()).max().unwrap_or(0);
    let mut text = String::new();
    for line in lines {
        let about = format!("  {:width$}  ", line.about);
        wrap(
            &mut text,
            &about,
            width + 4,
            &format!("{}: {}", cml_text::line(&line.found), cml_text::line(&line.implication)),
        );
    }
    text
}

/// Formats steps, numbered, with their commands.
#[must_use]
pub fn steps_text(steps: &[Step]) -> String {
    let mut text = String::new();
    for (index, step) in steps.iter().enumerate() {
        wrap(&mut text, &format!("  {}. ", index + 1), 5, &format!("{}. {}", step.what, step.why));
        for command in &step.commands {
            text.push_str(&format!("       {command}\n"));
        }
        if let Some(link) = &step.link {
            text.push_str(&format!("     or: {link}\n"));
        }
    }
    text
}

/// Formats changes, by line.
#[must_use]
pub fn changes_text(changes: &[Change]) -> String {
    let mut text = String::new();
    for done in [true, false] {
        let mut some = changes.iter().filter(|change| change.done == done).peekable();
        if some.peek().is_some() {
            text.push_str(if done { "Changed:\n" } else { "Left as it is, and to be known:\n" });
        }
        for change in some {
            let line = change.line.map_or_else(|| "  file: ".to_owned(), |line| format!("  line {line}: "));
            wrap(
                &mut text,
                &line,
                4,
                &format!("{}: {}", cml_text::line(&change.what), cml_text::line(&change.why)),
            );
        }
    }
    text
}

fn wrap(text: &mut String, first: &str, indent: usize, words: &str) {
    let mut line = first.to_owned();
    let mut is_empty = true;
    for word in words.split(' ') {
        if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            text.push_str(&line);
            text.push('\n');
            line = " ".repeat(indent);
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    text.push_str(&line);
    text.push('\n');
}
