//! The handle: starts the simulated GitHub, queues work, reads its state.

mod repository;
mod strangers;

use std::io;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::actions::queue;
use crate::actions::verbatim::Verbatim;
use crate::actions::workflow::{Workflow, WorkflowError};
use crate::exchange::{Exchange, Fault};
use crate::settings::SimSettings;
use crate::shift::Shift;
use crate::views::{JobView, RunId, RunView, RunnerView};
use crate::world::{Shared, World, signed};
use crate::{clock, server, webhook};

/// Interval between checks of offers and silent jobs.
const SWEEP_EVERY: Duration = Duration::from_millis(250);

/// A simulated GitHub that listens on loopback until it is dropped.
pub struct SimGitHub {
    shared: Shared,
    web: String,
    tasks: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for SimGitHub {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("SimGitHub").field("web", &self.web).finish_non_exhaustive()
    }
}

impl SimGitHub {
    /// Starts a simulated GitHub.
    ///
    /// # Errors
    /// When it cannot listen on the address of the settings.
    pub async fn start(settings: SimSettings) -> io::Result<Self> {
        let listener = TcpListener::bind(settings.listen).await?;
        let web = format!("http://{}", listener.local_addr()?);
        let (parcels, on_their_way) = mpsc::unbounded_channel();
        let hook = settings.webhook.clone();
        let shared = Shared::new(World::new(settings, web.clone(), clock::now(), parcels));
        let serving = shared.clone();
        let sweeping = shared.clone();
        let tasks = vec![
            tokio::spawn(async move {
                server::serve(listener, serving).await;
            }),
            tokio::spawn(webhook::send_all(shared.clone(), hook, on_their_way)),
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(SWEEP_EVERY).await;
                    queue::sweep(&mut sweeping.lock(), clock::now());
                }
            }),
        ];
        Ok(Self { shared, web, tasks })
    }

    /// Returns the address of the web pages: `http://127.0.0.1:PORT`. A workflow's `GITHUB_SERVER_URL`.
    #[must_use]
    pub fn web_url(&self) -> String {
        self.web.clone()
    }

    /// Returns the address of the API: `http://127.0.0.1:PORT/api/v3`. A workflow's `GITHUB_API_URL`.
    #[must_use]
    pub fn api_url(&self) -> String {
        self.shared.lock().api()
    }

    /// Returns the address of the one repository: `http://127.0.0.1:PORT/acme/vision`.
    #[must_use]
    pub fn repo_url(&self) -> String {
        self.shared.lock().repo_web()
    }

    /// Starts a run of a workflow file. Jobs without unmet `needs` are queued when this returns.
    ///
    /// # Errors
    /// When the file uses something that cannot be run here; the message names job and step.
    pub fn queue_workflow(&self, yaml: &str) -> Result<RunId, WorkflowError> {
        let workflow = Workflow::read(yaml)?;
        Ok(RunId(queue::queue_run(&mut self.shared.lock(), workflow, clock::now())))
    }

    /// Starts a run of a workflow file that a program of the caller runs unmodified.
    ///
    /// # Errors
    /// When the file is not for the event, or its jobs' order uses something that is not supported here.
    pub fn queue_verbatim(&self, verbatim: &Verbatim) -> Result<RunId, WorkflowError> {
        let workflow = verbatim.workflow()?;
        let mut world = self.shared.lock();
        let origin = verbatim.origin(&world.full_name());
        Ok(RunId(queue::queue_run_of(&mut world, workflow, origin, clock::now())))
    }

    /// Returns all jobs of all attempts, oldest first. A job is listed once what it needs is done.
    #[must_use]
    pub fn jobs(&self) -> Vec<JobView> {
        self.shared.lock().jobs.values().map(crate::actions::Job::view).collect()
    }

    /// Returns all runs, oldest first.
    #[must_use]
    pub fn runs(&self) -> Vec<RunView> {
        let world = self.shared.lock();
        world.runs.values().map(|run| run.view(world.jobs.values())).collect()
    }

    /// Returns all registered runners, of every scope.
    #[must_use]
    pub fn runners(&self) -> Vec<RunnerView> {
        let world = self.shared.lock();
        let offline_after = signed(world.settings.offline_after);
        let now = clock::now();
        let view = |runner: &crate::world::Runner| RunnerView {
            id: runner.id,
            name: runner.name.clone(),
            online: runner.is_online(now, offline_after),
            busy: runner.job.is_some(),
            labels: runner.labels.iter().map(|label| label.name.clone()).collect(),
            ephemeral: runner.ephemeral,
            scope: world.scope_name(runner.scope),
        };
        world.runners.values().map(view).collect()
    }

    /// Waits until a job is completed; `None` when it is not within `timeout`, or unknown.
    pub async fn wait_for_job(&self, id: u64, timeout: Duration) -> Option<JobView> {
        let find = |world: &World| {
            world.jobs.get(&id).filter(|job| job.conclusion().is_some()).map(crate::actions::Job::view)
        };
        self.wait_for(timeout, find).await
    }

    /// Waits until all jobs of a run's latest attempt are completed; `None` when they are not within `timeout`.
    pub async fn wait_for_run(&self, id: RunId, timeout: Duration) -> Option<RunView> {
        let find = |world: &World| {
            let view = world.runs.get(&id.0)?.view(world.jobs.values());
            (view.status == "completed").then_some(view)
        };
        self.wait_for(timeout, find).await
    }

    async fn wait_for<T>(&self, timeout: Duration, find: impl Fn(&World) -> Option<T>) -> Option<T> {
        let mut changes = self.shared.lock().watch();
        let found = async {
            loop {
                changes.mark_unchanged();
                if let Some(found) = find(&self.shared.lock()) {
                    return Some(found);
                }
                changes.changed().await.ok()?;
            }
        };
        tokio::time::timeout(timeout, found).await.ok().flatten()
    }

    /// Returns a job's log, as far as it has been sent.
    #[must_use]
    pub fn log(&self, job: u64) -> Option<String> {
        self.shared.lock().jobs.get(&job).map(|job| String::from_utf8_lossy(&job.log).into_owned())
    }

    /// Returns the content that a job wrote to `GITHUB_STEP_SUMMARY`.
    #[must_use]
    pub fn step_summary(&self, job: u64) -> Option<String> {
        self.shared.lock().jobs.get(&job).map(|job| String::from_utf8_lossy(&job.summary).into_owned())
    }

    /// Returns a file that a job put into `$RUNNER_ARTIFACTS`.
    #[must_use]
    pub fn artifact(&self, job: u64, name: &str) -> Option<Vec<u8>> {
        self.shared.lock().jobs.get(&job)?.artifacts.get(name).cloned()
    }

    /// Returns every exchange over the API so far, oldest first.
    #[must_use]
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.shared.lock().exchanges.clone()
    }

    /// Makes the next matching requests fail.
    pub fn fail_next(&self, fault: Fault) {
        self.shared.lock().faults.push(fault);
    }

    /// Makes a list change between two of its pages.
    pub fn shift(&self, shift: Shift) {
        self.shared.lock().shifts.push(shift);
    }
}

impl Drop for SimGitHub {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
