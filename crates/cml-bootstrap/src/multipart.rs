//! The multipart message for cloud-init: <https://docs.cloud-init.io/en/latest/explanation/format/mime.html>.

use std::fmt::Write as _;

/// Settings of cloud-init's own stages, which run concurrently with our service.
pub(crate) const SETTINGS: &str = include_str!("../../../templates/machine/cloud-config.yaml");

/// Wraps the script into the message. It runs in the earliest stage that has a network.
pub(crate) fn wrap(script: &str) -> String {
    let boundary = boundary(&[script, SETTINGS]);
    let part = |kind: &str, text: &str| {
        format!(
            "--{boundary}\nContent-Type: text/{kind}; charset=\"utf-8\"\nContent-Transfer-Encoding: 8bit\nMIME-Version: 1.0\n\n{text}\n"
        )
    };
    format!(
        "Content-Type: multipart/mixed; boundary=\"{boundary}\"\nMIME-Version: 1.0\n\n{}{}--{boundary}--\n",
        part("cloud-boothook", script),
        part("cloud-config", SETTINGS),
    )
}

/// Returns a boundary that occurs nowhere in the parts: a value that contains it could otherwise add parts of its own.
/// The same parts have the same boundary, since a repeated launch call must have the same bytes.
fn boundary(parts: &[&str]) -> String {
    let mut boundary = "=cml-runner=".to_owned();
    let mut number = 0_u32;
    while parts.iter().any(|part| part.contains(&boundary)) {
        number += 1;
        boundary.clear();
        // Writing to memory cannot fail.
        let _ = write!(boundary, "=cml-runner-{number}=");
    }
    boundary
}
