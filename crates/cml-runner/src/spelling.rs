//! CML's spellings of our commands: their translation, and whose defaults then apply. Pure.

use std::ffi::OsString;
use std::path::Path;

/// The command line in our own spelling.
pub(crate) struct Spelled {
    /// Arguments for the parser.
    pub(crate) args: Vec<OsString>,
    /// Whether CML's spelling was used: a runner then takes many jobs unless `--single` is given, as CML's does, and
    /// wrong usage has CML's exit code.
    pub(crate) as_cml: bool,
}

impl Spelled {
    /// Returns the command's own words: at most two that are not flags.
    pub(crate) fn command(&self) -> Vec<&str> {
        let words = self.args.iter().skip(command_at(&self.args)).map_while(|arg| arg.to_str());
        words.take(2).take_while(|word| !word.starts_with('-')).collect()
    }

    /// Inserts flags directly after the command's words: later ones take precedence.
    pub(crate) fn put(&mut self, flags: Vec<OsString>, words: usize) {
        let at = (command_at(&self.args) + words).min(self.args.len());
        self.args.splice(at..at, flags);
    }
}

/// Words that are commands of ours; a command line without one is CML's way to launch a runner.
const COMMANDS: [&str; 10] =
    ["launch", "ls", "stop", "reap", "logs", "render", "demo", "completions", "supervise", "help"];
/// Flags with a value that may precede the command.
const BEFORE: [&str; 8] = [
    "--log",
    "--driver",
    "--repo",
    "--token",
    "--driver-token",
    "--app-id",
    "--app-key-file",
    "--app-installation-id",
];
/// CML's programs, which are links to this one, and the words of each.
const PROGRAMS: [(&str, &[&str]); 8] = [
    ("cml-publish", &["publish"]),
    ("cml-send-comment", &["comment", "create"]),
    ("cml-send-github-check", &["check", "create"]),
    ("cml-pr", &["pr", "create"]),
    ("cml-tensorboard-dev", &["tensorboard", "connect"]),
    ("cml-rerun-workflow", &["workflow", "rerun"]),
    ("cml-ci", &["repo", "prepare"]),
    ("cml-report", &["report"]),
];
/// CML's older words, and their replacements.
const WORDS: [(&str, &[&str]); 6] = [
    ("send-comment", &["comment", "create"]),
    ("send-github-check", &["check", "create"]),
    ("tensorboard-dev", &["tensorboard", "connect"]),
    ("rerun-workflow", &["workflow", "rerun"]),
    ("ci", &["repo", "prepare"]),
    ("runner", &["launch"]),
];

/// Translates CML's spellings to ours: the names of its programs, its older words, and flags without a command.
pub(crate) fn spell(args: impl IntoIterator<Item = OsString>) -> Spelled {
    let mut args: Vec<OsString> = args.into_iter().collect();
    let program =
        args.first().and_then(|arg| Path::new(arg).file_name()?.to_str()).unwrap_or_default().to_owned();
    if let Some((_, words)) = PROGRAMS.iter().find(|(name, _)| *name == program) {
        if program == "cml-publish" && args.get(1).is_some_and(|arg| arg == "prune") {
            args.splice(0..1, [OsString::from("cml"), OsString::from("report")]);
            return Spelled { args, as_cml: true };
        }
        // `cml-pr create` was never a spelling, but is an easy mistake.
        let slip = words.get(1).is_some_and(|second| args.get(1).is_some_and(|arg| arg == second));
        args.splice(1..if slip { 2 } else { 1 }, words.iter().map(OsString::from));
        // Usage is then shown in words that can be typed.
        args[0] = OsString::from("cml");
        return Spelled { args, as_cml: program != "cml-report" };
    }
    let at = command_at(&args);
    let is = |index: usize, word: &str| args.get(index).is_some_and(|arg| arg == word);
    if is(at, "publish") && is(at + 1, "prune") {
        args[at] = OsString::from("report");
        return Spelled { args, as_cml: true };
    }
    let word = |index: usize| args.get(index).and_then(|arg| arg.to_str()).unwrap_or_default().to_owned();
    let (first, second) = (word(at), word(at + 1));
    if let Some((_, words)) = WORDS.iter().find(|(name, _)| *name == first) {
        let skip = usize::from(first == "runner" && second == "launch");
        args.splice(at..=at + skip, words.iter().map(OsString::from));
        return Spelled { args, as_cml: true };
    }
    let is_cml = program == "cml";
    match (first.as_str(), second.as_str()) {
        ("asset", "publish") => {
            args.remove(at);
            return Spelled { args, as_cml: true };
        }
        // A pattern may directly follow the word.
        ("pr", second) if !["create", "--help", "-h"].contains(&second) => {
            args.insert(at + 1, OsString::from("create"));
            return Spelled { args, as_cml: true };
        }
        _ => {}
    }
    let first = word(1);
    let asks_for_nothing_else = !["", "-h", "--help", "-V", "--version"].contains(&first.as_str());
    let names_a_command =
        args.iter().skip(1).any(|arg| arg.to_str().is_some_and(|arg| COMMANDS.contains(&arg)));
    let has_a_word = args.get(at).is_some_and(|arg| !arg.to_string_lossy().starts_with('-'));
    if first.starts_with('-') && asks_for_nothing_else && !names_a_command && !(at > 1 && has_a_word) {
        args.insert(1, OsString::from("launch"));
        return Spelled { args, as_cml: true };
    }
    Spelled { args, as_cml: is_cml }
}

/// Returns the position of the command's word: after flags of every command.
fn command_at(args: &[OsString]) -> usize {
    let mut at = 1;
    while let Some(arg) = args.get(at).and_then(|arg| arg.to_str()) {
        if BEFORE.contains(&arg) {
            at += 2;
        } else if arg == "--json"
            || BEFORE.iter().any(|flag| arg.strip_prefix(flag).is_some_and(|rest| rest.starts_with('=')))
        {
            at += 1;
        } else {
            break;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(line: &str) -> (String, bool) {
        let spelled = spell(line.split(' ').map(OsString::from));
        let words: Vec<_> = spelled.args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
        (words.join(" "), spelled.as_cml)
    }

    #[test]
    fn every_cml_spelling_means_launch() {
        let ours = ("cml launch --labels gpu".to_owned(), true);
        assert_eq!(spelled("cml runner launch --labels gpu"), ours);
        assert_eq!(spelled("cml runner --labels gpu"), ours);
        assert_eq!(spelled("cml-runner --labels gpu"), ("cml-runner launch --labels gpu".to_owned(), true));
        assert_eq!(
            spelled("cml-runner --log debug --labels gpu").0,
            "cml-runner launch --log debug --labels gpu"
        );
    }

    #[test]
    fn our_own_spelling_is_left_alone() {
        for line in [
            "cml-runner launch --labels gpu",
            "cml-runner --help",
            "cml-runner --json ls",
            "cml-runner",
            "cml-runner publish a.png",
            "cml-runner --log debug plan",
            "cml-runner --app-id 5 launch",
            "cml-runner pr create",
        ] {
            assert_eq!(spelled(line), (line.to_owned(), false));
        }
    }

    #[test]
    fn the_programs_and_the_older_words_of_cml_mean_our_commands() {
        for (line, ours) in [
            ("/usr/bin/cml-publish a.png --md", "cml publish a.png --md"),
            ("cml-send-comment report.md", "cml comment create report.md"),
            ("cml-send-github-check report.md", "cml check create report.md"),
            ("cml-pr *.md", "cml pr create *.md"),
            ("cml-pr create", "cml pr create"),
            ("cml publish a.png", "cml publish a.png"),
            ("cml asset publish a.png", "cml publish a.png"),
            ("cml send-comment a.md", "cml comment create a.md"),
            ("cml --log debug send-comment a.md", "cml --log debug comment create a.md"),
            ("cml --token=x asset publish a.png", "cml --token=x publish a.png"),
            ("cml-publish prune --older-than 90d", "cml report prune --older-than 90d"),
            ("cml publish prune --older-than 90d", "cml report prune --older-than 90d"),
            ("cml comment update a.md", "cml comment update a.md"),
            ("cml pr a.md", "cml pr create a.md"),
            ("cml pr create a.md", "cml pr create a.md"),
            ("cml pr", "cml pr create"),
            ("cml ci --unshallow", "cml repo prepare --unshallow"),
            ("cml rerun-workflow --id 3", "cml workflow rerun --id 3"),
            ("cml tensorboard-dev --md", "cml tensorboard connect --md"),
        ] {
            assert_eq!(spelled(line), (ours.to_owned(), true), "{line}");
        }
        assert_eq!(spelled("cml-report metrics a b"), ("cml report metrics a b".to_owned(), false));
    }
}
