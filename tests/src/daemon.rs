//! A `cml-runner daemon` of one test: its configuration, its address, its process.

use std::net::TcpListener;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use rustix::process::Signal;
use serde_json::Value;
use sha2::Sha256;

use crate::runner::{Ran, Runner, Running};
use crate::wait;

/// Time limit from its start to its first observation.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// The secret with which GitHub signs webhooks here.
pub const WEBHOOK_SECRET: &str = "canary-webhook-secret-6f1b";

/// Returns a port that is free now. Another process may take it before it is used; tests tolerate a start that fails.
///
/// # Panics
/// When loopback has no port left.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("it has an address").port()
}

/// A running daemon; killed when dropped.
pub struct Daemon {
    running: Running,
    url: String,
    client: reqwest::Client,
}

impl Daemon {
    /// Writes the configuration next to the user's home and starts a daemon on the port.
    ///
    /// # Panics
    /// When the configuration cannot be written.
    #[must_use]
    pub fn start(user: &Runner, config: &str, port: u16, more: &[&str]) -> Self {
        let path = user.home().join("cml.yaml");
        std::fs::write(&path, config).expect("the configuration is written");
        Self::start_again(user, port, more)
    }

    /// Starts a daemon with the existing configuration.
    ///
    /// # Panics
    /// When no HTTP client can be made.
    #[must_use]
    pub fn start_again(user: &Runner, port: u16, more: &[&str]) -> Self {
        let address = format!("127.0.0.1:{port}");
        let mut arguments = vec!["daemon", "--listen", &address];
        arguments.extend(more);
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build();
        Self {
            running: user.start(&arguments),
            url: format!("http://{address}"),
            client: client.expect("a client"),
        }
    }

    /// Starts a daemon through another program, which must replace itself with it.
    ///
    /// # Panics
    /// When no HTTP client can be made.
    #[must_use]
    pub fn start_by(user: &Runner, port: u16, program: &str, arguments: &[&str]) -> Self {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build();
        Self {
            running: user.start_program(program.as_ref(), arguments),
            url: format!("http://127.0.0.1:{port}"),
            client: client.expect("a client"),
        }
    }

    /// Returns an address of it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Returns status and body of a GET; `None` while it does not answer.
    pub async fn get(&self, path: &str) -> Option<(u16, String)> {
        let answer = self.client.get(self.url(path)).send().await.ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.text().await.ok()?))
    }

    /// Returns the API's answer.
    ///
    /// # Panics
    /// When it does not answer with JSON.
    pub async fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await.expect("the daemon answers");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("is JSON")
    }

    /// Waits for its first observation.
    pub async fn until_ready(&mut self) {
        let started = std::time::Instant::now();
        while self.get("/readyz").await.is_none_or(|(status, _)| status != 200) {
            assert!(!self.running.has_ended(), "it has ended: {}", self.running.stderr());
            assert!(started.elapsed() < READY_WITHIN, "not ready: {}", self.running.stderr());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until this holds for the API's answer under a path.
    pub async fn until(&self, path: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        wait::until(what, Duration::from_secs(60), async || {
            Some(self.json(path).await).filter(|value| is_so(value))
        })
        .await
    }

    /// Returns its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.running.stderr()
    }

    /// Returns its resident memory, KiB.
    ///
    /// # Panics
    /// When it has ended.
    #[must_use]
    pub fn resident_kib(&self) -> u64 {
        let id = self.running.id().expect("it lives");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("it lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("has memory");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Returns its process.
    #[must_use]
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// Stops it, and waits for its end.
    pub async fn end(self) -> Ran {
        self.running.signal(Signal::TERM);
        self.running.finish().await
    }

    /// Kills it, whatever it is doing.
    pub async fn kill(self) -> Ran {
        self.running.signal(Signal::KILL);
        self.running.finish().await
    }
}

/// Returns `X-Hub-Signature-256` of a body, by [`WEBHOOK_SECRET`].
///
/// # Panics
/// Never: every secret is a key.
#[must_use]
pub fn signature(body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(WEBHOOK_SECRET.as_bytes()).expect("every secret is a key");
    mac.update(body.as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}
