//! The book and the other pages, as content that can be run, validated or followed: blocks, links, anchors.
//!
//! A block that cannot be judged by its language and its text alone carries a directive, an HTML comment directly above it.
//! CONTRIBUTING.md lists them.

pub mod links;
pub mod messages;
pub mod page;
pub mod session;
pub mod shell;
pub mod workflow;
pub mod yaml;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::paths;
use page::{Block, Page};

/// Allowed languages of a block.
pub const LANGUAGES: [&str; 8] = ["sh", "console", "yaml", "json", "toml", "hcl", "text", "markdown"];
/// The names of the program.
pub const NAMES: [&str; 8] = [
    "cml-runner",
    "cml",
    "cml-publish",
    "cml-send-comment",
    "cml-send-github-check",
    "cml-pr",
    "cml-tensorboard-dev",
    "cml-report",
];

/// Returns the root of the workspace.
///
/// # Panics
/// Never: this crate is in it.
#[must_use]
pub fn root() -> &'static Path {
    paths::tests_dir().parent().expect("this crate lies in the workspace")
}

/// Returns every page of the documentation, by its path from the root.
///
/// # Panics
/// When a page cannot be read, or violates a rule; the message names the rule and the place.
#[must_use]
pub fn pages() -> Vec<Page> {
    let mut files: Vec<PathBuf> = ["README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"]
        .iter()
        .map(|name| root().join(name))
        .collect();
    for directory in ["docs", "packaging", "templates"] {
        files.extend(markdown_below(&root().join(directory)));
    }
    files.sort();
    let name = |file: &Path| file.strip_prefix(root()).expect("below the root").display().to_string();
    files.iter().map(|file| Page::read(&name(file), &fs::read_to_string(file).expect("a page"))).collect()
}

fn markdown_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(markdown_below(&path));
        } else if path.extension().is_some_and(|ending| ending == "md") {
            found.push(path);
        }
    }
    found
}

/// Creates a directory with the program under all its names, for a `PATH`.
///
/// # Panics
/// When the links cannot be made.
pub fn link_names(bin: &Path) {
    fs::create_dir_all(bin).expect("a directory");
    for name in NAMES {
        std::os::unix::fs::symlink(paths::cml_runner(), bin.join(name)).expect("a link");
    }
}

/// An invalid log level: it is refused after the whole command line was parsed, before anything is done.
const NO_LEVEL: &str = "no-level-of-the-log";

/// Returns the error of the real command line for these words; `None` when it accepts them.
///
/// # Panics
/// When the program does not start.
#[must_use]
pub fn refused(bin: &Path, words: &[String]) -> Option<String> {
    let name = Path::new(&words[0]).file_name().expect("a program has a name");
    let output = Command::new(bin.join(name))
        .args(&words[1..])
        .args(["--log", NO_LEVEL])
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let asks = ["--help", "--version"].iter().any(|flag| words.iter().any(|word| word == flag));
    let is_taken = if asks { output.status.success() } else { said.contains(NO_LEVEL) };
    (!is_taken).then_some(said)
}

/// Returns the shell text of a block: all of it, or the text after the prompts.
#[must_use]
pub fn shell_text(block: &Block) -> Option<String> {
    match block.language.as_str() {
        "sh" => Some(block.text.clone()),
        "console" => {
            let mut text = String::new();
            let mut goes_on = false;
            for line in block.text.lines() {
                let typed =
                    line.strip_prefix("$ ").or(goes_on.then_some(line.strip_prefix("> ").unwrap_or(line)));
                goes_on = typed.is_some_and(|typed| typed.ends_with('\\'));
                if let Some(typed) = typed {
                    text.push_str(typed);
                    text.push('\n');
                }
            }
            Some(text)
        }
        _ => None,
    }
}
