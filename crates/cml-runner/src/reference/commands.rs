//! Every command's `--help`.

use clap::Command;

use super::page;
use crate::help;

/// What all commands have; told once.
fn without_globals(command: Command) -> Command {
    command.mut_args(|arg| if arg.is_global_set() { arg.hide(true) } else { arg })
}

fn tell(command: &Command, is_root: bool, text: &mut String) {
    let name = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
    let shown = command.clone().mut_args(|arg| arg.hide_env_values(true)).term_width(100);
    let shown = if is_root { shown } else { without_globals(shown) };
    let help = shown.clone().render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    text.push_str(&format!("## `{name}`\n\n```text\n{}\n```\n\n", lines.join("\n").trim_end()));
    let mut inner: Vec<&Command> = command.get_subcommands().filter(|inner| !inner.is_hide_set()).collect();
    inner.retain(|inner| inner.get_name() != "help");
    inner.iter().for_each(|inner| tell(inner, false, text));
}

#[test]
fn the_page_of_commands_is_what_help_says() {
    let mut root = help::command();
    root.build();
    let mut text = String::from("Global options are listed for `cml-runner` only.\n\n");
    tell(&root, true, &mut text);
    page("cli.md", "Commands", &text);
}
