//! What reviewers would otherwise repeat: the style page's banned words, lines that are too long, module docs.

use std::path::{Path, PathBuf};
use std::process::Command;

use cml_e2e::paths;

/// Words of `docs/style.md` that prose and comments do not use.
const BANNED: [&str; 6] = ["whoever", "nobody", "in place of", "to be had", "lies there", "is told"];
/// Lines of prose are wrapped at 100; a link or a code span that cannot be broken may be longer.
const PROSE_COLUMNS_MAX: usize = 120;

fn root() -> &'static Path {
    paths::tests_dir().parent().expect("this crate lies in the workspace")
}

/// Files of the repository by patterns of git's.
fn files(patterns: &[&str]) -> Vec<PathBuf> {
    let mut list = Command::new("git");
    list.args(["ls-files", "--cached", "--others", "--exclude-standard", "--"]).args(patterns);
    let output = list.current_dir(root()).output().expect("git starts");
    let names = String::from_utf8(output.stdout).expect("UTF-8");
    let files: Vec<PathBuf> =
        names.lines().map(|name| root().join(name)).filter(|path| path.exists()).collect();
    assert!(!files.is_empty(), "{patterns:?} are no files");
    files
}

/// Each line of prose with its number: no fenced block, no code span.
fn prose(text: &str) -> Vec<(usize, String)> {
    let mut is_code = false;
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            let outside: String = line.split('`').step_by(2).collect::<Vec<_>>().join(" ");
            lines.push((number + 1, outside));
        }
    }
    lines
}

fn banned(line: &str) -> Option<&'static str> {
    let line = format!(" {} ", line.to_lowercase());
    let is_word = |word: &&str| {
        line.match_indices(*word).any(|(at, found)| {
            let edge = |c: Option<char>| !c.is_some_and(char::is_alphanumeric);
            edge(line[..at].chars().next_back()) && edge(line[at + found.len()..].chars().next())
        })
    };
    BANNED.iter().find(|word| is_word(word)).copied()
}

fn none(wrong: &[String], what: &str) {
    assert!(wrong.is_empty(), "{what} (docs/style.md):\n{}", wrong.join("\n"));
}

#[test]
fn prose_uses_plain_words() {
    let mut wrong = Vec::new();
    // The style page names what it bans; quoted output is in code.
    for path in files(&[
        "README.md",
        "SECURITY.md",
        "CONTRIBUTING.md",
        "docs/*.md",
        ":!docs/style.md",
        ":!docs/decisions",
    ]) {
        let text = std::fs::read_to_string(&path).expect("a page");
        let found = prose(&text).into_iter().filter_map(|(number, line)| Some((number, banned(&line)?)));
        wrong.extend(found.map(|(number, word)| format!("{}:{number}: {word}", path.display())));
    }
    none(&wrong, "banned words");
}

#[test]
fn pages_are_wrapped() {
    let mut wrong = Vec::new();
    let pages = [
        "README.md",
        "SECURITY.md",
        "docs/*.md",
        ":!docs/benchmarks.md",
        ":!docs/outside.md",
        ":!docs/SUMMARY.md",
        ":!docs/decisions",
        ":!docs/reference",
    ];
    for path in files(&pages) {
        let text = std::fs::read_to_string(&path).expect("a page");
        for (number, _) in prose(&text) {
            let line = text.lines().nth(number - 1).unwrap_or_default();
            let may_be_long = line.starts_with('|') || line.contains("](http") || line.contains('<');
            if !may_be_long && line.chars().count() > PROSE_COLUMNS_MAX {
                wrong.push(format!("{}:{number}", path.display()));
            }
        }
    }
    none(&wrong, "lines that are too long");
}

#[test]
fn comments_use_plain_words_and_each_file_says_what_it_is() {
    let mut wrong = Vec::new();
    for path in files(&["crates/*/src/*.rs"]) {
        let text = std::fs::read_to_string(&path).expect("a source");
        if !text.starts_with("//!") {
            wrong.push(format!("{}: no module documentation", path.display()));
        }
        for (number, line) in text.lines().enumerate() {
            let Some((_, comment)) = line.split_once("//") else { continue };
            if let Some(word) = banned(&comment.split('`').step_by(2).collect::<Vec<_>>().join(" ")) {
                wrong.push(format!("{}:{}: {word}", path.display(), number + 1));
            }
        }
    }
    none(&wrong, "sources");
}
