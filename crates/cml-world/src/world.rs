//! All state of the simulated GitHub: one value behind one lock, changed by plain functions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{mpsc, watch};

use crate::actions::{Job, Run};
use crate::api::app::InstallationToken;
use crate::api::checks::{CheckRun, Status};
use crate::api::comments::Comment;
use crate::api::pulls::Pull;
use crate::exchange::{Exchange, Fault};
use crate::objects::Git;
use crate::settings::SimSettings;
use crate::shift::Shift;
use crate::webhook::{Delivery, Parcel};

/// Scope in which a runner is registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Repository,
    Organization,
    Enterprise,
}

/// A registered runner.
pub(crate) struct Runner {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) scope: Scope,
    pub(crate) group: u64,
    pub(crate) labels: Vec<Label>,
    pub(crate) ephemeral: bool,
    /// The secret with which the runner program authenticates.
    pub(crate) secret: String,
    /// Whether the runner program has opened a session and not closed it.
    pub(crate) session: bool,
    /// Requests of the runner program that are open right now.
    pub(crate) connections: u32,
    /// When it was last connected.
    pub(crate) seen: Timestamp,
    /// The job that it was offered or that it runs.
    pub(crate) job: Option<u64>,
}

/// A label of a runner.
#[derive(Clone)]
pub(crate) struct Label {
    pub(crate) id: u64,
    pub(crate) name: String,
    /// Set by a person, not by the runner program.
    pub(crate) custom: bool,
}

impl Runner {
    pub(crate) fn is_online(&self, now: Timestamp, offline_after: SignedDuration) -> bool {
        self.session && (self.connections > 0 || now.duration_since(self.seen) < offline_after)
    }

    /// Returns whether the labels match. GitHub ignores case; a runner needs all the labels that a job asks for. A job
    /// that asks for none is for one of GitHub's own machines, or for a group.
    pub(crate) fn has_labels(&self, wanted: &[String]) -> bool {
        !wanted.is_empty()
            && wanted.iter().all(|label| self.labels.iter().any(|own| own.name.eq_ignore_ascii_case(label)))
    }
}

/// The state.
pub(crate) struct World {
    pub(crate) settings: SimSettings,
    /// `http://127.0.0.1:PORT`
    pub(crate) web: String,
    last_id: u64,
    /// Issues and pull requests are counted together.
    last_number: u64,
    pub(crate) runners: BTreeMap<u64, Runner>,
    /// Registration and removal tokens, with their scope and expiry.
    pub(crate) registrations: BTreeMap<String, (Scope, Timestamp)>,
    pub(crate) runs: BTreeMap<u64, Run>,
    pub(crate) jobs: BTreeMap<u64, Job>,
    pub(crate) comments: BTreeMap<u64, Comment>,
    pub(crate) checks: BTreeMap<u64, CheckRun>,
    pub(crate) statuses: BTreeMap<u64, Status>,
    pub(crate) pulls: BTreeMap<u64, Pull>,
    /// Issues that are no pull requests.
    pub(crate) issues: BTreeSet<u64>,
    pub(crate) git: Git,
    pub(crate) installation_tokens: BTreeMap<String, InstallationToken>,
    /// Requests per token in its current hour, and when that hour ends.
    pub(crate) spent: BTreeMap<String, (u32, Timestamp)>,
    pub(crate) deliveries: BTreeMap<u64, Delivery>,
    pub(crate) exchanges: Vec<Exchange>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) shifts: Vec<Shift>,
    parcels: mpsc::UnboundedSender<Parcel>,
    changes: watch::Sender<u64>,
}

impl World {
    pub(crate) fn new(
        settings: SimSettings,
        web: String,
        now: Timestamp,
        parcels: mpsc::UnboundedSender<Parcel>,
    ) -> Self {
        Self {
            settings,
            web,
            last_id: 1000,
            last_number: 0,
            runners: BTreeMap::new(),
            registrations: BTreeMap::new(),
            runs: BTreeMap::new(),
            jobs: BTreeMap::new(),
            comments: BTreeMap::new(),
            checks: BTreeMap::new(),
            statuses: BTreeMap::new(),
            pulls: BTreeMap::new(),
            issues: BTreeSet::new(),
            git: Git::new(now),
            installation_tokens: BTreeMap::new(),
            spent: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            exchanges: Vec::new(),
            faults: Vec::new(),
            shifts: Vec::new(),
            parcels,
            changes: watch::Sender::new(0),
        }
    }

    /// Returns an unused id.
    pub(crate) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Returns the number of the next issue or pull request.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Returns whether this reference is a branch that takes changes from pull requests only.
    pub(crate) fn is_protected(&self, reference: &str) -> bool {
        reference
            .strip_prefix("refs/heads/")
            .is_some_and(|branch| self.settings.protected.iter().any(|name| name == branch))
    }

    /// `acme/vision`
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.settings.owner, self.settings.repo)
    }

    pub(crate) fn api(&self) -> String {
        format!("{}/api/v3", self.web)
    }

    pub(crate) fn repo_api(&self) -> String {
        format!("{}/repos/{}", self.api(), self.full_name())
    }

    pub(crate) fn repo_web(&self) -> String {
        format!("{}/{}", self.web, self.full_name())
    }

    /// Returns the scope as people write it.
    pub(crate) fn scope_name(&self, scope: Scope) -> String {
        match scope {
            Scope::Repository => self.full_name(),
            Scope::Organization => self.settings.owner.clone(),
            Scope::Enterprise => format!("enterprises/{}", self.settings.enterprise),
        }
    }

    /// Returns the runner groups: id and name.
    pub(crate) fn groups(&self) -> Vec<(u64, String)> {
        let names = std::iter::once("Default").chain(self.settings.runner_groups.iter().map(String::as_str));
        (1..).zip(names.map(str::to_owned)).collect()
    }

    /// Wakes all tasks that wait for a change.
    pub(crate) fn changed(&self) {
        self.changes.send_modify(|version| *version += 1);
    }

    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Passes a webhook to the task that sends it.
    pub(crate) fn send(&self, parcel: Parcel) {
        if self.parcels.send(parcel).is_err() {
            tracing::debug!("a webhook is not sent: the simulation ends");
        }
    }
}

/// The state, shared by the server's connections, its tasks and the handle.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<World>>);

impl Shared {
    pub(crate) fn new(world: World) -> Self {
        Self(Arc::new(Mutex::new(world)))
    }

    /// Locks the state. The lock is never held across an await. A panic elsewhere does not poison the state.
    pub(crate) fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns a limit of the settings as the clock's kind of duration.
pub(crate) fn signed(limit: std::time::Duration) -> SignedDuration {
    SignedDuration::try_from(limit).unwrap_or(SignedDuration::MAX)
}
