//! EC2 takes 16 KiB of user data and not a byte more.

use std::io::Write;

use flate2::{Compression, GzBuilder};

use crate::BootstrapError;

/// The most user data that a machine can be given, bytes before base64:
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html>.
pub const MAX_BYTES: usize = 16_384;

/// Plain where it fits, so that a person can read it on the machine; else packed, without the comments.
pub(crate) fn fit(
    script: &str,
    wrap: impl Fn(&str) -> String,
    own_part: &str,
) -> Result<Vec<u8>, BootstrapError> {
    let plain = wrap(script);
    if plain.len() <= MAX_BYTES {
        return Ok(plain.into_bytes());
    }
    let packed = gzip(wrap(&without_comments(script)).as_bytes());
    if packed.len() <= MAX_BYTES {
        return Ok(packed);
    }
    let own_part = if own_part.is_empty() { 0 } else { gzip(own_part.as_bytes()).len() };
    let advice = if own_part == 0 {
        "shorten the labels and the SSH key"
    } else {
        "shorten the startup script and the hooks, let them download their larger part, or put that into the image"
    };
    Err(BootstrapError::TooLarge {
        plain: plain.len(),
        packed: packed.len(),
        limit: MAX_BYTES,
        own_part,
        advice,
    })
}

/// Lines that are nothing but a comment in English: a first line of a script, `#!`, is none, and what users give is in base64.
fn without_comments(script: &str) -> String {
    script.lines().filter(|line| !line.trim_start().starts_with("# ")).flat_map(|line| [line, "\n"]).collect()
}

/// Whether these bytes are packed.
pub(crate) fn is_packed(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// Without a time stamp: the same script gives the same bytes, which a repeated launch call needs.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
    // Writing into memory cannot fail.
    encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default()
}
