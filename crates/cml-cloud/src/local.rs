//! The local provider: an instance is a supervised process tree on this machine, such as a lab's GPU box.
//!
//! Each instance is one directory, and each has a supervisor: this program again, as `supervise DIR`, which ends the
//! process tree at its deadline, on request, or when its script is done. The state is derived from the directory's
//! record, from the lock that a living supervisor holds, and from `/proc`: any process may read it, and any may end the
//! instance.
//!
//! Not allowed here: reliance on one process staying alive. Launcher and supervisor may be killed at any instruction.

#![allow(clippy::result_large_err, reason = "the trait's error type; none of this is a hot path")]

mod account;
mod cgroup;
mod directory;
mod end;
mod host;
mod lease;
mod processes;
mod record;
mod supervise;

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::error::{CloudError, ErrorKind};
use crate::types::{Instance, InstanceFilter, InstanceState, LaunchRequest, Launched, Offer, OfferQuery};
use crate::{ByRegion, Cloud, InstanceId, MayBuy};
use directory::{Directory, Root};
use record::Phase;
pub use supervise::{SuperviseError, supervise};

/// Name of the provider's only region and only instance type: this machine.
pub const LOCAL: &str = "local";
/// Polling interval of conditions.
const TICK: Duration = Duration::from_millis(50);
/// A supervisor takes some milliseconds to report; on a machine that swaps, seconds.
const START_WAIT: Duration = Duration::from_secs(20);
/// The supervisor waits 5 s for its processes to end by themselves, then kills them.
const END_WAIT: Duration = Duration::from_secs(25);
/// Parent directory of machines that run as users of their own; other users may pass through and see nothing.
const PLACES: &str = "/var/lib/cml-runner-machines";

/// Resource limits of one instance. Without them, it may use as much as the user that started it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory, bytes.
    pub memory_bytes: Option<u64>,
    /// Processes.
    pub processes: Option<u64>,
}

/// Location and supervisor of the instances.
#[derive(Clone, Debug)]
pub struct LocalSettings {
    /// The state directory; created when missing, readable by its owner only.
    pub root: PathBuf,
    /// Program that is started as `<supervisor> supervise <instance directory>`.
    pub supervisor: PathBuf,
    /// Resource limits of one instance.
    pub limits: Limits,
    /// Parent directory for the files of machines that run as users of their own.
    pub places: PathBuf,
}

impl LocalSettings {
    /// Creates settings without limits.
    #[must_use]
    pub fn new(root: PathBuf, supervisor: PathBuf) -> Self {
        Self { root, supervisor, limits: Limits::default(), places: PLACES.into() }
    }
}

/// This machine as a cloud.
#[derive(Clone, Debug)]
pub struct LocalCloud {
    settings: LocalSettings,
    root: Root,
}

impl LocalCloud {
    /// Creates the provider; no file is touched yet.
    #[must_use]
    pub fn new(settings: LocalSettings) -> Self {
        // The supervisor runs in another directory than its launcher.
        let root = std::path::absolute(&settings.root).unwrap_or_else(|_| settings.root.clone());
        Self { root: Root::new(root), settings }
    }

    async fn start(&self, directory: &Directory) -> Result<(), CloudError> {
        let doing = "starting a local instance";
        let failed = |error: &dyn std::fmt::Display| {
            CloudError::new(
                ErrorKind::Invalid,
                doing,
                format!("{}: {error}", self.settings.supervisor.display()),
            )
        };
        let console = directory.append_console().map_err(|error| failed(&error))?;
        let errors = console.try_clone().map_err(|error| failed(&error))?;
        // A job of the same user can read its environment: nothing of the launcher's is passed on.
        let mut supervisor = tokio::process::Command::new(&self.settings.supervisor)
            .arg("supervise")
            .arg(directory.path())
            .env_clear()
            .envs(host::plain_environment())
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::from(console))
            .stderr(Stdio::from(errors))
            .spawn()
            .map_err(|error| failed(&error))?;
        let until = Instant::now() + START_WAIT;
        loop {
            let started = directory.record().is_ok_and(|record| record.phase != Phase::Pending);
            if started {
                return Ok(());
            }
            if let Ok(Some(status)) = supervisor.try_wait() {
                // Another supervisor may have been faster.
                if directory.is_supervised()
                    || directory.record().is_ok_and(|record| record.phase != Phase::Pending)
                {
                    return Ok(());
                }
                return Err(failed(&format!("{status}; {}", directory.console().trim())));
            }
            if Instant::now() >= until {
                return Err(CloudError::new(
                    ErrorKind::Transient,
                    doing,
                    "its supervisor did not report in time",
                ));
            }
            sleep(TICK).await;
        }
    }

    fn launched(&self, directory: &Directory, request: &LaunchRequest) -> Result<Launched, CloudError> {
        let offer = request.offers.first().cloned();
        let offer = offer
            .ok_or_else(|| CloudError::new(ErrorKind::Invalid, "launching locally", "no offer was given"))?;
        Ok(Launched { id: directory.instance_id(), offer, failures: Vec::new() })
    }
}

impl Cloud for LocalCloud {
    fn name(&self) -> &'static str {
        LOCAL
    }

    async fn offers(&self, query: &OfferQuery) -> Result<ByRegion<Offer>, CloudError> {
        host::offer(query).map(|offer| ByRegion::whole(vec![offer]))
    }

    async fn launch(&self, request: &LaunchRequest, _: MayBuy<'_>) -> Result<Launched, CloudError> {
        let now = now();
        let made = self.root.make(request, &self.settings, now)?;
        let directory = made.directory;
        let is_waiting = directory.record().is_ok_and(|record| record.phase == Phase::Pending);
        // A launcher that died before it started the supervisor left all that is needed to do so now. Should two
        // processes do it at once, the lock lets one supervisor live.
        if is_waiting && let Err(error) = self.start(&directory).await {
            if made.is_new && error.kind != ErrorKind::Transient {
                self.root.remove_unstarted(&directory);
            }
            return Err(error);
        }
        self.root.forget_old(now);
        self.launched(&directory, request)
    }

    /// Its directory exists before the call returns.
    fn shows_within(&self, _region: &str) -> SignedDuration {
        SignedDuration::ZERO
    }

    async fn clean_up(&self, _request: &LaunchRequest) -> Result<(), CloudError> {
        Ok(())
    }

    /// A local instance has nothing outside of its own directory.
    async fn collect_garbage(
        &self,
        _filter: &InstanceFilter,
        _older_than: jiff::Timestamp,
        _dry_run: bool,
    ) -> Result<ByRegion<String>, CloudError> {
        Ok(ByRegion::default())
    }

    async fn instances(&self, filter: &InstanceFilter) -> Result<ByRegion<Instance>, CloudError> {
        let now = now();
        let mut found = Vec::new();
        for directory in self.root.directories()? {
            if filter.launch.is_some_and(|launch| launch != directory.launch()) {
                continue;
            }
            if !filter.ids.is_empty() && !filter.ids.contains(&directory.instance_id()) {
                continue;
            }
            let Some((record, state)) = end::truth(&directory, now)? else { continue };
            if filter.owner.as_ref().is_none_or(|owner| *owner == record.owner) {
                found.push(record.instance(directory.instance_id(), state));
            }
        }
        Ok(ByRegion::whole(found))
    }

    async fn spot_prices(
        &self,
        _region: &str,
        _types: &[String],
        _since: jiff::Timestamp,
    ) -> Result<Vec<crate::SpotPrice>, CloudError> {
        Ok(Vec::new())
    }

    async fn interrupted_instances(&self, _region: &str) -> Result<Vec<InstanceId>, CloudError> {
        Ok(Vec::new())
    }

    async fn terminate(&self, _region: &str, id: &InstanceId) -> Result<(), CloudError> {
        let Some(directory) = self.root.find(id) else { return Ok(()) };
        let until = Instant::now() + END_WAIT;
        let mut asked = false;
        loop {
            match end::truth(&directory, now())? {
                None | Some((_, InstanceState::Terminated)) => return Ok(()),
                Some((record, _)) => {
                    if !asked && !directory.ask_to_stop() {
                        // Not even an empty file can be created here: then without the supervisor.
                        record.supervisor.into_iter().for_each(processes::kill_one);
                    }
                    asked = true;
                    end::without_supervisor(&directory, &record);
                }
            }
            if Instant::now() >= until {
                let left = processes::marked(&id.0);
                let cause = format!("still there after {} s: processes {left:?}", END_WAIT.as_secs());
                return Err(CloudError::new(ErrorKind::Transient, format!("ending {id}"), cause));
            }
            sleep(TICK).await;
        }
    }

    async fn console(&self, _region: &str, id: &InstanceId) -> Result<String, CloudError> {
        let unknown = || {
            CloudError::new(ErrorKind::Invalid, format!("reading the console of {id}"), "no such instance")
        };
        self.root.find(id).map(|directory| directory.console()).ok_or_else(unknown)
    }
}

/// Returns the time. The edge: the provider reads the clock here, as a remote cloud would have its own.
fn now() -> Timestamp {
    #[allow(
        clippy::disallowed_methods,
        reason = "a cloud has a clock of its own, and this one is this machine's"
    )]
    Timestamp::now()
}

/// Returns the time since this machine booted, including the time that it slept.
fn since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(time).unwrap_or_default()
}

/// Time for which ended instances are kept.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24 * 7);
