//! The mailbox: what reaches a controller between its observations, which are jobs and a new configuration.

use std::sync::{Arc, Mutex, PoisonError};

use cml_planner::Job;
use cml_spec::{Budget, Spec};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::executor::MachineTemplates;

/// The desired state: specs, budgets and machine templates.
#[derive(Clone, Debug, Default)]
pub struct DesiredState {
    /// The specs.
    pub specs: Vec<Spec>,
    /// Budgets of repositories and people.
    pub budgets: Vec<Budget>,
    /// Machine templates by the names of the specs.
    pub templates: Arc<MachineTemplates>,
}

/// Jobs and a configuration that the control loop has not read yet.
#[derive(Debug, Default)]
pub struct Mailbox {
    jobs: Mutex<Vec<(Job, Instant)>>,
    wanted: Mutex<Option<DesiredState>>,
    bell: Notify,
}

impl Mailbox {
    /// Puts in a job, as it was at `heard_at`.
    pub fn send_job(&self, job: Job, heard_at: Instant) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).push((job, heard_at));
        self.bell.notify_one();
    }

    /// Replaces the desired state. Machines of removed specs are terminated when they are idle.
    pub fn set_desired(&self, wanted: DesiredState) {
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = Some(wanted);
        self.bell.notify_one();
    }

    /// Waits until there is something new.
    pub(crate) async fn changed(&self) {
        self.bell.notified().await;
    }

    /// Takes the jobs that have come since the last time.
    pub fn take_jobs(&self) -> Vec<(Job, Instant)> {
        std::mem::take(&mut *self.jobs.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn take_desired(&self) -> Option<DesiredState> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
