//! GitHub's errors as kinds that a caller can branch on, with the missing permission where there is one.

use std::error::Error;

use jiff::{SignedDuration, Timestamp};
use octocrab::Error as OctocrabError;

use crate::location::Scope;
use crate::transport::{ApiResponse, Permission, RequestContext};

/// Host of github.com's API, for which there is a status page.
const OURS: &str = "api.github.com";

/// Kind of an error; each has its own remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GitHubErrorKind {
    /// The token or the App's key is wrong, revoked or expired.
    BadCredentials,
    /// The credentials are valid, but lack a permission.
    Forbidden,
    /// The object does not exist, or these credentials may not see it.
    NotFound,
    /// Another runner has this name.
    NameTaken,
    /// Too many requests; nothing was done.
    RateLimited {
        /// When to retry, where GitHub reports it.
        retry_at: Option<Timestamp>,
    },
    /// The request can never succeed as it is.
    Invalid,
    /// Network, time-out or a 5xx. After a write the outcome is unknown.
    Transient,
    /// A stop was requested before GitHub was called; nothing was done.
    Interrupted,
}

/// GitHub refused, or did not answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{doing}: {cause}")]
pub struct GitHubError {
    /// The kind, to branch on.
    pub kind: GitHubErrorKind,
    /// The operation: `registering a runner for acme/vision`.
    pub doing: String,
    /// The cause, in GitHub's words where there are some.
    pub cause: String,
    /// What the reader can do about it.
    pub hint: Option<String>,
}

impl GitHubError {
    pub(crate) fn bad_app_key(error: &OctocrabError) -> Self {
        Self {
            kind: GitHubErrorKind::BadCredentials,
            doing: "reading the App's private key".to_owned(),
            cause: chain(error),
            hint: Some(
                "--app-key-file must be the .pem file with an RSA key, as the App's settings page gives it"
                    .to_owned(),
            ),
        }
    }

    pub(crate) fn client(error: &OctocrabError) -> Self {
        Self {
            kind: GitHubErrorKind::Invalid,
            doing: "preparing to speak to GitHub".to_owned(),
            cause: chain(error),
            hint: Some(
                "the system's CA certificates are needed for https (package ca-certificates)".to_owned(),
            ),
        }
    }

    /// Creates the error for a missing or incomplete answer.
    pub(crate) fn no_answer(call: &RequestContext<'_>, cause: String) -> Self {
        Self {
            kind: GitHubErrorKind::Transient,
            doing: call.doing.clone(),
            cause,
            hint: Some(match call.host {
                OURS => "check the network and https://www.githubstatus.com, then run it again".to_owned(),
                _ => "is --repo right, and the network? Then run it again".to_owned(),
            }),
        }
    }

    /// Creates the error for a stop: a wait was cut short, or a write was not begun.
    pub(crate) fn interrupted(call: &RequestContext<'_>) -> Self {
        Self {
            kind: GitHubErrorKind::Interrupted,
            doing: call.doing.clone(),
            cause: "interrupted by a signal".to_owned(),
            hint: None,
        }
    }

    /// Creates the error for a list that changed during each attempt to read it.
    pub(crate) fn list_changed(call: &RequestContext<'_>) -> Self {
        Self {
            kind: GitHubErrorKind::Transient,
            doing: call.doing.clone(),
            cause: "the list changed while it was read".to_owned(),
            hint: Some("run it again; it is read whole once it stays the same for some seconds".to_owned()),
        }
    }

    /// Creates the error for an answer that deviates from GitHub's documentation.
    pub(crate) fn not_understood(call: &RequestContext<'_>, error: &serde_json::Error) -> Self {
        Self {
            kind: GitHubErrorKind::Invalid,
            doing: call.doing.clone(),
            // Never the body: it may contain what was just registered.
            cause: if error.is_data() {
                format!(
                    "the answer of {} is not as GitHub documents it (at column {})",
                    call.host,
                    error.column()
                )
            } else {
                format!("{} answered something that is not JSON (a proxy's or a login page?)", call.host)
            },
            hint: Some("is it really GitHub's API that answers at this address?".to_owned()),
        }
    }

    /// Creates the error for a failure of octocrab before there was an answer.
    pub(crate) fn transport(call: &RequestContext<'_>, error: &OctocrabError) -> Self {
        match error {
            // Only the exchange of the App's JWT for a token is parsed by octocrab itself.
            OctocrabError::GitHub { source, .. } => {
                let answer = ApiResponse {
                    status: source.status_code.as_u16(),
                    headers: source.headers.clone().unwrap_or_default(),
                    body: serde_json::json!({"message": source.message}).to_string().into_bytes(),
                };
                let mut failure = refused(call, &answer);
                failure.doing = format!("{}: getting the App's token", failure.doing);
                failure
            }
            OctocrabError::JWT { .. } => Self::bad_app_key(error),
            _ => Self::no_answer(call, unreached(call.host, &chain(error))),
        }
    }
}

/// Describes the missing answer and its sender. A connection that breaks in the middle had reached a server.
fn unreached(host: &str, cause: &str) -> String {
    if cause.contains("(Connect)") {
        format!("cannot reach {host}: {cause}")
    } else {
        format!("no whole answer came from {host}: {cause}")
    }
}

/// Formats an error and its causes on one line, without octocrab's backtraces.
fn chain(error: &OctocrabError) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut next: Option<&(dyn Error + 'static)> = error.source().or(Some(error));
    while let Some(error) = next {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default().to_owned();
        if !line.is_empty() && !words.iter().any(|word| word.contains(&line)) {
            words.push(line);
        }
        next = error.source();
    }
    words.join(": ")
}

/// Parses an answer with an error status.
pub(crate) fn refused(call: &RequestContext<'_>, answer: &ApiResponse) -> GitHubError {
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let message = body["message"].as_str().unwrap_or_default();
    let error = |kind, hint: String| GitHubError {
        kind,
        doing: call.doing.clone(),
        cause: cause(answer, &body),
        hint: Some(call.hint.clone().unwrap_or(hint)),
    };
    match answer.status {
        401 => GitHubError {
            hint: Some("the token is mistyped, expired or revoked: make a new one and store it as the secret that the workflow passes on".to_owned()),
            ..error(GitHubErrorKind::BadCredentials, String::new())
        },
        403 | 429 if is_rate_limit(answer, message) => {
            let retry_at = retry_at(answer);
            let when = retry_at.map_or("in some minutes".to_owned(), |at| format!("after {at}"));
            GitHubError {
                hint: Some(format!("GitHub limits how often it may be asked: run it again {when}, or use a GitHub App, whose limit is its own")),
                ..error(GitHubErrorKind::RateLimited { retry_at }, String::new())
            }
        }
        403 if answer.header("x-github-sso").is_some() => {
            error(GitHubErrorKind::Forbidden, "the organization wants single sign-on: authorize the token for it on its settings page (Configure SSO)".to_owned())
        }
        403 => error(GitHubErrorKind::Forbidden, lacks(answer, call)),
        404 => error(
            GitHubErrorKind::NotFound,
            format!("{} does not exist, or the credentials may not see it; {}", call.scope, lacks(answer, call)),
        ),
        409 if message.to_ascii_lowercase().contains("already exists") => {
            error(GitHubErrorKind::NameTaken, "choose another name, or remove the runner that has it".to_owned())
        }
        410 => error(GitHubErrorKind::Invalid, "GitHub has retired this version of its API: update cml-runner".to_owned()),
        500.. => GitHubError {
            hint: Some(match call.host {
                OURS => "see https://www.githubstatus.com, then run it again".to_owned(),
                host => format!("{host} has trouble of its own: run it again, or ask who runs it"),
            }),
            ..error(GitHubErrorKind::Transient, String::new())
        },
        _ => error(GitHubErrorKind::Invalid, "GitHub does not accept the request as it is; its words say why".to_owned()),
    }
}

/// Returns GitHub's message with its list of errors, or the bare status.
fn cause(answer: &ApiResponse, body: &serde_json::Value) -> String {
    let mut text = match body["message"].as_str() {
        Some(message) if !message.is_empty() => format!("GitHub answered {}: {message}", answer.status),
        _ => format!("GitHub answered {}", answer.status),
    };
    for error in body["errors"].as_array().into_iter().flatten().take(5) {
        let words = match error {
            serde_json::Value::String(words) => words.clone(),
            other => other["message"].as_str().map_or_else(
                || {
                    format!(
                        "{} {}",
                        other["field"].as_str().unwrap_or("?"),
                        other["code"].as_str().unwrap_or("?")
                    )
                },
                str::to_owned,
            ),
        };
        text.push_str("; ");
        text.push_str(&words);
    }
    text
}

/// <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit>
fn is_rate_limit(answer: &ApiResponse, message: &str) -> bool {
    answer.status == 429
        || answer.header("retry-after").is_some()
        || answer.header("x-ratelimit-remaining") == Some("0")
        || message.to_ascii_lowercase().contains("rate limit")
}

/// Returns the wait that GitHub asks for, relative to its own clock.
pub(crate) fn retry_after(answer: &ApiResponse) -> Option<SignedDuration> {
    if let Some(seconds) = answer.header("retry-after").and_then(|text| text.parse().ok()) {
        return Some(SignedDuration::from_secs(seconds));
    }
    Some(reset(answer)?.duration_since(answer.date()?))
}

fn retry_at(answer: &ApiResponse) -> Option<Timestamp> {
    match (answer.header("retry-after").and_then(|text| text.parse().ok()), answer.date()) {
        (Some(seconds), Some(now)) => now.checked_add(SignedDuration::from_secs(seconds)).ok(),
        _ => reset(answer),
    }
}

fn reset(answer: &ApiResponse) -> Option<Timestamp> {
    if answer.header("x-ratelimit-remaining") != Some("0") {
        return None;
    }
    Timestamp::from_second(answer.header("x-ratelimit-reset")?.parse().ok()?).ok()
}

/// Returns the missing permission: the one that GitHub names, else the one needed for managing runners.
fn lacks(answer: &ApiResponse, call: &RequestContext<'_>) -> String {
    if let Some(needed) = answer.header("x-accepted-github-permissions").filter(|needed| !needed.is_empty()) {
        return format!("the token or App lacks the permission that GitHub names: {needed}");
    }
    let scope = call.scope;
    if let Permission::Write(key) = call.permission {
        return format!(
            "it takes `permissions: {{{key}: write}}` in the workflow for its GITHUB_TOKEN (what is not listed there \
             is then refused, so keep `contents: read` for the checkout), or another token that has it; in a pull \
             request from a fork GitHub gives no token that may write"
        );
    }
    let (fine_grained, classic) = match scope {
        Scope::Repository { .. } => ("repository permission \"Administration: read and write\"", "repo"),
        Scope::Organization(_) => {
            ("organization permission \"Self-hosted runners: read and write\"", "admin:org")
        }
        Scope::Enterprise(_) => {
            ("enterprise permission \"Enterprise self-hosted runners\"", "manage_runners:enterprise")
        }
    };
    let has = answer
        .header("x-oauth-scopes")
        .map(|scopes| format!(" (this one has: {scopes})"))
        .unwrap_or_default();
    format!(
        "managing runners of {scope} takes the {fine_grained}, or a classic token with the scope {classic}{has}; the \
         GITHUB_TOKEN of a workflow never has it"
    )
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::location::Location;

    fn of(repo: &str, tell: impl Fn(&RequestContext<'_>) -> GitHubError) -> (String, String) {
        let location = Location::find(Some(repo), &|_| None, None).expect("a repository");
        let error = tell(&RequestContext::new("asking".to_owned(), &location, &CancellationToken::new()));
        (error.cause, error.hint.unwrap_or_default())
    }

    #[test]
    fn whoever_gives_no_answer_is_named() {
        let silent = |call: &RequestContext<'_>| {
            GitHubError::no_answer(call, unreached(call.host, "client error (Connect): dns error"))
        };
        let (cause, hint) = of("https://ghes.example.com/acme/vision", silent);
        assert!(cause.starts_with("cannot reach ghes.example.com: "), "{cause}");
        assert!(hint.contains("--repo") && !hint.contains("githubstatus"), "{hint}");
        let (_, hint) = of("https://github.com/acme/vision", silent);
        assert!(hint.contains("githubstatus.com"), "{hint}");
    }

    #[test]
    fn a_page_in_place_of_json_is_called_that() {
        let page = |call: &RequestContext<'_>| {
            let error = serde_json::from_str::<u8>("<html>").expect_err("no JSON");
            GitHubError::not_understood(call, &error)
        };
        let (cause, _) = of("https://github.com/acme/vision", page);
        assert_eq!(cause, "api.github.com answered something that is not JSON (a proxy's or a login page?)");
    }
}
