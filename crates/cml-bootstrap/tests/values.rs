//! Values never become code: whatever they contain, the script is unchanged around them, and cloud-init finds no part
//! that is not ours.

use std::io::Write;
use std::process::{Command, Stdio};

use cml_bootstrap::{Bootstrap, BootstrapError, Machine, Registration, RunnerPackage, preview, render};
use cml_cloud::{Deadline, LaunchId};
use cml_spec::{Cache, Proxy, Setup};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use secrecy::SecretString;
use ulid::Ulid;

/// Variables of the script, in this order.
const VARIABLES: [&str; 11] = [
    "runner_name",
    "runner_url",
    "runner_labels",
    "runner_group",
    "package_url",
    "registration",
    "cache",
    "proxy_http",
    "proxy_https",
    "proxy_not_for",
    "ssh_authorized_key",
];

/// Returns a launch with these values, in the order of [`VARIABLES`].
fn bootstrap(values: &[String], machine: Machine) -> Bootstrap {
    let value = |name: &str| {
        let at = VARIABLES.iter().position(|it| *it == name).expect("is one");
        values[at].clone()
    };
    Bootstrap {
        launch: LaunchId::new(Ulid::from_parts(1_767_225_600_000, 7)),
        runner_name: value("runner_name"),
        registration: Registration::Token {
            url: value("runner_url"),
            token: SecretString::from(value("registration")),
            labels: vec![value("runner_labels")],
            default_labels: true,
            group: Some(value("runner_group")),
        },
        package: RunnerPackage { url: value("package_url"), sha256: Some("ab".repeat(32)), token: None },
        deadline: Deadline(Timestamp::from_second(1_767_229_200).expect("in range")),
        boot_timeout: SignedDuration::from_mins(10),
        idle_timeout: None,
        machine,
        offers: Vec::new(),
        setup: Setup {
            startup_script: Some(value("runner_name").into_bytes()),
            cache: Some(Cache { snapshot: "snap-0".to_owned(), path: value("cache") }),
            packages: vec!["git-lfs".to_owned()],
            proxy: Proxy {
                http: Some(value("proxy_http")),
                https: Some(value("proxy_https")),
                not_for: Some(value("proxy_not_for")),
            },
            ssh_authorized_key: Some(value("ssh_authorized_key")),
            ..Setup::default()
        },
    }
}

/// Returns the program's output for this input.
fn said(program: &str, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} starts: {error}"));
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("is read");
    let output = child.wait_with_output().expect("ends");
    assert!(output.status.success(), "{program}: {input}");
    String::from_utf8(output.stdout).expect("text")
}

/// Strings with a meaning in a shell, a MIME reader or a here-document.
const PARTS: [&str; 27] = [
    "START",
    "HOOK",
    "RULES",
    "UNIT",
    "VARIABLES",
    "--=cml-runner=",
    "--=cml-runner-1=",
    "'",
    "\"",
    "`id`",
    "$(id)",
    "\\",
    "{{ x }}",
    "'{{ registration }}'",
    ";",
    "&",
    "|",
    "#",
    "<<EOF",
    "-n",
    "%s",
    "=",
    "*",
    "~",
    " ",
    "é",
    "名",
];

/// Returns these in any mixture with others.
fn hostile() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        prop::sample::select(&PARTS[..]).prop_map(str::to_owned),
        r"\PC{0,12}".prop_filter("no control character", |text| !text.chars().any(char::is_control)),
    ];
    prop::collection::vec(part, 0..5).prop_map(|parts| parts.concat())
}

/// The parts that a MIME reader finds, one `TYPE LENGTH` a line.
const READER: &str = "import email, sys\nmessage = email.message_from_bytes(sys.stdin.buffer.read())\nassert message.is_multipart() and not message.defects\nfor part in message.get_payload(): print(part.get_content_type(), len(part.get_payload(decode=True)))";

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_script_holds_exactly_what_was_given(values in prop::collection::vec(hostile(), VARIABLES.len())) {
        let user_data = render(&bootstrap(&values, Machine::Local)).expect("renders");
        let script = String::from_utf8(user_data.expose().to_vec()).expect("text");
        said("sh", &["-n"], &script);
        let (assignments, _) = script.split_once("\nmachine=${").expect("the values come first");
        let print: String = VARIABLES.iter().map(|name| format!("printf '%s\\n' \"${name}\"\n")).collect();
        let held = said("sh", &["-s"], &format!("{assignments}\n{print}"));
        prop_assert_eq!(held.split_terminator('\n').collect::<Vec<_>>(), values);
    }

    #[test]
    fn a_mime_reader_finds_our_two_parts_whatever_the_values_are(
        values in prop::collection::vec(hostile(), VARIABLES.len()),
        keys in prop::collection::vec(hostile(), 1..4),
    ) {
        let mut values = values;
        // Of all values only this one may have several lines.
        *values.last_mut().expect("the key") = keys.join("\n");
        let bootstrap = bootstrap(&values, Machine::Cloud { gpu: false });
        let message = preview(&bootstrap).expect("renders");
        let script = preview(&Bootstrap { machine: Machine::Local, ..bootstrap }).expect("renders");
        let found = said("python3", &["-c", READER], &message);
        let found: Vec<&str> = found.lines().map(|line| line.split(' ').next().unwrap_or_default()).collect();
        prop_assert_eq!(found, ["text/cloud-boothook", "text/cloud-config"]);
        prop_assert!(message.contains(&script), "the script is a part as it is");
    }
}

#[test]
fn a_key_that_holds_the_boundary_brings_no_part_of_its_own() {
    let mut values: Vec<String> = VARIABLES.iter().map(|name| (*name).to_owned()).collect();
    let part = "--=cml-runner=\nContent-Type: text/x-shellscript\nMIME-Version: 1.0\n\n#!/bin/sh\ntouch /root/PWN\n--=cml-runner=--";
    *values.last_mut().expect("the key") = format!("k\n{part}\n{}", part.replace("runner=", "runner-1="));
    let message = preview(&bootstrap(&values, Machine::Cloud { gpu: false })).expect("renders");
    let found = said("python3", &["-c", READER], &message);
    let kinds: Vec<&str> = found.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(kinds, ["text/cloud-boothook", "text/cloud-config"], "{found}");
}

#[test]
fn no_value_but_a_key_may_have_lines_of_its_own() {
    let plain: Vec<String> = VARIABLES.iter().map(|name| (*name).to_owned()).collect();
    for (at, name) in VARIABLES.iter().enumerate() {
        for text in ["a\nSTART\nid", "a\rb", "a\u{1b}[31mb", "a\u{85}b", "a\0b"] {
            let mut values = plain.clone();
            values[at] = text.to_owned();
            let rendered = render(&bootstrap(&values, Machine::Local));
            if *name == "ssh_authorized_key" && text.contains('\n') {
                rendered.unwrap_or_else(|error| panic!("{error}"));
                continue;
            }
            let error = rendered.expect_err("is not one line");
            assert!(matches!(error, BootstrapError::ControlCharacter { .. }), "{name}: {error}");
        }
    }
}

/// Between the two ends of a here-document quotes do not protect.
#[test]
fn no_value_of_the_template_stands_in_a_here_document() {
    let parts = concat!(
        include_str!("../../../templates/machine/1-values.sh"),
        include_str!("../../../templates/machine/2-end.sh"),
        include_str!("../../../templates/machine/3-watch.sh"),
        include_str!("../../../templates/machine/4-machine.sh"),
        include_str!("../../../templates/machine/5-runner.sh"),
        include_str!("../../../templates/machine/6-main.sh"),
    );
    let mut end = None;
    let (mut documents, mut values) = (0, 0);
    for line in parts.lines() {
        if end == Some(line) {
            end = None;
        } else if end.is_some() {
            assert!(!line.contains("{{"), "{line}");
        } else if let Some((_, rest)) = line.split_once("<<") {
            let word = rest.split_whitespace().next().unwrap_or_default().trim_matches('\'');
            end = Some(word);
            documents += 1;
        } else {
            values += line.matches("'{{ ").count();
        }
    }
    assert!(end.is_none() && documents >= 8 && values >= 25, "{documents} {values}");
}
