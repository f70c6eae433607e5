//! Runs the built `cml-runner` as a user would, in a clean environment and with a time limit.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::process::Child;

use crate::edge::variable;
use crate::front::Front;
use crate::secrets::{AWS_SECRET, TOKEN};
use crate::{paths, processes, wait};

/// Time limit of a command.
const LIMIT: Duration = Duration::from_secs(60);

/// One user's machine: a home of its own, an environment, and the binary.
pub struct Runner {
    home: TempDir,
    env: BTreeMap<String, String>,
}

/// Result of a command.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Results.
    pub stdout: String,
    /// All other output.
    pub stderr: String,
    /// Wall clock.
    pub took: Duration,
}

impl Ran {
    /// Parses the last line of stdout as JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let line = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("no JSON ({error}) in {self:#?}"))
    }

    /// Asserts the exit code.
    #[must_use]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Returns its whole output.
    #[must_use]
    pub fn said(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }
}

impl Runner {
    /// A user with an empty home, the usual `PATH` and nothing else.
    #[must_use]
    pub fn new() -> Self {
        // Not below the system's temporary directory's own name: its path is what processes are found by.
        let home = TempDir::with_prefix("cml-e2e-home-").expect("a temporary directory");
        let mut env = BTreeMap::new();
        let path = |below: &str| home.path().join(below).display().to_string();
        env.insert("PATH".to_owned(), variable("PATH"));
        for (name, below) in [
            ("HOME", ""),
            ("TMPDIR", "tmp"),
            ("XDG_CACHE_HOME", "cache"),
            ("XDG_STATE_HOME", "state"),
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_RUNTIME_DIR", "run"),
        ] {
            std::fs::create_dir_all(home.path().join(below)).expect("a directory");
            env.insert(name.to_owned(), path(below));
        }
        Self { home, env }
    }

    /// Sets one variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Removes one variable.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.env.remove(name);
        self
    }

    /// Configures it for EC2 behind the front.
    #[must_use]
    pub fn on_aws(self, front: &Front) -> Self {
        self.with("AWS_ENDPOINT_URL", &front.url())
            .with("AWS_ACCESS_KEY_ID", "AKIACANARY0000000000")
            .with("AWS_SECRET_ACCESS_KEY", AWS_SECRET)
            .with("AWS_REGION", "us-east-1")
            .with("AWS_EC2_METADATA_DISABLED", "true")
    }

    /// Configures it for a GitHub, as Actions does for a step.
    #[must_use]
    pub fn on_github(self, web: &str, api: &str, repository: &str) -> Self {
        self.with("GITHUB_SERVER_URL", web)
            .with("GITHUB_API_URL", api)
            .with("GITHUB_REPOSITORY", repository)
            .with("REPO_TOKEN", TOKEN)
    }

    /// The home.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Returns the directory of the local provider's machines.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.home().join("state/cml-runner")
    }

    /// Processes of this home that still run: machines, supervisors, runners, jobs.
    #[must_use]
    pub fn processes(&self) -> Vec<processes::Process> {
        processes::all().into_iter().filter(|process| process.belongs_to(self.home())).collect()
    }

    /// Waits until no process of this home runs.
    pub async fn until_quiet(&self, limit: Duration) {
        let names = || -> Vec<String> {
            self.processes().iter().map(|process| process.arguments.join(" ")).collect()
        };
        let started = Instant::now();
        while !names().is_empty() {
            assert!(started.elapsed() < limit, "still running after {limit:?}: {:#?}", names());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until nothing of this home runs but the command with this word in its arguments.
    pub async fn until_only_this_is_left(&self, word: &str, limit: Duration) {
        let others =
            || self.processes().into_iter().filter(|it| !it.arguments.iter().any(|one| one == word)).count();
        wait::until_true("the machines are gone", limit, async || others() == 0).await;
    }

    /// Starts a command of the binary.
    #[must_use]
    pub fn start(&self, arguments: &[&str]) -> Running {
        self.start_program(paths::cml_runner().as_os_str(), arguments)
    }

    /// Runs another program as this user to its end.
    pub async fn run_program(&self, program: &str, arguments: &[&str]) -> Ran {
        self.start_program(program.as_ref(), arguments).finish().await
    }

    /// Starts another program as this user.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start_program(&self, program: &OsStr, arguments: &[&str]) -> Running {
        let mut child = tokio::process::Command::new(program)
            .args(arguments)
            .current_dir(self.home())
            .env_clear()
            .envs(&self.env)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        let stdout = Said::collect(child.stdout.take().expect("piped"));
        let stderr = Said::collect(child.stderr.take().expect("piped"));
        Running { child, stdout, stderr, started: Instant::now(), what: arguments.join(" ") }
    }

    /// Runs a command to its end.
    pub async fn run(&self, arguments: &[&str]) -> Ran {
        self.start(arguments).finish().await
    }
}

impl Default for Runner {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let home = self.home.path().to_owned();
        processes::end_all(|process| process.belongs_to(&home));
    }
}

/// Output of one stream so far.
#[derive(Clone)]
struct Said {
    text: Arc<Mutex<Vec<u8>>>,
    ended: tokio::sync::watch::Receiver<bool>,
}

impl Said {
    fn collect(mut from: impl AsyncReadExt + Unpin + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let (end, ended) = tokio::sync::watch::channel(false);
        let into = Arc::clone(&text);
        tokio::spawn(async move {
            let mut buffer = [0; 8192];
            while let Ok(length @ 1..) = from.read(&mut buffer).await {
                into.lock().expect("never poisoned").extend_from_slice(&buffer[..length]);
            }
            // Without a waiting task this is no failure.
            let _ = end.send(true);
        });
        Self { text, ended }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().expect("never poisoned")).into_owned()
    }
}

/// A running command. Killed when dropped.
pub struct Running {
    child: Child,
    stdout: Said,
    stderr: Said,
    started: Instant,
    what: String,
}

impl Running {
    /// Its process id, while it lives.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        if let Some(id) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
            processes::signal(id, signal);
        }
    }

    /// Returns its stderr so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits until it has written this to stderr.
    pub async fn until_it_says(&self, text: &str) {
        let what = format!("`{}` to say {text:?}; it said {}", self.what, self.stderr());
        wait::until_true(&what, LIMIT, async || self.stderr().contains(text)).await;
    }

    /// Returns true once it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// Waits for its end; kills it after a minute.
    pub async fn finish(self) -> Ran {
        self.finish_within(LIMIT).await
    }

    /// Waits for its end; kills it after `limit`.
    pub async fn finish_within(mut self, limit: Duration) -> Ran {
        let status = tokio::time::timeout(limit, self.child.wait()).await;
        let took = self.started.elapsed();
        let Ok(status) = status else {
            self.signal(Signal::KILL);
            panic!(
                "`{}` took longer than {limit:?} and said {}{}",
                self.what,
                self.stdout.text(),
                self.stderr()
            );
        };
        // Its child processes may hold the streams open: the command itself has ended, and its output is read at once.
        for said in [&mut self.stdout, &mut self.stderr] {
            let _ = tokio::time::timeout(Duration::from_secs(2), said.ended.wait_for(|ended| *ended)).await;
        }
        let code = status.expect("it can be waited for").code();
        Ran { code, stdout: self.stdout.text(), stderr: self.stderr.text(), took }
    }
}
