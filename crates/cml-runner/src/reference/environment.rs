//! Environment variables: those of flags, from the command line itself; the others from the list of the manual page.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use clap::Command;

use super::{cell, page};
use crate::environment::{READ, older_names};
use crate::help;

/// Collects the variables of flags, and the commands of these flags.
fn of_flags(command: &Command, path: &str, all: &mut BTreeMap<String, (String, BTreeSet<String>)>) {
    for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
        if let (Some(variable), Some(flag)) = (arg.get_env().and_then(|name| name.to_str()), arg.get_long()) {
            let entry = all.entry(variable.to_owned()).or_insert_with(|| (flag.to_owned(), BTreeSet::new()));
            entry.1.insert(if path.is_empty() { "all".to_owned() } else { path.to_owned() });
        }
    }
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        let path = if path.is_empty() {
            inner.get_name().to_owned()
        } else {
            format!("{path} {}", inner.get_name())
        };
        of_flags(inner, &path, all);
    }
}

#[test]
fn the_page_of_variables_has_each_that_is_read() {
    let mut flags = BTreeMap::new();
    of_flags(&help::command(), "", &mut flags);
    let mut text = String::from(
        "A flag wins over its variable. An empty variable counts as one that is not set, as Actions sets unset secrets to nothing. A \
         misspelt `CML_RUNNER_…` is an error of `launch`.\n\n## That stand for flags\n\n| variable | flag | of |\n|---|---|---|\n",
    );
    for (variable, (flag, commands)) in &flags {
        let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
        text.push_str(&format!("| `{variable}` | `--{flag}` | {} |\n", commands.join(", ")));
    }
    text.push_str(
        "\nOf commands that report, `CML_COMMENT_TARGET=pr` is `--target pr` of the comment commands, and so on \
         ([Coming from CML](../from-cml.md#every-flag)).\n\n## CML's older names\n\n| variable | flag of `launch` |\n|---|---|\n",
    );
    for (variable, flag) in older_names() {
        text.push_str(&format!("| `{variable}` | `--{flag}` |\n"));
    }
    text.push_str("\n## All others\n\n| variable | meaning |\n|---|---|\n");
    for (variable, meaning) in READ {
        text.push_str(&format!("| `{variable}` | {} |\n", cell(meaning)));
    }
    page("environment.md", "Environment", &text);
    for name in read_by_sources() {
        let is_told = flags.contains_key(&name)
            || READ.iter().any(|(names, _)| names.split(", ").any(|one| one == name))
            || older_names().any(|(older, _)| *older == name);
        assert!(is_told, "{name} is read, and crates/cml-runner/src/environment.rs does not tell of it");
    }
}

/// Returns the names between the quotes of `env("…")`, in the sources of all crates.
fn read_by_sources() -> BTreeSet<String> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let is_of_tests = |path: &Path| path.components().any(|it| it.as_os_str() == "reference");
    let mut names = BTreeSet::new();
    let mut todo = vec![crates];
    while let Some(path) = todo.pop() {
        if is_of_tests(&path) {
            continue;
        }
        if path.is_dir() {
            todo.extend(std::fs::read_dir(&path).expect("a directory").flatten().map(|entry| entry.path()));
        } else if path.extension().is_some_and(|it| it == "rs")
            && path.components().any(|it| it.as_os_str() == "src")
        {
            let source = std::fs::read_to_string(&path).expect("a source");
            for part in source.split("env(\"").skip(1) {
                // With a second argument it is set, for another program.
                let (name, rest) = part.split_once('"').unwrap_or_default();
                let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
                if is_name && rest.starts_with(')') {
                    names.insert(name.to_owned());
                }
            }
        }
    }
    names
}
