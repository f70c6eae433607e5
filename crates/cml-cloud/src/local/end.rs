//! Actual state of an instance, and its end when its supervisor is dead.

use std::io;

use jiff::Timestamp;
use rustix::process::Signal;

use super::directory::Directory;
use super::record::{Phase, Record};
use super::{cgroup, processes};
use crate::error::{CloudError, ErrorKind};
use crate::types::InstanceState;

/// Maximum time from writing the record to the supervisor's lock, seconds; a launcher needs less.
const STARTING_FOR: i64 = 30;

/// Returns the record and the state, corrected where the record is outdated. `None` when there is no record.
pub(super) fn truth(
    directory: &Directory,
    now: Timestamp,
) -> Result<Option<(Record, InstanceState)>, CloudError> {
    let Some(record) = read(directory)? else { return Ok(None) };
    if record.phase == Phase::Terminated {
        return Ok(Some((record, InstanceState::Terminated)));
    }
    let Some(_lock) = directory.lock() else {
        let state = match record.phase {
            _ if directory.is_asked_to_stop() => InstanceState::Stopping,
            Phase::Pending => InstanceState::Pending,
            Phase::Running | Phase::Terminated => InstanceState::Running,
        };
        return Ok(Some((record, state)));
    };
    // It has no supervisor, and none can start while this lock is held. It may have ended since the read.
    let Some(mut record) = read(directory)? else { return Ok(None) };
    if record.phase == Phase::Terminated {
        return Ok(Some((record, InstanceState::Terminated)));
    }
    if !left_running(directory, &record).is_empty() {
        return Ok(Some((record, InstanceState::Running)));
    }
    let asked = directory.is_asked_to_stop();
    let is_young = now.duration_since(record.started_at).as_secs() < STARTING_FOR;
    if record.phase == Phase::Pending && is_young && !asked {
        return Ok(Some((record, InstanceState::Pending)));
    }
    let because = match record.phase {
        _ if asked => "it was stopped",
        Phase::Pending => "its supervisor never started",
        Phase::Running | Phase::Terminated => "its supervisor was killed",
    };
    if let Some(group) = record.cgroup.take() {
        drop(std::fs::remove_dir(group));
    }
    directory.clear(record.place.as_deref());
    record.end(because, now);
    if let Err(error) = record.write(directory.path()) {
        tracing::warn!(%error, directory = %directory.path().display(), "the end of an instance could not be recorded");
    }
    Ok(Some((record, InstanceState::Terminated)))
}

/// Kills what a dead supervisor left running: at once, since there is no process to wait for it. With a living
/// supervisor it does nothing.
pub(super) fn without_supervisor(directory: &Directory, record: &Record) {
    if let Some(_lock) = directory.lock() {
        processes::signal(&left_running(directory, record), Signal::KILL);
        if let Some(group) = &record.cgroup {
            cgroup::kill_at(group);
            drop(std::fs::remove_dir(group));
        }
    }
}

/// Returns the remaining processes of an instance whose supervisor is dead.
fn left_running(directory: &Directory, record: &Record) -> Vec<i32> {
    let mut found = processes::marked(&directory.instance_id().0);
    found.extend(record.cgroup.iter().flat_map(|group| cgroup::members_at(group)));
    found
}

fn read(directory: &Directory) -> Result<Option<Record>, CloudError> {
    match directory.record() {
        Ok(record) => Ok(Some(record)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let doing = format!("reading {}", directory.path().join("record.json").display());
            Err(CloudError::new(ErrorKind::Transient, doing, error.to_string())
                .hint("if the file is damaged, end what runs there and remove the directory"))
        }
    }
}
