//! SIGINT and SIGTERM: the first requests to undo and exit, the second exits at once and prints what may be left.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::{CliError, ExitCode};

/// What may be left when a second signal ends the process; empty at first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Left(Arc<Mutex<Vec<String>>>);

impl Left {
    /// Sets what may be left from now on, each with the command that ends it.
    pub(crate) fn may_be(&self, what: Vec<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    /// Returns the message of a second signal.
    fn told(&self) -> String {
        let mut text = "interrupted again: leaving at once\n".to_owned();
        for what in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            text.push_str(&format!("  may be left behind: {what}\n"));
        }
        text
    }
}

/// Returns a token that is cancelled by the first signal. A second one ends the process: what is left then ends itself.
///
/// # Errors
/// When the signal handlers cannot be installed.
pub(crate) fn stop_token(left: Left) -> Result<CancellationToken, CliError> {
    let listen = |kind| {
        signal(kind)
            .map_err(|error| CliError::new(ExitCode::Failed, format!("cannot listen for signals: {error}")))
    };
    let token = CancellationToken::new();
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let cancelled = token.clone();
    tokio::spawn(async move {
        for count in 1.. {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if count > 1 {
                drop(std::io::stderr().write_all(left.told().as_bytes()));
                std::process::exit(ExitCode::Interrupted as i32);
            }
            cancelled.cancel();
        }
    });
    Ok(token)
}
