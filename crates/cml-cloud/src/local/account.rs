//! A machine as a user of its own: it may read, signal and trace what that user may, and the user belongs to one
//! machine at a time.
//!
//! It needs root. The machine's files are outside of the state directory, which its user cannot enter.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Signal, geteuid};

use super::processes;

/// A user that only this machine has.
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    gid: u32,
    /// While it is held, no other machine gets the user.
    _lock: File,
}

impl Account {
    /// Reserves the first of these users that no other machine has, for a machine whose files will be in `place`.
    pub(super) fn take(names: &[String], place: &Path) -> io::Result<Self> {
        if !geteuid().is_root() {
            return Err(refused(
                "a user of its own takes root: run this as root, or leave `user` out".to_owned(),
            ));
        }
        let places = place.parent().unwrap_or(place);
        make_places(places)?;
        let mut taken = Vec::new();
        for name in names {
            let (uid, gid) = (id("-u", name)?, id("-g", name)?);
            if uid == 0 {
                return Err(refused(format!("{name} is root: name a user that may do nothing")));
            }
            let Some(lock) = lock(&places.join(format!(".user-{uid}")))? else {
                taken.push(format!("{name} has a machine"));
                continue;
            };
            // A person's account: its processes would end with the machine, and the job could read their data.
            if let Some(process) = processes::of_user(uid).first() {
                taken.push(format!("{name} has processes of its own ({process})"));
                continue;
            }
            return Ok(Self { name: name.clone(), uid, gid, _lock: lock });
        }
        Err(refused(format!("no user is free: {}", taken.join(", "))))
    }

    /// Creates the machine's own directory with its home, its temporary files and its script.
    pub(super) fn furnish(&self, place: &Path, script: &Path) -> io::Result<()> {
        remove(place);
        let (home, tmp, copy) = (place.join("home"), place.join("tmp"), place.join("user-data"));
        for path in [place, &home, &tmp] {
            DirBuilder::new().mode(0o700).create(path)?;
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(&copy)?;
        io::copy(&mut File::open(script)?, &mut file)?;
        // The directory last: until then only root can put anything into it.
        [&home, &tmp, &copy].into_iter().try_for_each(|path| self.own(path))?;
        self.own(place)
    }

    fn own(&self, path: &Path) -> io::Result<()> {
        chown(path, Some(self.uid), Some(self.gid))
    }

    /// Returns the command prefix that runs a command as this user: no privilege is left, and none can be regained.
    pub(super) fn becomes(&self) -> [String; 5] {
        [
            "setpriv".to_owned(),
            format!("--reuid={}", self.uid),
            format!("--regid={}", self.gid),
            "--init-groups".to_owned(),
            "--no-new-privs".to_owned(),
        ]
    }

    /// Kills all processes of the user.
    pub(super) fn kill_all(&self) {
        processes::signal(&processes::of_user(self.uid), Signal::KILL);
    }
}

/// Removes such a directory.
pub(super) fn remove(place: &Path) {
    drop(std::fs::remove_dir_all(place));
}

fn make_places(places: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o711).create(places)?;
    let facts = std::fs::symlink_metadata(places)?;
    if !facts.is_dir() || facts.uid() != 0 || facts.mode() & 0o022 != 0 {
        let place = places.display();
        return Err(refused(format!("{place} is not root's alone: chown root {place} && chmod 711 {place}")));
    }
    // Independent of the umask.
    std::fs::set_permissions(places, Permissions::from_mode(0o711))
}

fn lock(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    Ok(flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok().then_some(file))
}

/// Returns the system's own id, so that users of a directory service count too.
fn id(which: &str, name: &str) -> io::Result<u32> {
    let output = Command::new("id").args([which, "--", name]).stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let unknown =
        || refused(format!("there is no user {name}: useradd --system --shell /usr/sbin/nologin {name}"));
    if output.status.success() { said.trim().parse().map_err(|_| unknown()) } else { Err(unknown()) }
}

fn refused(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, what)
}
