//! Secrets of this process are its own: other processes of the same user (jobs of `cloud: local`, above all) cannot read its
//! environment or memory, and what it starts does not get them.
//!
//! The environment block itself cannot be wiped without `unsafe`, which this workspace forbids. It need not be: the kernel
//! gives /proc/PID/environ and /proc/PID/mem of a process that is not dumpable to root only.
//! <https://man7.org/linux/man-pages/man2/PR_SET_DUMPABLE.2const.html>

use std::process::Command;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Variables that hold secrets. What we start needs none of them: git asks nobody, and the machine has its registration.
pub(crate) const NAMES: [&str; 16] = [
    "CML_RUNNER_TOKEN",
    "CML_DRIVER_TOKEN",
    "CML_RUNNER_DRIVER_TOKEN",
    "CML_TOKEN",
    "REPO_TOKEN",
    "repo_token",
    "GITHUB_TOKEN",
    "GH_TOKEN",
    "CML_RUNNER_WEBHOOK_SECRET",
    "CML_RUNNER_DAEMON_TOKEN",
    "CML_RUNNER_CLOUD_SSH_PRIVATE",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "ACTIONS_RUNTIME_TOKEN",
];

/// The first thing that the program does. No core file is ever written either: it would hold what was kept from others.
pub(crate) fn keep_from_others() {
    // Both fail only where the kernel does not know them; then there is nothing else to do.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).ok();
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).ok();
}

/// The same command without secrets in its environment: a new program can be read by its user again.
pub(crate) fn without(mut command: Command) -> Command {
    for name in NAMES {
        command.env_remove(name);
    }
    command
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
    fn what_is_started_has_no_secret_in_its_environment() {
        let mut command = Command::new("env");
        for name in NAMES {
            command.env(name, "canary");
        }
        let output = without(command).output().expect("env runs");
        assert!(!String::from_utf8_lossy(&output.stdout).contains("canary"));
    }
}
