//! Problems of a file: place, error and hint, with the line itself.

use std::fmt;

use serde::Serialize;

/// Maximum number of problems of one kind that are reported; the others are counted. More are not read, and each
/// repeats its line.
const TOLD_MAX: usize = 50;
/// Maximum number of characters of a line that are shown, around the place.
const SOURCE_CHARS: usize = 200;
/// Maximum length of a key, of an error and of a hint, in characters.
const WORDS_CHARS: usize = 300;

/// A place in a text, from 1, in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
    /// Length, in characters.
    pub length: usize,
}

/// One error, or one warning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The place.
    #[serde(flatten)]
    pub place: Place,
    /// The key: `runners.gpu.max`.
    pub path: String,
    /// The error.
    pub what: String,
    /// A hint: the correction.
    pub help: Option<String>,
    /// The line, or as much of it as is around the place.
    pub source: String,
    /// Number of characters of the line before that.
    pub source_from: usize,
}

impl fmt::Display for Problem {
    /// Formats the message, then the line with a mark below it. The file's name is prefixed by the caller.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if self.path.is_empty() { "" } else { ": " };
        writeln!(out, "{}:{}: {}{colon}{}", self.place.line, self.place.column, self.path, self.what)?;
        let number = self.place.line.to_string();
        let gutter = " ".repeat(number.len());
        let at = (self.place.column - 1).saturating_sub(self.source_from);
        let before: String =
            self.source.chars().take(at).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let width = self.source.chars().count().saturating_sub(at);
        let mark = "^".repeat(self.place.length.clamp(1, width.max(1)));
        write!(out, "{gutter} |\n{number} | {}\n{gutter} | {before}{mark}", self.source)?;
        match &self.help {
            Some(help) => write!(out, "\n{gutter} = {help}"),
            None => Ok(()),
        }
    }
}

/// Error: the text is not a valid `cml.yaml`. Contains all problems, in the order of its lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BadFile {
    /// The file.
    pub file: String,
    /// The problems; never empty.
    pub problems: Vec<Problem>,
    /// Number of further problems.
    pub more: usize,
}

impl std::error::Error for BadFile {}

impl fmt::Display for BadFile {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().enumerate() {
            let gap = if number == 0 { "" } else { "\n\n" };
            write!(out, "{gap}{}:{problem}", self.file)?;
        }
        if self.more > 0 {
            write!(out, "\n\n{}: {} more; mend these first", self.file, self.more)?;
        }
        Ok(())
    }
}

/// Problems as they are found.
pub(crate) struct Problems<'a> {
    lines: Vec<&'a str>,
    pub(crate) wrong: Found,
    pub(crate) doubtful: Found,
}

/// The first problems, and the number of further ones.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) told: Vec<Problem>,
    pub(crate) more: usize,
}

impl Found {
    /// Sorts the problems in the order of their lines.
    pub(crate) fn sorted(mut self) -> Self {
        self.told.sort_by_key(|problem| problem.place);
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// Creates the problem only where it is reported: a file can have as many as it has characters.
    fn note(&mut self, problem: impl FnOnce() -> Problem) {
        if self.told.len() < TOLD_MAX {
            self.told.push(problem());
        } else {
            self.more += 1;
        }
    }
}

impl<'a> Problems<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        Self { lines: text.lines().collect(), wrong: Found::default(), doubtful: Found::default() }
    }

    pub(crate) fn wrong(
        &mut self,
        place: Place,
        path: &str,
        what: impl Into<String>,
        help: impl Into<String>,
    ) {
        let line = self.line(place);
        self.wrong.note(|| problem(place, line, path, &what.into(), &help.into()));
    }

    pub(crate) fn doubtful(
        &mut self,
        place: Place,
        path: &str,
        what: impl Into<String>,
        help: impl Into<String>,
    ) {
        let line = self.line(place);
        self.doubtful.note(|| problem(place, line, path, &what.into(), &help.into()));
    }

    fn line(&self, place: Place) -> &'a str {
        self.lines.get(place.line.max(1) - 1).copied().unwrap_or_default()
    }
}

fn problem(place: Place, line: &str, path: &str, what: &str, help: &str) -> Problem {
    let place = Place { line: place.line.max(1), column: place.column.max(1), length: place.length.max(1) };
    let (source, source_from) = around(&without_tokens(line), place.column - 1);
    Problem {
        place,
        path: cut(path),
        what: cut(what),
        help: Some(cut(help)).filter(|help| !help.is_empty()),
        source,
        source_from,
    }
}

/// Truncates a text to a readable length.
fn cut(text: &str) -> String {
    match text.char_indices().nth(WORDS_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Returns the part of a line around a place, and how many characters precede it. Short lines are returned whole.
fn around(line: &str, at: usize) -> (String, usize) {
    if line.chars().nth(SOURCE_CHARS).is_none() {
        return (line.to_owned(), 0);
    }
    let from = at.saturating_sub(SOURCE_CHARS / 2);
    (line.chars().skip(from).take(SOURCE_CHARS).collect(), from)
}

/// Masks tokens of GitHub's in a line: they are recognized by their prefixes, and become stars of the same length.
/// <https://github.blog/engineering/behind-githubs-new-authentication-token-formats/>
fn without_tokens(line: &str) -> String {
    const BEGINNINGS: [&str; 6] = ["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"];
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find('g') {
        shown.push_str(&rest[..at]);
        rest = &rest[at..];
        let is_token = BEGINNINGS.iter().any(|beginning| rest.starts_with(beginning));
        let in_token = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = if is_token { rest.find(|c| !in_token(c)).unwrap_or(rest.len()) } else { 1 };
        shown.push_str(&if is_token { "*".repeat(end) } else { rest[..end].to_owned() });
        rest = &rest[end..];
    }
    shown.push_str(rest);
    shown
}

/// Returns the known name that is nearest to a misspelt one, if one is near.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.into_iter().map(|other| (distance(name, other), other)).min()?;
    // A word of which half is changed is another word.
    (near.0 * 2 <= name.chars().count().max(2)).then_some(near.1)
}

/// Returns the number of edits between two names (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}
