//! What reaches a controller from outside between its looks: jobs that were heard of, and another configuration.

use std::sync::{Arc, Mutex, PoisonError};

use cml_planner::Job;
use cml_spec::{Budget, Spec};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::executor::MachineTemplates;

/// What is wanted, and what the machines of it are made of.
#[derive(Clone, Debug, Default)]
pub struct DesiredState {
    /// The specs.
    pub specs: Vec<Spec>,
    /// Budgets of repositories and persons.
    pub budgets: Vec<Budget>,
    /// Recipes by the names of the specs.
    pub templates: Arc<MachineTemplates>,
}

/// What was heard and not taken in yet.
#[derive(Debug, Default)]
pub struct Mailbox {
    jobs: Mutex<Vec<(Job, Instant)>>,
    wanted: Mutex<Option<DesiredState>>,
    bell: Notify,
}

impl Mailbox {
    /// Tells of a job as it was when it was heard of.
    pub fn send_job(&self, job: Job, heard_at: Instant) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).push((job, heard_at));
        self.bell.notify_one();
    }

    /// Other specs from now on. Machines of specs that are gone are let go when they are idle.
    pub fn set_desired(&self, wanted: DesiredState) {
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = Some(wanted);
        self.bell.notify_one();
    }

    /// Waits until there is something new.
    pub(crate) async fn changed(&self) {
        self.bell.notified().await;
    }

    /// What was told since the last time.
    pub fn take_jobs(&self) -> Vec<(Job, Instant)> {
        std::mem::take(&mut *self.jobs.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn take_desired(&self) -> Option<DesiredState> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
