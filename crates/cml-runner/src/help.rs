//! Command groups and examples for `--help` and the manual pages.

use clap::{Command, CommandFactory};

use crate::args::Cli;

/// Commands by purpose.
const GROUPS: &[(&str, &[&str])] = &[
    ("Get started", &["demo", "init", "doctor"]),
    ("Machines for jobs", &["launch", "ls", "logs", "stop", "reap", "render"]),
    ("Pools", &["daemon", "validate", "plan", "simulate", "schema"]),
    ("Costs", &["cost", "prices"]),
    ("Reports", &["report", "publish", "comment", "check", "pr", "workflow", "repo"]),
    ("Other", &["completions", "man"]),
];

/// Examples by command path.
const EXAMPLES: &[(&[&str], &str)] = &[
    (
        &["launch"],
        "\
Examples:
  cml-runner launch --cloud aws --type m+t4 --spot prefer --labels gpu
      launch a machine with a T4 GPU for the next job with the label gpu
  cml-runner launch --cloud aws --type g5.xlarge,g6.xlarge --region us-east-1,us-west-2 --spot only --max-lifetime 2h
      allow two types and two regions, spot only, for at most two hours
  cml-runner launch --cloud local --labels desk --reusable --idle-timeout never
      use this machine as a persistent runner",
    ),
    (
        &["init"],
        "\
Examples:
  cml-runner init --dry-run
      preview the files and the remaining steps
  cml-runner init --region eu-west-1
      configure AWS machines, each launched by a job of the workflow
  cml-runner init --pool
      configure AWS pools for `cml-runner daemon`
  cml-runner init --from-cml
      translate a CML workflow and print it
  cml-runner init --print cloudformation
      print the CloudFormation template of the AWS role",
    ),
    (
        &["doctor"],
        "\
Examples:
  cml-runner doctor
      check the cml.yaml in this directory, or a launch with default flags
  cml-runner doctor --cloud aws --type m+t4 --region us-east-1
      check a launch with these flags

Read-only, except for a GitHub registration token created to verify permission. The token is never used and expires in an hour.",
    ),
    (
        &["ls"],
        "\
Examples:
  cml-runner ls --cloud aws --region us-east-1,us-west-2
  cml-runner ls --cloud aws --json",
    ),
    (
        &["logs"],
        "\
Examples:
  cml-runner logs i-0123456789abcdef0 --cloud aws
      find out why a machine failed: the last lines show its final output",
    ),
    (
        &["stop"],
        "\
Examples:
  cml-runner stop i-0123456789abcdef0 --cloud aws
      terminate the machine unless it is running a job; --force terminates it anyway",
    ),
    (
        &["reap"],
        "\
Examples:
  cml-runner reap --cloud aws --region us-east-1 --dry-run
      preview what would be terminated",
    ),
    (
        &["render"],
        "\
Examples:
  cml-runner render --cloud aws --type m+t4 --explain
      list the parts of the user data and the boot order",
    ),
    (
        &["daemon"],
        "\
Examples:
  cml-runner daemon --config cml.yaml --repo https://github.com/acme/vision
  cml-runner daemon --listen 0.0.0.0:8090
      listen on all interfaces, behind a TLS proxy; requires CML_RUNNER_DAEMON_TOKEN",
    ),
    (
        &["validate"],
        "\
Examples:
  cml-runner validate
  cml-runner validate --json - < pools/cml.yaml",
    ),
    (
        &["plan"],
        "\
Examples:
  cml-runner plan cml.yaml --repo https://github.com/acme/vision",
    ),
    (
        &["simulate"],
        "\
Examples:
  cml-runner simulate cml.yaml --from-github --days 28 --html what-if.html
  cml-runner simulate cml.yaml --jobs jobs.jsonl --compare on-demand.yaml",
    ),
    (
        &["schema"],
        "\
Examples:
  cml-runner schema > cml.schema.json",
    ),
    (
        &["prices", "refresh"],
        "\
Examples:
  cml-runner prices refresh --region us-east-1 --type m+t4",
    ),
    (
        &["prices", "show"],
        "\
Examples:
  cml-runner prices show g5.xlarge --region us-east-1,eu-west-1",
    ),
    (
        &["cost"],
        "\
Examples:
  cml-runner cost --by repo --month 2026-11
  cml-runner cost --by actor --since 7d --format md >> report.md
  cml-runner cost --format html --output cost.html
  cml-runner cost advise",
    ),
    (
        &["demo"],
        "\
Examples:
  cml-runner demo
  cml-runner demo --output results --json",
    ),
    (
        &["publish"],
        "\
Examples:
  cml-runner publish loss.png --md >> report.md
  cml-runner publish model.onnx --to s3://my-bucket/models --title model --md",
    ),
    (
        &["comment", "create"],
        "\
Examples:
  cml-runner comment create report.md --update
      keep one comment and update it on each run
  cml-runner comment create report.md --to preview
      preview the comment in a directory, without calling GitHub",
    ),
    (
        &["check", "create"],
        "\
Examples:
  cml-runner check create report.md --title \"Accuracy\" --conclusion success",
    ),
    (
        &["pr", "create"],
        "\
Examples:
  cml-runner pr create model.pkl metrics.json --title \"A better model\"",
    ),
    (
        &["report", "metrics"],
        "\
Examples:
  cml-runner report metrics metrics.json --base main
  cml-runner report metrics before.json after.json --only-changed",
    ),
    (
        &["report", "check"],
        "\
Examples:
  cml-runner report check metrics.json --require 'accuracy >= 0.9' --no-worse-than main",
    ),
    (
        &["report", "plot"],
        "\
Examples:
  cml-runner report plot log.csv -x step -y loss,val_loss -o loss.png
  cml-runner report plot predictions.csv --kind confusion -x actual -y predicted -o confusion.svg",
    ),
    (
        &["report", "prune"],
        "\
Examples:
  cml-runner report prune --older-than 90d --dry-run",
    ),
    (
        &["completions"],
        "\
Examples:
  cml-runner completions bash > ~/.local/share/bash-completion/completions/cml-runner",
    ),
];

const TEMPLATE: &str = "\
{about-with-newline}
{usage-heading} {usage}

{before-help}Global options:
{options}{after-help}";

const MORE: &str = "\
Run `cml-runner COMMAND --help` for the flags and examples of a command. `cml`, `cml-publish`, `cml-send-comment` and CML's \
other command names work as links to this program.";

/// The command line with groups and examples.
pub(crate) fn command() -> Command {
    let root = EXAMPLES.iter().fold(Cli::command(), |root, (path, text)| with(root, path, text));
    let groups = groups(&root);
    root.before_help(groups).help_template(TEMPLATE).after_help(MORE)
}

fn with(command: Command, path: &[&'static str], text: &'static str) -> Command {
    match path {
        [] => command.after_help(text),
        [first, rest @ ..] => command.mut_subcommand(first, |inner| with(inner, rest, text)),
    }
}

fn groups(root: &Command) -> String {
    let mut text = String::new();
    for (title, names) in GROUPS {
        text.push_str(&format!("{title}:\n"));
        for command in names.iter().filter_map(|name| root.find_subcommand(name)) {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            text.push_str(&format!("  {:<12} {about}\n", command.get_name()));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(command: &Command) -> Vec<&Command> {
        command.get_subcommands().filter(|inner| !inner.is_hide_set()).collect()
    }

    #[test]
    fn every_command_is_in_one_group() {
        let root = Cli::command();
        let grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        for command in shown(&root) {
            let times = grouped.iter().filter(|name| **name == command.get_name()).count();
            assert_eq!(times, 1, "{}", command.get_name());
        }
        for name in grouped {
            assert!(root.find_subcommand(name).is_some(), "there is no command {name}");
        }
    }

    #[test]
    fn every_example_is_a_command_line_that_is_understood() {
        let mut seen = 0;
        let mut todo = vec![command()];
        while let Some(next) = todo.pop() {
            todo.extend(next.get_subcommands().cloned());
            let help = next.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in help.lines().filter_map(|line| line.strip_prefix("  cml-runner ")) {
                let line = line.split(" >").next().unwrap_or(line);
                let line = line.split(" <").next().unwrap_or(line);
                let line = line.split(" |").next().unwrap_or(line);
                let words = words(line);
                let asked = std::iter::once("cml-runner".to_owned()).chain(words);
                let understood = command().try_get_matches_from(asked);
                assert!(
                    understood.is_ok(),
                    "{line}: {}",
                    understood.err().map(|it| it.to_string()).unwrap_or_default()
                );
                seen += 1;
            }
        }
        assert!(seen >= 30, "{seen} examples");
    }

    /// Words as a shell would split them, with quotes and without anything else.
    fn words(line: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut quote = None;
        for c in line.trim().chars() {
            match (c, quote) {
                ('\'' | '"', None) => quote = Some(c),
                (c, Some(open)) if c == open => quote = None,
                (' ', None) => words.push(String::new()),
                (c, _) => words.last_mut().expect("never empty").push(c),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    #[test]
    fn every_command_that_does_something_has_examples() {
        let mut todo = vec![command()];
        while let Some(next) = todo.pop() {
            let inner = shown(&next);
            let exempt = ["repo", "prepare", "workflow", "rerun", "update", "man"];
            let is_leaf = inner.is_empty() && !exempt.contains(&next.get_name());
            let is_advice = next.get_name() == "advise";
            assert!(
                !is_leaf || is_advice || next.get_after_help().is_some(),
                "{} has no example",
                next.get_name()
            );
            todo.extend(inner.into_iter().cloned());
        }
    }
}
