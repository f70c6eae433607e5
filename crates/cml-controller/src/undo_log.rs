//! The undo log: removes what a failed or interrupted launch has made.

use cml_cloud::{Cloud, Instance, InstanceFilter, InstanceId, LaunchRequest};
use cml_github::Removal;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

use crate::forge::Forge;

/// How long to search for a machine that an unanswered launch call may have made. EC2's describes lag by seconds.
const LOOK_FOR_UNKNOWN: Duration = Duration::from_secs(20);
/// Time between two requests.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Tries to terminate one machine before it is left to its own deadline.
const TERMINATE_TRIES: u32 = 4;

/// What a launch has made so far.
#[derive(Debug, Default)]
pub(crate) struct UndoLog {
    /// The runner's registration.
    pub(crate) runner: Option<RegisteredRunner>,
    /// The launch call that may have left a launch template.
    pub(crate) request: Option<LaunchRequest>,
    /// The machine, with its region.
    pub(crate) instance: Option<(String, InstanceId)>,
    /// Whether a launch call was made whose outcome is not known.
    pub(crate) unknown: bool,
}

/// How the registration is found again.
#[derive(Debug, Clone)]
pub(crate) enum RegisteredRunner {
    /// By id (JIT).
    Id(u64),
    /// By name (registered by the machine itself).
    Name(String),
    /// By name: GitHub may have registered it, but its answer was lost. No machine can connect with it, so a runner of this
    /// name that is online belongs to another process.
    Unanswered(String),
}

impl UndoLog {
    /// Returns true when there is nothing to remove.
    pub(crate) fn is_empty(&self) -> bool {
        self.runner.is_none() && self.request.is_none() && self.instance.is_none()
    }

    /// Removes everything; returns what could not be removed.
    pub(crate) async fn undo<C: Cloud, F: Forge>(mut self, cloud: &C, forge: &F) -> Vec<String> {
        let mut left = Vec::new();
        if let Some(runner) = &self.runner {
            match remove_runner(forge, runner).await {
                // It took a job in the meantime: a busy machine is not terminated (L3).
                Ok(Removal::Busy) => {
                    left.push(
                        "the runner is busy with a job: its machine ends after it, at the latest at its deadline"
                            .to_owned(),
                    );
                    self.clean_up(cloud, &mut left).await;
                    return left;
                }
                Ok(Removal::Removed | Removal::AlreadyGone) => {}
                Err(error) => {
                    left.push(format!("the runner's registration ({error}); GitHub forgets it by itself"));
                }
            }
        }
        if self.instance.is_none() && self.unknown {
            // An interrupt asks for the undo, so it does not interrupt it.
            let found = self.find_unknown(cloud, &CancellationToken::new()).await;
            self.instance = found.map(|instance| (instance.region, instance.id));
        }
        if let Some((region, id)) = &self.instance
            && let Err(error) = terminate(cloud, region, id).await
        {
            left.push(format!(
                "instance {id} in {region} ({error}); it powers itself off at its boot timeout"
            ));
        }
        self.clean_up(cloud, &mut left).await;
        left
    }

    /// Removes the launch template in any case: a machine at work has read it long ago.
    async fn clean_up<C: Cloud>(&self, cloud: &C, left: &mut Vec<String>) {
        if let Some(request) = &self.request
            && let Err(error) = cloud.clean_up(request).await
        {
            left.push(format!(
                "the launch template of {} ({error}); `cml-runner reap` removes it",
                request.launch
            ));
        }
    }

    /// Returns the machine of a call whose outcome is not known, if it shows.
    pub(crate) async fn find_unknown<C: Cloud>(
        &self,
        cloud: &C,
        stop: &CancellationToken,
    ) -> Option<Instance> {
        let request = self.request.as_ref()?;
        let filter = InstanceFilter {
            regions: request.offers.first().map(|offer| offer.region.clone()).into_iter().collect(),
            launch: Some(request.launch),
            ..InstanceFilter::default()
        };
        let looks = LOOK_FOR_UNKNOWN.as_secs() / LOOK_EVERY.as_secs();
        for _ in 0..looks {
            if let Ok(found) = cloud.instances(&filter).await
                && let Some(instance) = found.found.into_iter().find(Instance::is_alive)
            {
                return Some(instance);
            }
            tokio::select! {
                () = stop.cancelled() => return None,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        None
    }
}

pub(crate) async fn remove_runner<F: Forge>(
    forge: &F,
    runner: &RegisteredRunner,
) -> Result<Removal, cml_github::GitHubError> {
    match runner {
        RegisteredRunner::Id(id) => forge.remove_runner(*id).await,
        RegisteredRunner::Name(name) => forge.remove_runner_by_name(name).await,
        RegisteredRunner::Unanswered(name) => match forge.runner_by_name(name).await? {
            Some(runner) if !runner.online => forge.remove_runner(runner.id).await,
            _ => Ok(Removal::AlreadyGone),
        },
    }
}

/// Terminates a machine, with retries: money depends on this call.
pub(crate) async fn terminate<C: Cloud>(
    cloud: &C,
    region: &str,
    id: &InstanceId,
) -> Result<(), cml_cloud::CloudError> {
    let mut pause = Duration::from_millis(500);
    let mut tries = 1;
    loop {
        match cloud.terminate(region, id).await {
            Err(error)
                if tries < TERMINATE_TRIES
                    && matches!(
                        error.kind,
                        cml_cloud::ErrorKind::Transient | cml_cloud::ErrorKind::Throttled
                    ) =>
            {
                tracing::debug!(%id, %error, "ending the instance failed, trying again");
                tokio::time::sleep(pause).await;
                pause *= 2;
                tries += 1;
            }
            result => return result,
        }
    }
}
