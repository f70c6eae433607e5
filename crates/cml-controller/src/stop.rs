//! Terminates one machine on request.

use cml_cloud::{ByRegion, Cloud, CloudError, Instance, InstanceFilter};
use cml_github::{GitHub, GitHubError, Removal};

use crate::undo_log::terminate;

/// A launch id, an instance id or a runner's name.
#[derive(Clone, Debug)]
pub struct Target(pub String);

/// The result of a stop.
#[derive(Clone, Debug)]
pub struct Stopped {
    /// The machine.
    pub instance: Instance,
    /// Whether GitHub still had its runner.
    pub runner_removed: bool,
}

/// Why the stop failed.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// No such machine.
    #[error("no running instance is called {0}")]
    NotFound(String),
    /// A job runs on it.
    #[error("the runner {0} is busy with a job")]
    Busy(String),
    /// The cloud failed.
    #[error("{0}")]
    Cloud(#[from] CloudError),
    /// GitHub failed, so it is not known whether a job runs on it.
    #[error("cannot tell whether a job runs on it: {0}")]
    GitHub(GitHubError),
}

/// Terminates the named machine and removes its registration; a busy one only with `force`.
///
/// Without `github` it is not known whether it is busy, and the registration stays: for a caller who has accepted that.
///
/// # Errors
/// [`StopError`]; the machine still runs then, except after [`StopError::Cloud`], where it may be terminating.
pub async fn stop<C: Cloud>(
    target: &Target,
    force: bool,
    filter: &InstanceFilter,
    cloud: &C,
    github: Option<&GitHub>,
) -> Result<Stopped, StopError> {
    let ByRegion { found, failed } = cloud.instances(filter).await?;
    let named = found.into_iter().find(|instance| instance.is_alive() && matches(target, instance));
    let instance = match (named, failed.into_iter().next()) {
        (Some(instance), _) => instance,
        // It may be in a region that did not answer.
        (None, Some(silent)) => return Err(StopError::Cloud(silent.error)),
        (None, None) => return Err(StopError::NotFound(target.0.clone())),
    };
    let mut runner_removed = false;
    if let (Some(name), Some(github)) = (&instance.runner_name, github) {
        match github.remove_runner_by_name(name).await {
            Ok(Removal::Busy) if !force => return Err(StopError::Busy(name.clone())),
            Ok(removal) => runner_removed = removal == Removal::Removed,
            Err(error) if !force => return Err(StopError::GitHub(error)),
            Err(error) => tracing::warn!(%error, "the runner's registration could not be removed"),
        }
    }
    terminate(cloud, &instance.region, &instance.id).await?;
    Ok(Stopped { instance, runner_removed })
}

fn matches(target: &Target, instance: &Instance) -> bool {
    let named = target.0.as_str();
    instance.id.0 == named
        || instance.runner_name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(named))
        || instance.launch.is_some_and(|launch| launch.to_string().eq_ignore_ascii_case(named))
}
