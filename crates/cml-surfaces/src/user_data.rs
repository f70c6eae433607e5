//! Labels and other names from users, in a script that runs as root.

use std::io::Write;
use std::process::{Command, Stdio};

use cml_bootstrap::{Bootstrap, Machine, Registration, RunnerPackage, preview};
use cml_cloud::{Deadline, LaunchId};
use cml_spec::Setup;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use ulid::Ulid;

/// Renders user data from values, one for each place, separated by the byte 0xff, which is in no text.
pub(crate) fn user_data(bytes: &[u8]) {
    let mut values =
        bytes.split(|byte| *byte == 0xff).map(|value| String::from_utf8_lossy(value).into_owned());
    let mut next = || values.next().unwrap_or_default();
    let (label, group, name, key, proxy) = (next(), next(), next(), next(), next());
    let some = |value: String| Some(value).filter(|value| !value.is_empty());
    let bootstrap = Bootstrap {
        launch: LaunchId::new(Ulid::from_parts(1_767_225_600_000, 7)),
        runner_name: name,
        registration: Registration::Token {
            url: "https://github.com/acme/vision".to_owned(),
            token: SecretString::from("AABBCC"),
            labels: vec!["cml".to_owned(), label],
            default_labels: true,
            group: some(group),
        },
        package: RunnerPackage {
            url: "https://example.com/runner.tar.gz".to_owned(),
            sha256: None,
            token: None,
        },
        deadline: Deadline(Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365 * 60)),
        boot_timeout: SignedDuration::from_mins(10),
        idle_timeout: None,
        machine: Machine::Local,
        offers: Vec::new(),
        setup: Setup {
            ssh_authorized_key: some(key),
            proxy: cml_spec::Proxy { http: some(proxy), ..cml_spec::Proxy::default() },
            ..Setup::default()
        },
    };
    let Ok(script) = preview(&bootstrap) else { return };
    assert!(parses(&script), "sh does not parse the script");
}

/// Returns whether a shell parses the whole script; nothing is run.
fn parses(script: &str) -> bool {
    let child = Command::new("sh")
        .arg("-n")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    // Without a shell there is no result.
    let Ok(mut child) = child else { return true };
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(script.as_bytes());
    }
    child.wait().is_ok_and(|status| status.success())
}
