//! An instance's processes, found in `/proc`.
//!
//! Three marks, because a process can shed any one of them: its initial environment, its ancestors (a supervisor is the
//! reaper of its orphans), and its process group.

use std::collections::BTreeMap;

use rustix::process::{Pid, Signal, kill_process};

/// One entry of the process table.
struct Process {
    parent: i32,
    group: i32,
}

/// Returns the processes that were started with `CML_INSTANCE=<id>` in their environment; zombies have none.
pub(super) fn marked(id: &str) -> Vec<i32> {
    let mark = format!("CML_INSTANCE={id}");
    let is_marked = |pid: &i32| {
        std::fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes()))
    };
    pids().filter(is_marked).collect()
}

/// Returns the processes of this user, except zombies.
pub(super) fn of_user(uid: u32) -> Vec<i32> {
    // Not by the owner of the directory: that is root for a process that has made itself undumpable.
    let uids = |pid: &i32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?.to_owned();
        Some(line.split_ascii_whitespace().any(|one| one.parse() == Ok(uid)))
    };
    pids().filter(|pid| uids(pid) == Some(true) && process(*pid).is_some()).collect()
}

/// Returns all processes of an instance, as its supervisor sees them: marked, below it, or in the script's group.
pub(super) fn of_supervisor(supervisor: i32, id: &str, group: i32) -> Vec<i32> {
    let table: BTreeMap<i32, Process> = pids().filter_map(|pid| Some((pid, process(pid)?))).collect();
    let is_below = |pid: i32| {
        let mut at = pid;
        // The table is not a snapshot: a cycle in it must not cause an endless loop here.
        for _ in 0..table.len() {
            match table.get(&at) {
                Some(process) if process.parent == supervisor => return true,
                Some(process) => at = process.parent,
                None => return false,
            }
        }
        false
    };
    let mut found = marked(id);
    found.extend(
        table.iter().filter(|(pid, process)| process.group == group || is_below(**pid)).map(|(pid, _)| *pid),
    );
    found.sort_unstable();
    found.dedup();
    found.retain(|pid| *pid != supervisor);
    found
}

/// Sends a signal to each; one that has ended meanwhile is ignored.
pub(super) fn signal(pids: &[i32], signal: Signal) {
    for pid in pids.iter().filter_map(|pid| Pid::from_raw(*pid)) {
        kill_process(pid, signal).ok();
    }
}

/// Kills one process at once.
pub(super) fn kill_one(pid: i32) {
    signal(&[pid], Signal::KILL);
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Returns a process; `None` for ended ones, and for zombies: they run no more.
fn process(pid: i32) -> Option<Process> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name is in brackets and may contain anything, brackets too.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(Process { parent, group })
}
