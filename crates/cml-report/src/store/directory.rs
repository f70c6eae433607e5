//! A local directory, to check a report before it is published.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::{Artifact, ArtifactError, ArtifactStore, check_count, escaped};

/// Files below one directory.
#[derive(Clone, Debug)]
pub struct Directory {
    /// The root directory.
    pub root: PathBuf,
    /// No file is written outside of this directory, whatever links exist: set where a file of a checkout has named the
    /// root.
    pub within: Option<PathBuf>,
}

impl Directory {
    /// Writes a file below the root. Links are followed only where they stay within; the file itself must not be one.
    ///
    /// # Errors
    /// [`ArtifactError::Disk`].
    pub fn write(&self, path: &Path, bytes: &[u8]) -> Result<PathBuf, ArtifactError> {
        let file = self.root.join(path);
        let written = self.prepared(&file).and_then(|()| {
            let mut open = std::fs::OpenOptions::new();
            let flags = OFlags::NOFOLLOW.bits().cast_signed();
            open.write(true).create(true).truncate(true).custom_flags(flags).open(&file)?.write_all(bytes)
        });
        match written {
            Ok(()) => Ok(file),
            Err(error) if file.is_symlink() => {
                Err(failed(&file, &format!("it is a link: remove it, or name another directory ({error})")))
            }
            Err(error) => Err(failed(&file, &error.to_string())),
        }
    }

    /// Creates the directories of a file, after a check that they are within.
    fn prepared(&self, file: &Path) -> io::Result<()> {
        let Some(dir) = file.parent() else { return Ok(()) };
        self.check(dir)?;
        std::fs::create_dir_all(dir)?;
        // Once more: a link may have been created in between.
        self.check(dir)
    }

    /// Checks that the nearest existing directory is within, by its canonical path.
    fn check(&self, dir: &Path) -> io::Result<()> {
        let Some(within) = &self.within else { return Ok(()) };
        let within = within.canonicalize()?;
        // A dangling link exists, too: a file created through it would be elsewhere.
        let there = dir.ancestors().find(|dir| dir.symlink_metadata().is_ok());
        let there = there.filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let real = there.canonicalize()?;
        if real.starts_with(&within) {
            return Ok(());
        }
        let why = format!(
            "{} leads to {}, out of the checkout: a file may name a directory below itself only; --to may name this",
            there.display(),
            real.display()
        );
        Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
    }
}

fn failed(file: &Path, cause: &str) -> ArtifactError {
    ArtifactError::Disk { path: file.display().to_string(), cause: cause.to_owned() }
}

impl ArtifactStore for Directory {
    async fn upload(&self, assets: &[Artifact]) -> Result<Vec<String>, ArtifactError> {
        check_count(assets)?;
        let write = |asset: &Artifact| self.write(Path::new(&asset.path()), &asset.bytes);
        assets.iter().map(|asset| Ok(escaped(&write(asset)?.display().to_string()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_directory_that_a_file_names_cannot_leave_the_checkout_by_a_link() {
        let place = tempfile::tempdir().expect("a directory");
        let (checkout, outside) = (place.path().join("checkout"), place.path().join("outside"));
        for dir in [&checkout.join("real"), &outside] {
            std::fs::create_dir_all(dir).expect("is made");
        }
        symlink(&outside, checkout.join("out")).expect("a link");
        symlink(place.path().join("not-there-yet"), checkout.join("dangling")).expect("a link");
        symlink(checkout.join("real"), checkout.join("inner")).expect("a link");
        symlink(outside.join("file"), checkout.join("real/report.md")).expect("a link");
        let write = |root: &str, path: &str| {
            let directory = Directory { root: checkout.join(root), within: Some(checkout.clone()) };
            directory.write(Path::new(path), b"x").map(|_| ()).map_err(|error| error.to_string())
        };
        for root in ["out", "out/deeper", "dangling", "dangling/deeper"] {
            assert!(write(root, "report.md").is_err(), "{root}");
        }
        assert!(write("real", "report.md").is_err_and(|error| error.contains("it is a link")));
        assert_eq!(write("inner", "a/b.png"), Ok(()));
        assert_eq!(write("new/deeper", "a/b.png"), Ok(()));
        assert!(
            std::fs::read_dir(&outside).expect("is there").next().is_none(),
            "something was written outside"
        );
        assert!(!place.path().join("not-there-yet").exists());
        // A directory given by the user may be anywhere.
        let typed = Directory { root: checkout.join("out"), within: None };
        assert!(typed.write(Path::new("report.md"), b"x").is_ok());
    }
}
