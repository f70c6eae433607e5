//! The processes of this machine, read from /proc: for ending what a test left, and for finding what a product left.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// One process.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its id.
    pub id: i32,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its environment as it was at its start: `NAME=value`.
    pub environ: Vec<String>,
    /// Its working directory.
    pub cwd: Option<PathBuf>,
}

impl Process {
    /// True when its working directory, arguments or home lie in `dir`.
    #[must_use]
    pub fn belongs_to(&self, dir: &Path) -> bool {
        let text = dir.display().to_string();
        self.cwd.as_ref().is_some_and(|cwd| cwd.starts_with(dir))
            || self.arguments.iter().any(|argument| argument.contains(&text))
            || self.environ.iter().any(|entry| entry.contains(&text))
    }
}

/// Every process that can be read, but this one. Zombies have no arguments and are left out.
#[must_use]
pub fn all() -> Vec<Process> {
    let own = std::process::id().to_string();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name() != own.as_str())
        .filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            let dir = entry.path();
            let arguments = words(&dir.join("cmdline"));
            let process = Process {
                id,
                arguments,
                environ: words(&dir.join("environ")),
                cwd: fs::read_link(dir.join("cwd")).ok(),
            };
            (!process.arguments.is_empty()).then_some(process)
        })
        .collect()
}

fn words(path: &Path) -> Vec<String> {
    let bytes = fs::read(path).unwrap_or_default();
    let words = bytes.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// Sends a signal to one process; one that is gone is no error.
pub fn signal(id: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(id) {
        // A process that is gone already is no error.
        let _ = kill_process(pid, signal);
    }
}

/// Kills the processes that match until there are none, including those they started meanwhile.
pub fn end_all(matches: impl Fn(&Process) -> bool) {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(5) {
        let found: Vec<Process> = all().into_iter().filter(&matches).collect();
        if found.is_empty() {
            return;
        }
        for process in found {
            signal(process.id, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
