//! One running machine.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::{paths, wait};

/// Time limit for a container to do what a test waits for.
const CONTAINER_LIMIT: Duration = Duration::from_secs(90);
/// The same for a machine whose processor is emulated.
const VM_LIMIT: Duration = Duration::from_secs(300);

/// What to boot, and how.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// In a virtual machine, where cloud-init finds EC2; else in a container, with NoCloud.
    pub vm: bool,
    /// Size of a container's root disk (`64m`).
    pub disk: Option<String>,
    /// Directory of the disk, to be booted again.
    pub state: Option<PathBuf>,
    /// More arguments for nspawn or QEMU.
    pub more: Vec<String>,
}

/// A running machine. Ended when dropped.
pub struct Guest {
    child: Child,
    dir: TempDir,
    limit: Duration,
    /// The host's uptime when it was started, where the guest shows the host's; seconds.
    uptime_before: f64,
    started: Instant,
}

/// A machine that is off.
#[derive(Debug)]
pub struct Off {
    /// 0: it powered itself off; 133: it rebooted; 124: it was still there at the end.
    pub code: Option<i32>,
    /// Its whole console output.
    pub console: String,
    uptime_before: f64,
}

impl Guest {
    pub(super) fn start(image: &Path, dir: TempDir, user_data: &[u8], place: &Place) -> Self {
        let (seed, out) = (dir.path().join("seed"), dir.path().join("out"));
        for part in [&seed, &out] {
            std::fs::create_dir(part).expect("a directory");
        }
        // Other user data is another instance, as with EC2.
        let instance =
            user_data.iter().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()));
        let facts = format!("instance-id: i-{instance:017x}\nlocal-hostname: runner\n");
        std::fs::write(seed.join("meta-data"), facts).expect("written");
        std::fs::write(seed.join("user-data"), user_data).expect("written");
        let limit = if place.vm { VM_LIMIT } else { CONTAINER_LIMIT };
        let seconds = (limit * 2).as_secs().to_string();
        let support = paths::tests_dir().join("support/boot");
        let mut command = if place.vm {
            let mut command = Command::new(support.join("vm.sh"));
            command.arg(image).arg(&out).arg(&seconds);
            command
        } else {
            let mut command = Command::new(support.join("container.sh"));
            command.arg(image).arg(&seed).arg(&out).arg(&seconds);
            command
        };
        command.args(&place.more).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
        if let Some(disk) = &place.disk {
            command.env("CML_BOOT_DISK", disk);
        }
        if let Some(state) = &place.state {
            command.env("CML_BOOT_STATE", state);
        }
        let uptime_before = if place.vm { 0.0 } else { host_uptime() };
        let child = command.kill_on_drop(true).spawn().expect("the machine starts");
        Self { child, dir, limit, uptime_before, started: Instant::now() }
    }

    /// Returns its console output so far.
    #[must_use]
    pub fn console(&self) -> String {
        let bytes = std::fs::read(self.dir.path().join("out/console.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\r', "")
    }

    /// Returns the seconds since it was started.
    #[must_use]
    pub fn age_seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Returns the seconds between its start and this time.
    #[must_use]
    pub fn age_at(&self, time: Instant) -> f64 {
        time.saturating_duration_since(self.started).as_secs_f64()
    }

    /// Returns a directory that a container sees as `/var/marks`.
    #[must_use]
    pub fn marks(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    /// Waits until it has written this to its console.
    pub async fn until_it_says(&self, text: &str) {
        let started = Instant::now();
        while !self.console().contains(text) {
            assert!(started.elapsed() < self.limit, "it never said {text:?}:\n{}", self.console());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Cuts its power.
    pub async fn cut(mut self) -> Off {
        if let Some(id) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
            crate::processes::signal(id, rustix::process::Signal::TERM);
        }
        let code = self.child.wait().await.expect("it ends").code();
        Off { code, console: self.console(), uptime_before: self.uptime_before }
    }

    /// Waits until it is off.
    pub async fn off(mut self) -> Off {
        let ended = tokio::time::timeout(self.limit, self.child.wait()).await;
        let Ok(ended) = ended else { panic!("it is still there:\n{}", self.console()) };
        let code = ended.expect("it can be waited for").code();
        Off { code, console: self.console(), uptime_before: self.uptime_before }
    }

    /// Waits for an event elsewhere.
    pub async fn until(&self, what: &str, holds: impl AsyncFnMut() -> bool) {
        wait::until_true(&format!("{what}; console:\n{}", self.console()), self.limit, holds).await;
    }
}

impl Off {
    /// Asserts that it powered itself off, and that its last message was this one, once.
    ///
    /// # Panics
    /// Otherwise.
    #[track_caller]
    pub fn expect_words(&self, words: &str) -> &Self {
        assert_eq!(self.code, Some(0), "it did not power itself off:\n{}", self.console);
        let last: Vec<_> = self
            .console
            .lines()
            .filter_map(|line| line.trim().strip_prefix("cml-runner: last words: "))
            .collect();
        assert_eq!(last, [words], "console:\n{}", self.console);
        self
    }

    /// Asserts that it powered itself off for this reason, whatever stage the rest had reached.
    ///
    /// # Panics
    /// Otherwise.
    #[track_caller]
    pub fn expect_cause(&self, cause: &str, status: i32) -> &Self {
        assert_eq!(self.code, Some(0), "it did not power itself off:\n{}", self.console);
        self.expect(&format!(" cause={cause} status={status}\n"))
    }

    /// Asserts that the console contains this.
    #[track_caller]
    pub fn expect(&self, text: &str) -> &Self {
        assert!(self.console.contains(text), "{text:?} is not in:\n{}", self.console);
        self
    }

    /// Returns the seconds from the start (of the kernel, or of the container) to a line that has these words and
    /// `uptime=`.
    #[must_use]
    pub fn seconds_to(&self, words: &str) -> Option<f64> {
        let line = self.console.lines().find(|line| line.contains(words))?;
        let (_, rest) = line.split_once("uptime=")?;
        let number: String = rest.chars().take_while(|it| it.is_ascii_digit() || *it == '.').collect();
        Some(number.parse::<f64>().ok()? - self.uptime_before)
    }
}

fn host_uptime() -> f64 {
    let text = std::fs::read_to_string("/proc/uptime").expect("Linux");
    text.split(' ').next().and_then(|first| first.parse().ok()).expect("a number")
}
