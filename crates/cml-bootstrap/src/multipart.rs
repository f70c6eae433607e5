//! The message that cloud-init takes apart: <https://docs.cloud-init.io/en/latest/explanation/format/mime.html>.

/// Settings of cloud-init's own stages, which run beside our service.
pub(crate) const SETTINGS: &str = include_str!("../../../templates/machine/cloud-config.yaml");

/// Nothing in the script or the settings begins a line with it: values are in base64, or stand behind their name.
const BOUNDARY: &str = "=cml-runner=";

/// The script runs in the earliest stage that has a network.
pub(crate) fn wrap(script: &str) -> String {
    let part = |kind: &str, text: &str| {
        format!(
            "--{BOUNDARY}\nContent-Type: text/{kind}; charset=\"utf-8\"\nContent-Transfer-Encoding: 8bit\nMIME-Version: 1.0\n\n{text}\n"
        )
    };
    format!(
        "Content-Type: multipart/mixed; boundary=\"{BOUNDARY}\"\nMIME-Version: 1.0\n\n{}{}--{BOUNDARY}--\n",
        part("cloud-boothook", script),
        part("cloud-config", SETTINGS),
    )
}
