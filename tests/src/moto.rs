//! The EC2 emulator (moto): its virtual environment, made once, and one server per test process.
//!
//! Every [`crate::front::Front`] gets an account of its own in the emulator, so tests never see each other's machines.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use crate::paths;

/// Importing the emulator takes about two seconds on a quiet core.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running emulator. It ends when this process does: its standard input closes then.
pub struct Moto {
    port: u16,
    python: PathBuf,
    _child: Child,
    _alive: Option<ChildStdin>,
}

impl Moto {
    /// The emulator of this test process, started (and installed) on first use.
    ///
    /// # Panics
    /// When it cannot be installed or started, with the step that failed and what to do.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Moto> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The Python of the emulator's environment; AWS's own Python client is in it.
    #[must_use]
    pub fn python(&self) -> &Path {
        &self.python
    }

    fn start() -> Self {
        let python = install();
        let mut child = Command::new(&python)
            .arg(paths::tests_dir().join("support/moto_server.py"))
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_ACCESS_KEY_ID", "emulator")
            .env("AWS_SECRET_ACCESS_KEY", "emulator")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("the EC2 emulator does not start ({}): {error}", python.display())
            });
        let out = child.stdout.take().expect("piped");
        let (send, receive) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            // Either end gone: the receiver reports it.
            let _ = BufReader::new(out).read_line(&mut line);
            let _ = send.send(line);
        });
        let line = receive.recv_timeout(START_LIMIT).unwrap_or_default();
        let port = line.trim().parse().unwrap_or_else(|_| {
            panic!(
                "the EC2 emulator said {line:?} instead of its port; remove {} to have it installed anew",
                venv_dir().display()
            )
        });
        let alive = child.stdin.take();
        Self { port, python, _child: child, _alive: alive }
    }
}

fn venv_dir() -> PathBuf {
    paths::target_dir().join("cml-e2e").join("moto-venv")
}

/// Makes the virtual environment unless it is there with the very requirements of this tree.
fn install() -> PathBuf {
    let venv = venv_dir();
    let parent = venv.parent().expect("has a parent");
    fs::create_dir_all(parent).unwrap_or_else(|error| panic!("cannot make {}: {error}", parent.display()));
    // Test processes run in parallel; the first installs, the others wait. The lock goes with the process.
    let lock = File::create(parent.join("moto-venv.lock")).expect("the lock file can be made");
    lock.lock().expect("the lock can be taken");
    let requirements = paths::tests_dir().join("requirements.txt");
    let wanted = fs::read_to_string(&requirements).expect("tests/requirements.txt is there");
    let mark = venv.join("installed-requirements.txt");
    let python = venv.join("bin/python");
    if fs::read_to_string(&mark).is_ok_and(|have| have == wanted) && python.exists() {
        return python;
    }
    tell(&format!("installing the EC2 emulator (moto) into {} once", venv.display()));
    if venv.exists() {
        fs::remove_dir_all(&venv).expect("the old environment can be removed");
    }
    step(
        Command::new("python3").args(["-m", "venv"]).arg(&venv),
        "python3 with its venv module is needed for the EC2 emulator; on Debian: apt-get install python3-venv",
    );
    step(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
            .arg(&requirements),
        "pip could not install the EC2 emulator; is the Python package index reachable?",
    );
    fs::write(&mark, wanted).expect("the environment can be marked");
    python
}

fn step(command: &mut Command, advice: &str) {
    let output = command.stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            panic!("{advice}\n{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr))
        }
        Err(error) => panic!("{advice}\n{command:?}: {error}"),
    }
}

#[allow(clippy::print_stderr, reason = "a test run that seems to hang must say what it is doing")]
fn tell(text: &str) {
    eprintln!("cml-e2e: {text}");
}
