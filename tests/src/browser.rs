//! A browser that looks at pages as people do: headless Chromium. Its pictures stay under the target directory; those that the
//! book shows are written into it with `UPDATE_PICTURES=1`.

use std::path::{Path, PathBuf};

use crate::edge::variable;
use crate::paths;
use crate::runner::Runner;

/// Chromium as it has to be started where nothing beyond this machine can be reached.
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
/// Where a picture's width and height stand in its file. <https://www.w3.org/TR/png-3/#11IHDR>
const SIZE_AT: std::ops::Range<usize> = 16..24;

/// Where pictures of this run lie.
#[must_use]
pub fn pictures() -> PathBuf {
    let dir = paths::target_dir().join("screenshots");
    std::fs::create_dir_all(&dir).expect("a directory");
    dir
}

/// What the browser has made of the page, as HTML.
pub async fn read(user: &Runner, url: &str) -> String {
    let profile = profile(user);
    let mut arguments: Vec<&str> = QUIET.to_vec();
    arguments.extend([profile.as_str(), "--dump-dom", "--virtual-time-budget=12000"]);
    arguments.push(url);
    user.run_program("chromium", &arguments).await.expect_code(0).stdout
}

/// Makes a picture of a page in a window of this size.
///
/// # Panics
/// When it shows next to nothing.
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

/// Holds a picture of this run against the one that the book shows: both are there, and as wide. `UPDATE_PICTURES=1` puts this
/// one into the book.
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
