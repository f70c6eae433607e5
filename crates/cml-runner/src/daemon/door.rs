//! The web server's needs from the system: an address, file descriptors, a token, and randomness.

use std::io::Read;
use std::net::SocketAddr;

use cml_daemon::{Access, PublicUrl};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use secrecy::SecretString;
use tokio::net::TcpListener;

use crate::args;
use crate::context;
use crate::exit::{CliError, ExitCode};

/// File descriptors that the process requests; systemd's default allows 1,024.
const DESCRIPTORS: u64 = 65_536;

/// Raises the limit of file descriptors if it is low, and returns it; `None`: no limit.
pub(super) fn more_descriptors() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(DESCRIPTORS, |most| most.min(DESCRIPTORS));
    let current = limit.current?;
    if current >= wanted {
        return Some(current);
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum }) {
        Ok(()) => Some(wanted),
        Err(error) => {
            tracing::warn!(%error, current, "the process may not open more files");
            Some(current)
        }
    }
}

/// Returns who may read the page.
pub(super) fn access(args: &args::Daemon) -> Result<Access, CliError> {
    let public = match &args.public_url {
        Some(text) => Some(PublicUrl::parse(text).ok_or_else(|| {
            CliError::new(ExitCode::Usage, format!("--public-url: {text:?} is not the address of a server"))
                .hint("such as https://runners.example.com")
        })?),
        None => None,
    };
    let mut key = [0; 32];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut key))
        .map_err(|error| CliError::new(ExitCode::Failed, format!("/dev/urandom cannot be read: {error}")))?;
    let token = context::env("CML_RUNNER_DAEMON_TOKEN").map(SecretString::from);
    Access::new(token, key, public).map_err(|error| {
        CliError::new(ExitCode::Usage, format!("CML_RUNNER_DAEMON_TOKEN protects nothing: {error}"))
            .hint("make one with `openssl rand -hex 32`")
    })
}

pub(super) async fn listen(address: SocketAddr, access: &Access) -> Result<TcpListener, CliError> {
    if !address.ip().is_loopback() && !access.is_protected() {
        let message =
            format!("--listen {address} can be reached from other machines, and nothing protects the page");
        return Err(CliError::new(ExitCode::Usage, message)
            .hint("set CML_RUNNER_DAEMON_TOKEN to a long random word, or listen on 127.0.0.1 behind a proxy of yours"));
    }
    TcpListener::bind(address).await.map_err(|error| {
        CliError::new(ExitCode::Failed, format!("cannot listen on {address}: {error}"))
            .hint("is another daemon running? choose another address with --listen")
    })
}
