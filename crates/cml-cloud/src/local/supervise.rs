//! The supervisor: one process that supervises one instance, and ends with it.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{
    Resource, Rlimit, Signal, WaitOptions, getpid, set_child_subreaper, setrlimit, setsid, wait,
};

use super::account::Account;
use super::cgroup::{self, Group};
use super::directory::{Directory, Lock};
use super::lease::Lease;
use super::record::{Phase, Record};
use super::{Limits, TICK, host, now, processes, since_boot};

/// Time for the processes to end by themselves.
const GRACE: Duration = Duration::from_secs(5);
/// Time after which the supervisor gives up on processes that cannot be killed (stuck in the kernel).
const KILL_FOR: Duration = Duration::from_secs(15);
/// A process that only checks whether the lock is held has it for microseconds.
const LOCK_FOR: Duration = Duration::from_secs(2);
/// Prefix of the line with which the script reports why it ended.
const LAST_WORDS: &str = "cml-runner: last words: ";

/// Error of the supervisor.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    /// The directory does not belong to an instance.
    #[error("{0} is not the directory of a local instance")]
    NoInstance(PathBuf),
    /// A file of the instance could not be used.
    #[error("{doing}: {source}")]
    Io {
        /// The operation.
        doing: &'static str,
        /// The system's error.
        source: std::io::Error,
    },
}

/// Supervises the instance in `dir` from its start to its end; returns when none of its processes runs.
///
/// `<supervisor> supervise <dir>` calls this, with nothing else in the process.
///
/// # Errors
/// When there is no instance, or when it could not be started; one that was started is ended in any case.
pub fn supervise(dir: &Path) -> Result<(), SuperviseError> {
    // A terminal that closes or a step that is cancelled signals its session: not this one. It fails when there is a
    // session already, which is equally good.
    setsid().ok();
    let directory = Directory::at(dir).ok_or_else(|| SuperviseError::NoInstance(dir.to_owned()))?;
    let Some(_lock) = take_lock(&directory) else { return Ok(()) };
    let mut record =
        directory.record().map_err(|source| SuperviseError::Io { doing: "reading the record", source })?;
    if record.phase == Phase::Terminated {
        return Ok(());
    }
    let own = getpid();
    // So that a daemonized process, whose parent has ended, becomes a child of this process and not of init.
    if let Err(error) = set_child_subreaper(Some(own)) {
        note(&format!("cannot adopt orphans: {error}"));
    }
    // An earlier supervisor may have been killed: its remaining processes must not stay.
    let left = processes::marked(&directory.instance_id().0);
    processes::signal(&left, Signal::KILL);
    let because = match live(&directory, &mut record, own.as_raw_nonzero().get()) {
        Ok(because) => because,
        Err(error) => {
            note(&format!("{error}"));
            error.to_string()
        }
    };
    directory.clear(record.place.as_deref());
    record.end(because, now());
    record
        .write(directory.path())
        .map_err(|source| SuperviseError::Io { doing: "writing the record", source })
}

fn take_lock(directory: &Directory) -> Option<Lock> {
    let until = Instant::now() + LOCK_FOR;
    loop {
        match directory.lock() {
            None if Instant::now() < until => sleep(TICK),
            lock => return lock,
        }
    }
}

/// Starts the script and waits for its end, the deadline or the stop request. Returns why it ended, with no process
/// left.
fn live(directory: &Directory, record: &mut Record, own: i32) -> Result<String, SuperviseError> {
    let id = directory.instance_id();
    let lease = Lease::of(record, now(), since_boot());
    let group = match Group::make(&id, record.limits) {
        Ok(group) => Some(group),
        Err(error) => {
            note(&format!("no cgroup for this instance ({error}): its processes are found in /proc"));
            None
        }
    };
    limit(record, group.is_some());
    record.phase = Phase::Running;
    record.supervisor = Some(own);
    record.cgroup = group.as_ref().map(|group| group.path().to_owned());
    let failed = |doing| move |source| SuperviseError::Io { doing, source };
    record.write(directory.path()).map_err(failed("writing the record"))?;
    let place = record.place.as_deref();
    let account = match place {
        Some(place) => {
            let taken =
                Account::take(&record.users, place).map_err(failed("taking a user for the machine"))?;
            let furnished = taken.furnish(place, &directory.path().join("user-data"));
            furnished.map_err(failed("making the machine's directory"))?;
            note(&format!("the machine runs as the user {}", taken.name));
            Some(taken)
        }
        None => None,
    };
    let files = place.unwrap_or(directory.path());
    let script = start(directory, files, group.as_ref(), account.as_ref())
        .map_err(failed("starting the user data"))?;
    let members = || {
        let mut all = processes::of_supervisor(own, &id.0, script);
        // Also a process that has left its group, parent and environment: only this machine has the user.
        all.extend(account.iter().flat_map(|account| processes::of_user(account.uid)));
        all
    };
    let because = loop {
        if let Some(status) = reap(script) {
            break said(directory).unwrap_or(status);
        }
        if directory.is_asked_to_stop() {
            break "it was stopped".to_owned();
        }
        if lease.is_over(since_boot()) {
            break "its deadline passed".to_owned();
        }
        sleep(TICK);
    };
    end(&members, group.as_ref());
    account.iter().for_each(Account::kill_all);
    Ok(because)
}

fn start(
    directory: &Directory,
    files: &Path,
    group: Option<&Group>,
    account: Option<&Account>,
) -> std::io::Result<i32> {
    let home = files.join("home");
    let mut command = Command::new("sh");
    // The shell enters the cgroup, and then drops its user, before it becomes the script: so no process is ever
    // outside.
    let enter = r#"if [ -n "$1" ]; then echo "$$" >"$1" || echo "cml-runner: the cgroup stays empty"; fi; shift; exec "$@""#;
    command.args(["-c", enter, "sh"]).arg(group.map(Group::door).unwrap_or_default());
    command.args(account.iter().flat_map(|account| account.becomes())).arg("sh");
    let child = command
        .arg(files.join("user-data"))
        .env_clear()
        .envs(host::plain_environment())
        .envs(account.map(|account| ("USER", &account.name)))
        .env("HOME", &home)
        .env("TMPDIR", files.join("tmp"))
        .env("CML_MACHINE", "local")
        .env("CML_INSTANCE", directory.instance_id().0)
        .current_dir(&home)
        .process_group(0)
        .stdin(Stdio::null())
        .spawn()?;
    Ok(i32::try_from(child.id()).unwrap_or(i32::MAX))
}

/// Reaps all children that have ended, adopted ones too; returns a description of the script's own end.
fn reap(script: i32) -> Option<String> {
    let mut ended = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid.as_raw_nonzero().get() == script {
            ended = Some(match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => format!("its script exited with status {code}"),
                (None, Some(signal)) => format!("its script was ended by signal {signal}"),
                (None, None) => "its script ended".to_owned(),
            });
        }
    }
    ended
}

/// Returns the script's own report of its end.
fn said(directory: &Directory) -> Option<String> {
    let console = directory.console();
    console.lines().rev().find_map(|line| line.strip_prefix(LAST_WORDS)).map(str::to_owned)
}

/// Asks all processes to end, and kills the remaining ones after the grace period.
fn end(members: &dyn Fn() -> Vec<i32>, group: Option<&Group>) {
    processes::signal(&members(), Signal::TERM);
    let gone_within = |time: Duration, each: &dyn Fn(&[i32])| {
        let until = Instant::now() + time;
        loop {
            while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
            let left = members();
            if left.is_empty() || Instant::now() >= until {
                return left.is_empty();
            }
            each(&left);
            sleep(TICK);
        }
    };
    let ended =
        gone_within(GRACE, &|_| ()) || gone_within(KILL_FOR, &|left| processes::signal(left, Signal::KILL));
    if let Some(group) = group {
        cgroup::kill_at(group.path());
        // An emptied group can be removed some moments later only.
        sleep(TICK);
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
    }
    if !ended {
        note(&format!("these processes could not be ended: {:?}", members()));
    }
}

/// Writes a line to the console. A full disk is no reason to stop supervising the instance.
fn note(text: &str) {
    drop(writeln!(std::io::stdout(), "cml-runner: {text}"));
}

/// Disables core dumps, which would contain the registration. The other limits, which a cgroup enforces better, are set
/// only without one.
fn limit(record: &Record, has_cgroup: bool) {
    let limits = if has_cgroup { Limits::default() } else { record.limits };
    let wanted =
        [(Resource::Core, Some(0)), (Resource::Nproc, limits.processes), (Resource::As, limits.memory_bytes)];
    for (resource, limit) in wanted {
        if limit.is_some()
            && let Err(error) = setrlimit(resource, Rlimit { current: limit, maximum: limit })
        {
            note(&format!("the limit {resource:?} cannot be set: {error}"));
        }
    }
}
