//! What a webhook does not say is asked for: whether a run's code comes from a fork, and which event began it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cml_controller::News;
use cml_daemon::Heard;
use cml_fleet::JobState;
use cml_github::{GitHub, RunRecord};
use cml_spec::{Forks, Spec};
use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

use crate::actions::now;

/// Runs that are remembered, the latest ones: their ids grow.
const RUNS_MAX: usize = 2000;

/// Between two questions after webhooks that were lost.
const LOST_EVERY: Duration = Duration::from_secs(300);

/// Has GitHub deliver again what we did not take, for as long as the process lives. The poll finds jobs that wait all the same;
/// this is how it is learned who ran what, and for how long.
pub(crate) async fn find_lost(github: Arc<GitHub>) {
    loop {
        tokio::time::sleep(LOST_EVERY).await;
        match github.redeliver_failed(now()).await {
            Ok(0) => {}
            Ok(asked) => tracing::info!(asked, "GitHub was asked to deliver lost webhooks again"),
            Err(error) => tracing::warn!(%error, "GitHub cannot say which webhooks were lost"),
        }
    }
}

/// Completes what is heard and tells the controller. A job of which GitHub cannot say where its code comes from is not told:
/// the poll tells it, with everything that is known.
pub(crate) async fn complete_all(
    github: Arc<GitHub>,
    news: Arc<News>,
    specs: watch::Receiver<Vec<Spec>>,
    mut heard: UnboundedReceiver<(Heard, Timestamp)>,
) {
    let mut runs: BTreeMap<u64, RunRecord> = BTreeMap::new();
    while let Some((mut one, at)) = heard.recv().await {
        // Only what wants a machine is judged; what began or ended is known to have been judged.
        let is_judged = one.job.state == JobState::Queued
            && (one.may_be_fork && specs.borrow().iter().any(|spec| spec.allow.forks == Forks::Never)
                || specs.borrow().iter().any(|spec| !spec.allow.events.is_empty()));
        if is_judged && !runs.contains_key(&one.job.run_id) {
            match github.run(&one.job.repository, one.job.run_id).await {
                Ok(Some(run)) => {
                    runs.insert(run.id, run);
                    if runs.len() > RUNS_MAX {
                        runs.pop_first();
                    }
                }
                Ok(None) => continue,
                Err(error) => {
                    tracing::warn!(%error, job = one.job.id.0, "a job that was heard of waits for the next poll");
                    continue;
                }
            }
        }
        if let Some(run) = runs.get(&one.job.run_id) {
            let head = run.head_repository.as_ref();
            one.job.from_fork = head.is_some_and(|head| !head.eq_ignore_ascii_case(&run.repository));
            one.job.event.clone_from(&run.event);
            one.job.actor.clone_from(&run.actor);
        }
        tracing::info!(job = one.job.id.0, repository = one.job.repository, state = ?one.job.state, "heard of a job");
        news.tell(one.job, at);
    }
}
