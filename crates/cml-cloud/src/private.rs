//! Directories and files that only this user can access, whatever the umask; and checks whether existing ones can be
//! trusted.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// Write permissions of users other than the owner.
const OTHERS_WRITE: u32 = 0o022;

/// Creates a directory, and missing parents, for this user only. An existing one is not changed.
///
/// # Errors
/// As the system reports.
pub fn make_directory(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Creates a directory as [`make_directory`] does, and refuses one into which another user could put files.
///
/// # Errors
/// As the system reports; [`io::ErrorKind::PermissionDenied`] with a hint when other users can write there.
pub fn own_directory(path: &Path) -> io::Result<()> {
    make_directory(path)?;
    refuse(path, &path.metadata()?)
}

/// Returns the content of a file, if it and its directory belong to this user and no other user can write to them;
/// `None` for anything else, and for more than `most` bytes. A link is never followed.
#[must_use]
pub fn read_own(path: &Path, most: u64) -> Option<Vec<u8>> {
    let dir = path.parent()?;
    refuse(dir, &dir.metadata().ok()?).ok()?;
    let file =
        OpenOptions::new().read(true).custom_flags(flags(OFlags::NOFOLLOW | OFlags::NONBLOCK)).open(path);
    let file = file.ok()?;
    let facts = file.metadata().ok()?;
    refuse(path, &facts).ok()?;
    if !facts.is_file() || facts.len() > most {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Writes a file atomically, readable by this user only, in a directory of its own.
///
/// # Errors
/// As [`own_directory`].
pub fn write_own(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        own_directory(dir)?;
    }
    let partial = path.with_extension(format!("{}.partial", std::process::id()));
    // A partial file left by a killed process.
    drop(std::fs::remove_file(&partial));
    let written = new_file(&partial)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| std::fs::rename(&partial, path));
    if written.is_err() {
        drop(std::fs::remove_file(&partial));
    }
    written
}

/// Refuses a file that other users could have written.
///
/// # Errors
/// As [`own_directory`].
pub fn refuse_foreign(path: &Path) -> io::Result<()> {
    refuse(path, &path.metadata()?)
}

fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn flags(flags: OFlags) -> i32 {
    flags.bits().cast_signed()
}

fn refuse(path: &Path, facts: &Metadata) -> io::Result<()> {
    let me = rustix::process::geteuid().as_raw();
    let shown = path.display();
    let why = if facts.uid() != me {
        format!(
            "{shown} belongs to user {}, and this is user {me}: name a directory of your own",
            facts.uid()
        )
    } else if facts.mode() & OTHERS_WRITE != 0 {
        format!("others can write to {shown}: chmod go-w {shown}")
    } else {
        return Ok(());
    };
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    fn mode(path: &Path) -> u32 {
        path.metadata().expect("is there").mode() & 0o777
    }

    #[test]
    fn what_is_written_is_read_by_its_owner_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("a/b/cache.json");
        write_own(&file, b"{}").expect("is written");
        assert_eq!(
            (mode(&file), mode(&dir.path().join("a")), mode(&dir.path().join("a/b"))),
            (0o600, 0o700, 0o700)
        );
        assert_eq!(read_own(&file, 10).as_deref(), Some(&b"{}"[..]));
        assert_eq!(read_own(&file, 1), None, "it is longer");
        write_own(&file, b"[]").expect("is written again");
        assert_eq!(read_own(&file, 10).as_deref(), Some(&b"[]"[..]));
    }

    #[test]
    fn what_others_could_have_written_is_not_believed() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("own/cache.json");
        write_own(&file, b"{}").expect("is written");
        for (path, open) in [(file.clone(), 0o666), (file.clone(), 0o620), (dir.path().join("own"), 0o777)] {
            let before = path.metadata().expect("is there").permissions();
            std::fs::set_permissions(&path, Permissions::from_mode(open)).expect("is changed");
            assert_eq!(read_own(&file, 10), None, "{} {open:o}", path.display());
            std::fs::set_permissions(&path, before).expect("is changed");
        }
        assert!(read_own(&file, 10).is_some());
        let link = dir.path().join("own/link.json");
        std::os::unix::fs::symlink(&file, &link).expect("a link");
        assert_eq!(read_own(&link, 10), None, "a link");
        assert_eq!(read_own(&dir.path().join("own"), 10), None, "a directory");
    }

    #[test]
    fn a_directory_into_which_others_can_write_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().expect("a directory");
        let state = dir.path().join("state");
        own_directory(&state).expect("is made");
        assert_eq!(mode(&state), 0o700);
        own_directory(&state).expect("is there");
        std::fs::set_permissions(&state, Permissions::from_mode(0o1777)).expect("is changed");
        let error = own_directory(&state).expect_err("is refused").to_string();
        assert!(error.contains("chmod go-w"), "{error}");
    }
}
