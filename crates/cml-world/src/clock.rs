//! The edge where the clock is read and secrets are made. Everything else is given both.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// The time now.
#[allow(clippy::disallowed_methods, reason = "the simulated GitHub's one look at the clock")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// Bytes that nobody can guess.
#[allow(clippy::disallowed_methods, reason = "the simulated GitHub's one source of randomness")]
pub(crate) fn fresh_bytes(count: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(count + 32);
    while bytes.len() < count {
        let mut hash = Sha256::new();
        // One ULID carries 80 random bits.
        for _ in 0..4 {
            hash.update(ulid::Ulid::generate().to_bytes());
        }
        bytes.extend(hash.finalize());
    }
    bytes.truncate(count);
    bytes
}

/// A word of hexadecimal digits that nobody can guess.
pub(crate) fn fresh_word(digits: usize) -> String {
    let mut word = hex(&fresh_bytes(digits.div_ceil(2)));
    word.truncate(digits);
    word
}

/// A number as GitHub's RSA parameters are written.
pub(crate) fn fresh_number(bytes: usize) -> String {
    STANDARD.encode(fresh_bytes(bytes))
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
