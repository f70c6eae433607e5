//! The runner program as a reproducible tarball, the same byte for byte each time.

use std::sync::OnceLock;

use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};

use crate::clock;

const FILES: [(&str, &str); 4] = [
    ("./run.sh", include_str!("program/run.sh")),
    ("./config.sh", include_str!("program/config.sh")),
    ("./bin/Runner.Listener", include_str!("program/bin/Runner.Listener")),
    ("./bin/common.sh", include_str!("program/bin/common.sh")),
];

/// The version that the program reports.
pub(crate) const VERSION: &str = "2.336.0";

/// A packed runner program.
pub(crate) struct Package {
    pub(crate) bytes: Vec<u8>,
    /// SHA-256 in hexadecimal.
    pub(crate) sha256: String,
}

/// Returns the packed program; it is one for all architectures.
pub(crate) fn package() -> &'static Package {
    static PACKAGE: OnceLock<Package> = OnceLock::new();
    PACKAGE.get_or_init(|| {
        // Writing to memory does not fail; an empty package would be noticed at its first use.
        let bytes = pack().unwrap_or_default();
        Package { sha256: clock::hex(&Sha256::digest(&bytes)), bytes }
    })
}

/// Returns the file name of an architecture's package.
pub(crate) fn file_name(architecture: &str) -> String {
    format!("actions-runner-linux-{architecture}-{VERSION}.tar.gz")
}

fn pack() -> std::io::Result<Vec<u8>> {
    let gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
    let mut tar = tar::Builder::new(gzip);
    for (path, text) in FILES {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o755);
        header.set_mtime(0);
        header.set_cksum();
        tar.append_data(&mut header, path, text.as_bytes())?;
    }
    tar.into_inner()?.finish()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_package_is_the_same_each_time() {
        let once = super::pack().expect("it packs");
        assert_eq!(once, super::pack().expect("it packs"));
        assert!(once.len() > 1000);
    }
}
