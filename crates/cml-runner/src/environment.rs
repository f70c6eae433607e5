//! CML's older environment names, and misspelt ones. Pure: the variables are passed in.

use std::ffi::OsString;

use clap::CommandFactory;

use crate::args::Cli;

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

/// Names of ours that are no flag of `launch`.
const OTHERS: [&str; 5] =
    ["CML_RUNNER_TOKEN", "CML_RUNNER_REPO", "CML_RUNNER_LOG", "CML_RUNNER_DRIVER", "CML_RUNNER_DRIVER_TOKEN"];

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

/// A `CML_RUNNER_…` variable that means nothing, with the nearest one that does. A typo must not cost a machine.
pub(crate) fn misspelt(names: impl Iterator<Item = String>) -> Option<(String, String)> {
    let command = Cli::command();
    let known: Vec<String> = command
        .get_subcommands()
        .flat_map(clap::Command::get_arguments)
        .filter_map(|arg| arg.get_env()?.to_str().map(str::to_owned))
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
    fn a_typo_in_a_variable_is_found_and_the_nearest_name_said() {
        let names = ["PATH".to_owned(), "CML_RUNNER_LABELS".to_owned(), "CML_RUNNER_LABLES".to_owned()];
        assert_eq!(
            misspelt(names.into_iter()),
            Some(("CML_RUNNER_LABLES".to_owned(), "CML_RUNNER_LABELS".to_owned()))
        );
    }
}
