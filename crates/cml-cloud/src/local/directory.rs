//! Directories of the instances: created completely or not at all.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};

use super::record::{Phase, Record, private_file};
use super::{LocalSettings, REMEMBERED};
use crate::error::{CloudError, ErrorKind};
use crate::private;
use crate::types::LaunchRequest;
use crate::{InstanceId, LaunchId};

/// Prefix of instance ids; the launch id follows.
const PREFIX: &str = "local-";
/// Size of the console's end that is returned; the same as EC2's.
const CONSOLE_BYTES: u64 = 64 * 1024;
/// Age after which an incomplete directory is removed, seconds.
const HALF_MADE_FOR: i64 = 3600;

static MADE_HERE: AtomicU32 = AtomicU32::new(0);

/// The state directory.
#[derive(Clone, Debug)]
pub(super) struct Root(PathBuf);

/// Result of [`Root::make`].
pub(super) struct Made {
    pub(super) directory: Directory,
    pub(super) is_new: bool,
}

impl Root {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Creates the launch's directory, or finds the existing one: the rename succeeds for one process only.
    pub(super) fn make(
        &self,
        request: &LaunchRequest,
        settings: &LocalSettings,
        now: Timestamp,
    ) -> Result<Made, CloudError> {
        let directory = Directory { path: self.0.join(request.launch.to_string()), launch: request.launch };
        if directory.path.exists() {
            return Ok(Made { directory, is_new: false });
        }
        let number = MADE_HERE.fetch_add(1, Ordering::Relaxed);
        let half = self.0.join(format!(".new-{}-{}-{number}", request.launch, std::process::id()));
        let made =
            self.fill(&half, request, settings, now).and_then(|()| std::fs::rename(&half, &directory.path));
        if made.is_err() {
            drop(std::fs::remove_dir_all(&half));
        }
        match made {
            Ok(()) => {
                self.sync();
                Ok(Made { directory, is_new: true })
            }
            // Another process was faster.
            Err(_) if directory.path.exists() => Ok(Made { directory, is_new: false }),
            Err(error) => Err(self.error(&error)),
        }
    }

    fn fill(
        &self,
        half: &Path,
        request: &LaunchRequest,
        settings: &LocalSettings,
        now: Timestamp,
    ) -> io::Result<()> {
        private::own_directory(&self.0)?;
        private_directory().create(half)?;
        for name in ["home", "tmp"] {
            private_directory().create(half.join(name))?;
        }
        private_file(&half.join("console.log"), b"")?;
        private_file(&half.join("lock"), b"")?;
        private_file(&half.join("user-data"), request.user_data.expose())?;
        let place = settings.places.join(request.launch.to_string());
        let place = (!request.users.is_empty()).then_some(place);
        Record { place, ..Record::new(request, settings.limits, now) }.write(half)
    }

    fn sync(&self) {
        drop(File::open(&self.0).and_then(|root| root.sync_all()));
    }

    fn error(&self, error: &io::Error) -> CloudError {
        let place = self.0.display();
        let hint = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                format!("free some space below {place}, or choose another state directory")
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                format!("make {place} writable for this user, or choose another state directory")
            }
            _ => format!("see whether {place} is a directory that this user can write to"),
        };
        CloudError::new(
            ErrorKind::Invalid,
            format!("making a local instance below {place}"),
            error.to_string(),
        )
        .hint(hint)
    }

    /// Returns all instances' directories, oldest first.
    pub(super) fn directories(&self) -> Result<Vec<Directory>, CloudError> {
        let listing = |error: io::Error| {
            CloudError::new(ErrorKind::Transient, format!("listing {}", self.0.display()), error.to_string())
        };
        let entries = match std::fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(listing)?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(listing)?;
            if let Some(launch) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
                found.push(Directory { path: entry.path(), launch });
            }
        }
        found.sort_by_key(|directory| directory.launch);
        Ok(found)
    }

    pub(super) fn find(&self, id: &InstanceId) -> Option<Directory> {
        let launch: LaunchId = id.0.strip_prefix(PREFIX)?.parse().ok()?;
        let path = self.0.join(launch.to_string());
        path.is_dir().then_some(Directory { path, launch })
    }

    /// Removes an instance that could not be started, unless another process started it meanwhile.
    pub(super) fn remove_unstarted(&self, directory: &Directory) {
        if let Some(_lock) = directory.lock()
            && directory.record().is_ok_and(|record| record.phase == Phase::Pending)
        {
            self.remove(directory);
        }
    }

    /// Removes a directory atomically for readers.
    fn remove(&self, directory: &Directory) {
        let gone = self.0.join(format!(".old-{}", directory.launch));
        drop(std::fs::rename(&directory.path, &gone).and_then(|()| std::fs::remove_dir_all(&gone)));
    }

    /// Removes instances that ended long ago, and incomplete ones. A failure is harmless: the next launch tries again.
    pub(super) fn forget_old(&self, now: Timestamp) {
        for directory in self.directories().unwrap_or_default() {
            let is_old = directory.record().is_ok_and(|record| {
                record.phase == Phase::Terminated
                    && record.ended_at.is_some_and(|ended| now.duration_since(ended) > REMEMBERED)
            });
            if is_old {
                self.remove(&directory);
            }
        }
        for entry in std::fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let is_half =
                name.to_str().is_some_and(|name| name.starts_with(".new-") || name.starts_with(".old-"));
            let changed = entry.metadata().and_then(|metadata| metadata.modified()).ok();
            let is_old = changed
                .and_then(|changed| Timestamp::try_from(changed).ok())
                .is_some_and(|changed| now.duration_since(changed).as_secs() > HALF_MADE_FOR);
            if is_half && is_old {
                drop(std::fs::remove_dir_all(entry.path()));
            }
        }
    }
}

/// One instance's directory.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    path: PathBuf,
    launch: LaunchId,
}

/// A lock that excludes a supervisor while it is held.
pub(super) struct Lock(#[allow(dead_code, reason = "held, not read: closing it gives the lock back")] File);

impl Directory {
    /// Returns the directory at `path`, the argument of a supervisor.
    pub(super) fn at(path: &Path) -> Option<Self> {
        let launch = path.file_name()?.to_str()?.parse().ok()?;
        Some(Self { path: path.to_owned(), launch })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn launch(&self) -> LaunchId {
        self.launch
    }

    pub(super) fn instance_id(&self) -> InstanceId {
        InstanceId(format!("{PREFIX}{}", self.launch))
    }

    pub(super) fn record(&self) -> io::Result<Record> {
        Record::read(&self.path)
    }

    /// Takes the lock that a supervisor holds for all its life; the kernel releases it when the holder dies.
    pub(super) fn lock(&self) -> Option<Lock> {
        let file = File::open(self.path.join("lock")).ok()?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
        Some(Lock(file))
    }

    pub(super) fn is_supervised(&self) -> bool {
        self.path.is_dir() && self.lock().is_none()
    }

    /// Creates the file that requests the supervisor to end the instance. Returns false when not even that is possible.
    pub(super) fn ask_to_stop(&self) -> bool {
        OpenOptions::new().append(true).create(true).mode(0o600).open(self.path.join("stop")).is_ok()
    }

    pub(super) fn is_asked_to_stop(&self) -> bool {
        self.path.join("stop").exists()
    }

    pub(super) fn append_console(&self) -> io::Result<File> {
        OpenOptions::new().append(true).create(true).mode(0o600).open(self.path.join("console.log"))
    }

    /// Returns the console's end.
    pub(super) fn console(&self) -> String {
        let tail = || -> io::Result<Vec<u8>> {
            let mut file = File::open(self.path.join("console.log"))?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(CONSOLE_BYTES)))?;
            let mut bytes = Vec::new();
            file.take(CONSOLE_BYTES).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        String::from_utf8_lossy(&tail().unwrap_or_default()).into_owned()
    }

    /// Removes the instance's own files, the secret ones first; its record and its console stay.
    pub(super) fn clear(&self, place: Option<&Path>) {
        place.into_iter().for_each(super::account::remove);
        drop(std::fs::remove_file(self.path.join("user-data")));
        for name in ["home", "tmp"] {
            drop(std::fs::remove_dir_all(self.path.join(name)));
        }
    }
}

fn private_directory() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}
