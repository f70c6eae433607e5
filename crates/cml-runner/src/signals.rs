//! SIGINT and SIGTERM: the first asks to undo and leave, the second leaves at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::Code;

/// A token that is cancelled by the first signal. A second one ends the process: what is left then ends itself.
pub(crate) fn stop_token() -> std::io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let cancelled = token.clone();
    tokio::spawn(async move {
        for count in 1.. {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if count > 1 {
                std::process::exit(Code::Interrupted as i32);
            }
            cancelled.cancel();
        }
    });
    Ok(token)
}
