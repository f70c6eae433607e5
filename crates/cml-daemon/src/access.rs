//! Access control: every local client, or every client that has the token.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderMap, Uri, header};
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::door::Peer;

/// The session cookie of a browser that has presented the token.
const COOKIE: &str = "cml_runner_session";
/// A browser must present the token again after this time, and after a restart of the daemon.
const SESSION: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Minimum length of a token: a shorter one could be guessed.
const TOKEN_BYTES_MIN: usize = 16;
/// Wrong tokens that one address may present within [`TRIES_WITHIN`]; after that all its tokens are ignored until the
/// time is over.
const TRIES_MAX: u32 = 10;
const TRIES_WITHIN: SignedDuration = SignedDuration::from_mins(1);
/// Maximum number of addresses with wrong tokens that are remembered.
const ADDRESSES_MAX: usize = 4096;

/// Error: the token is too short to protect anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it has {0} characters, and less than {TOKEN_BYTES_MIN} can be guessed")]
pub struct ShortToken(usize);

/// The public address of the page behind a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    host: String,
    is_https: bool,
}

impl PublicUrl {
    /// Parses `https://runners.example.com`; `None` for any other kind of address.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.trim_end_matches('/').parse().ok()?;
        let is_https = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let has_path = !["", "/"].contains(&uri.path()) || uri.query().is_some();
        let authority = uri.authority().filter(|it| !it.as_str().contains('@') && !has_path)?;
        Some(Self { host: authority.host().to_ascii_lowercase(), is_https })
    }
}

/// Result of the access check of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Access is granted.
    Allowed,
    /// The request has no valid token.
    Denied,
    /// The address has presented too many wrong tokens.
    Slowed,
    /// The request was meant for another host: an attacker's page, whose name resolves to this address, makes a browser
    /// send it.
    WrongHost,
}

/// Result of an attempt to exchange a token for a cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LogIn {
    /// The value of `Set-Cookie`.
    Right(String),
    Wrong,
    Slowed,
}

/// Access to the page, the API and the metrics.
#[derive(Clone)]
pub struct Access {
    token: Option<SecretString>,
    /// Key of the cookies: random, and known to this process only.
    key: [u8; 32],
    public: Option<PublicUrl>,
    wrong: Arc<Mutex<BTreeMap<Peer, Wrong>>>,
}

#[derive(Clone, Copy)]
struct Wrong {
    since: Timestamp,
    count: u32,
}

impl Access {
    /// Creates the check. With a token, only clients that have it get access; without one, all clients that reach the
    /// address by a name of this machine. `key` is random.
    ///
    /// # Errors
    /// [`ShortToken`].
    pub fn new(
        token: Option<SecretString>,
        key: [u8; 32],
        public: Option<PublicUrl>,
    ) -> Result<Self, ShortToken> {
        let length = token.as_ref().map(|token| token.expose_secret().trim().chars().count());
        if let Some(length) = length.filter(|length| *length < TOKEN_BYTES_MIN) {
            return Err(ShortToken(length));
        }
        Ok(Self { token, key, public, wrong: Arc::default() })
    }

    /// Returns true when there is a token.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        self.token.is_some()
    }

    pub(crate) fn judge(&self, headers: &HeaderMap, uri: &Uri, peer: Peer, now: Timestamp) -> Verdict {
        let Some(token) = &self.token else {
            let is_ours = host(headers, uri).is_some_and(|host| self.is_name_of_ours(&host));
            return if is_ours { Verdict::Allowed } else { Verdict::WrongHost };
        };
        if self.has_session(headers, now) {
            return Verdict::Allowed;
        }
        let text = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        match text.and_then(|value| value.strip_prefix("Bearer ")) {
            None => Verdict::Denied,
            Some(_) if self.is_slowed(peer, now) => Verdict::Slowed,
            Some(given) if same(given, token.expose_secret()) => Verdict::Allowed,
            Some(_) => {
                self.note_wrong(peer, now);
                Verdict::Denied
            }
        }
    }

    /// Returns a cookie for a valid token.
    pub(crate) fn log_in(&self, given: &str, peer: Peer, now: Timestamp) -> LogIn {
        let Some(token) = &self.token else { return LogIn::Wrong };
        if self.is_slowed(peer, now) {
            return LogIn::Slowed;
        }
        if !same(given, token.expose_secret()) {
            self.note_wrong(peer, now);
            return LogIn::Wrong;
        }
        let until = now.as_second() + SESSION.as_secs();
        let Some(seal) = self.seal(until) else { return LogIn::Wrong };
        let secure = if self.public.as_ref().is_some_and(|public| public.is_https) { "; Secure" } else { "" };
        let value = format!("{until}.{}", hex(&seal.finalize().into_bytes()));
        LogIn::Right(format!(
            "{COOKIE}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={}{secure}",
            SESSION.as_secs()
        ))
    }

    fn has_session(&self, headers: &HeaderMap, now: Timestamp) -> bool {
        let all = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
        let mut sessions = all
            .flat_map(|value| value.split(';'))
            .filter_map(|one| one.trim().split_once('='))
            .filter(|(name, _)| *name == COOKIE);
        sessions.any(|(_, value)| {
            let Some((until, seal)) = value.split_once('.') else { return false };
            let Ok(until) = until.parse::<i64>() else { return false };
            let Some(seal) = from_hex(seal) else { return false };
            let is_sealed = self.seal(until).is_some_and(|right| right.verify_slice(&seal).is_ok());
            until > now.as_second() && is_sealed
        })
    }

    /// Returns a MAC over the end of a session.
    fn seal(&self, until: i64) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        mac.update(b"cml-runner session until ");
        mac.update(until.to_string().as_bytes());
        Some(mac)
    }

    fn is_name_of_ours(&self, host: &str) -> bool {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        bare.eq_ignore_ascii_case("localhost")
            || bare.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
            || self.public.as_ref().is_some_and(|public| public.host.eq_ignore_ascii_case(host))
    }

    fn is_slowed(&self, peer: Peer, now: Timestamp) -> bool {
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        wrong.get(&peer).is_some_and(|it| it.count >= TRIES_MAX && is_recent(*it, now))
    }

    fn note_wrong(&self, peer: Peer, now: Timestamp) {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        wrong.retain(|_, it| is_recent(*it, now));
        if wrong.len() >= ADDRESSES_MAX && !wrong.contains_key(&peer) {
            let oldest = wrong.iter().min_by_key(|(_, it)| it.since).map(|(peer, _)| *peer);
            if let Some(oldest) = oldest {
                wrong.remove(&oldest);
            }
        }
        let count = &mut wrong.entry(peer).or_insert(Wrong { since: now, count: 0 }).count;
        *count = count.saturating_add(1);
    }
}

/// Returns whether a failure still counts. A clock that was set back ends the block, too.
fn is_recent(wrong: Wrong, now: Timestamp) -> bool {
    now.duration_since(wrong.since).abs() < TRIES_WITHIN
}

/// Returns the host that the request is for, without the port.
fn host(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let named = match uri.authority() {
        Some(authority) => authority.as_str(),
        None => headers.get(header::HOST)?.to_str().ok()?,
    };
    let authority: axum::http::uri::Authority = named.parse().ok()?;
    Some(authority.host().to_owned())
}

/// Compares digests: the time it takes reveals nothing about the token.
fn same(given: &str, right: &str) -> bool {
    Sha256::digest(given.trim().as_bytes()) == Sha256::digest(right.trim().as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "a-token-of-24-characters";

    fn now() -> Timestamp {
        Timestamp::from_second(1_000_000).expect("in range")
    }

    fn later(by: SignedDuration) -> Timestamp {
        now() + by
    }

    fn peer(last: u8) -> Peer {
        Peer::of(IpAddr::from([192, 0, 2, last]))
    }

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().expect("a value"))).collect()
    }

    fn protected() -> Access {
        Access::new(Some(SecretString::from(TOKEN)), [7; 32], None).expect("long enough")
    }

    fn judge(access: &Access, pairs: &[(header::HeaderName, &str)], at: Timestamp) -> Verdict {
        access.judge(&headers(pairs), &Uri::from_static("/"), peer(1), at)
    }

    #[test]
    fn a_token_that_can_be_guessed_is_refused() {
        for short in [" ", "x", "fifteen-letters", "               x               "] {
            let made = Access::new(Some(SecretString::from(short)), [0; 32], None);
            assert!(made.is_err(), "{short:?}");
        }
        assert!(protected().is_protected());
    }

    #[test]
    fn a_cookie_says_nothing_of_the_token_ends_and_is_of_this_process() {
        let access = protected();
        let LogIn::Right(cookie) = access.log_in(TOKEN, peer(1), now()) else { panic!("is right") };
        let digest = hex(&Sha256::digest(TOKEN.as_bytes()));
        assert!(cookie.contains("HttpOnly; SameSite=Strict") && !cookie.contains(&digest), "{cookie}");
        let value = cookie.split(';').next().expect("a value");
        let with = |value: &str| [(header::COOKIE, value.to_owned())];
        let shown = |access: &Access, value: &str, at| {
            let [(name, value)] = with(value);
            judge(access, &[(name, &value)], at)
        };
        assert_eq!(shown(&access, &format!("other=1; {value}"), now()), Verdict::Allowed);
        assert_eq!(shown(&access, value, later(SESSION)), Verdict::Denied, "it has ended");
        let longer = value.replacen('=', "=9", 1);
        assert_eq!(shown(&access, &longer, now()), Verdict::Denied, "its end is sealed");
        let another = Access::new(Some(SecretString::from(TOKEN)), [8; 32], None).expect("long enough");
        assert_eq!(shown(&another, value, now()), Verdict::Denied);
        assert_eq!(
            shown(&access, &format!("cml_runner_token={digest}"), now()),
            Verdict::Denied,
            "the old one"
        );
    }

    #[test]
    fn behind_tls_the_cookie_stays_there() {
        let cookie = |url: &str| {
            let access = Access::new(Some(SecretString::from(TOKEN)), [7; 32], PublicUrl::parse(url));
            let LogIn::Right(cookie) = access.expect("long enough").log_in(TOKEN, peer(1), now()) else {
                panic!("is right")
            };
            cookie
        };
        assert!(cookie("https://runners.example.com/").ends_with("; Secure"));
        assert!(!cookie("http://runners.example.com").contains("Secure"));
        for wrong in ["runners.example.com", "ftp://x", "https://a@x", "https://x/path", "", "https://"] {
            assert_eq!(PublicUrl::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn wrong_tokens_slow_their_address_by_whatever_way_they_come_and_no_other() {
        let access = protected();
        let bearer = |token: &str| format!("Bearer {token}");
        for number in 0..TRIES_MAX {
            if number % 2 == 0 {
                assert_eq!(access.log_in("guess", peer(1), now()), LogIn::Wrong);
            } else {
                let guess = bearer("guess");
                assert_eq!(judge(&access, &[(header::AUTHORIZATION, &guess)], now()), Verdict::Denied);
            }
        }
        let right = bearer(TOKEN);
        assert_eq!(judge(&access, &[(header::AUTHORIZATION, &right)], now()), Verdict::Slowed);
        assert_eq!(access.log_in(TOKEN, peer(1), now()), LogIn::Slowed);
        assert!(matches!(access.log_in(TOKEN, peer(2), now()), LogIn::Right(_)));
        let after = later(TRIES_WITHIN);
        assert_eq!(judge(&access, &[(header::AUTHORIZATION, &right)], after), Verdict::Allowed);
    }

    #[test]
    fn without_a_token_only_names_of_this_machine_are_answered() {
        let access =
            Access::new(None, [7; 32], PublicUrl::parse("https://runners.example.com:8443")).expect("none");
        let of = |host: &str| judge(&access, &[(header::HOST, host)], now());
        for ours in [
            "localhost",
            "LOCALHOST:8090",
            "127.0.0.1:8090",
            "127.0.0.2",
            "[::1]:8090",
            "runners.example.com",
        ] {
            assert_eq!(of(ours), Verdict::Allowed, "{ours}");
        }
        for theirs in [
            "attacker.example",
            "localhost.attacker.example",
            "127.0.0.1.nip.io:8090",
            "10.0.0.1",
            "",
            "a@b@c",
        ] {
            assert_eq!(of(theirs), Verdict::WrongHost, "{theirs}");
        }
        assert_eq!(judge(&access, &[], now()), Verdict::WrongHost, "nobody is named");
    }
}
