//! Files that a report links to, and whether they may be shown. The edge: directories and environment are read here.

use std::path::{Path, PathBuf};

use cml_report::{Asset, Ci, Media, content_refused, place_refused, roots};

use crate::place::env;
use crate::report::files::{self, git};

/// Most names of files in the report's own note.
const NAMED_MAX: usize = 10;

/// What a report may show.
pub(crate) struct MayShow {
    /// Directories below which its files lie, canonical.
    roots: Vec<PathBuf>,
    may_be_strangers: bool,
}

impl MayShow {
    /// In Actions the workspace, elsewhere the checkout; and the directories for what is temporary.
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

/// Why a file is not published.
pub(crate) enum Unshown {
    /// It may not be: its target in the report, and why.
    Refused(String, String),
    /// It cannot be.
    Flawed(String),
}

impl Unshown {
    /// In words; what may not be shown is noted.
    pub(crate) fn told(self, refused: &mut Vec<String>) -> String {
        match self {
            Self::Refused(target, why) => {
                refused.push(target);
                why
            }
            Self::Flawed(why) => why,
        }
    }
}

/// A file that the report links to, if it is one that may be shown.
pub(crate) fn linked(base: &Path, target: &str, may_show: &MayShow) -> Result<Asset, Unshown> {
    // An anchor within another page, or what a server would read.
    let path = target.split(['#', '?']).next().unwrap_or_default();
    let exact = base.join(target);
    let file = if exact.is_file() { exact } else { base.join(path) };
    let words = |why: &str| format!("{}, which the report shows, {why}", file.display());
    let refused = |why: &str| {
        let why = format!("may not be published: {why}; publish it with cml-publish if you mean it");
        Unshown::Refused(target.to_owned(), words(&why))
    };
    let flawed = |why: &str| Unshown::Flawed(words(&format!("cannot be read: {why}")));
    let real = file.canonicalize().map_err(|error| flawed(&error.to_string()))?;
    if let Some(why) = place_refused(&real, &may_show.roots, &is_git) {
        return Err(refused(why));
    }
    let bytes = files::read(&real).map_err(|trouble| Unshown::Flawed(trouble.message))?;
    let name = real.file_name().unwrap_or_default().to_string_lossy();
    if let Some(why) = content_refused(&name, &Media::of(&bytes), &bytes, may_show.may_be_strangers) {
        return Err(refused(why));
    }
    Asset::new(path, None, bytes).map_err(|error| Unshown::Flawed(error.to_string()))
}

/// What is refused is said in the report as well, by its name there: its reader would look for it.
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

/// Whether a directory is a repository of git's: bare ones have no `.git` in their path.
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
