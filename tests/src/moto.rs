//! The EC2 emulator (moto): its virtual environment, made once, and one server per test process.
//!
//! Every [`crate::front::Front`] gets an account of its own in the emulator, so tests never see each other's machines.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use crate::{paths, venv};

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
        let environment = venv::made("moto-venv", "requirements.txt");
        let python = environment.join("bin/python");
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
            // If either end is gone, the receiver reports it.
            let _ = BufReader::new(out).read_line(&mut line);
            let _ = send.send(line);
        });
        let line = receive.recv_timeout(START_LIMIT).unwrap_or_default();
        let port = line.trim().parse().unwrap_or_else(|_| {
            panic!(
                "the EC2 emulator said {line:?} instead of its port; remove {} to have it installed anew",
                environment.display()
            )
        });
        let alive = child.stdin.take();
        Self { port, python, _child: child, _alive: alive }
    }
}
