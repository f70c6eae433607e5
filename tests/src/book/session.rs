//! Execution of a page: its blocks, in order, as one shell session.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::page::{Block, Directive, Page};
use super::{link_names, shell_text};
use crate::daemon::free_port;
use crate::edge::variable;
use crate::runner::Runner;

/// Time limit of a page.
const LIMIT: Duration = Duration::from_secs(120);
/// Address of the book's daemon.
const BOOK_ADDRESS: &str = "127.0.0.1:8090";
/// Placeholder for variable text.
const ANYTHING: char = '…';

/// Result of a page.
#[derive(Debug)]
pub struct Told {
    /// Blocks that were run.
    pub ran: usize,
    /// Blocks that were not run, with their reasons.
    pub not_run: Vec<(String, String)>,
    /// Promised lines of console blocks that were not printed.
    pub differs: Vec<String>,
}

/// Runs a page in the directory `at` of the user's home.
///
/// # Panics
/// When a command of it fails, with the block and its whole output.
pub async fn run(page: &Page, user: Runner, at: &str) -> Told {
    let user = reader(user);
    let (mut script, mut told, mut places) = begin(&user, at);
    for block in &page.blocks {
        let Some(text) = shell_text(block) else { continue };
        if let Some(Directive::NotRun(why)) = &block.directive {
            told.not_run.push((block.place.clone(), why.clone()));
            continue;
        }
        let output = output(&user, told.ran);
        script.push_str(&format!("exec >'{}' 2>&1\n{text}\n", output.display()));
        places.insert(told.ran, block.clone());
        told.ran += 1;
    }
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let file = user.home().join("page.sh");
    std::fs::write(&file, script.replace(BOOK_ADDRESS, &address)).expect("written");
    let user = user.with("CML_RUNNER_LISTEN", &address);
    let arguments = ["--norc", "-euo", "pipefail", &file.display().to_string()];
    let ran = user.start_program("bash".as_ref(), &arguments).finish_within(LIMIT).await;
    let last = (0..told.ran).rev().find(|number| output(&user, *number).exists());
    assert_eq!(
        ran.code,
        Some(0),
        "{} fails at the block of {}:\n{}\n{}",
        page.name,
        last.map_or("its beginning", |number| places[&number].place.as_str()),
        last.map_or(String::new(), |number| said(&user, number)),
        ran.said()
    );
    for (number, block) in &places {
        let said = said(&user, *number).replace(&address, BOOK_ADDRESS);
        told.differs.extend(missing(block, &said));
    }
    told
}

/// Returns a user who has installed the program under all its names, and configured git.
fn reader(user: Runner) -> Runner {
    let bin = user.home().join("bin");
    if !bin.exists() {
        link_names(&bin);
    }
    let path = format!("{}:{}", bin.display(), variable("PATH"));
    let named =
        ["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"].iter().fold(user, |user, name| user.with(name, "A Reader"));
    let mail = ["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"];
    mail.iter().fold(named, |user, name| user.with(name, "reader@example.com")).with("PATH", &path)
}

fn begin(user: &Runner, at: &str) -> (String, Told, BTreeMap<usize, Block>) {
    std::fs::create_dir_all(user.home().join(at)).expect("a directory");
    std::fs::create_dir_all(user.home().join("said")).expect("a directory");
    let told = Told { ran: 0, not_run: Vec::new(), differs: Vec::new() };
    (format!("cd '{}'\n", user.home().join(at).display()), told, BTreeMap::new())
}

fn output(user: &Runner, number: usize) -> PathBuf {
    Path::new(user.home()).join("said").join(format!("{number}.txt"))
}

fn said(user: &Runner, number: usize) -> String {
    String::from_utf8_lossy(&std::fs::read(output(user, number)).unwrap_or_default()).into_owned()
}

/// Returns lines of a console block that were not printed.
fn missing(block: &Block, said: &str) -> Vec<String> {
    if block.language != "console" {
        return Vec::new();
    }
    let shown = block.text.lines().filter(|line| !line.starts_with("$ ") && !line.starts_with("> "));
    let lines: Vec<String> = said.lines().map(plain).collect();
    shown
        .filter(|shown| !shown.trim().is_empty() && !lines.iter().any(|line| is_like(line, &plain(shown))))
        .map(|shown| format!("{}: nobody said {shown:?}; what was said:\n{said}", block.place))
        .collect()
}

/// Returns a line without the widths of its columns.
fn plain(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns true when the parts of the shown text are in the line, in order, with any text for `…`.
fn is_like(line: &str, shown: &str) -> bool {
    let mut rest = line;
    let mut parts = shown.split(ANYTHING);
    let first = parts.next().unwrap_or_default();
    if !rest.starts_with(first) {
        return false;
    }
    rest = &rest[first.len()..];
    let mut is_open = false;
    for part in parts {
        is_open = part.is_empty();
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    is_open || rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_another_one_each_time_is_not_compared() {
        assert!(is_like("took 3.5 s", "took … s"));
        assert!(is_like("spent $1.20 today", "spent …"));
        assert!(is_like("a b", "a b"));
        assert!(!is_like("a b c", "a b"));
        assert!(!is_like("took 3.5 minutes", "took … s"));
    }
}
