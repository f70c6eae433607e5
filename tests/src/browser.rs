//! Headless Chromium, which renders pages as people see them. Its pictures are kept in the target directory;
//! `UPDATE_PICTURES=1` writes those of the book into it.

use std::path::{Path, PathBuf};

use crate::edge::variable;
use crate::paths;
use crate::runner::Runner;

/// Flags of Chromium on a machine without a network.
const QUIET: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
];
/// Bytes of a picture's width and height in its file. <https://www.w3.org/TR/png-3/#11IHDR>
const SIZE_AT: std::ops::Range<usize> = 16..24;

/// Returns the directory of this run's pictures.
#[must_use]
pub fn pictures() -> PathBuf {
    let dir = paths::target_dir().join("screenshots");
    std::fs::create_dir_all(&dir).expect("a directory");
    dir
}

/// Returns the page as the browser has rendered it, as HTML.
pub async fn read(user: &Runner, url: &str) -> String {
    let profile = profile(user);
    let mut arguments: Vec<&str> = QUIET.to_vec();
    arguments.extend([profile.as_str(), "--dump-dom", "--virtual-time-budget=12000"]);
    arguments.push(url);
    user.run_program("chromium", &arguments).await.expect_code(0).stdout
}

/// Takes a picture of a page in a window of this size.
///
/// # Panics
/// When it is almost empty.
pub async fn photograph(user: &Runner, url: &str, name: &str, (width, height): (u32, u32), more: &[&str]) {
    let profile = profile(user);
    let picture = format!("--screenshot={}", pictures().join(name).display());
    let window = format!("--window-size={width},{height}");
    let mut arguments: Vec<&str> = QUIET.to_vec();
    arguments.extend([profile.as_str(), picture.as_str(), window.as_str()]);
    arguments.extend(more);
    arguments.push(url);
    let _ = user.run_program("chromium", &arguments).await.expect_code(0);
    let bytes = std::fs::read(pictures().join(name)).expect("a picture was made");
    assert!(bytes.len() > 10_000, "{name} shows next to nothing: {} bytes", bytes.len());
}

fn profile(user: &Runner) -> String {
    format!("--user-data-dir={}", user.home().join("chromium").display())
}

/// Compares a picture of this run with the one of the book: both exist, and have the same width. `UPDATE_PICTURES=1`
/// copies this one into the book.
///
/// # Panics
/// When the book has none, or another one.
pub fn is_in_the_book(name: &str, of_the_book: &str) {
    let made = pictures().join(name);
    let shown = paths::tests_dir().join("../docs/images").join(of_the_book);
    if !variable("UPDATE_PICTURES").is_empty() {
        std::fs::create_dir_all(shown.parent().expect("a directory")).expect("a directory");
        std::fs::copy(&made, &shown).expect("copied");
    }
    assert_eq!(
        width(&made),
        width(&shown),
        "docs/images/{of_the_book} is not what the tests make: UPDATE_PICTURES=1 makes it anew"
    );
}

fn width(picture: &Path) -> Option<u32> {
    let bytes = std::fs::read(picture).ok()?;
    let size = bytes.get(SIZE_AT)?;
    Some(u32::from_be_bytes(size.get(..4)?.try_into().ok()?))
}
