//! Size limit of EC2's user data: 16 KiB.

use std::io::Write;

use flate2::{Compression, GzBuilder};

use crate::BootstrapError;

/// The largest user data of a machine, bytes before base64:
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html>.
pub const MAX_BYTES: usize = 16_384;

/// Returns the plain text if it fits, so that a person can read it on the machine; else the `terse` one, compressed.
pub(crate) fn fit(plain: &str, terse: &str, own_part: &str) -> Result<Vec<u8>, BootstrapError> {
    if plain.len() <= MAX_BYTES {
        return Ok(plain.as_bytes().to_vec());
    }
    let packed = gzip(terse.as_bytes());
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

/// Returns the template for machines, not for people: without comments in English (a first line of a script, `#!`, is
/// none) and without indentation. It contains no text of users: values are inserted later, and are not changed.
pub(crate) fn terse(template: &str) -> String {
    let lines = template.lines().map(str::trim_start).filter(|line| !line.starts_with("# "));
    lines
        .map(|line| line.split(" # ").next().unwrap_or_default().trim_end())
        .flat_map(|line| [line, "\n"])
        .collect()
}

/// Returns whether these bytes are compressed.
pub(crate) fn is_packed(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// Compresses without a time stamp: the same script results in the same bytes, which a repeated launch call needs.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    // Writing to memory cannot fail.
    encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default()
}
