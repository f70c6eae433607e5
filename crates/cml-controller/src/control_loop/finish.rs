//! Cleanup: calls under way when the process is asked to stop, and launch templates that are not needed any more.

use std::collections::BTreeSet;

use cml_cloud::{Cloud, LaunchId};
use cml_journal::{Journal, JournalError};
use futures_util::stream::StreamExt;
use tokio::time::Instant;

use super::{InFlight, LoopState, STOP_WITHIN};
use crate::executor::Executor;
use crate::forge::Forge;
use crate::reconcile::Reconciler;

impl LoopState<'_> {
    /// Waits for the calls under way. Launches for which the cloud was not called yet are undone; the others' outcomes are
    /// recorded. So after a restart no job waits for a machine that was never asked for.
    pub(super) async fn finish<'h, C: Cloud, F: Forge, J: Journal>(
        &mut self,
        mut flights: InFlight<'h>,
        executor: &'h Executor<'_, C, F>,
        reconciler: &mut Reconciler<J>,
    ) -> Result<(), JournalError> {
        let until = Instant::now() + STOP_WITHIN;
        loop {
            if flights.is_empty() {
                self.tidy_read(executor, reconciler, &flights);
            }
            match tokio::time::timeout_at(until, flights.next()).await {
                Ok(Some(done)) => {
                    self.on_completion(done, executor, reconciler, &flights)?;
                }
                Ok(None) => break,
                Err(_) => {
                    tracing::warn!(
                        calls = flights.len(),
                        "calls under way did not end in time; the next start finds what they have made"
                    );
                    break;
                }
            }
        }
        Ok(())
    }

    /// Removes the launch templates of machines that have read them: their runners have been online, or they are gone.
    pub(super) fn tidy_read<'h, C: Cloud, F: Forge, J: Journal>(
        &mut self,
        executor: &'h Executor<'_, C, F>,
        reconciler: &Reconciler<J>,
        flights: &InFlight<'h>,
    ) {
        if self.pending_cleanup.is_empty() {
            return;
        }
        let launches = reconciler.state().launches();
        let unread: BTreeSet<LaunchId> =
            launches.iter().filter(|record| record.online_at.is_none()).map(|record| record.id).collect();
        let read: Vec<LaunchId> =
            self.pending_cleanup.keys().copied().filter(|it| !unread.contains(it)).collect();
        for launch in read {
            if let Some(request) = self.pending_cleanup.remove(&launch) {
                flights.push(Box::pin(executor.clean_up(request)));
            }
        }
    }
}
