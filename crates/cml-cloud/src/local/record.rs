//! The record of one instance, as stored in its directory.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{LOCAL, Limits};
use crate::types::{Instance, InstanceState, LaunchRequest, Market, tag};
use crate::{Deadline, InstanceId, LaunchId};

/// Phase of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Phase {
    /// Recorded; its supervisor has not reported.
    Pending,
    /// Under a supervisor, now or earlier.
    Running,
    /// None of its processes runs.
    Terminated,
}

/// `record.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) launch: LaunchId,
    pub(super) attempt: u32,
    pub(super) spec: String,
    pub(super) owner: String,
    pub(super) runner_name: String,
    pub(super) deadline: Deadline,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) limits: Limits,
    /// The machine runs as one of these users; without any, as the user that launched it.
    #[serde(default)]
    pub(super) users: Vec<String>,
    /// Directory of its files, if not this one.
    #[serde(default)]
    pub(super) place: Option<PathBuf>,
    pub(super) started_at: Timestamp,
    pub(super) phase: Phase,
    /// Process id of the supervisor. Only meaningful while the lock is held.
    pub(super) supervisor: Option<i32>,
    /// Its cgroup, where it has one.
    pub(super) cgroup: Option<PathBuf>,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) ended_because: Option<String>,
}

impl Record {
    pub(super) fn new(request: &LaunchRequest, limits: Limits, now: Timestamp) -> Self {
        Self {
            launch: request.launch,
            attempt: request.attempt,
            spec: request.spec.clone(),
            owner: request.owner.clone(),
            runner_name: request.runner_name.clone(),
            deadline: request.deadline,
            tags: request.all_tags(),
            limits,
            users: request.users.clone(),
            place: None,
            started_at: now,
            phase: Phase::Pending,
            supervisor: None,
            cgroup: None,
            ended_at: None,
            ended_because: None,
        }
    }

    pub(super) fn end(&mut self, because: impl Into<String>, now: Timestamp) {
        self.phase = Phase::Terminated;
        self.supervisor = None;
        self.ended_at = Some(now);
        self.ended_because = Some(because.into());
    }

    pub(super) fn instance(self, id: InstanceId, state: InstanceState) -> Instance {
        Instance {
            id,
            launch: Some(self.launch),
            spec: Some(self.spec),
            state,
            region: LOCAL.to_owned(),
            zone: None,
            instance_type: LOCAL.to_owned(),
            market: Market::OnDemand,
            started_at: self.started_at,
            ended_at: self.ended_at,
            deadline: Some(self.deadline),
            controller: self.tags.get(tag::CONTROLLER).cloned(),
            owner: Some(self.owner),
            runner_name: Some(self.runner_name),
            ended_because: self.ended_because,
            is_interrupted: false,
        }
    }

    /// Replaces the record atomically: a reader sees the old one or the new one, also after a power failure.
    pub(super) fn write(&self, dir: &Path) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(self)?;
        let new = dir.join(format!("record.json.{}", std::process::id()));
        let written = private_file(&new, &text).and_then(|()| std::fs::rename(&new, dir.join("record.json")));
        if written.is_err() {
            drop(std::fs::remove_file(&new));
        }
        written?;
        File::open(dir)?.sync_all()
    }

    pub(super) fn read(dir: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&std::fs::read(dir.join("record.json"))?)?)
    }
}

/// Writes a file that only its owner can read, and syncs it to the disk.
pub(super) fn private_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
