//! Reloads of the configuration, on SIGHUP and when the file is written. An invalid file changes nothing.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use cml_spec::Config;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::CliError;
use crate::validate::read;

/// Interval at which the file is checked. Mounted configurations are replaced through links, without a notification.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Watches the file until cancelled; `take` is called with every new valid configuration.
pub(crate) async fn watch(
    path: PathBuf,
    stop: CancellationToken,
    take: impl Fn(Config),
) -> Result<(), CliError> {
    let mut hangup = signal(SignalKind::hangup()).map_err(|error| {
        CliError::new(crate::exit::ExitCode::Failed, format!("cannot listen for SIGHUP: {error}"))
    })?;
    let mut stamp = stamp_of(&path);
    loop {
        let asked = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = hangup.recv() => true,
            () = tokio::time::sleep(LOOK_EVERY) => false,
        };
        let new = stamp_of(&path);
        if !asked && new == stamp {
            continue;
        }
        stamp = new;
        match read(&path) {
            Ok(config) => take(config),
            Err(trouble) => tracing::error!("configuration not reloaded: {}", trouble.message),
        }
    }
}

/// Returns the attributes that change when a file is written or replaced.
fn stamp_of(path: &Path) -> Option<(SystemTime, u64)> {
    let meta = path.metadata().ok()?;
    Some((meta.modified().ok()?, meta.len()))
}
