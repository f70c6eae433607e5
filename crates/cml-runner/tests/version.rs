//! The binary starts. Because this test needs it, `cargo test --workspace` builds it once, with everything else, and the
//! end-to-end suites find it there.
#![allow(missing_docs)]

use std::process::Command;

#[test]
fn the_binary_tells_its_version() {
    let output = Command::new(env!("CARGO_BIN_EXE_cml-runner")).arg("--version").output().expect("starts");
    assert!(output.status.success());
    let expected = concat!("cml-runner ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}
