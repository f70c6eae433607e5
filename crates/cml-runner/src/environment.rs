//! CML's older environment names, and misspelt ones. Pure: the variables are passed in.

use std::ffi::OsString;

use clap::CommandFactory;

use crate::args::Cli;
use crate::exit::{CliError, ExitCode};

/// Older names that CML still reads, and the flags they stand for.
const OLDER: [(&str, &str); 9] = [
    ("RUNNER_IDLE_TIMEOUT", "idle-timeout"),
    ("RUNNER_LABELS", "labels"),
    ("RUNNER_SINGLE", "single"),
    ("RUNNER_REUSE", "reuse"),
    ("RUNNER_REPO", "repo"),
    ("RUNNER_DRIVER", "driver"),
    ("CML_RUNNER_REPO", "repo"),
    ("CML_RUNNER_LOG", "log"),
    ("CML_RUNNER_DRIVER", "driver"),
];

/// Variables without a flag, and their meanings. The manual page and the book list them.
pub(crate) const READ: &[(&str, &str)] = &[
    (
        "REPO_TOKEN, repo_token, GITHUB_TOKEN",
        "GitHub token; the first one set is used. A token on the command line is visible to every user of the machine.",
    ),
    (
        "CML_RUNNER_TOKEN, CML_DRIVER_TOKEN",
        "GitHub token under CML's names; these take precedence over the names above.",
    ),
    (
        "GITHUB_SERVER_URL, GITHUB_API_URL, GITHUB_REPOSITORY",
        "GitHub server, API and repository, as set by Actions. `--repo` takes precedence; the git remote is used if none is set.",
    ),
    (
        "GITHUB_ACTIONS, GITHUB_ACTOR, GITHUB_EVENT_NAME, GITHUB_EVENT_PATH, GITHUB_HEAD_REF, GITHUB_REF_NAME, GITHUB_RUN_ID, \
         GITHUB_SHA, GITHUB_WORKFLOW, GITHUB_WORKSPACE, RUNNER_ENVIRONMENT, RUNNER_TEMP",
        "Details of the current workflow run, as set by Actions.",
    ),
    ("GITHUB_OUTPUT, GITHUB_STEP_SUMMARY", "Files for step outputs and the step summary, as set by Actions."),
    (
        "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_PROFILE",
        "AWS credentials, as in the AWS CLI.",
    ),
    ("AWS_REGION, AWS_DEFAULT_REGION", "Region used if no flag or file sets one. Default: us-east-1."),
    ("AWS_ENDPOINT_URL", "URL of the AWS API, for an emulator."),
    (
        "CML_RUNNER_WEBHOOK_SECRET",
        "Webhook secret of the daemon, at least 16 characters. If unset, the daemon only polls for jobs.",
    ),
    (
        "CML_RUNNER_DAEMON_TOKEN",
        "Access token for the daemon's dashboard and API; required to listen on addresses other than loopback.",
    ),
    ("CML_RUNNER_RELEASES", "Base URL that the Action downloads releases from, for mirrors."),
    (
        "CML_REPORT_TO, CML_REPORT_PUBLIC_URL",
        "Storage for files of reports, and the base URL of these files.",
    ),
    ("CML_MACHINE_FACTS", "Directory with facts about the machine. Default: /run/cml-facts."),
    (
        "XDG_STATE_HOME",
        "Base directory for local machines, journals, prices and the ledger. Default: ~/.local/state.",
    ),
    (
        "XDG_CACHE_HOME",
        "Base directory for cached AWS and GitHub responses; safe to delete at any time. Default: ~/.cache.",
    ),
    ("HOME, PATH", "Standard meaning."),
    ("NO_COLOR", "Any value disables colors."),
];

/// CML's older names, and the matching flags of `launch`.
#[cfg(all(test, feature = "aws"))]
pub(crate) fn older_names() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    OLDER.iter()
}

/// CML's spellings that stand for no flag of `launch` and are not in [`READ`].
const OTHERS: [&str; 4] =
    ["CML_RUNNER_REPO", "CML_RUNNER_LOG", "CML_RUNNER_DRIVER", "CML_RUNNER_DRIVER_TOKEN"];

/// Flags that older names stand for, where neither the flag nor the newer name is given.
pub(crate) fn flags_from_older_names(
    args: &[OsString],
    env: &dyn Fn(&str) -> Option<String>,
) -> Vec<OsString> {
    let given = |flag: &str| {
        let long = format!("--{flag}");
        args.iter()
            .filter_map(|arg| arg.to_str())
            .any(|arg| arg == long || arg.starts_with(&format!("{long}=")))
    };
    let newer = |flag: &str| {
        let name = flag.to_uppercase().replace('-', "_");
        env(&format!("CML_RUNNER_{name}")).or_else(|| env(&format!("CML_{name}"))).is_some()
    };
    OLDER
        .iter()
        .filter(|(name, flag)| !given(flag) && (name.starts_with("CML_") || !newer(flag)))
        .filter_map(|(name, flag)| env(name).map(|value| OsString::from(format!("--{flag}={value}"))))
        .collect()
}

/// Which variables stand for flags of a command that reports: CML's own beginnings, the older ones behind them.
const REPORTS: [(&str, &[&str]); 7] = [
    ("publish", &["CML_ASSET_", "CML_PUBLISH_"]),
    ("comment", &["CML_COMMENT_", "CML_SEND_COMMENT_"]),
    ("check", &["CML_CHECK_", "CML_SEND_GITHUB_CHECK_"]),
    ("pr", &["CML_PR_"]),
    ("workflow", &["CML_WORKFLOW_", "CML_RERUN_WORKFLOW_"]),
    ("repo", &["CML_REPO_", "CML_CI_"]),
    ("tensorboard", &["CML_TENSORBOARD_DEV_", "CML_TENSORBOARD_"]),
];

/// Flags that variables stand for, of a command that reports: `CML_COMMENT_TARGET=pr` is `--target=pr`. One that means
/// nothing is an error, as in CML. They belong right behind the command's words, so that what is typed wins.
pub(crate) fn flags_of_reports(
    words: &[&str],
    names: impl Iterator<Item = String>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<OsString>, CliError> {
    let word = |index: usize| words.get(index).copied().unwrap_or_default();
    let Some((path, prefixes)) = REPORTS.iter().find(|(path, _)| *path == word(0)) else {
        return Ok(Vec::new());
    };
    let root = Cli::command();
    let Some(mut command) = root.find_subcommand(path) else { return Ok(Vec::new()) };
    if let Some(inner) = command.get_subcommands().find(|inner| inner.get_name() == word(1)) {
        command = inner;
    }
    let known: Vec<&clap::Arg> = command.get_arguments().chain(root.get_arguments()).collect();
    let find = |flag: &str| {
        known.iter().find(|arg| {
            arg.get_long() == Some(flag) || arg.get_all_aliases().is_some_and(|all| all.contains(&flag))
        })
    };
    let mut flags: Vec<(String, OsString)> = Vec::new();
    for name in names {
        let Some(rest) = prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)) else { continue };
        let flag = rest.to_ascii_lowercase().replace('_', "-");
        let Some(value) = env(&name) else { continue };
        let Some(arg) = find(&flag) else {
            return Err(CliError::new(ExitCode::Usage, format!("unknown environment variable {name}")).hint(
                format!(
                    "`cml-runner {} --help` lists the flags; --target is CML_COMMENT_TARGET",
                    words.join(" ")
                ),
            ));
        };
        let long = arg.get_long().unwrap_or_default().to_owned();
        if flags.iter().any(|(known, _)| *known == long) {
            continue;
        }
        if arg.get_action().takes_values() {
            flags.push((long.clone(), format!("--{long}={value}").into()));
        } else if !["false", "0", "no"].contains(&value.as_str()) {
            flags.push((long.clone(), format!("--{long}").into()));
        }
    }
    Ok(flags.into_iter().map(|(_, flag)| flag).collect())
}

/// A `CML_RUNNER_…` variable that means nothing, with the nearest one that does. A typo must not cost a machine.
pub(crate) fn misspelt(names: impl Iterator<Item = String>) -> Option<(String, String)> {
    let command = Cli::command();
    let known: Vec<String> = command
        .get_subcommands()
        .flat_map(clap::Command::get_arguments)
        .filter_map(|arg| arg.get_env()?.to_str().map(str::to_owned))
        .chain(READ.iter().flat_map(|(names, _)| names.split(", ")).map(str::to_owned))
        .chain(OTHERS.iter().map(|name| (*name).to_owned()))
        .collect();
    names.filter(|name| name.starts_with("CML_RUNNER_")).find(|name| !known.contains(name)).map(|name| {
        let nearest = cml_spec::nearest(&name, known.iter().map(String::as_str))
            .unwrap_or("CML_RUNNER_LABELS")
            .to_owned();
        (name, nearest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_names_stand_for_flags_unless_newer_ones_are_there() {
        let env = |name: &str| match name {
            "RUNNER_LABELS" => Some("gpu".to_owned()),
            "RUNNER_IDLE_TIMEOUT" => Some("60".to_owned()),
            "CML_RUNNER_IDLE_TIMEOUT" => Some("90".to_owned()),
            _ => None,
        };
        let args = [OsString::from("cml-runner"), OsString::from("launch")];
        assert_eq!(flags_from_older_names(&args, &env), vec![OsString::from("--labels=gpu")]);
        let args = [OsString::from("launch"), OsString::from("--labels=cpu")];
        assert!(flags_from_older_names(&args, &env).is_empty());
    }

    #[test]
    fn variables_stand_for_flags_of_reports() {
        let flags = |line: &str, vars: &[(&str, &str)]| {
            let args: Vec<&str> = line.split(' ').collect();
            let env =
                |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            flags_of_reports(&args, vars.iter().map(|(name, _)| (*name).to_owned()), &env)
                .map(|flags| {
                    flags.iter().map(|flag| flag.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
                })
                .map_err(|trouble| trouble.message)
        };
        let vars = [
            ("CML_SEND_COMMENT_TARGET", "pr"),
            ("CML_COMMENT_UPDATE", "true"),
            ("CML_COMMENT_WATCH", "false"),
            ("CML_PR_MD", "1"),
        ];
        assert_eq!(flags("comment create", &vars).as_deref(), Ok("--target=pr --update"));
        assert_eq!(flags("report check", &[("CML_CHECK_TITLE", "x")]).as_deref(), Ok(""), "another check");
        assert_eq!(flags("publish", &[("CML_PUBLISH_NATIVE", "true")]).as_deref(), Ok("--native"));
        assert_eq!(flags("publish", &[("CML_ASSET_GITLAB_UPLOADS", "true")]).as_deref(), Ok("--native"));
        assert_eq!(flags("launch", &vars).as_deref(), Ok(""));
        let typo = flags("comment create", &[("CML_COMMENT_TARGTE", "pr")]).expect_err("a typo");
        assert!(typo.contains("unknown environment variable CML_COMMENT_TARGTE"), "{typo}");
    }

    #[test]
    fn a_variable_that_another_command_reads_is_no_typo() {
        let read = READ.iter().flat_map(|(names, _)| names.split(", ")).map(str::to_owned);
        assert_eq!(misspelt(read), None);
        let env = ["CML_RUNNER_WEBHOOK_SECRET", "CML_RUNNER_DAEMON_TOKEN", "CML_RUNNER_PUBLIC_URL"];
        assert_eq!(misspelt(env.into_iter().map(str::to_owned)), None);
    }

    #[test]
    fn a_typo_in_a_variable_is_found_and_the_nearest_name_said() {
        let names = ["PATH".to_owned(), "CML_RUNNER_LABELS".to_owned(), "CML_RUNNER_LABLES".to_owned()];
        assert_eq!(
            misspelt(names.into_iter()),
            Some(("CML_RUNNER_LABLES".to_owned(), "CML_RUNNER_LABELS".to_owned()))
        );
    }
}
