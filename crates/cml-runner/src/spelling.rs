//! CML's spellings of our commands: which words mean `launch`, and whose defaults then hold. Pure.

use std::ffi::OsString;

/// The command line in our own words.
pub(crate) struct Spelled {
    /// Arguments for the parser.
    pub(crate) args: Vec<OsString>,
    /// True when CML's spelling was used: a runner then takes many jobs unless `--single` is given, as CML's does.
    pub(crate) as_cml: bool,
}

/// Our own commands; anything else after the binary's name is CML's flat spelling.
const COMMANDS: [&str; 10] =
    ["launch", "ls", "stop", "reap", "logs", "render", "demo", "completions", "supervise", "help"];

/// Translates `cml runner launch …`, `cml runner …` and `cml-runner --labels …` to `cml-runner launch …`.
pub(crate) fn spell(args: impl IntoIterator<Item = OsString>) -> Spelled {
    let mut args: Vec<OsString> = args.into_iter().collect();
    let word = |index: usize| args.get(index).and_then(|arg| arg.to_str()).unwrap_or_default().to_owned();
    let (first, second) = (word(1), word(2));
    if first == "runner" {
        let skip = if second == "launch" { 3 } else { 2 };
        args.splice(1..skip.min(args.len()), [OsString::from("launch")]);
        return Spelled { args, as_cml: true };
    }
    let asks_for_nothing_else = !["", "-h", "--help", "-V", "--version"].contains(&first.as_str());
    let names_a_command =
        args.iter().skip(1).any(|arg| arg.to_str().is_some_and(|arg| COMMANDS.contains(&arg)));
    if first.starts_with('-') && asks_for_nothing_else && !names_a_command {
        args.insert(1, OsString::from("launch"));
        return Spelled { args, as_cml: true };
    }
    Spelled { args, as_cml: false }
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
    }

    #[test]
    fn our_own_spelling_is_left_alone() {
        for line in
            ["cml-runner launch --labels gpu", "cml-runner --help", "cml-runner --json ls", "cml-runner"]
        {
            assert_eq!(spelled(line), (line.to_owned(), false));
        }
    }
}
