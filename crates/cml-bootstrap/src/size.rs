//! EC2 takes 16 KiB of user data and not a byte more.

use std::io::Write;

use flate2::{Compression, GzBuilder};

use crate::BootstrapError;

/// The most user data that a machine can be given, bytes before base64:
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html>.
pub const MAX_BYTES: usize = 16_384;

/// Plain where it fits, so that a person can read it on the machine; else packed.
pub(crate) fn fit(script: String, startup_script: &[u8]) -> Result<Vec<u8>, BootstrapError> {
    let plain = script.len();
    if plain <= MAX_BYTES {
        return Ok(script.into_bytes());
    }
    let packed = gzip(script.as_bytes());
    if packed.len() <= MAX_BYTES {
        return Ok(packed);
    }
    let startup_script = if startup_script.is_empty() { 0 } else { gzip(startup_script).len() };
    let advice = if startup_script == 0 {
        "shorten the labels and the SSH key"
    } else {
        "shorten the startup script, let it download its larger part, or put that into the image"
    };
    Err(BootstrapError::TooLarge { plain, packed: packed.len(), limit: MAX_BYTES, startup_script, advice })
}

/// Without a time stamp: the same script gives the same bytes, which a repeated launch call needs.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    // Writing into memory cannot fail.
    encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default()
}
