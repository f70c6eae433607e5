//! Messages of GitHub, and forged ones.

use cml_github::{Location, WebhookSecret, read_delivery, understood_as};
use secrecy::SecretString;

/// Parses a delivery: the first line is the signature's header, the rest the body.
pub(crate) fn webhook(bytes: &[u8]) {
    let (header, body) = split(bytes);
    if let Ok(secret) = WebhookSecret::new(SecretString::from("not in any corpus")) {
        let header = String::from_utf8_lossy(header);
        assert!(!secret.signed(body, &header), "a signature was made without the secret");
    }
    if let Err(error) = read_delivery("workflow_job", body) {
        assert!(error.to_string().len() <= 4096, "the message is as long as the delivery");
    }
}

/// Parses an answer of the API, and an address of a repository.
pub(crate) fn answer(bytes: &[u8]) {
    let _ = understood_as(bytes);
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(location) = Location::find(Some(text), &|_| None, None)
    {
        assert!(matches!(location.api.scheme(), "http" | "https"), "{}", location.api);
        let parts = location.scope.to_string();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        assert!(parts.chars().all(is_plain), "{parts}");
        // `a..b` is a name; `..` alone would lead elsewhere in an API path.
        assert!(parts.split('/').all(|part| !part.chars().all(|c| c == '.')), "{parts}");
    }
}

/// Returns the first line, and the rest.
pub(crate) fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, &[]),
    }
}
