//! Facts about the repository from git's own files: git is not run.

use serde::Serialize;

use crate::folder::{Folder, Skipped};

/// A repository on a GitHub server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Repository {
    /// github.com, or the host of a GitHub Enterprise Server (with its port, where it has one).
    pub host: String,
    /// User or organization.
    pub owner: String,
    /// Its name.
    pub name: String,
}

impl Repository {
    /// Returns `owner/name`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// Returns the address of its page.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}/{}/{}", self.host, self.owner, self.name)
    }

    /// Returns true on github.com.
    #[must_use]
    pub fn is_on_github_com(&self) -> bool {
        self.host == "github.com"
    }

    /// Parses the forms of a repository that people and git use: `https://HOST/OWNER/NAME`, `git@HOST:OWNER/NAME.git`,
    /// `ssh://git@HOST/OWNER/NAME`, or `OWNER/NAME` on github.com.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (host, path) = if let Some((scheme, rest)) = text.split_once("://") {
            let (authority, path) = rest.split_once('/')?;
            let host = authority.rsplit('@').next()?;
            // The port of SSH is not that of HTTPS.
            let host = if scheme.contains("ssh") { host.split(':').next()? } else { host };
            (host.to_owned(), path)
        } else if let Some((authority, path)) = text.split_once(':') {
            (authority.rsplit('@').next()?.to_owned(), path)
        } else {
            ("github.com".to_owned(), text)
        };
        let path = path.trim_matches('/');
        let (owner, name) = path.strip_suffix(".git").unwrap_or(path).split_once('/')?;
        let is_host = |host: &str| {
            !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-.:".contains(c))
        };
        let host = host.to_lowercase();
        let host =
            if host == "www.github.com" || host == "ssh.github.com" { "github.com".to_owned() } else { host };
        (is_host(&host) && is_name(owner) && is_name(name)).then(|| Self {
            host,
            owner: owner.to_owned(),
            name: name.to_owned(),
        })
    }
}

/// Returns whether GitHub allows this name; such names need no quoting in YAML, a shell or an address.
fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c);
    !text.is_empty() && !text.starts_with('-') && text.chars().all(allowed) && !text.chars().all(|c| c == '.')
}

/// Facts from git.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Git {
    /// True inside a git repository.
    pub is_repository: bool,
    /// The repository of the remote `origin`, if it is on a GitHub server.
    pub repository: Option<Repository>,
    /// Why `origin` is not such a repository, if it is set.
    pub remote_problem: Option<String>,
    /// The default branch, if it can be determined.
    pub default_branch: Option<String>,
}

pub(crate) fn look(folder: &Folder, skipped: &mut Vec<Skipped>) -> Git {
    let root = folder.root();
    if !root.join(".git").exists() {
        return Git::default();
    }
    let mut git = Git { is_repository: true, ..Git::default() };
    // In a work tree `.git` is a file that names another directory, outside of this one: git writes it itself.
    let directory = if root.join(".git").is_dir() { None } else { work_tree(folder) };
    let elsewhere = directory.and_then(|path| GitDirectory::open(&path));
    let text = |name: &str, skipped: &mut Vec<Skipped>| match &elsewhere {
        Some(other) => other.text(name),
        None => folder.text(&format!(".git/{name}"), skipped),
    };
    if let Some(url) = text("config", skipped).as_deref().and_then(origin) {
        match served(&url) {
            Ok(repository) => git.repository = Some(repository),
            Err(problem) => git.remote_problem = Some(problem),
        }
    }
    let head = text("refs/remotes/origin/HEAD", skipped);
    let named = head
        .as_deref()
        .and_then(|head| head.trim().strip_prefix("ref: refs/remotes/origin/").map(str::to_owned));
    let usual =
        ["main", "master"].into_iter().find(|name| text(&format!("refs/heads/{name}"), skipped).is_some());
    git.default_branch = named.filter(|name| is_branch(name)).or(usual.map(str::to_owned));
    git
}

/// Returns the directory that the repository of a work tree shares with the others.
fn work_tree(folder: &Folder) -> Option<std::path::PathBuf> {
    let crate::folder::Read::Text(text) = folder.read(".git") else { return None };
    let own = folder.root().join(text.strip_prefix("gitdir:")?.trim());
    let shared = GitDirectory::open(&own)?.text("commondir");
    Some(shared.map_or(own.clone(), |shared| own.join(shared.trim())))
}

/// A directory of git outside the repository.
struct GitDirectory(Folder);

impl GitDirectory {
    fn open(path: &std::path::Path) -> Option<Self> {
        Folder::exactly(path).map(Self)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.0.text(name, &mut Vec::new())
    }
}

/// Returns the address of `origin` in git's configuration.
fn origin(config: &str) -> Option<String> {
    let mut inside = false;
    for line in config.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line == "[remote \"origin\"]";
        } else if inside
            && let Some((key, value)) = line.split_once('=')
            && key.trim() == "url"
        {
            return Some(value.trim().trim_matches('"').to_owned());
        }
    }
    None
}

/// Parses the address of a remote. The error never repeats the address: it may contain a password.
fn served(url: &str) -> Result<Repository, String> {
    let Some(repository) = Repository::parse(url) else {
        return Err("the git remote \"origin\" is no address of a repository at a GitHub".to_owned());
    };
    let other = ["gitlab", "bitbucket", "codeberg", "dev.azure", "sr.ht"]
        .into_iter()
        .any(|it| repository.host.contains(it));
    if other || !url.contains(':') {
        let host = if url.contains(':') { repository.host } else { "a directory".to_owned() };
        return Err(format!("the git remote \"origin\" is at {host}, and only GitHub is served"));
    }
    Ok(repository)
}

/// Returns whether a branch name needs no quoting in YAML.
fn is_branch(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&text.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_known_by_every_address_that_git_takes() {
        for text in [
            "https://github.com/acme/vision",
            "https://github.com/acme/vision.git",
            "https://user:secret@github.com/acme/vision.git/",
            "git@github.com:acme/vision.git",
            "ssh://git@ssh.github.com:443/acme/vision.git",
            "acme/vision",
        ] {
            let read = Repository::parse(text).expect(text);
            assert_eq!(read.url(), "https://github.com/acme/vision", "{text}");
        }
        let ghes = Repository::parse("https://ghe.example.com:8443/acme/vision").expect("reads");
        assert_eq!((ghes.host.as_str(), ghes.is_on_github_com()), ("ghe.example.com:8443", false));
        for text in [
            "",
            "acme",
            "https://github.com/acme",
            "https://github.com/a/b/c",
            "/srv/git/x",
            "a b/c",
            "../..",
        ] {
            assert_eq!(Repository::parse(text), None, "{text}");
        }
    }

    #[test]
    fn other_forges_are_not_taken_for_a_github_and_no_password_is_repeated() {
        let problem = served("https://me:hunter2@gitlab.com/acme/vision.git").expect_err("is refused");
        assert_eq!(problem, "the git remote \"origin\" is at gitlab.com, and only GitHub is served");
        let problem = served("https://me:hunter2@host/odd/path/here").expect_err("is refused");
        assert!(!problem.contains("hunter2"), "{problem}");
    }
}
