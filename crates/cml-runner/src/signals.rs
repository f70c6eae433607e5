//! SIGINT and SIGTERM: the first asks to undo and leave, the second leaves at once and says what may stay.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::{CliError, ExitCode};

/// What may stay when a second signal ends the process; nothing to begin with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Left(Arc<Mutex<Vec<String>>>);

impl Left {
    /// From now on it may be these, each with what ends it.
    pub(crate) fn may_be(&self, what: Vec<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    /// The words of a second signal.
    fn told(&self) -> String {
        let mut text = "interrupted again: leaving at once\n".to_owned();
        for what in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            text.push_str(&format!("  may be left behind: {what}\n"));
        }
        text
    }
}

/// A token that is cancelled by the first signal. A second one ends the process: what is left then ends itself.
///
/// # Errors
/// When signals cannot be listened for.
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
