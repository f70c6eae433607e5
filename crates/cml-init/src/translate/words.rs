//! CML's commands and flags in lines of shell.

use std::ops::Range;

/// Kind of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// It launches a runner, or is one.
    Runner,
    Publish,
    Comment,
    Check,
    Pr,
    Rerun,
    Repo,
    Tensorboard,
}

/// A command in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) kind: Kind,
    /// The bytes of its own words.
    pub(crate) at: Range<usize>,
}

/// Programs, and words after `cml`.
const PROGRAMS: [(&str, Kind); 8] = [
    ("cml-publish", Kind::Publish),
    ("cml-send-comment", Kind::Comment),
    ("cml-send-github-check", Kind::Check),
    ("cml-pr", Kind::Pr),
    ("cml-tensorboard-dev", Kind::Tensorboard),
    ("cml-rerun-workflow", Kind::Rerun),
    ("cml-ci", Kind::Repo),
    ("cml-runner", Kind::Runner),
];
const WORDS: [(&str, Kind); 14] = [
    ("runner", Kind::Runner),
    ("publish", Kind::Publish),
    ("asset", Kind::Publish),
    ("comment", Kind::Comment),
    ("send-comment", Kind::Comment),
    ("check", Kind::Check),
    ("send-github-check", Kind::Check),
    ("pr", Kind::Pr),
    ("workflow", Kind::Rerun),
    ("rerun-workflow", Kind::Rerun),
    ("repo", Kind::Repo),
    ("ci", Kind::Repo),
    ("tensorboard", Kind::Tensorboard),
    ("tensorboard-dev", Kind::Tensorboard),
];

/// Names of CML's images and actions.
pub(crate) const IMAGES: [&str; 4] =
    ["dvcorg/cml", "iterativeai/cml", "ghcr.io/iterative/cml", "docker.io/iterativeai/cml"];
pub(crate) const SETUP: &str = "iterative/setup-cml";
pub(crate) const PACKAGE: &str = "@dvcorg/cml";

/// Returns true when a line of a workflow mentions CML.
pub(crate) fn says_cml(line: &str) -> bool {
    line.contains(SETUP)
        || line.contains(PACKAGE)
        || IMAGES.iter().any(|image| line.contains(image))
        || !commands(line).is_empty()
}

/// Returns CML's commands in one line of shell.
pub(crate) fn commands(line: &str) -> Vec<Command> {
    if line.trim_start().starts_with('#') {
        return Vec::new();
    }
    let words = spans(line);
    let word = |index: usize| words.get(index).map_or("", |span| &line[span.clone()]);
    let mut found = Vec::new();
    for (index, span) in words.iter().enumerate() {
        let (kind, last) = match word(index) {
            "cml" => {
                let Some((_, kind)) = WORDS.iter().find(|(name, _)| *name == word(index + 1)) else {
                    continue;
                };
                (*kind, index + 1)
            }
            program => {
                let Some((_, kind)) = PROGRAMS.iter().find(|(name, _)| *name == program) else { continue };
                (*kind, index)
            }
        };
        let last = if kind == Kind::Runner && word(last + 1) == "launch" { last + 1 } else { last };
        // `cml-runner` may be a label, a name, or a command of ours that is no runner.
        let is_runner =
            word(last) == "launch" || line[words[last].end..].trim_start().starts_with(['-', '\\']);
        if kind == Kind::Runner && !is_runner {
            continue;
        }
        found.push(Command { kind, at: span.start..words[last].end });
    }
    found
}

/// Returns the ranges of words: what a shell would not split, as far as names of programs are concerned.
fn spans(line: &str) -> Vec<Range<usize>> {
    let is_word = |c: char| c.is_alphanumeric() || "-_./@".contains(c);
    let mut spans = Vec::new();
    let mut start = None;
    for (byte, c) in line.char_indices().chain([(line.len(), ' ')]) {
        match (is_word(c), start) {
            (true, None) => start = Some(byte),
            (false, Some(from)) => {
                spans.push(from..byte);
                start = None;
            }
            _ => {}
        }
    }
    spans
}

/// Returns the value of a flag in a line: the bytes between its quotes, or up to the next blank. Empty where it has
/// none.
pub(crate) fn flag(line: &str, name: &str) -> Option<Range<usize>> {
    let wanted = format!("--{name}");
    let mut from = 0;
    loop {
        let start = from + line.get(from..)?.find(&wanted)?;
        let end = start + wanted.len();
        let begins = line[..start].chars().next_back().is_none_or(|c| c.is_whitespace() || "\"'".contains(c));
        let rest = &line[end..];
        if begins && (rest.is_empty() || rest.starts_with('=') || rest.starts_with(char::is_whitespace)) {
            let blank = rest.len() - rest.trim_start_matches([' ', '\t']).len();
            let at = if rest.starts_with('=') { end + 1 } else { end + blank };
            if !rest.starts_with('=') && line[at..].starts_with(['-', '\\']) {
                return Some(end..end);
            }
            return Some(value(line, at));
        }
        from = end;
    }
}

fn value(line: &str, at: usize) -> Range<usize> {
    let rest = &line[at..];
    if let Some(quote @ ('"' | '\'')) = rest.chars().next() {
        let end = rest[1..].find(quote).map_or(line.len(), |length| at + 1 + length);
        return at + 1..end;
    }
    let mut end = at;
    while let Some(c) = line[end..].chars().next() {
        // GitHub's expressions contain blanks.
        if let Some(inside) = line[end..].strip_prefix("${{") {
            end = inside.find("}}").map_or(line.len(), |length| end + 3 + length + 2);
            continue;
        }
        if c.is_whitespace() || "\"';|&)".contains(c) {
            break;
        }
        end += c.len_utf8();
    }
    at..end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_where_they_are_and_nowhere_else() {
        let found = |line: &str| -> Vec<(Kind, String)> {
            commands(line).into_iter().map(|command| (command.kind, line[command.at].to_owned())).collect()
        };
        assert_eq!(found("cml runner launch --cloud=aws"), [(Kind::Runner, "cml runner launch".to_owned())]);
        assert_eq!(found("cml runner \\"), [(Kind::Runner, "cml runner".to_owned())]);
        assert_eq!(found("cml-runner --labels=x"), [(Kind::Runner, "cml-runner".to_owned())]);
        assert_eq!(found("x=$(cml-publish a.png --md) && cml comment create r.md").len(), 2);
        for line in [
            "# cml-publish",
            "runs-on: cml-runner",
            "cml-runner validate",
            "acml publish",
            "cml",
            "cml-publisher x",
            "ł cml",
        ] {
            assert_eq!(found(line), [], "{line}");
        }
    }

    #[test]
    fn a_flag_ends_where_its_value_ends() {
        for (line, expected) in [
            ("cml runner --labels=a,b --single", Some("a,b")),
            ("--labels a", Some("a")),
            ("--labels \"a b\" --x", Some("a b")),
            ("--labels='a' # why", Some("a")),
            ("--labels=cml-${{ github.run_id }} --x", Some("cml-${{ github.run_id }}")),
            ("--labels=${{ github.run_id", Some("${{ github.run_id")),
            ("--labels --single", Some("")),
            ("--labels", Some("")),
            ("--cloud-labels=a", None),
            ("--labelsx=a --labels=b", Some("b")),
        ] {
            assert_eq!(flag(line, "labels").map(|at| &line[at]), expected, "{line}");
        }
    }
}
