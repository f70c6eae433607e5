//! Protection of this process's secrets: other processes of the same user (jobs of `cloud: local`, above all) cannot
//! read its environment or memory, and git, which it starts, does not get them.
//!
//! The environment block itself cannot be wiped without `unsafe`, which this workspace forbids. It need not be: the kernel
//! gives /proc/PID/environ and /proc/PID/mem of a process that is not dumpable to root only.
//! <https://man7.org/linux/man-pages/man2/PR_SET_DUMPABLE.2const.html>

use std::ffi::OsString;
use std::process::Command;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Environment variables that git receives. A list of secrets to remove could never be complete:
/// `github.auth.token_env` names any variable, and so does AWS in each new version.
const FOR_GIT: [&str; 11] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "EMAIL",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    // A socket, by which an agent signs; the keys stay with it.
    "SSH_AUTH_SOCK",
];
/// In upper case as well.
const PROXIES: [&str; 4] = ["http_proxy", "https_proxy", "all_proxy", "no_proxy"];
/// Prefixes of variables of the same purpose. <https://git-scm.com/docs/git#_environment_variables>
const FAMILIES: [&str; 4] = ["GIT_", "LC_", "SSL_CERT_", "XDG_"];
/// No variable of git itself contains such a word; people name their tokens so (`GIT_TOKEN`).
const SECRET_WORDS: [&str; 3] = ["TOKEN", "SECRET", "PASSWORD"];

/// Makes this process unreadable for others, before anything else. No core file is ever written either: it would
/// contain the same secrets.
pub(crate) fn keep_from_others() {
    // Both fail only where the kernel does not support them; then there is no alternative.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).ok();
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).ok();
}

/// Returns git with the variables it needs, and no secret of ours: a new program can be read by its user again.
pub(crate) fn git() -> Command {
    #[allow(
        clippy::disallowed_methods,
        reason = "the edge of the program: what it starts gets its environment here"
    )]
    let all = std::env::vars_os();
    with_what_git_needs("git", all)
}

fn with_what_git_needs(program: &str, all: impl Iterator<Item = (OsString, OsString)>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().envs(all.filter(|(name, _)| name.to_str().is_some_and(is_for_git)));
    command
}

fn is_for_git(name: &str) -> bool {
    let is_of_family = || FAMILIES.iter().any(|family| name.starts_with(family));
    let sounds_secret = || SECRET_WORDS.iter().any(|word| name.to_ascii_uppercase().contains(word));
    FOR_GIT.contains(&name)
        || PROXIES.iter().any(|proxy| name.eq_ignore_ascii_case(proxy))
        || is_of_family() && !sounds_secret()
}

#[cfg(test)]
mod tests {
    use rustix::process::{dumpable_behavior, getrlimit};

    use super::*;

    #[test]
    fn the_process_shows_nothing_of_itself_and_leaves_no_core() {
        keep_from_others();
        assert_eq!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable));
        assert_eq!(getrlimit(Resource::Core).maximum, Some(0));
    }

    #[test]
    fn git_gets_what_it_needs_and_no_variable_that_is_not_on_the_list() {
        let path = crate::context::env("PATH").expect("a path");
        let ours = [("PATH", path.as_str()), ("HOME", "/home/ada"), ("HTTPS_PROXY", "http://proxy:3128")];
        let more = [
            "https_proxy",
            "SSL_CERT_FILE",
            "GIT_SSH_COMMAND",
            "GIT_CONFIG_KEY_0",
            "LC_ALL",
            "XDG_CONFIG_HOME",
        ];
        let secret = [
            "MY_TOKEN",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN",
            "AWS_SECRET_ACCESS_KEY",
            "REPO_TOKEN",
            "repo_token",
            "GIT_TOKEN",
            "GIT_PASSWORD",
            "CML_RUNNER_WEBHOOK_SECRET",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
        ];
        let all = ours
            .into_iter()
            .chain(more.map(|name| (name, "plain")))
            .chain(secret.map(|name| (name, "canary")))
            .map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let output = with_what_git_needs("env", all).output().expect("env runs");
        let output = String::from_utf8(output.stdout).expect("text");
        let names: Vec<&str> =
            output.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
        for name in ["PATH", "HOME", "HTTPS_PROXY"].iter().chain(&more) {
            assert!(names.contains(name), "no {name} in {names:?}");
        }
        assert!(!output.contains("canary"), "{names:?}");
        assert!(
            !names.iter().any(|name| name.starts_with("CARGO")),
            "our own environment is left out: {names:?}"
        );
    }
}
