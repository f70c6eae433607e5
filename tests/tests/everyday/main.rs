//! The end-to-end tests of each day: the built program as a process, every command and provider at least once. Those of them
//! that take long are left to the full run (`cml_e2e::tier`).

mod action;
mod aws_images;
mod aws_launch;
mod aws_regions;
mod aws_weather;
mod book;
mod cost;
mod daemon;
mod daemon_aws;
mod daemon_door;
mod daemon_outside;
mod daemon_trouble;
mod demo;
mod doctor;
mod features;
mod front;
mod iam_templates;
mod init;
mod local_launch;
mod outside;
mod page;
mod permissions;
mod pictures;
mod prices;
mod release;
mod report_comment;
mod report_footer;
mod report_more;
mod report_publish;
mod report_weather;
mod strangers;
mod tidy;
mod what_if;

use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn no_file_of_a_tier_is_forgotten() {
    let tiers = cml_e2e::paths::tests_dir().join("tests");
    let files = |of: &Path| -> BTreeSet<String> {
        let names =
            std::fs::read_dir(of).expect("a directory").map(|entry| entry.expect("an entry").file_name());
        names.filter_map(|name| Some(name.to_str()?.strip_suffix(".rs")?.to_owned())).collect()
    };
    assert_eq!(files(&tiers), BTreeSet::new(), "a file here would be a program of its own");
    for tier in ["everyday", "full", "bench"] {
        let mut there = files(&tiers.join(tier));
        there.remove("main");
        let main = std::fs::read_to_string(tiers.join(tier).join("main.rs")).expect("its main.rs");
        let named =
            main.lines().filter_map(|line| Some(line.strip_prefix("mod ")?.strip_suffix(';')?.to_owned()));
        assert_eq!(there, named.collect(), "{tier}/main.rs");
    }
}
