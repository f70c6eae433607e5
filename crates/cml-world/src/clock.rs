//! The edge where the clock is read and secrets are made. All other modules take both as arguments.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// Returns the current time.
#[allow(clippy::disallowed_methods, reason = "the simulated GitHub's one look at the clock")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// Returns unguessable bytes.
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

/// Returns an unguessable word of hexadecimal digits.
pub(crate) fn fresh_word(digits: usize) -> String {
    let mut word = hex(&fresh_bytes(digits.div_ceil(2)));
    word.truncate(digits);
    word
}

/// Returns a number in the encoding of GitHub's RSA parameters.
pub(crate) fn fresh_number(bytes: usize) -> String {
    STANDARD.encode(fresh_bytes(bytes))
}

/// Returns bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
