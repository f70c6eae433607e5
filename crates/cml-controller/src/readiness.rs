//! The wait from a launched machine to an online runner.

use std::time::Duration;

use cml_cloud::{Cloud, Instance, InstanceFilter, InstanceId, InstanceState, LaunchId};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::event::Event;
use crate::failure::Reason;
use crate::forge::Forge;
use crate::undo_log::RegisteredRunner;

/// First pause between two requests to GitHub; it grows to [`LOOK_MAX`].
const LOOK_FIRST: Duration = Duration::from_millis(250);
/// Longest pause between two requests: a machine takes a minute, and each request counts against the rate limit.
const LOOK_MAX: Duration = Duration::from_secs(4);
/// Time between two requests to the cloud whether the machine still lives.
const ASK_CLOUD_EVERY: Duration = Duration::from_secs(8);
/// How long after the machine's own boot timeout the wait gives up.
const BOOT_GRACE: Duration = Duration::from_secs(60);
/// Marks the console line that explains a machine's end.
const LAST_WORDS: &str = "last words:";

pub(crate) struct Wait<'a> {
    pub(crate) runner: &'a RegisteredRunner,
    pub(crate) launch: LaunchId,
    pub(crate) region: &'a str,
    pub(crate) instance: &'a InstanceId,
    pub(crate) boot_timeout: Duration,
}

/// Waits until GitHub shows the runner online (or gone again because it has done its job).
pub(crate) async fn until_online<C: Cloud, F: Forge>(
    wait: &Wait<'_>,
    cloud: &C,
    forge: &F,
    tell: &(dyn Fn(Event) + Sync),
    stop: &CancellationToken,
) -> Result<(), Reason> {
    let started = Instant::now();
    let limit = wait.boot_timeout + BOOT_GRACE;
    let mut asked_cloud = started;
    let mut pause = LOOK_FIRST;
    let mut seen = ReadinessState::default();
    loop {
        match runner_readiness(forge, wait.runner).await {
            Ok(RunnerReadiness::Online) => return Ok(()),
            // A JIT runner that has done its one job is gone from GitHub: the machine's console shows whether that is so.
            Ok(RunnerReadiness::Gone) if matches!(wait.runner, RegisteredRunner::Id(_)) => {
                let words = last_words(cloud, wait).await;
                if words.contains("cause=job_done") {
                    return Ok(());
                }
                if seen.missing_runner_looks >= 2 && seen.instance.as_ref().is_none_or(|it| !it.is_alive()) {
                    return Err(ended(seen.instance.as_ref(), words));
                }
                seen.missing_runner_looks += 1;
                asked_cloud = started - ASK_CLOUD_EVERY.min(started.elapsed());
            }
            Ok(RunnerReadiness::Gone | RunnerReadiness::Offline) => {}
            // The machine runs and costs money: an error of GitHub is no reason to give it up at once.
            Err(error) => tracing::debug!(%error, "could not look at the runner"),
        }
        if asked_cloud.elapsed() >= ASK_CLOUD_EVERY || seen.missing_runner_looks > 0 {
            asked_cloud = Instant::now();
            seen.instance = find(cloud, wait).await.or(seen.instance);
            if let Some(instance) = &seen.instance
                && matches!(
                    instance.state,
                    InstanceState::Terminated | InstanceState::Stopped | InstanceState::Stopping
                )
            {
                let words = last_words(cloud, wait).await;
                return if words.contains("cause=job_done") {
                    Ok(())
                } else {
                    Err(ended(Some(instance), words))
                };
            }
        }
        if started.elapsed() >= limit {
            return Err(Reason::NotOnline {
                waited_seconds: started.elapsed().as_secs(),
                last_words: last_words(cloud, wait).await,
            });
        }
        tell(Event::Waiting {
            seconds: started.elapsed().as_secs(),
            state: seen.instance.as_ref().map(|instance| instance.state),
        });
        tokio::select! {
            () = stop.cancelled() => return Err(Reason::Interrupted),
            () = tokio::time::sleep(pause) => pause = (pause * 3 / 2).min(LOOK_MAX),
        }
    }
}

#[derive(Default)]
struct ReadinessState {
    instance: Option<Instance>,
    missing_runner_looks: u32,
}

enum RunnerReadiness {
    Online,
    Offline,
    Gone,
}

async fn runner_readiness<F: Forge>(
    forge: &F,
    runner: &RegisteredRunner,
) -> Result<RunnerReadiness, cml_github::GitHubError> {
    let found = match runner {
        RegisteredRunner::Id(id) => forge.runner(*id).await?,
        RegisteredRunner::Name(name) | RegisteredRunner::Unanswered(name) => {
            forge.runner_by_name(name).await?
        }
    };
    Ok(match found {
        Some(runner) if runner.online => RunnerReadiness::Online,
        Some(_) => RunnerReadiness::Offline,
        None => RunnerReadiness::Gone,
    })
}

async fn find<C: Cloud>(cloud: &C, wait: &Wait<'_>) -> Option<Instance> {
    let filter = InstanceFilter {
        regions: vec![wait.region.to_owned()],
        launch: Some(wait.launch),
        ..InstanceFilter::default()
    };
    match cloud.instances(&filter).await {
        Ok(found) => found.found.into_iter().find(|instance| instance.id == *wait.instance),
        Err(error) => {
            tracing::debug!(%error, "could not look at the instance");
            None
        }
    }
}

fn ended(instance: Option<&Instance>, last_words: String) -> Reason {
    let ended = instance
        .map(|it| it.ended_because.clone().unwrap_or_else(|| it.state.to_string()))
        .unwrap_or_else(|| "it is not there any more".to_owned());
    Reason::MachineEnded { ended, last_words }
}

/// Returns the machine's own explanation, or the last line on its console.
async fn last_words<C: Cloud>(cloud: &C, wait: &Wait<'_>) -> String {
    match cloud.console(wait.region, wait.instance).await {
        Ok(console) => explain(&console),
        Err(error) => format!("(its console could not be read: {error})"),
    }
}

fn explain(console: &str) -> String {
    let lines = || console.lines().map(str::trim).filter(|line| !line.is_empty());
    match lines().rfind(|line| line.contains(LAST_WORDS)).or_else(|| lines().next_back()) {
        Some(line) => match line.split_once(LAST_WORDS) {
            Some((_, words)) => words.trim().to_owned(),
            None => line.to_owned(),
        },
        None => "(its console is empty)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::explain;

    #[test]
    fn last_words_win_over_the_last_line() {
        let console = "boot\ncml-runner: last words: stage=download cause=checksum status=1\nPower down\n";
        assert_eq!(explain(console), "stage=download cause=checksum status=1");
        assert_eq!(explain("boot\nkernel panic\n\n"), "kernel panic");
        assert_eq!(explain(""), "(its console is empty)");
    }
}
