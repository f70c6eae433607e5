//! Stores for files, so that a comment can show them.

mod directory;
mod repository;
mod server;

use std::future::Future;

use cml_github::GitHubError;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

use crate::media::Media;

pub use directory::Directory;
pub use repository::{PRUNED_BELOW, Pruned, RepositoryStore, prune};
pub use server::AssetServer;

/// Maximum size of a file, bytes. GitHub warns above 50 MiB, and a comment with such an image is of no use to anyone.
/// <https://docs.github.com/en/repositories/working-with-files/managing-large-files/about-large-files-on-github>
const FILE_LIMIT: usize = 50 << 20;
/// Maximum number of files of one report.
pub const COUNT_LIMIT: usize = 200;
/// Maximum size of all its files together, bytes: all are in memory at once.
pub const TOTAL_LIMIT: usize = 200 << 20;
/// Maximum length of a name, bytes.
const NAME_LIMIT: usize = 100;

/// Characters that need no escaping in a path of a URL.
const PATH: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A file to show.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// Its name, without directories.
    pub name: String,
    /// Its content type.
    pub media: Media,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Reason why a file could not be stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// The file is empty.
    #[error("{0} is empty (0 bytes): the step that should have written it has not, or not yet")]
    Empty(String),
    /// The file is too large.
    #[error("{name} has {mib} MiB, and at most {} MiB are taken: make it smaller (for a plot: fewer dots per inch, PNG or SVG), or put it elsewhere and link to it", FILE_LIMIT >> 20)]
    TooLarge {
        /// Its name.
        name: String,
        /// Its size, rounded up.
        mib: usize,
    },
    /// There are too many files.
    #[error(
        "the report has {0} files, and at most {COUNT_LIMIT} are taken: leave some out, or send several reports"
    )]
    TooMany(usize),
    /// They are too large together.
    #[error(
        "the report's files have more than {} MiB together, which is the most that is taken: make them smaller, leave some \
         out, or send several reports",
        TOTAL_LIMIT >> 20
    )]
    TooLargeTogether,
    /// An address is invalid.
    #[error("{0:?} cannot be used as an address: {1}")]
    BadAddress(String, String),
    /// GitHub refused.
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    /// Other runs published at the same moment, again and again.
    #[error("others published into {0} at the same moment, again and again: run it again")]
    Contended(String),
    /// The asset server refused.
    #[error("{url}: {cause}")]
    Server {
        /// Its address, without credentials.
        url: String,
        /// The cause.
        cause: String,
    },
    /// A file cannot be written.
    #[error("cannot write {path}: {cause}")]
    Disk {
        /// Its path.
        path: String,
        /// The cause.
        cause: String,
    },
    /// Any other error of a store, with its own message.
    #[error("{0}")]
    Other(String),
}

/// A store whose files can be viewed.
pub trait ArtifactStore {
    /// Uploads files and returns their addresses in the same order. Files that exist already are not sent again.
    fn upload(&self, assets: &[Artifact]) -> impl Future<Output = Result<Vec<String>, ArtifactError>>;
}

impl Artifact {
    /// Creates an artifact, after a check that it can be shown.
    ///
    /// # Errors
    /// When it is empty or too large.
    pub fn new(name: &str, media: Option<Media>, bytes: Vec<u8>) -> Result<Self, ArtifactError> {
        Self::check_size(name, bytes.len())?;
        let media = media.unwrap_or_else(|| Media::of(&bytes));
        Ok(Self { name: without_directories(name), media, bytes })
    }

    /// Checks that a file has a size that can be shown; also called before it is read.
    ///
    /// # Errors
    /// When it is empty or too large.
    pub fn check_size(name: &str, bytes: usize) -> Result<(), ArtifactError> {
        match bytes {
            0 => Err(ArtifactError::Empty(without_directories(name))),
            1..=FILE_LIMIT => Ok(()),
            _ => {
                Err(ArtifactError::TooLarge { name: without_directories(name), mib: bytes.div_ceil(1 << 20) })
            }
        }
    }

    /// Returns `HASH/NAME`: the same content has the same path.
    #[must_use]
    pub fn path(&self) -> String {
        let hash = Sha256::digest(&self.bytes);
        let hash: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let plain = |c: char| if c.is_control() || "\\:*?\"<>|".contains(c) { '_' } else { c };
        let name: String = self.name.chars().map(plain).collect();
        // Servers derive the content type from the end of a name.
        let mut cut = name.len().saturating_sub(NAME_LIMIT);
        while !name.is_char_boundary(cut) {
            cut += 1;
        }
        let name = name[cut..].to_owned();
        // A path in git may not contain these names.
        let name = if matches!(name.to_ascii_lowercase().as_str(), "" | "." | ".." | ".git") {
            "file".to_owned()
        } else {
            name
        };
        format!("{hash}/{name}")
    }
}

fn without_directories(name: &str) -> String {
    name.rsplit(['/', '\\']).next().unwrap_or(name).to_owned()
}

/// Refuses more files than a report can have.
pub(crate) fn check_count(assets: &[Artifact]) -> Result<(), ArtifactError> {
    if assets.len() > COUNT_LIMIT { Err(ArtifactError::TooMany(assets.len())) } else { Ok(()) }
}

/// Escapes a path for a URL.
fn escaped(path: &str) -> String {
    utf8_percent_encode(path, &PATH).to_string()
}

/// Renders the Markdown that shows a file: an image where it is one, else a link.
#[must_use]
pub fn markdown(asset: &Artifact, url: &str, title: Option<&str>) -> String {
    if asset.media.is_shown() {
        let title = title.map(|title| format!(" \"{}\"", title.replace('\\', "\\\\").replace('"', "\\\"")));
        return format!("![]({url}{})", title.unwrap_or_default());
    }
    // A link without a text is invisible.
    let text = title.unwrap_or(&asset.name);
    let mut plain = String::new();
    for letter in text.chars() {
        if ['\\', '[', ']', '<', '`', '*', '_'].contains(&letter) {
            plain.push('\\');
        }
        plain.push(if letter == '\n' { ' ' } else { letter });
    }
    format!("[{plain}]({url})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asset(name: &str, bytes: &[u8]) -> Artifact {
        Artifact::new(name, None, bytes.to_vec()).expect("good")
    }

    #[test]
    fn a_file_is_shown_as_an_image_or_as_a_link_that_can_be_seen() {
        let png = asset("plots/roc.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR");
        assert_eq!(markdown(&png, "https://x/a", None), "![](https://x/a)");
        assert_eq!(markdown(&png, "https://x/a", Some("a \"b\"")), "![](https://x/a \"a \\\"b\\\"\")");
        let csv = asset("my_table.csv", b"a,b\n");
        assert_eq!(markdown(&csv, "https://x/a", Some("Table")), "[Table](https://x/a)");
        assert_eq!(markdown(&csv, "https://x/a", None), "[my\\_table.csv](https://x/a)");
    }

    #[test]
    fn a_file_that_cannot_be_shown_is_named_with_what_to_do() {
        let refused = |bytes| Artifact::new("a/b.png", None, bytes).expect_err("refused").to_string();
        assert!(refused(Vec::new()).starts_with("b.png is empty (0 bytes)"));
        assert!(refused(vec![1; 60 << 20]).starts_with("b.png has 60 MiB, and at most 50 MiB are taken"));
    }

    #[test]
    fn the_same_content_has_the_same_place_and_no_name_leaves_it() {
        assert_eq!(asset("a.png", b"x").path(), "2d711642b726b044/a.png");
        assert_eq!(asset("../..", b"x").path(), "2d711642b726b044/file");
        assert_eq!(asset("C:\\plots\\a?.png", b"x").path(), "2d711642b726b044/a_.png");
        assert_eq!(escaped("2d/größe 1.png"), "2d/gr%C3%B6%C3%9Fe%201.png");
    }
}
