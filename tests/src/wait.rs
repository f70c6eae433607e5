//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

/// Interval between checks of a condition.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Waits until `look` returns a value.
///
/// # Panics
/// After `limit`, with `what` it waited for.
pub async fn until<T>(what: &str, limit: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(started.elapsed() < limit, "waited {limit:?} in vain: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Waits until `holds` is true.
///
/// # Panics
/// As [`until`].
pub async fn until_true(what: &str, limit: Duration, mut holds: impl AsyncFnMut() -> bool) {
    until(what, limit, async || holds().await.then_some(())).await;
}
