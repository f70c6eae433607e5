//! Type, permissions, expiry and remaining rate limit of the credentials.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::fmt::strtime;
use secrecy::ExposeSecret;
use serde::Deserialize;

use crate::auth::{ApiClient, Auth};
use crate::error::GitHubError;
use crate::runners::GitHub;
use crate::transport::{self, ApiResponse};

/// Type of the credentials, by GitHub's prefixes.
/// <https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/about-authentication-to-github#githubs-token-formats>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// An App's key, from which tokens are created.
    App,
    /// An App's installation token; a workflow's own `GITHUB_TOKEN` is one.
    Installation,
    /// A fine-grained personal access token.
    FineGrained,
    /// A classic personal access token.
    Classic,
    /// A token of a person through an App.
    User,
    /// A token with an unknown prefix.
    Unknown,
}

impl TokenKind {
    pub(crate) fn of(auth: &Auth) -> Self {
        let Auth::Token(token) = auth else { return Self::App };
        let token = token.expose_secret();
        let kinds = [
            ("github_pat_", Self::FineGrained),
            ("ghp_", Self::Classic),
            ("ghs_", Self::Installation),
            ("gho_", Self::User),
            ("ghu_", Self::User),
        ];
        kinds.iter().find(|(prefix, _)| token.starts_with(prefix)).map_or(Self::Unknown, |(_, kind)| *kind)
    }
}

/// Facts about credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialFacts {
    /// Their type.
    pub kind: TokenKind,
    /// The scopes of a classic token; GitHub reports none for any other.
    pub scopes: Option<Vec<String>>,
    /// Time of expiry; `None` for never, or where GitHub does not report it.
    pub expires_at: Option<Timestamp>,
    /// GitHub's time of the answer.
    pub github_time: Option<Timestamp>,
    /// Remaining requests in this hour; `None` where GitHub sets no limit.
    pub requests_left: Option<u32>,
    /// Allowed requests in an hour.
    pub requests_an_hour: Option<u32>,
}

/// Permissions and events of an App's installation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct AppFacts {
    /// Names of permissions, with `read` or `write`.
    #[serde(default)]
    pub permissions: BTreeMap<String, String>,
    /// Events that are sent to it.
    #[serde(default)]
    pub events: Vec<String>,
    /// Time of its suspension, if it is suspended.
    #[serde(default)]
    suspended_at: Option<Timestamp>,
}

impl AppFacts {
    /// Returns whether it is suspended.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.suspended_at.is_some()
    }

    /// Returns whether it has this write permission.
    #[must_use]
    pub fn may_write(&self, permission: &str) -> bool {
        self.permissions.get(permission).is_some_and(|held| held == "write" || held == "admin")
    }
}

impl GitHub {
    /// Returns the type of the credentials, without a request.
    #[must_use]
    pub fn token_kind(&self) -> TokenKind {
        self.identity.kind
    }

    /// Returns the facts about the credentials. The request does not count against the rate limit.
    /// <https://docs.github.com/en/rest/rate-limit/rate-limit>
    ///
    /// # Errors
    /// [`BadCredentials`](crate::GitHubErrorKind::BadCredentials) when GitHub does not accept them.
    pub async fn credentials(&self) -> Result<CredentialFacts, GitHubError> {
        let call = self.call("asking what the credentials are good for, at");
        let answer = transport::get_if_none_match(self.client().await?, "/rate_limit", None, &call).await?;
        // An Enterprise Server without rate limits answers 404 here. https://docs.github.com/en/enterprise-server/rest/rate-limit
        let is_unlimited = answer.status == 404;
        if !is_unlimited {
            let _: serde_json::Value = answer.read(&call)?;
        }
        let number = |name: &str| answer.header(name)?.parse().ok();
        Ok(CredentialFacts {
            kind: self.identity.kind,
            scopes: answer.header("x-oauth-scopes").map(scopes),
            expires_at: expiration(&answer),
            github_time: answer.date(),
            requests_left: number("x-ratelimit-remaining"),
            requests_an_hour: number("x-ratelimit-limit"),
        })
    }

    /// Returns the permissions of the App's installation; `None` for any other credentials.
    ///
    /// # Errors
    /// As GitHub answers: an App that is not installed there is
    /// [`NotFound`](crate::GitHubErrorKind::NotFound).
    pub async fn app(&self) -> Result<Option<AppFacts>, GitHubError> {
        let ApiClient::App(app) = self.speaker() else { return Ok(None) };
        let call = self.call("asking what the App may do at");
        let path = format!("{}/installation", self.location().scope.api_path());
        transport::get(app.itself(), &path, &call).await.map(Some)
    }
}

fn scopes(header: &str) -> Vec<String> {
    header.split(',').map(|scope| scope.trim().to_owned()).filter(|scope| !scope.is_empty()).collect()
}

/// Parses `2026-12-01 10:00:00 UTC`, or a time with an offset.
fn expiration(answer: &ApiResponse) -> Option<Timestamp> {
    let text = answer.header("github-authentication-token-expiration")?.replace("UTC", "+0000");
    strtime::parse("%Y-%m-%d %H:%M:%S %z", text.trim()).ok()?.to_timestamp().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::SecretString;

    #[test]
    fn a_token_tells_its_kind() {
        for (token, kind) in [
            ("github_pat_11AA", TokenKind::FineGrained),
            ("ghp_abc", TokenKind::Classic),
            ("ghs_abc", TokenKind::Installation),
            ("gho_abc", TokenKind::User),
            ("0123abcd", TokenKind::Unknown),
        ] {
            assert_eq!(TokenKind::of(&Auth::Token(SecretString::from(token))), kind, "{token}");
        }
    }

    #[test]
    fn the_end_of_a_token_is_read_in_both_of_githubs_forms() {
        let of = |text: &'static str| {
            let name = http::HeaderName::from_static("github-authentication-token-expiration");
            let headers = http::HeaderMap::from_iter([(name, http::HeaderValue::from_static(text))]);
            expiration(&ApiResponse { status: 200, headers, body: Vec::new() }).map(|at| at.to_string())
        };
        assert_eq!(of("2026-12-01 10:00:00 UTC").as_deref(), Some("2026-12-01T10:00:00Z"));
        assert_eq!(of("2026-12-01 10:00:00 -0500").as_deref(), Some("2026-12-01T15:00:00Z"));
        assert_eq!(of("soon"), None);
    }
}
