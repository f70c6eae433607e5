//! The `reports:` section of the checkout's own `cml.yaml`. The edge: files are searched here.

use std::path::{Path, PathBuf};

use cml_spec::{ReportPlace, ReportsConfig};

use crate::context::env;
use crate::exit::{CliError, ExitCode};
use crate::validate;

const NAME: &str = "cml.yaml";

/// Returns the section of the file, or nothing where there is none; and the directory of the file.
pub(crate) fn reports() -> Result<(ReportsConfig, Option<PathBuf>), CliError> {
    let here = std::env::current_dir().map_err(|error| {
        CliError::new(ExitCode::Failed, format!("the working directory cannot be read: {error}"))
    })?;
    let Some(file) = file(&here, env("GITHUB_WORKSPACE").map(PathBuf::from).as_deref()) else {
        return Ok((ReportsConfig::default(), None));
    };
    let mut said = validate::reports(&file)?;
    // A directory is relative to the file, wherever below it the command runs.
    if let (Some(ReportPlace::Directory(to)), Some(base)) = (&mut said.to, file.parent()) {
        *to = base.join(&to);
    }
    let base = file.parent().filter(|dir| !dir.as_os_str().is_empty()).map_or(here, Path::to_owned);
    Ok((said, Some(base)))
}

/// Returns the file of the working directory, else that of the checkout around it. None further up: files outside of
/// the checkout are not ours.
fn file(here: &Path, workspace: Option<&Path>) -> Option<PathBuf> {
    let own = here.join(NAME);
    if own.is_file() {
        return Some(PathBuf::from(NAME));
    }
    let root = here.ancestors().find(|dir| dir.join(".git").exists() || Some(*dir) == workspace)?;
    Some(root.join(NAME)).filter(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_that_of_the_checkout_and_none_outside() {
        let dir = tempfile::tempdir().expect("a directory");
        let (root, inner) = (dir.path().join("repo"), dir.path().join("repo/a/b"));
        std::fs::create_dir_all(&inner).expect("directories");
        std::fs::write(dir.path().join(NAME), "").expect("written");
        assert_eq!(file(&inner, None), None, "no checkout");
        std::fs::create_dir(root.join(".git")).expect("a directory");
        assert_eq!(file(&inner, None), None, "the checkout has none");
        std::fs::write(root.join(NAME), "").expect("written");
        assert_eq!(file(&inner, None), Some(root.join(NAME)));
        std::fs::remove_dir(root.join(".git")).expect("removed");
        assert_eq!(file(&inner, Some(&root)), Some(root.join(NAME)));
        std::fs::write(inner.join(NAME), "").expect("written");
        assert_eq!(file(&inner, None), Some(PathBuf::from(NAME)), "the nearer one");
    }
}
