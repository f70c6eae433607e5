//! Cargo builds a dependency anew where the sum of its features is another. The README's first two commands share them all.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use cml_e2e::edge::variable;
use cml_e2e::paths;

/// Each package with the sets of features that it is built with.
type Built = BTreeMap<String, BTreeSet<String>>;

fn built(flags: &[&str]) -> Built {
    let cargo = variable("CARGO");
    let mut tree = Command::new(if cargo.is_empty() { "cargo" } else { &cargo });
    tree.args(["tree", "--locked", "--offline", "--prefix", "none", "--format", "{p}|{f}"]).args(flags);
    let output = tree.current_dir(paths::tests_dir()).output().expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut built = Built::new();
    for line in String::from_utf8(output.stdout).expect("UTF-8").lines() {
        let Some((package, features)) = line.trim_end_matches(" (*)").split_once('|') else { continue };
        built.entry(package.to_owned()).or_default().insert(features.to_owned());
    }
    built
}

#[test]
fn the_demo_and_the_tests_build_each_dependency_once() {
    let demo = built(&["-p", "cml-runner", "--no-default-features", "--edges", "normal,build"]);
    let tests = built(&["--workspace", "--edges", "normal,build,dev"]);
    let twice: BTreeMap<_, _> = demo
        .iter()
        // The program itself, and crates of this repository, are built anew.
        .filter(|(package, _)| !package.starts_with("cml-"))
        .filter_map(|(package, features)| Some((package, features, tests.get(package)?)))
        .filter(|(_, demo, tests)| !demo.is_subset(tests))
        .map(|(package, demo, tests)| (package, (demo, tests)))
        .collect();
    assert!(demo.len() > 200, "{} packages", demo.len());
    assert!(twice.is_empty(), "crates/workspace-hack lacks features of {twice:#?}");
}
