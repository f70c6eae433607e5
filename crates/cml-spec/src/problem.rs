//! What is wrong with a file: where, what, and what would be right, with the line itself.

use std::fmt;

use serde::Serialize;

/// A place in a text, from 1, in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
    /// How many characters it is about.
    pub length: usize,
}

/// One thing that is wrong, or that is hardly meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// The key: `runners.gpu.max`.
    pub path: String,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub help: Option<String>,
    /// The line.
    pub source: String,
}

impl fmt::Display for Problem {
    /// The words, then the line with a mark below it. The file's name comes before, from whoever knows it.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if self.path.is_empty() { "" } else { ": " };
        writeln!(out, "{}:{}: {}{colon}{}", self.place.line, self.place.column, self.path, self.what)?;
        let number = self.place.line.to_string();
        let gutter = " ".repeat(number.len());
        let before: String = self
            .source
            .chars()
            .take(self.place.column - 1)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let width = self.source.chars().count().saturating_sub(self.place.column - 1);
        let mark = "^".repeat(self.place.length.clamp(1, width.max(1)));
        write!(out, "{gutter} |\n{number} | {}\n{gutter} | {before}{mark}", self.source)?;
        match &self.help {
            Some(help) => write!(out, "\n{gutter} = {help}"),
            None => Ok(()),
        }
    }
}

/// The text is no `cml.yaml`: everything that is wrong with it, in the order of its lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BadFile {
    /// The file.
    pub file: String,
    /// Never empty.
    pub problems: Vec<Problem>,
}

impl std::error::Error for BadFile {}

impl fmt::Display for BadFile {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().enumerate() {
            let gap = if number == 0 { "" } else { "\n\n" };
            write!(out, "{gap}{}:{problem}", self.file)?;
        }
        Ok(())
    }
}

/// Problems as they are found.
pub(crate) struct Problems<'a> {
    lines: Vec<&'a str>,
    pub(crate) wrong: Vec<Problem>,
    pub(crate) doubtful: Vec<Problem>,
}

impl<'a> Problems<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        Self { lines: text.lines().collect(), wrong: Vec::new(), doubtful: Vec::new() }
    }

    pub(crate) fn wrong(
        &mut self,
        place: Place,
        path: &str,
        what: impl Into<String>,
        help: impl Into<String>,
    ) {
        let problem = self.problem(place, path, what.into(), help.into());
        self.wrong.push(problem);
    }

    pub(crate) fn doubtful(
        &mut self,
        place: Place,
        path: &str,
        what: impl Into<String>,
        help: impl Into<String>,
    ) {
        let problem = self.problem(place, path, what.into(), help.into());
        self.doubtful.push(problem);
    }

    fn problem(&self, place: Place, path: &str, what: String, help: String) -> Problem {
        let place =
            Place { line: place.line.max(1), column: place.column.max(1), length: place.length.max(1) };
        Problem {
            place,
            path: path.to_owned(),
            what,
            help: Some(help).filter(|help| !help.is_empty()),
            source: without_tokens(self.lines.get(place.line - 1).copied().unwrap_or_default()),
        }
    }
}

/// A line as it may be shown: tokens of GitHub's, which begin like this, become stars of the same length.
/// <https://github.blog/engineering/behind-githubs-new-authentication-token-formats/>
fn without_tokens(line: &str) -> String {
    let mut shown = line.to_owned();
    for beginning in ["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"] {
        while let Some(at) = shown.find(beginning) {
            let rest = &shown[at..];
            let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            shown.replace_range(at..at + length, &"*".repeat(length));
        }
    }
    shown
}

/// The known name that is nearest to a misspelt one, if one is near.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.into_iter().map(|other| (distance(name, other), other)).min()?;
    // Half of a word changed is another word.
    (near.0 * 2 <= name.chars().count().max(2)).then_some(near.1)
}

/// Edits between two names (Levenshtein).
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
