//! Who may look: everybody on this machine, or whoever has the token.

use axum::http::{HeaderMap, header};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// The cookie in which a browser keeps the token.
const COOKIE: &str = "cml_runner_token";

/// Who may look at the page, the API and the metrics.
#[derive(Clone, Debug, Default)]
pub struct Access {
    token: Option<SecretString>,
}

impl Access {
    /// With a token, nobody without it; without one, everybody who can reach the address.
    #[must_use]
    pub fn new(token: Option<SecretString>) -> Self {
        Self { token: token.filter(|token| !token.expose_secret().is_empty()) }
    }

    /// True for a request with these headers.
    #[must_use]
    pub fn allows(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = text(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        let cookies = text(header::COOKIE).into_iter().flat_map(|value| value.split("; "));
        let in_cookie = cookies.filter_map(|one| one.split_once('=')).find(|(name, _)| *name == COOKIE);
        bearer.is_some_and(|given| same(given, token.expose_secret()))
            || in_cookie.is_some_and(|(_, given)| same(given, &in_hex(token)))
    }

    /// What a browser keeps after it was given the right token; none for a wrong one.
    #[must_use]
    pub fn cookie(&self, given: &str) -> Option<String> {
        let token = self.token.as_ref()?;
        same(given, token.expose_secret()).then(|| {
            let value = in_hex(token);
            format!("{COOKIE}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age=2592000")
        })
    }
}

/// Compares digests: how long it takes says nothing of the token.
fn same(given: &str, right: &str) -> bool {
    Sha256::digest(given.as_bytes()) == Sha256::digest(right.as_bytes())
}

/// What stands for the token in a browser.
fn in_hex(token: &SecretString) -> String {
    Sha256::digest(token.expose_secret().as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
