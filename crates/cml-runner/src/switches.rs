//! Boolean flags, as CML's own parser (yargs) accepts them: `--md=false`, `--no-md`, and by its names `--md false`, the
//! last one taking precedence. They are converted to what ours accepts. Pure.

use std::ffi::OsString;

use clap::{ArgAction, CommandFactory};

use crate::args::Cli;
use crate::spelling::Spelled;

/// CML's commands; the others have their own flags.
const COMMANDS: [&str; 8] = ["launch", "publish", "comment", "check", "pr", "workflow", "repo", "report"];

/// A boolean flag of the command.
struct Switch {
    /// Its name and aliases.
    names: Vec<String>,
    /// Whether it accepts `=false` itself.
    takes_value: bool,
}

/// Rewrites the command line of a command of CML's.
pub(crate) fn settle(spelled: &mut Spelled) {
    let switches = switches(&spelled.command());
    if switches.is_empty() {
        return;
    }
    let mut settled: Vec<OsString> = Vec::new();
    let mut rest = std::mem::take(&mut spelled.args).into_iter().peekable();
    while let Some(arg) = rest.next() {
        if arg == "--" {
            settled.push(arg);
            break;
        }
        let Some((switch, value)) = arg.to_str().and_then(|text| read(text, &switches)) else {
            settled.push(arg);
            continue;
        };
        let next =
            rest.peek().and_then(|next| next.to_str()).filter(|_| spelled.as_cml && value == Said::Bare);
        let is_on = match (value, next) {
            (Said::Bare, Some("true")) => rest.next().is_some(),
            (Said::Bare, Some("false")) => rest.next().is_none(),
            (Said::Bare, _) => true,
            (Said::Value(is_on), _) => is_on,
        };
        say(switch, is_on, &mut settled);
    }
    settled.extend(rest);
    spelled.args = settled;
}

/// Sets a flag once, and removes earlier occurrences.
fn say(switch: &Switch, is_on: bool, settled: &mut Vec<OsString>) {
    let plain: Vec<String> = switch.names.iter().map(|name| format!("--{name}")).collect();
    if switch.takes_value {
        settled.push(format!("{}={is_on}", plain[0]).into());
        return;
    }
    settled.retain(|arg| plain.iter().all(|name| arg != name.as_str()));
    if is_on {
        settled.push(plain[0].clone().into());
    }
}

/// The value given with a flag's name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    Bare,
    Value(bool),
}

/// Returns the flag of an argument, if it is one of these.
fn read<'a>(arg: &str, switches: &'a [Switch]) -> Option<(&'a Switch, Said)> {
    let find = |name: &str| switches.iter().find(|switch| switch.names.iter().any(|known| known == name));
    let flag = arg.strip_prefix("--")?;
    let (name, value) = match flag.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (flag, None),
    };
    let value = match value.map(str::to_ascii_lowercase).as_deref() {
        None => None,
        Some("true" | "1" | "yes" | "on") => Some(true),
        Some("false" | "0" | "no" | "off") => Some(false),
        // The parser reports what is wrong with it.
        Some(_) => return None,
    };
    if let Some(switch) = find(name) {
        return Some((switch, value.map_or(Said::Bare, Said::Value)));
    }
    let switch = find(name.strip_prefix("no-")?)?;
    Some((switch, Said::Value(!value.unwrap_or(true))))
}

/// Returns the boolean flags of a command.
fn switches(words: &[&str]) -> Vec<Switch> {
    let root = Cli::command();
    let first = words.first().filter(|first| COMMANDS.contains(first));
    let Some(mut command) = first.and_then(|first| root.find_subcommand(first)) else { return Vec::new() };
    if let Some(inner) = words.get(1).and_then(|word| command.find_subcommand(word)) {
        command = inner;
    }
    let all = command.get_arguments().chain(root.get_arguments());
    all.filter_map(|arg| {
        let takes_value = match arg.get_action() {
            ArgAction::SetTrue => false,
            ArgAction::Set if arg.is_require_equals_set() && is_boolean(arg) => true,
            _ => return None,
        };
        let others = arg.get_all_aliases().unwrap_or_default();
        let names = std::iter::once(arg.get_long()?).chain(others).map(str::to_owned).collect();
        Some(Switch { names, takes_value })
    })
    .collect()
}

fn is_boolean(arg: &clap::Arg) -> bool {
    arg.get_value_parser().type_id() == clap::builder::ValueParser::bool().type_id()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spelling::spell;

    fn settled(line: &str) -> String {
        let mut spelled = spell(line.split(' ').map(OsString::from));
        settle(&mut spelled);
        let words: Vec<_> = spelled.args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
        words.join(" ")
    }

    #[test]
    fn what_is_on_or_off_may_be_said_as_cml_takes_it() {
        for (line, ours) in [
            ("cml-publish a.png --md=true", "cml publish a.png --md"),
            ("cml-publish a.png --md=false", "cml publish a.png"),
            ("cml-publish a.png --no-md", "cml publish a.png"),
            ("cml-publish a.png --md true -t x", "cml publish a.png --md -t x"),
            ("cml-publish --md false a.png", "cml publish a.png"),
            ("cml-publish a.png --gitlab-uploads=true", "cml publish a.png --native"),
            ("cml-send-comment a.md --publish=false", "cml comment create a.md --publish=false"),
            ("cml-send-comment a.md --no-publish", "cml comment create a.md --publish=false"),
            ("cml-send-comment a.md --publish false", "cml comment create a.md --publish=false"),
            ("cml-send-comment a.md --update=true --watch=false", "cml comment create a.md --update"),
            ("cml-send-comment a.md --pr=false --target=commit", "cml comment create a.md --target=commit"),
            ("cml-pr --squash --merge=0 .", "cml pr create --squash ."),
            ("cml runner launch --cloud-spot true --labels=a", "cml launch --cloud-spot=true --labels=a"),
            ("cml runner launch --single false --no-reuse", "cml launch --single=false --reuse=false"),
            ("cml-runner --labels a --cloud-spot", "cml-runner launch --labels a --cloud-spot=true"),
        ] {
            assert_eq!(settled(line), ours, "{line}");
        }
    }

    #[test]
    fn the_last_one_wins_and_what_follows_two_dashes_stays() {
        assert_eq!(settled("cml-publish --md a.png --no-md"), "cml publish a.png");
        assert_eq!(settled("cml-publish --no-md a.png --md"), "cml publish a.png --md");
        assert_eq!(settled("cml-pr -- --md=false"), "cml pr create -- --md=false");
        assert_eq!(settled("cml-publish a.png --md=perhaps"), "cml publish a.png --md=perhaps");
        let ours = "cml-runner launch --single=false --no-retry";
        assert_eq!(settled(ours), ours);
        assert_eq!(settled("cml-runner pr create --md true"), "cml-runner pr create --md true", "a pattern");
    }
}
