//! A bare Debian: a tree with only the packages that a page lists, in which the commands of the page are run.
//!
//! Requires root, mmdebstrap and unshare. Without them a test prints that it was skipped, unless all tests are
//! required.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::book::page::{Block, Directive, Page};
use crate::book::{self, shell_text};
use crate::paths;
use crate::runner::{Ran, Runner};
use crate::tier;
use crate::venv::tell;

/// Time limit: a build takes a while on a machine that has never built it.
const LIMIT: Duration = Duration::from_secs(40 * 60);

/// Returns true, and prints it, when this machine lacks what these tests need.
///
/// # Panics
/// When they are required.
#[must_use]
pub fn is_skipped(name: &str) -> bool {
    if tier::is_left_to_full(name) {
        return true;
    }
    let has = |tool: &str| {
        let found = Command::new("sh").args(["-c", "command -v \"$0\" >/dev/null", tool]).status();
        found.is_ok_and(|status| status.success())
    };
    let missing = ["mmdebstrap", "unshare", "git"].into_iter().find(|tool| !has(tool));
    let why = match missing {
        _ if !rustix::process::geteuid().is_root() => "not root".to_owned(),
        Some(tool) => format!("{tool} is not installed"),
        None => return false,
    };
    tier::skip(name, &why);
    true
}

/// Returns the page of the book with this name.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn page(name: &str) -> Page {
    book::pages().into_iter().find(|page| page.name == name).unwrap_or_else(|| panic!("no page {name}"))
}

/// Returns the packages that a page installs: the words after its first `apt-get install`.
///
/// # Panics
/// When it installs none.
#[must_use]
pub fn packages(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(book::root().join(name)).expect("the page");
    let (_, rest) =
        text.split_once("apt-get install ").unwrap_or_else(|| panic!("{name} tells of no packages"));
    let end = rest.find(['`', '\n']).expect("an end");
    rest[..end].split_whitespace().map(str::to_owned).collect()
}

/// Returns the shell text of a page: its blocks in order, except those marked as not runnable, which are printed.
#[must_use]
pub fn script(page: &Page) -> String {
    let mut text = String::new();
    for block in &page.blocks {
        let Some(shell) = shell_text(block) else { continue };
        let Block { place, directive, .. } = block;
        if let Some(Directive::NotRun(why)) = directive {
            tell(&format!("not run: {place}: {why}"));
            continue;
        }
        text.push_str(&format!("printf '\\n== %s\\n' '{place}'\n{shell}\n"));
    }
    text
}

/// The tree, and its additional files.
pub struct Bare {
    tree: PathBuf,
    scratch: TempDir,
    user: Runner,
    binds: Vec<PathBuf>,
    variables: Vec<String>,
}

impl Bare {
    /// Returns a fresh copy of a tree with these packages; the tree itself is built once.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn with(packages: &[String]) -> Self {
        let tree = paths::target_dir().join("cml-e2e/bare-root");
        tell(&format!("a bare Debian with {}, made once", packages.join(" ")));
        let mut make = Command::new(paths::tests_dir().join("support/bare/root.sh"));
        let made = make.arg(&tree).args(packages).output().expect("root.sh starts");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let scratch = TempDir::with_prefix("cml-e2e-bare-").expect("a directory");
        Self { tree, scratch, user: Runner::new(), binds: Vec::new(), variables: Vec::new() }
    }

    /// Mounts this path of this machine there, too.
    #[must_use]
    pub fn bound(mut self, path: &Path) -> Self {
        self.binds.push(path.to_owned());
        self
    }

    /// Sets an environment variable there.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push(format!("{name}={value}"));
        self
    }

    /// Runs this text in an empty home, and stops at the first command that fails.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn types(&self, text: &str) -> Ran {
        let file = self.user.home().join("page.sh");
        std::fs::write(&file, text).expect("written");
        let inside = paths::tests_dir().join("support/seed/inside.sh");
        let (tree, scratch) = (self.tree.display().to_string(), self.scratch.path().display().to_string());
        let file = file.display().to_string();
        let mut line = vec![tree, scratch, file.clone()];
        line.extend(self.binds.iter().map(|path| path.display().to_string()));
        line.push("--".to_owned());
        line.extend(self.variables.iter().cloned());
        line.extend(
            ["sh", "-c", "cd /root && exec bash --norc -euo pipefail \"$0\" 2>&1", &file].map(str::to_owned),
        );
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        self.user.start_program(inside.as_os_str(), &line).finish_within(LIMIT).await
    }
}

/// A repository on this machine with the current sources, for commands that clone the project's own address.
pub struct Origin {
    dir: TempDir,
}

impl Origin {
    /// Creates it, with the files that git would commit.
    ///
    /// # Panics
    /// When git fails.
    #[must_use]
    pub fn of_this_tree() -> Self {
        let dir = TempDir::with_prefix("cml-e2e-origin-").expect("a directory");
        let script = "set -eu
            git ls-files -z --cached --others --exclude-standard | xargs -0 sh -c 'for f; do [ -e \"$f\" ] && printf \"%s\\0\" \"$f\"; done' sh |
                tar --null --files-from=- -cf - | tar -xf - -C \"$1\"
            cd \"$1\"
            git init --quiet --initial-branch=main
            git add --all
            git -c user.name=A -c user.email=a@example.com commit --quiet --message 'The sources'";
        let mut sh = Command::new("sh");
        let made = sh
            .args(["-c", script, "sh"])
            .arg(dir.path())
            .current_dir(book::root())
            .output()
            .expect("sh starts");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self { dir }
    }

    /// Returns its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}
