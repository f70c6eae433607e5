//! Whatever files contain, nothing panics, and the proposal is still valid.
#![allow(missing_docs)]

mod support;

use std::fs;

use cml_init::{CONFIG, Cloud, Folder, findings_text, look, propose, tell, translate};
use proptest::prelude::*;
use tempfile::TempDir;

const PATHS: [&str; 14] = [
    ".git/config",
    ".git/refs/remotes/origin/HEAD",
    ".git",
    ".dvc/config",
    ".github/workflows/a.yml",
    ".github/workflows/cml.yaml",
    ".github/runs-on.yml",
    "DESCRIPTION",
    "Makefile",
    "dvc.yaml",
    "main.tf",
    "requirements.txt",
    "train.py",
    "x y\u{e9}/train.py",
];

/// Fragments of workflows, so that random texts reach the edits.
const PIECES: [&str; 30] = [
    "jobs:\n",
    "  a:\n",
    "  b: { runs-on: self-hosted, steps: [{ run: cml-publish x }] }\n",
    "    runs-on: [self-hosted, cml]\n",
    "    runs-on: self-hosted # why\n",
    "    runs-on:\n      - cml\n",
    "    env:\n      AWS_ACCESS_KEY_ID: x\n      AWS_SECRET_ACCESS_KEY: y\n",
    "    env: { AWS_ACCESS_KEY_ID: x }\n",
    "    permissions: { contents: read }\n",
    "    permissions:\n      contents: read\n",
    "    timeout-minutes: 99999999999999999999\n",
    "    timeout-minutes: 2880\n",
    "    container: docker://dvcorg/cml-py3:latest\n",
    "    steps:\n",
    "    # a comment\n",
    "      - uses: iterative/setup-cml@v2\n",
    "        with:\n          version: latest\n",
    "      - uses: iterative/setup-cml@v2\n        with: { version: 1 }\n",
    "      - run: npm i -g @dvcorg/cml\n",
    "      - run: |\n",
    "          cml runner launch --cloud=aws \\\n",
    "            --labels=cml \\\n            --cloud-region=us-west\n",
    "          npm install -g @dvcorg/cml\n",
    "          cml-send-comment report.md\n",
    "      - name: \u{4f60}\u{597d}\n        run: cml runner --labels \"\n",
    "        env:\n          REPO_TOKEN: ${{ secrets.GITHUB_TOKEN }}\n",
    "      - uses: aws-actions/configure-aws-credentials@v1\n        with:\n          aws-access-key-id: x\n          aws-region: y\n",
    "permissions: read-all\n",
    "env: &x\n  AWS_ACCESS_KEY_ID: a\n",
    "    env: *x\n",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_in_any_file(contents in proptest::collection::vec((0..PATHS.len(), proptest::collection::vec(any::<u8>(), 0..200)), 0..10)) {
        let directory = TempDir::new().expect("a temporary directory");
        for (path, bytes) in contents {
            let path = directory.path().join(PATHS[path]);
            let _ = fs::create_dir_all(path.parent().expect("lies in a directory"));
            let _ = fs::write(path, bytes);
        }
        let folder = Folder::open(directory.path()).expect("opens");
        let findings = look(&folder);
        for (cloud, pool) in [(Cloud::Aws, false), (Cloud::Aws, true), (Cloud::Local, true)] {
            let plan = support::plan(&findings, cloud, pool);
            prop_assert!(!findings_text(&tell(&findings, &plan)).is_empty());
            for file in propose(&findings, &plan) {
                if file.path == CONFIG {
                    prop_assert!(cml_spec::read(CONFIG, &file.text, &|_| Ok(Vec::new())).is_ok(), "{}", file.text);
                } else {
                    prop_assert!(serde_yaml::from_str::<serde_yaml::Value>(&file.text).is_ok(), "{}", file.text);
                }
            }
        }
    }

    #[test]
    fn any_text_is_translated_or_refused(text in "\\PC{0,200}") {
        let _ = translate(&text, "0.1.0");
    }

    #[test]
    fn what_looks_like_a_workflow_is_translated_or_refused(pieces in proptest::collection::vec(0..PIECES.len(), 0..24)) {
        let text: String = pieces.into_iter().map(|index| PIECES[index]).collect();
        for text in [text.clone(), text.replace('\n', "\r\n"), text.trim_end().to_owned(), format!("jobs:\n  a:\n    runs-on: cml\n{text}")] {
            if let Ok(done) = translate(&text, "0.1.0") {
                // Every comment is kept.
                prop_assert!(done.text.matches("# a comment").count() >= text.matches("# a comment").count(), "{}", done.text);
                prop_assert!(done.has_changes() || done.text == text, "{}", done.text);
            }
        }
    }
}

#[test]
fn huge_files_and_pipes_are_skipped_and_told() {
    let directory = TempDir::new().expect("a temporary directory");
    fs::write(directory.path().join("requirements.txt"), vec![b'x'; 2_000_000]).expect("writes");
    fs::write(directory.path().join("dvc.yaml"), [0xff, 0xfe]).expect("writes");
    let pipe = std::process::Command::new("mkfifo").arg(directory.path().join("Makefile")).status();
    assert!(pipe.is_ok_and(|status| status.success()));
    let findings = look(&Folder::open(directory.path()).expect("opens"));
    let why = |path: &str| {
        findings.skipped.iter().find(|one| one.path == path).map(|one| one.why.clone()).unwrap_or_default()
    };
    assert_eq!(why("requirements.txt"), "is longer than 1 MiB");
    assert_eq!(why("dvc.yaml"), "is no UTF-8 text");
    assert_eq!(why("Makefile"), "is no plain file");
}
