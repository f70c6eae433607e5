//! Files that a report links to, and whether they may be published. The edge: directories and environment are read
//! here.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cml_report::{Artifact, ArtifactError, Ci, Media, content_refused, place_refused, roots};

use crate::context::env;
use crate::exit::CliError;
use crate::report::files::{self, git};

/// Limit on the file names in the report's own note.
const NAMED_MAX: usize = 10;

/// Files that a report may publish.
pub(crate) struct MayShow {
    /// Directories that contain its files, canonical.
    pub(crate) roots: Vec<PathBuf>,
    pub(crate) may_be_strangers: bool,
}

impl MayShow {
    /// Returns the workspace in Actions, elsewhere the checkout; and the directories for temporary files.
    pub(crate) fn here(ci: &Ci) -> Self {
        let of_workflow = env("GITHUB_WORKSPACE").map(PathBuf::from);
        let checkout = || git(&["rev-parse", "--show-toplevel"]).map_or(PathBuf::from("."), PathBuf::from);
        let named = [
            Some(of_workflow.unwrap_or_else(checkout)),
            env("RUNNER_TEMP").map(PathBuf::from),
            Some(std::env::temp_dir()),
        ];
        let canonical = |dir: PathBuf| dir.canonicalize().ok();
        let home = env("HOME").map(PathBuf::from).and_then(canonical);
        Self {
            roots: roots(named.into_iter().flatten().filter_map(canonical).collect(), home.as_deref()),
            may_be_strangers: ci.is_fork || ci.may_be_strangers,
        }
    }
}

/// Reason why a file is not published.
pub(crate) enum Unshown {
    /// It may not be published: its target in the report, and why.
    Refused(String, String),
    /// It cannot be published.
    Flawed(String),
}

/// A file that the report links to, in a place that may be published. It is not read yet.
pub(crate) struct Found {
    /// Its path in the report.
    target: String,
    /// Its path relative to the working directory.
    file: PathBuf,
    /// Its path without links: unique for each file.
    pub(crate) real: PathBuf,
}

impl Found {
    /// # Errors
    /// When it does not exist, or is in a place that may not be published.
    pub(crate) fn of(base: &Path, target: &str, may_show: &MayShow) -> Result<Self, Unshown> {
        let exact = base.join(target);
        let file = if exact.is_file() { exact } else { base.join(path_of(target)) };
        let real = file.canonicalize().map_err(|error| {
            Unshown::Flawed(format!("{}, which the report shows, cannot be read: {error}", file.display()))
        })?;
        let found = Self { target: target.to_owned(), file, real };
        match place_refused(&found.real, &may_show.roots, &is_git) {
            Some(why) => Err(found.refused(why)),
            None => Ok(found),
        }
    }

    /// Returns its size, bytes, before it is read.
    pub(crate) fn size(&self) -> Result<usize, Unshown> {
        let size = files::size(&self.real).map_err(|trouble| Unshown::Flawed(trouble.message))?;
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        Artifact::check_size(path_of(&self.target), size).map_err(|error| flawed(&error))?;
        Ok(size)
    }

    /// Reads it.
    pub(crate) fn asset(&self, may_show: &MayShow, read: &Read<'_>) -> Result<Artifact, Unshown> {
        let bytes = read(&self.real).map_err(|trouble| Unshown::Flawed(trouble.message))?;
        let name = self.real.file_name().unwrap_or_default().to_string_lossy();
        match content_refused(&name, &Media::of(&bytes), &bytes, may_show.may_be_strangers) {
            Some(why) => Err(self.refused(why)),
            None => Artifact::new(path_of(&self.target), None, bytes).map_err(|error| flawed(&error)),
        }
    }

    fn refused(&self, why: &str) -> Unshown {
        let file = self.file.display();
        let why = format!(
            "{file}, which the report shows, may not be published: {why}; publish it with cml-publish if you mean it"
        );
        Unshown::Refused(self.target.clone(), why)
    }
}

/// Function that reads a file.
pub(crate) type Read<'a> = dyn Fn(&Path) -> Result<Vec<u8>, CliError> + 'a;

/// Decodes `data:image/png;base64,…` in the report's text, by the rules for a file.
pub(crate) fn of_data(uri: &str, may_show: &MayShow) -> Result<Artifact, Unshown> {
    let (name, bytes) = data(uri)
        .ok_or_else(|| Unshown::Flawed("the report has an image as data: that is no base64".to_owned()))?;
    let asset = Artifact::new(&name, None, bytes).map_err(|error| flawed(&error))?;
    match content_refused(&name, &asset.media, &asset.bytes, may_show.may_be_strangers) {
        Some(why) => {
            let head = uri.split(',').next().unwrap_or_default();
            Err(Unshown::Refused(
                head.to_owned(),
                format!("data in the report's text may not be published: {why}"),
            ))
        }
        None => Ok(asset),
    }
}

/// Returns name and bytes of `data:image/png;base64,…`.
fn data(uri: &str) -> Option<(String, Vec<u8>)> {
    let (head, body) = uri.strip_prefix("data:")?.split_once(',')?;
    let kind = head.strip_suffix(";base64")?.split(';').next()?;
    let end = kind.rsplit('/').next().unwrap_or("bin").replace("svg+xml", "svg");
    let plain: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    Some((format!("image.{end}"), STANDARD.decode(plain).ok()?))
}

fn flawed(error: &ArtifactError) -> Unshown {
    Unshown::Flawed(error.to_string())
}

/// Returns a target's path, without an anchor within another page or a query for a server.
fn path_of(target: &str) -> &str {
    target.split(['#', '?']).next().unwrap_or_default()
}

/// Returns the note about refused files for the report itself, by their names there: its reader would look for them.
pub(crate) fn note(refused: &[String]) -> String {
    if refused.is_empty() {
        return String::new();
    }
    let plain = |name: &String| {
        let name: String = name.chars().filter(|c| !c.is_control() && *c != '`').take(100).collect();
        format!("`{name}`")
    };
    let named: Vec<String> = refused.iter().take(NAMED_MAX).map(plain).collect();
    let more = match refused.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("\n\n> Not published: {}{more}. The job's log says why.\n", named.join(", "))
}

/// Returns whether a directory is a git repository: bare ones have no `.git` in their path.
fn is_git(dir: &Path) -> bool {
    dir.join("HEAD").is_file() && dir.join("objects").is_dir() && dir.join("refs").is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_names_what_is_refused_and_nothing_breaks_out_of_it() {
        assert_eq!(note(&[]), "");
        let told = note(&["a`\n# b.env".to_owned()]);
        assert_eq!(told, "\n\n> Not published: `a# b.env`. The job's log says why.\n");
        let many: Vec<String> = (0..12).map(|number| format!("{number}.pem")).collect();
        assert!(note(&many).contains("`9.pem` and 2 more."), "{}", note(&many));
    }
}
