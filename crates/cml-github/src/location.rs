//! Location of GitHub, and the served scope.

use std::fmt;

use jiff::SignedDuration;
use url::{Host, Url};

use crate::names::{is_full_name, is_name};

/// The owner of a runner's registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One repository.
    Repository {
        /// User or organization.
        owner: String,
        /// The repository's name.
        name: String,
    },
    /// All repositories of an organization, as its runner groups allow.
    Organization(String),
    /// All organizations of an enterprise.
    Enterprise(String),
}

impl fmt::Display for Scope {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository { owner, name } => write!(out, "{owner}/{name}"),
            Self::Organization(name) => out.write_str(name),
            Self::Enterprise(name) => write!(out, "enterprises/{name}"),
        }
    }
}

impl Scope {
    /// Returns the scope's path in the REST API, such as `/repos/acme/vision`.
    pub(crate) fn api_path(&self) -> String {
        match self {
            Self::Repository { owner, name } => format!("/repos/{owner}/{name}"),
            Self::Organization(name) => format!("/orgs/{name}"),
            Self::Enterprise(name) => format!("/enterprises/{name}"),
        }
    }

    /// Returns true for a repository (`owner/name` in GitHub's shape) that belongs to the scope. The organizations of
    /// an enterprise are unknown here, so none of its repositories counts.
    #[must_use]
    pub fn holds(&self, full_name: &str) -> bool {
        if !is_full_name(full_name) {
            return false;
        }
        match self {
            Self::Repository { owner, name } => full_name.eq_ignore_ascii_case(&format!("{owner}/{name}")),
            Self::Organization(organization) => {
                full_name.split('/').next().is_some_and(|owner| owner.eq_ignore_ascii_case(organization))
            }
            Self::Enterprise(_) => false,
        }
    }

    fn from_path(path: &str) -> Option<Self> {
        let path = path.trim_matches('/');
        let segments: Vec<&str> = path.strip_suffix(".git").unwrap_or(path).split('/').collect();
        if !segments.iter().all(|segment| is_name(segment)) {
            return None;
        }
        Some(match segments.as_slice() {
            ["enterprises", name] => Self::Enterprise((*name).to_owned()),
            [owner, name] => Self::Repository { owner: (*owner).to_owned(), name: (*name).to_owned() },
            [name] => Self::Organization((*name).to_owned()),
            _ => return None,
        })
    }
}

/// A GitHub instance and the scope that is served there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The address for people, such as `https://github.com/`.
    pub web: Url,
    /// The REST API, such as `https://api.github.com/` or `https://ghes.example.com/api/v3`.
    pub api: Url,
    /// The scope of the runners.
    pub scope: Scope,
}

/// Error: the location of GitHub is unknown.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLocation {
    /// No repository is named.
    #[error(
        "no repository is named: give --repo https://github.com/OWNER/NAME, or run inside a workflow or a git checkout \
         with a remote \"origin\""
    )]
    Missing,
    /// A repository is named, but in a form that cannot be parsed.
    #[error(
        "{origin}: {text:?} names no repository, organization or enterprise: expected https://github.com/OWNER/NAME, \
         https://github.com/ORGANIZATION, https://github.com/enterprises/NAME or OWNER/NAME"
    )]
    NotUnderstood {
        /// The source of the text.
        origin: &'static str,
        /// The text, without any credentials in it.
        text: String,
    },
    /// The token would be sent over a network unencrypted.
    #[error(
        "{origin}: {host} would get the token unencrypted: use https:// (http:// is for 127.0.0.1 and localhost only)"
    )]
    Unencrypted {
        /// The source of the address.
        origin: &'static str,
        /// The host.
        host: String,
    },
}

/// The variable of Actions with the API's address.
const API_VARIABLE: &str = "GITHUB_API_URL";
/// The variable of Actions with the address for people.
const SERVER_VARIABLE: &str = "GITHUB_SERVER_URL";

impl Location {
    /// Finds GitHub: from the user's setting first, then from Actions' variables, then from the git remote.
    ///
    /// `env` reads one variable. `GITHUB_API_URL` counts only for the host of `GITHUB_SERVER_URL`: a repository that is
    /// named on another host has another API.
    ///
    /// # Errors
    /// [`BadLocation`] with the source that is at fault.
    pub fn find(
        repo_flag: Option<&str>,
        env: &dyn Fn(&str) -> Option<String>,
        git_remote: Option<&str>,
    ) -> Result<Self, BadLocation> {
        let server = match env(SERVER_VARIABLE) {
            Some(text) => parse_web(&text, SERVER_VARIABLE)?.0,
            None => Url::parse("https://github.com/").map_err(|_| BadLocation::Missing)?,
        };
        let (web, scope, origin) = if let Some(text) = repo_flag {
            let (web, scope) = parse(text, "--repo", &server)?;
            (web, scope, "--repo")
        } else if let Some(text) = env("GITHUB_REPOSITORY") {
            let (web, scope) = parse(&text, "GITHUB_REPOSITORY", &server)?;
            (web, scope, SERVER_VARIABLE)
        } else if let Some(text) = git_remote {
            let (web, scope) = parse(text, "the git remote origin", &server)?;
            (web, scope, "the git remote origin")
        } else {
            return Err(BadLocation::Missing);
        };
        encrypted(&web, origin)?;
        let api = match env(API_VARIABLE) {
            Some(text) if same_host(&web, &server) => parse_web(&text, API_VARIABLE)?.0,
            _ => api_of(&web),
        };
        encrypted(&api, API_VARIABLE)?;
        Ok(Self { web, api, scope })
    }

    /// Returns the base of `/graphql`: the API's own address, except for an Enterprise Server, which has GraphQL
    /// outside of its REST API.
    /// <https://docs.github.com/en/enterprise-server@3.17/graphql/guides/forming-calls-with-graphql#the-graphql-endpoint>
    pub(crate) fn graphql_base(&self) -> Url {
        let mut base = self.api.clone();
        let beside = base.path().trim_end_matches('/').strip_suffix("/v3").map(str::to_owned);
        if let Some(beside) = beside {
            base.set_path(&beside);
        }
        base
    }

    /// Returns how long GitHub can redeliver a webhook.
    /// <https://docs.github.com/en/webhooks/testing-and-troubleshooting-webhooks/redelivering-webhooks>
    #[must_use]
    pub fn delivers_again_for(&self) -> SignedDuration {
        let host = self.web.host_str().unwrap_or_default();
        let is_cloud = host == "github.com" || host == "www.github.com" || host.ends_with(".ghe.com");
        SignedDuration::from_hours(24 * if is_cloud { 3 } else { 7 })
    }

    /// Returns the address that a runner registers with, such as `https://github.com/acme/vision`.
    #[must_use]
    pub fn runner_url(&self) -> String {
        format!("{}/{}", self.web.as_str().trim_end_matches('/'), self.scope)
    }
}

/// Parses a URL, an scp-like address (`git@host:acme/vision.git`) or `OWNER/NAME`.
fn parse(text: &str, origin: &'static str, server: &Url) -> Result<(Url, Scope), BadLocation> {
    let text = text.trim();
    let misunderstood = || BadLocation::NotUnderstood { origin, text: without_credentials(text) };
    if text.starts_with(['/', '.']) {
        // A directory: the clone of a clone has such a remote.
        return Err(misunderstood());
    }
    let (web, path) = if text.contains("://") {
        parse_web(text, origin)?
    } else if let Some((host, path)) = text.split_once(':') {
        let host = host.rsplit('@').next().unwrap_or(host);
        (Url::parse(&format!("https://{host}/")).map_err(|_| misunderstood())?, path.to_owned())
    } else {
        (server.clone(), text.to_owned())
    };
    // One word alone is ambiguous; an organization is named by its URL.
    let scope = Scope::from_path(&path).filter(|_| text.contains([':', '/']));
    Ok((web, scope.ok_or_else(misunderstood)?))
}

/// Returns the web root and the path of a URL; credentials, query and fragment are dropped.
fn parse_web(text: &str, origin: &'static str) -> Result<(Url, String), BadLocation> {
    let misunderstood = || BadLocation::NotUnderstood { origin, text: without_credentials(text) };
    let url = Url::parse(text.trim()).map_err(|_| misunderstood())?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(misunderstood)?;
    let scheme = match url.scheme() {
        scheme @ ("http" | "https") => scheme,
        "ssh" | "git" => "https",
        _ => return Err(misunderstood()),
    };
    let port = match url.port() {
        Some(port) if scheme == url.scheme() => format!(":{port}"),
        _ => String::new(),
    };
    let is_api = origin == API_VARIABLE;
    let path = if is_api { url.path().trim_end_matches('/') } else { "/" };
    let root = Url::parse(&format!("{scheme}://{host}{port}{path}")).map_err(|_| misunderstood())?;
    Ok((root, url.path().to_owned()))
}

fn without_credentials(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 < at => format!("{}…{}", &text[..scheme + 3], &text[at..]),
        _ => text.to_owned(),
    }
}

fn same_host(one: &Url, other: &Url) -> bool {
    one.host_str() == other.host_str() && one.port_or_known_default() == other.port_or_known_default()
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn encrypted(url: &Url, origin: &'static str) -> Result<(), BadLocation> {
    if url.scheme() == "https" || is_loopback(url) {
        return Ok(());
    }
    Err(BadLocation::Unencrypted { origin, host: url.host_str().unwrap_or_default().to_owned() })
}

/// Returns the API of a web root: github.com and its data-residency hosts have a host of their own for it, a GHES host
/// a path.
fn api_of(web: &Url) -> Url {
    let mut api = web.clone();
    let host = web.host_str().unwrap_or_default();
    if host == "github.com" || host == "www.github.com" || host.ends_with(".ghe.com") {
        let bare = host.strip_prefix("www.").unwrap_or(host);
        // Both names are valid hosts already, so this cannot fail.
        let _ = api.set_host(Some(&format!("api.{bare}")));
    } else {
        api.set_path("/api/v3");
    }
    api
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(
        flag: Option<&str>,
        env: &[(&str, &str)],
        remote: Option<&str>,
    ) -> Result<[String; 3], BadLocation> {
        let read =
            |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Location::find(flag, &read, remote)
            .map(|it| [it.web.to_string(), it.api.to_string(), it.scope.to_string()])
    }

    const ACTIONS_ON_GHES: &[(&str, &str)] = &[
        ("GITHUB_SERVER_URL", "https://ghes.example.com"),
        ("GITHUB_API_URL", "https://ghes.example.com/api/v3"),
        ("GITHUB_REPOSITORY", "acme/vision"),
    ];

    #[test]
    fn github_com_its_enterprise_hosts_and_ghes_have_their_apis() {
        let api = |flag| find(Some(flag), &[], None).map(|found| found[1].clone());
        assert_eq!(api("https://github.com/acme/vision").expect("ok"), "https://api.github.com/");
        assert_eq!(api("https://acme.ghe.com/acme/vision").expect("ok"), "https://api.acme.ghe.com/");
        assert_eq!(api("https://git.acme.org/acme/vision").expect("ok"), "https://git.acme.org/api/v3");
        assert_eq!(api("http://127.0.0.1:8080/acme/vision").expect("ok"), "http://127.0.0.1:8080/api/v3");
    }

    #[test]
    fn every_way_to_write_a_repository_means_the_same() {
        let expected = ["https://github.com/", "https://api.github.com/", "acme/vision"];
        for text in [
            "https://github.com/acme/vision",
            "https://github.com/acme/vision.git",
            "https://github.com/acme/vision/",
            "https://user:password@github.com/acme/vision.git",
            "git@github.com:acme/vision.git",
            "ssh://git@github.com:22/acme/vision.git",
            "acme/vision",
        ] {
            assert_eq!(find(Some(text), &[], None).expect(text), expected, "{text}");
            assert_eq!(find(None, &[], Some(text)).expect(text), expected, "{text}");
        }
    }

    #[test]
    fn the_flag_wins_over_actions_and_actions_over_the_remote() {
        let ghes = find(None, ACTIONS_ON_GHES, Some("git@github.com:other/other.git")).expect("ok");
        assert_eq!(ghes, ["https://ghes.example.com/", "https://ghes.example.com/api/v3", "acme/vision"]);
        let flag = find(Some("https://github.com/acme/other"), ACTIONS_ON_GHES, None).expect("ok");
        assert_eq!(flag, ["https://github.com/", "https://api.github.com/", "acme/other"]);
        let short = find(Some("acme/other"), ACTIONS_ON_GHES, None).expect("ok");
        assert_eq!(short[0], "https://ghes.example.com/");
    }

    #[test]
    fn organizations_and_enterprises_are_named_by_their_urls() {
        let scope = |flag| find(Some(flag), &[], None).map(|found| found[2].clone());
        assert_eq!(scope("https://github.com/acme").expect("ok"), "acme");
        assert_eq!(scope("https://github.com/enterprises/acme").expect("ok"), "enterprises/acme");
        assert!(scope("acme").is_err());
    }

    #[test]
    fn the_runner_registers_where_people_look() {
        let at = |flag| Location::find(Some(flag), &|_| None, None).expect("ok").runner_url();
        assert_eq!(at("git@github.com:acme/vision.git"), "https://github.com/acme/vision");
        assert_eq!(at("https://git.acme.org/enterprises/acme"), "https://git.acme.org/enterprises/acme");
    }

    #[test]
    fn a_scope_holds_its_own_repositories_and_nothing_that_only_looks_like_one() {
        let scope = |flag| Location::find(Some(flag), &|_| None, None).expect("ok").scope;
        let repository = scope("https://github.com/acme/vision");
        let organization = scope("https://github.com/acme");
        for name in ["acme/vision", "Acme/Vision"] {
            assert!(repository.holds(name) && organization.holds(name), "{name}");
        }
        assert!(!repository.holds("acme/none") && organization.holds("acme/none"));
        for name in [
            "evilcorp/miner",
            "acme2/vision",
            "acme/vision/..",
            "acme/..",
            "acme/vision?x=",
            "../user?x=",
            "acme",
            "",
        ] {
            assert!(!repository.holds(name) && !organization.holds(name), "{name}");
        }
        assert!(!scope("https://github.com/enterprises/acme").holds("acme/vision"), "not known");
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password_in_it() {
        let message = |flag| find(Some(flag), &[], None).expect_err("is wrong").to_string();
        let long = message("https://user:hunter2@github.com/acme/vision/tree/main");
        assert!(
            long.starts_with("--repo: \"https://…@github.com/acme/vision/tree/main\" names no"),
            "{long}"
        );
        assert!(message("https://github.com/acme/%2e%2e").contains("names no repository"));
        assert!(message("https://").contains("names no repository"));
        assert!(message("/srv/vision").contains("names no repository"));
        assert!(message("http://ghes.example.com/acme/vision").contains("unencrypted"));
        assert_eq!(find(None, &[], None), Err(BadLocation::Missing));
    }
}
