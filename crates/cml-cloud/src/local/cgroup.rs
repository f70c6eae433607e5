//! A cgroup for each instance, where this user may create one: it also holds processes that shed every other mark.

use std::io;
use std::path::{Path, PathBuf};

use super::Limits;
use crate::InstanceId;

/// The instance's cgroup (v2), below that of the process that created it.
pub(super) struct Group(PathBuf);

impl Group {
    /// Creates the group and sets its limits.
    pub(super) fn make(id: &InstanceId, limits: Limits) -> io::Result<Self> {
        let path = own()?.join(format!("cml-{id}"));
        std::fs::create_dir(&path)?;
        let group = Self(path);
        for (file, limit) in [("memory.max", limits.memory_bytes), ("pids.max", limits.processes)] {
            if let Some(limit) = limit {
                std::fs::write(group.0.join(file), limit.to_string())?;
            }
        }
        Ok(group)
    }

    /// Returns the file through which a process enters, by writing its id.
    pub(super) fn door(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }

    /// Returns its path.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        drop(std::fs::remove_dir(&self.0));
    }
}

/// Returns the processes in the group of an instance whose supervisor is dead.
pub(super) fn members_at(group: &Path) -> Vec<i32> {
    let text = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Kills the processes in a group.
pub(super) fn kill_at(group: &Path) {
    // Kernels before 5.14 have no such file, and the write must not create one elsewhere.
    let file = group.join("cgroup.kill");
    if file.exists() {
        drop(std::fs::write(file, "1"));
    }
}

/// Returns this process's cgroup: the line `0::/path` names the position in the unified hierarchy.
fn own() -> io::Result<PathBuf> {
    let text = std::fs::read_to_string("/proc/self/cgroup")?;
    let below = text.lines().find_map(|line| line.strip_prefix("0::/")).ok_or(io::ErrorKind::Unsupported)?;
    // The second path is that of machines that still have version 1 mounted, too.
    let places = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(|mount| Path::new(mount).join(below));
    places
        .into_iter()
        .find(|place| place.join("cgroup.procs").exists())
        .ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))
}
