//! Where links lead: every one within the repository must lead somewhere.

use std::path::{Component, Path, PathBuf};

use super::page::Page;
use super::root;

/// Pages of the book name what lies outside of it by this: it works in the book, too.
const ON_GITHUB: &str = "https://github.com/cml-runner/cml-runner/";
/// What other tests and tools make; links to it count once its directory is there.
const MADE: [&str; 3] = ["docs/reference", "docs/images", "templates/iam"];

/// What is wrong with the links of a page.
#[must_use]
pub fn broken(page: &Page, all: &[Page]) -> Vec<String> {
    let wrong = |(line, link): &(usize, String)| {
        let why = trouble(page, link, all)?;
        Some(format!("{}:{line}: {link}: {why}", page.name))
    };
    page.links.iter().filter_map(wrong).collect()
}

fn trouble(page: &Page, link: &str, all: &[Page]) -> Option<String> {
    let target = match link.strip_prefix(ON_GITHUB) {
        Some(rest) => {
            let path = rest.strip_prefix("blob/main/").or_else(|| rest.strip_prefix("tree/main/"))?;
            path.to_owned()
        }
        None if link.contains("://") || link.starts_with("mailto:") => return None,
        None => {
            let here = Path::new(&page.name).parent().expect("a page has a directory");
            let (path, anchor) =
                link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
            let path = if path.is_empty() { PathBuf::from(&page.name) } else { plain(&here.join(path))? };
            if page.name.starts_with("docs/") && !path.starts_with("docs") {
                return Some(format!("leaves the book: name it by {ON_GITHUB}blob/main/…"));
            }
            anchor.map_or_else(|| path.display().to_string(), |anchor| format!("{}#{anchor}", path.display()))
        }
    };
    let (path, anchor) =
        target.split_once('#').map_or((target.as_str(), None), |(path, it)| (path, Some(it)));
    let is_made = |made: &&str| Path::new(path).starts_with(made) && !root().join(made).exists();
    if MADE.iter().any(is_made) {
        return None;
    }
    if !root().join(path).exists() {
        return Some("there is no such file".to_owned());
    }
    let anchor = anchor?;
    let other = all.iter().find(|other| other.name == path)?;
    (!other.anchors.iter().any(|known| known == anchor)).then(|| "there is no such heading".to_owned())
}

/// The path without `..`; none when it leaves the repository.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => plain.pop().then_some(())?,
            Component::Normal(name) => plain.push(name),
            _ => {}
        }
    }
    Some(plain)
}
