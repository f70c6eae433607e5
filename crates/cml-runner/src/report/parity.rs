//! Test that every command and flag of CML is supported, and documented in docs/from-cml.md.

use std::ffi::OsString;

use clap::Parser;

use crate::args::Cli;
use crate::spelling::spell;
use crate::switches::settle;

const PAGE: &str = include_str!("../../../../docs/from-cml.md");

/// CML 0.20's commands by all of their names, required arguments, and flags.
const COMMANDS: [(&[&str], &[&str], &[&str]); 7] = [
    (
        &["cml publish", "cml asset publish", "cml-publish"],
        &["a.png"],
        &[
            "--md",
            "--md=true",
            "--no-md",
            "--title=x",
            "-t x",
            "--native",
            "--gitlab-uploads",
            "--mime-type=a/b",
            "--url=https://x",
            "--rm-watermark",
            "--file=x",
            "-f x",
        ],
    ),
    (
        &["cml comment create", "cml comment update", "cml send-comment", "cml-send-comment"],
        &["a.md"],
        &[
            "--target=pr",
            "--watch",
            "--watch=false",
            "--publish",
            "--publish=false",
            "--no-publish",
            "--publish-url=https://x",
            "--publish true",
            "--publish-native",
            "--native",
            "--watermark-title=x",
            "--pr",
            "--pr=false --target=pr",
            "--commit-sha=x",
            "--head-sha=x",
            "--trigger-file=x",
            "--update",
            "--update=true",
            "--no-update",
            "--rm-watermark",
        ],
    ),
    (
        &["cml check create", "cml send-github-check", "cml-send-github-check"],
        &["a.md"],
        &["--commit-sha=x", "--head-sha=x", "--conclusion=timed_out", "--status=queued", "--title=x"],
    ),
    (
        &["cml pr create", "cml pr", "cml-pr"],
        &["*.md"],
        &[
            "--md",
            "--skip-ci",
            "--skip-ci=false",
            "--merge",
            "--auto-merge",
            "--rebase",
            "--squash",
            "--squash=true --merge=false",
            "--branch=x",
            "--target-branch=x",
            "--title=x",
            "--body=x",
            "--message=x",
            "--remote=x",
            "--user-email=x --user-name=x",
        ],
    ),
    (&["cml workflow rerun", "cml rerun-workflow"], &["--id=3"], &[]),
    (
        &["cml repo prepare", "cml ci"],
        &[],
        &["--fetch-depth=3", "--unshallow", "--unshallow=true", "--user-email=x", "--user-name=x"],
    ),
    (
        &["cml tensorboard connect", "cml tensorboard-dev", "cml-tensorboard-dev"],
        &[],
        &["--credentials=x", "--logdir=x", "--name=x", "--description=x", "--md", "--title=x"],
    ),
];
const GLOBAL: [&str; 5] =
    ["--log=debug", "--driver=github", "--repo=https://github.com/a/b", "--token=x", "--driver-token=x"];

#[test]
fn every_command_and_flag_of_cml_is_understood_and_on_the_page() {
    for (names, operands, flags) in COMMANDS {
        for name in names {
            assert!(PAGE.contains(&format!("`{name}`")), "{name} is not in docs/from-cml.md");
            for flag in flags.iter().chain(&GLOBAL).chain(&[""]) {
                let line: Vec<OsString> = name
                    .split(' ')
                    .chain(operands.iter().copied())
                    .chain(flag.split(' ').filter(|word| !word.is_empty()))
                    .map(OsString::from)
                    .collect();
                let mut spelled = spell(line);
                settle(&mut spelled);
                assert!(spelled.as_cml, "{name}");
                if let Err(error) = Cli::try_parse_from(spelled.args) {
                    panic!("{name} {flag}: {error}");
                }
                let bare = flag.split(['=', ' ']).next().unwrap_or_default();
                let bare = match bare {
                    "--no-publish" => bare.to_owned(),
                    // What is negated is the flag itself.
                    bare => bare.replacen("--no-", "--", 1),
                };
                assert!(
                    bare.is_empty() || PAGE.contains(&format!("`{bare}")),
                    "{bare} is not in docs/from-cml.md"
                );
            }
        }
    }
}
