//! Manual pages, one a command, from the same source as `--help`; and a page for each of CML's names that leads there.

use std::path::Path;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::environment::READ;
use crate::exit::{CliError, ExitCode};
use crate::help;

/// Additional command names that packages install, and the page of each.
const NAMES: [(&str, &str); 7] = [
    ("cml", "cml-runner"),
    ("cml-publish", "cml-runner-publish"),
    ("cml-send-comment", "cml-runner-comment-create"),
    ("cml-send-github-check", "cml-runner-check-create"),
    ("cml-pr", "cml-runner-pr-create"),
    ("cml-tensorboard-dev", "cml-runner"),
    ("cml-report", "cml-runner-report"),
];

const OTHER_NAMES: &str = "\
Under the names cml, cml-publish, cml-send-comment, cml-send-github-check, cml-pr and cml-tensorboard-dev the program accepts \
the arguments of the CML command with that name; cml-report is cml-runner report.
";

const FILES: &str = "\
/etc/cml-runner/cml.yaml
    Configuration of the daemon that the Debian package runs as a service.
/etc/cml-runner/env
    Secrets of that daemon, as NAME=value lines; readable by root only.
~/.local/state/cml-runner
    Local machines, journals of launches and the daemon, prices, and the ledger ($XDG_STATE_HOME, --state-dir).
~/.cache/cml-runner
    Cached AWS and GitHub responses; safe to delete at any time ($XDG_CACHE_HOME).
";

const EXAMPLES: &str = "\
cml-runner demo
    Run a demo on this machine, without any account.
cml-runner launch --cloud aws --type m+t4 --spot prefer --labels gpu
    Launch a spot machine with a GPU for one job with the label gpu.
cml-runner daemon --config cml.yaml --repo https://github.com/acme/vision
    Run the autoscaler for the pools in cml.yaml.
cml-publish loss.png --md >> report.md && cml-send-comment report.md --update
    Post a plot on a pull request.
";

/// Writes all pages into a directory, which is made where it is missing.
pub(crate) fn write(dir: &Path) -> Result<String, CliError> {
    let trouble = |error: std::io::Error| {
        CliError::new(ExitCode::Failed, format!("cannot write manual pages to {}: {error}", dir.display()))
            .hint("name a directory that you may write to")
    };
    std::fs::create_dir_all(dir).map_err(trouble)?;
    let pages = pages().map_err(trouble)?;
    for (name, text) in &pages {
        std::fs::write(dir.join(format!("{name}.1")), text).map_err(trouble)?;
    }
    Ok(format!("{} manual pages are in {}\n", pages.len(), dir.display()))
}

/// Name and text of every page.
fn pages() -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut root = help::command();
    root.build();
    let mut pages = Vec::new();
    of_command(&root, true, &mut pages)?;
    for (name, page) in NAMES {
        pages.push((name.to_owned(), format!(".so man1/{page}.1\n").into_bytes()));
    }
    Ok(pages)
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
}

fn of_command(command: &Command, is_root: bool, pages: &mut Vec<(String, Vec<u8>)>) -> std::io::Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    // The usage of `--help`: by itself the page would spell out every flag.
    let usage = command.clone().render_usage().to_string();
    let command = command.clone().override_usage(usage.trim_start_matches("Usage:").trim().to_owned());
    let man = Man::new(command.clone())
        .title(name.to_uppercase())
        // No date, so that the same source makes the same page; but an argument, or the next would be taken for it.
        .date(" ")
        .source(format!("cml-runner {}", env!("CARGO_PKG_VERSION")))
        .manual("User Commands");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(&mut page)?;
    }
    if shown(&command).next().is_some() {
        man.render_subcommands_section(&mut page)?;
    }
    let more = command.get_after_long_help().or(command.get_after_help());
    let mut sections = sections_of(&more.map(ToString::to_string).unwrap_or_default());
    if is_root {
        let has_examples = sections.iter().any(|(title, _)| title == "EXAMPLES");
        let mut own = vec![
            ("OTHER NAMES", OTHER_NAMES.to_owned()),
            ("FILES", FILES.to_owned()),
            ("ENVIRONMENT", environment()),
        ];
        own.push(("EXIT STATUS", exit_status()));
        if !has_examples {
            own.push(("EXAMPLES", EXAMPLES.to_owned()));
        }
        sections.extend(own.into_iter().map(|(title, text)| (title.to_owned(), text)));
    } else {
        sections.push(("SEE ALSO".to_owned(), "cml-runner(1): files, environment, exit status.".to_owned()));
    }
    let mut end = Roff::new();
    for (title, text) in &sections {
        section(&mut end, title, text);
    }
    end.to_writer(&mut page)?;
    pages.push((name, page));
    shown(&command).try_for_each(|sub| of_command(sub, false, pages))
}

/// `Examples:` and what is indented below it is a section; text before the first title belongs to `NOTES`.
fn sections_of(help: &str) -> Vec<(String, String)> {
    let mut sections: Vec<(String, String)> = Vec::new();
    for line in help.lines() {
        match line.strip_suffix(':') {
            Some(title) if !line.starts_with(' ') => sections.push((title.to_uppercase(), String::new())),
            _ => {
                if sections.is_empty() && !line.is_empty() {
                    sections.push(("NOTES".to_owned(), String::new()));
                }
                if let Some((_, text)) = sections.last_mut() {
                    text.push_str(line.strip_prefix("  ").unwrap_or(line));
                    text.push('\n');
                }
            }
        }
    }
    sections
}

/// A line, and indented below it what it means: a list. Other lines stay as they are.
fn section(roff: &mut Roff, title: &str, text: &str) {
    roff.control("SH", [title]);
    let lines: Vec<&str> = text.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        let is_meaning = |line: &&&str| line.starts_with("    ");
        if is_meaning(&line) {
            roff.text([roman(line.trim_start())]);
        } else if line.trim().is_empty() {
            roff.control("PP", []);
        } else if lines.get(index + 1).as_ref().is_some_and(is_meaning) {
            roff.control("TP", []).text([roman(*line)]);
        } else {
            roff.text([roman(*line)]).control("br", []);
        }
    }
}

/// Every variable that stands for no flag.
fn environment() -> String {
    let mut text = String::new();
    for (names, meaning) in READ {
        text.push_str(&format!("{names}\n    {meaning}\n"));
    }
    text.push_str("CML_RUNNER_..., CML_...\n    Variables for flags; the page of each command lists the variable of each flag.\n");
    text
}

/// Every code, from the source that scripts' branches are made of.
fn exit_status() -> String {
    let mut text = "0\n    Done.\n".to_owned();
    for code in ExitCode::ALL {
        text.push_str(&format!("{}\n    {}\n", code as u8, code.meaning()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(name: &str) -> String {
        let pages = pages().expect("memory takes everything");
        let found = pages.into_iter().find(|(page, _)| page == name).unwrap_or_else(|| panic!("no {name}"));
        String::from_utf8(found.1).expect("text")
    }

    #[test]
    fn every_command_that_help_shows_has_a_page_with_its_flags() {
        let mut commands = vec![(help::command(), "cml-runner".to_owned())];
        while let Some((command, name)) = commands.pop() {
            let text = page(&name);
            for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                let Some(flag) = argument.get_long() else { continue };
                let flag = format!("\\-\\-{}", flag.replace('-', "\\-"));
                assert!(text.contains(&flag), "no {flag} in {name}");
            }
            commands.extend(shown(&command).map(|sub| (sub.clone(), format!("{name}-{}", sub.get_name()))));
        }
    }

    #[test]
    fn every_name_leads_to_a_page_that_is_there() {
        for (name, _) in NAMES {
            let text = page(name);
            let to =
                text.strip_prefix(".so man1/").and_then(|rest| rest.strip_suffix(".1\n")).expect("a link");
            assert!(page(to).starts_with(".ie"), "{name} leads to {to}");
        }
    }

    #[test]
    fn what_nobody_is_to_type_has_no_page() {
        let pages = pages().expect("memory takes everything");
        for hidden in ["supervise", "help"] {
            assert!(pages.iter().all(|(name, _)| !name.ends_with(hidden)), "{hidden}");
        }
    }

    #[test]
    fn the_page_names_every_exit_code_and_no_secret_of_the_environment() {
        let text = page("cml-runner");
        let status = text.split(".SH \"EXIT STATUS\"").nth(1).expect("a section");
        for code in ExitCode::ALL {
            assert!(status.contains(&format!("\n{}\n", code as u8)), "{code:?} in {status}");
        }
    }

    #[test]
    fn titles_in_the_help_become_sections() {
        let help = "Examples:\n  cml-runner ls\n      what runs\n\nSee also:\n  stop";
        let sections = sections_of(help);
        assert_eq!(sections[0], ("EXAMPLES".to_owned(), "cml-runner ls\n    what runs\n\n".to_owned()));
        assert_eq!(sections[1], ("SEE ALSO".to_owned(), "stop\n".to_owned()));
    }
}
