//! Releases: the archive that packaging/release.sh creates from the built binary, and a server for it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use tempfile::TempDir;

use crate::paths;

/// The version that everything of this tree carries.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A script of `packaging/`.
#[must_use]
pub fn script(name: &str) -> PathBuf {
    paths::tests_dir().join("../packaging").join(name)
}

/// Returns the output of a command, after success without any output on stderr.
///
/// # Panics
/// Otherwise.
#[must_use]
#[track_caller]
pub fn says(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{command:?}: {}\n{stderr}", output.status);
    String::from_utf8(output.stdout).expect("text")
}

/// True when the machine has this program.
#[must_use]
pub fn has(tool: &str) -> bool {
    let found = Command::new("sh").args(["-c", "command -v \"$0\" >/dev/null", tool]).status();
    found.is_ok_and(|status| status.success())
}

/// Copies the built binary, without debug information.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn stripped(dir: &Path) -> PathBuf {
    let binary = dir.join("cml-runner");
    std::fs::copy(paths::cml_runner(), &binary).expect("copied");
    if has("strip") {
        let _ = says(Command::new("strip").arg(&binary));
    }
    binary
}

/// The machine of this build, as archives spell it.
pub const MACHINE: &str = std::env::consts::ARCH;

/// Returns the target in the name of this machine's archive. (The C library is not under test.)
#[must_use]
pub fn target() -> String {
    format!("{MACHINE}-unknown-linux-musl")
}

/// Creates the archive of a binary and the sums, with little compression, and returns their names and bytes.
///
/// # Panics
/// When the script fails.
#[must_use]
pub fn archive(binary: &Path, dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let made =
        says(Command::new(script("release.sh")).arg(binary).arg(dir).arg(target()).env("RELEASE_GZIP", "-1"));
    assert_eq!(
        made.trim(),
        dir.join(format!("cml-runner-{VERSION}-{}.tar.gz", target())).display().to_string()
    );
    let entries = std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("a file"));
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().expect("a name");
            (name, std::fs::read(entry.path()).expect("read"))
        })
        .collect()
}

/// The release of the built program.
#[must_use]
pub fn of_the_program() -> &'static BTreeMap<String, Vec<u8>> {
    static MADE: OnceLock<BTreeMap<String, Vec<u8>>> = OnceLock::new();
    MADE.get_or_init(|| {
        let dir = TempDir::with_prefix("cml-e2e-release-").expect("a directory");
        archive(&stripped(dir.path()), &dir.path().join("dist"))
    })
}

/// A server of releases.
pub struct Shop {
    /// Its address, as `CML_RUNNER_RELEASES` takes it.
    pub url: String,
    kept: Arc<Kept>,
}

struct Kept {
    files: BTreeMap<String, Vec<u8>>,
    asked: Mutex<Vec<String>>,
}

impl Shop {
    /// Starts a server with these files, by their paths: `v1.2.3/SHA256SUMS`.
    ///
    /// # Panics
    /// When no port is available.
    pub async fn open(files: BTreeMap<String, Vec<u8>>) -> Self {
        let kept = Arc::new(Kept { files, asked: Mutex::default() });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().fallback(serve).with_state(Arc::clone(&kept));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, kept }
    }

    /// One with this release.
    pub async fn with(release: &BTreeMap<String, Vec<u8>>, version: &str) -> Self {
        let files = release.iter().map(|(name, bytes)| (format!("v{version}/{name}"), bytes.clone()));
        Self::open(files.collect()).await
    }

    /// Returns the requests so far.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.kept.asked.lock().expect("never poisoned").clone()
    }
}

async fn serve(State(kept): State<Arc<Kept>>, request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/').to_owned();
    let found = kept.files.get(&path).cloned();
    kept.asked.lock().expect("never poisoned").push(path);
    found.map_or_else(|| StatusCode::NOT_FOUND.into_response(), IntoResponse::into_response)
}
