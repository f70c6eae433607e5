//! Existing files are never lost, and nothing is written outside of the repository.
#![allow(missing_docs)]

mod support;

use std::fs;
use std::os::unix::fs::symlink;

use cml_init::{Folder, Proposed, State, WrittenFile, place, write};
use tempfile::TempDir;

fn proposed() -> Vec<Proposed> {
    vec![
        Proposed { path: "cml.yaml".to_owned(), text: "a\nb\nc\n".to_owned() },
        Proposed { path: ".github/workflows/cml.yaml".to_owned(), text: "name: cml\n".to_owned() },
    ]
}

fn with(files: &[(&str, &str)]) -> (TempDir, Folder) {
    let directory = TempDir::new().expect("a temporary directory");
    support::write(directory.path(), files);
    let folder = Folder::open(directory.path()).expect("opens");
    (directory, folder)
}

fn read(directory: &TempDir, path: &str) -> String {
    fs::read_to_string(directory.path().join(path)).unwrap_or_default()
}

#[test]
fn new_files_are_written_and_a_second_time_nothing_is() {
    let (directory, folder) = with(&[]);
    let placed = place(&folder, proposed()).expect("can be placed");
    assert_eq!(write(&folder, &placed, false).expect("writes"), ["cml.yaml", ".github/workflows/cml.yaml"]);
    assert_eq!(read(&directory, ".github/workflows/cml.yaml"), "name: cml\n");
    let again = place(&folder, proposed()).expect("can be placed");
    assert!(again.iter().all(|file| file.state == State::Same));
    assert!(write(&folder, &again, false).expect("writes").is_empty());
}

#[test]
fn a_file_with_another_text_stays_and_so_do_all_others_unwritten() {
    let (directory, folder) = with(&[(".github/workflows/cml.yaml", "name: mine\n")]);
    let placed = place(&folder, proposed()).expect("can be placed");
    let State::Differs { diff } = &placed[1].state else { panic!("{placed:?}") };
    insta::assert_snapshot!(diff, @r"
    --- .github/workflows/cml.yaml
    +++ .github/workflows/cml.yaml (proposed)
    @@ -1 +1 @@
    -name: mine
    +name: cml
    ");
    let error = write(&folder, &placed, false).expect_err("is refused");
    assert!(error.to_string().contains("another text"), "{error}");
    assert_eq!(read(&directory, ".github/workflows/cml.yaml"), "name: mine\n");
    assert!(!directory.path().join("cml.yaml").exists());
}

#[test]
fn with_force_the_text_that_was_there_is_kept_beside_and_never_over_an_older_one() {
    let (directory, folder) = with(&[("cml.yaml", "first\n")]);
    let placed = place(&folder, proposed()).expect("can be placed");
    assert_eq!(write(&folder, &placed, true).expect("writes").len(), 2);
    assert_eq!(
        (read(&directory, "cml.yaml").as_str(), read(&directory, "cml.yaml.before").as_str()),
        ("a\nb\nc\n", "first\n")
    );
    fs::write(directory.path().join("cml.yaml"), "second\n").expect("writes");
    let placed = place(&folder, proposed()).expect("can be placed");
    let error = write(&folder, &placed, true).expect_err("is refused");
    assert_eq!(error.path, "cml.yaml.before");
    assert_eq!(
        (read(&directory, "cml.yaml").as_str(), read(&directory, "cml.yaml.before").as_str()),
        ("second\n", "first\n")
    );
}

#[test]
fn links_that_lead_out_are_neither_read_nor_written_through() {
    let outside = TempDir::new().expect("a temporary directory");
    fs::write(outside.path().join("secret.txt"), "torch\n").expect("writes");
    let (directory, folder) = with(&[]);
    symlink(outside.path().join("secret.txt"), directory.path().join("requirements.txt")).expect("links");
    let findings = cml_init::look(&folder);
    assert_eq!(findings.gpu, None);
    assert!(
        findings.skipped.iter().any(|one| one.path == "requirements.txt" && one.why.contains("leads out")),
        "{findings:?}"
    );
    symlink(outside.path(), directory.path().join(".github")).expect("links");
    let error = place(&folder, proposed()).expect_err("is refused");
    assert!(error.why.contains("symbolic link"), "{error}");
    symlink(outside.path().join("new.yaml"), directory.path().join("cml.yaml")).expect("links");
    let files = vec![WrittenFile { file: proposed().remove(0), state: State::New }];
    assert!(write(&folder, &files, true).is_err());
    assert!(!outside.path().join("new.yaml").exists());
}

#[test]
fn a_directory_in_the_place_of_a_file_is_told() {
    let (directory, folder) = with(&[
        ("cml.yaml/x", ""),
        ("requirements.txt/x", ""),
        ("dvc.yaml/x", ""),
        (".github/workflows/x.yml/y", ""),
    ]);
    let findings = cml_init::look(&folder);
    assert!(findings.skipped.iter().filter(|one| one.why == "is a directory").count() >= 3, "{findings:?}");
    let error = place(&folder, proposed()).expect_err("is refused");
    assert_eq!(error.to_string(), "cml.yaml: is a directory");
    fs::remove_dir_all(directory.path().join("cml.yaml")).expect("removes");
    fs::remove_dir_all(directory.path().join(".github")).expect("removes");
    fs::write(directory.path().join(".github"), "").expect("writes");
    assert!(place(&folder, proposed()).expect_err("is refused").why.contains("is no directory"));
}

#[test]
fn when_one_file_cannot_be_written_none_is() {
    let (directory, folder) = with(&[(".github/workflows/x.txt", "")]);
    let placed = place(&folder, proposed()).expect("can be placed");
    // A directory at the temporary path of the text: root may write anywhere, but not over this.
    fs::create_dir(directory.path().join(".github/workflows/.cml.yaml.new")).expect("a directory");
    let error = write(&folder, &placed, false).expect_err("is refused");
    assert!(error.why.contains("cannot be written"), "{error}");
    assert!(!directory.path().join("cml.yaml").exists() && !directory.path().join(".cml.yaml.new").exists());
}

#[test]
fn inside_a_repository_its_root_is_taken_a_work_tree_included() {
    let (directory, _) = with(&[(".git/config", support::GIT), ("ml/train.py", "")]);
    let folder = Folder::open(&directory.path().join("ml")).expect("opens");
    assert_eq!(folder.root(), fs::canonicalize(directory.path()).expect("is there"));
    let tree = TempDir::new().expect("a temporary directory");
    let own = directory.path().join(".git/worktrees/tree");
    support::write(&own, &[("commondir", "../..\n")]);
    support::write(tree.path(), &[(".git", &format!("gitdir: {}\n", own.display()))]);
    let findings = cml_init::look(&Folder::open(tree.path()).expect("opens"));
    assert_eq!(findings.git.repository.map(|one| one.full_name()).as_deref(), Some("acme/vision"));
}

#[test]
fn a_directory_that_is_not_there_is_told() {
    let error = Folder::open(std::path::Path::new("/nowhere/at/all")).expect_err("is not there");
    assert!(error.to_string().starts_with("/nowhere/at/all: cannot be opened"), "{error}");
}
