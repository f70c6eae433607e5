//! What a release is made of: the archive, its sums, its notes; and the workflows that make it, as far as they can be read here.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cml_e2e::paths;
use cml_e2e::release::{MACHINE, VERSION, archive, says, script, stripped, target};
use serde_json::Value;
use tempfile::TempDir;

fn top() -> &'static Path {
    paths::tests_dir().parent().expect("in the workspace")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(top().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn runs(command: &mut Command) -> Output {
    command.output().expect("it starts")
}

#[test]
fn the_archive_has_everything_below_one_directory_and_the_same_input_makes_the_same_bytes() {
    let dir = TempDir::with_prefix("cml-e2e-archive-").expect("a directory");
    let binary = stripped(dir.path());
    let one = archive(&binary, &dir.path().join("one"));
    let name = format!("cml-runner-{VERSION}-{}", target());
    assert_eq!(one.keys().cloned().collect::<Vec<_>>(), ["SHA256SUMS".to_owned(), format!("{name}.tar.gz")]);
    let checked = says(
        Command::new("sha256sum")
            .args(["--check", "--strict", "SHA256SUMS"])
            .current_dir(dir.path().join("one")),
    );
    assert_eq!(checked, format!("{name}.tar.gz: OK\n"));

    let packed = dir.path().join("one").join(format!("{name}.tar.gz"));
    let listed = says(Command::new("tar").args(["--numeric-owner", "-tvzf"]).arg(&packed));
    let mut modes = BTreeMap::new();
    for line in listed.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[1], "0/0", "{line}");
        modes.insert(
            words[5].strip_prefix(&name).expect("below one directory").to_owned(),
            words[0].to_owned(),
        );
    }
    assert_eq!(modes["/cml-runner"], "-rwxr-xr-x");
    for file in [
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "LICENSE-DejaVu",
        "README.md",
        "CHANGELOG.md",
        "man/man1/cml-runner.1",
        "man/man1/cml-runner-launch.1",
        "man/man1/cml-publish.1",
        "completions/cml-runner.bash",
        "completions/_cml-runner",
        "completions/cml-runner.fish",
        "systemd/cml-runner.service",
    ] {
        assert_eq!(
            modes.get(&format!("/{file}")).map(String::as_str),
            Some("-rw-r--r--"),
            "{file} in:\n{listed}"
        );
    }
    assert_eq!(modes.contains_key("/iam/"), top().join("templates/iam").is_dir(), "{listed}");

    // Another user's umask and another time of day; what was made elsewhere of the program's words.
    let words = dir.path().join("words");
    let _ = says(Command::new(script("words.sh")).arg(&binary).arg(&words));
    let line = "umask 077; touch \"$1\"; exec \"$0\" \"$1\" \"$2\" \"$3\" \"$4\"";
    let mut again = Command::new("sh");
    again
        .args(["-c", line])
        .arg(script("release.sh"))
        .arg(&binary)
        .arg(dir.path().join("two"))
        .arg(target())
        .arg(&words);
    let _ = says(again.env("RELEASE_GZIP", "-1").env("TZ", "Pacific/Apia"));
    let two = std::fs::read(dir.path().join("two").join(format!("{name}.tar.gz"))).expect("made");
    assert!(two == one[&format!("{name}.tar.gz")], "the archive differs");
}

#[test]
fn a_program_for_another_machine_does_not_go_under_this_ones_name() {
    let dir = TempDir::new().expect("a directory");
    let other = if MACHINE == "x86_64" { "aarch64" } else { "x86_64" };
    let mut command = Command::new(script("release.sh"));
    command.arg(paths::cml_runner()).arg(dir.path().join("dist")).arg(format!("{other}-unknown-linux-musl"));
    let ran = runs(&mut command);
    let words = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(
        !ran.status.success() && words.contains(&format!("was built for {MACHINE}, not for {other}")),
        "{words}"
    );
    assert!(!dir.path().join("dist").exists());

    // The first bytes of programs for each machine, and of what is none.
    for (class, machine, says) in
        [(2, 0x3e, "x86_64\n"), (2, 0xb7, "aarch64\n"), (2, 0xf3, ""), (1, 0x03, "")]
    {
        let file = dir.path().join("program");
        let mut head = [0_u8; 64];
        head[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, 1]);
        head[18] = machine;
        std::fs::write(&file, head).expect("written");
        let ran = runs(Command::new(script("machine.sh")).arg(&file));
        assert_eq!(String::from_utf8_lossy(&ran.stdout), says, "{ran:?}");
        assert_eq!(ran.status.success(), !says.is_empty());
    }
}

/// A source tree with this version and this changelog, as far as notes.sh reads it.
fn tree(version: &str, changelog: &str) -> (TempDir, PathBuf) {
    let dir = TempDir::new().expect("a directory");
    std::fs::create_dir(dir.path().join("packaging")).expect("a directory");
    for name in ["notes.sh", "version.sh"] {
        std::fs::copy(script(name), dir.path().join("packaging").join(name)).expect("copied");
    }
    let manifest = format!(
        "[workspace]\nversion = \"7\"\n[workspace.package]\nversion = \"{version}\"\n[other]\nversion = \"8\"\n"
    );
    std::fs::write(dir.path().join("Cargo.toml"), manifest).expect("written");
    std::fs::write(dir.path().join("CHANGELOG.md"), changelog).expect("written");
    let notes = dir.path().join("packaging/notes.sh");
    (dir, notes)
}

#[test]
fn a_tag_that_is_not_the_version_or_that_the_changelog_does_not_know_is_not_released() {
    let changelog = "# Changelog\n\n## [Unreleased]\n\n- later\n\n## [1.2.3] - 2026-12-01\n\n### Added\n\n- this\n\n## [1.2.2]\n\n- before\n";
    let (_kept, notes) = tree("1.2.3", changelog);
    assert_eq!(says(Command::new(&notes).arg("v1.2.3")), "### Added\n\n- this\n");
    let wrong = runs(Command::new(&notes).arg("v1.2.4"));
    let words = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(
        !wrong.status.success() && words.contains("the tag is v1.2.4, but Cargo.toml says 1.2.3"),
        "{words}"
    );
    let (_kept, notes) = tree("1.2.4", changelog);
    let unknown = runs(Command::new(&notes).arg("v1.2.4"));
    let words = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(!unknown.status.success() && words.contains("no section [1.2.4]"), "{words}");
    assert_eq!(says(&mut Command::new(script("version.sh"))), format!("{VERSION}\n"));
}

/// Every workflow, by its file's name.
fn workflows() -> BTreeMap<String, Value> {
    let dir = std::fs::read_dir(top().join(".github/workflows")).expect("workflows");
    dir.map(|entry| {
        let name = entry.expect("a file").file_name().into_string().expect("a name");
        let text = read(&format!(".github/workflows/{name}"));
        let parsed = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, parsed)
    })
    .collect()
}

fn jobs(workflow: &Value) -> Vec<(&String, &Value)> {
    workflow["jobs"].as_object().expect("jobs").iter().collect()
}

fn steps(job: &Value) -> &Vec<Value> {
    job["steps"].as_array().expect("steps")
}

#[test]
fn what_workflows_use_is_pinned_and_they_may_no_more_than_they_say() {
    let workflows = workflows();
    assert_eq!(workflows.keys().collect::<Vec<_>>(), ["audit.yml", "ci.yml", "release.yml"]);
    for (name, workflow) in &workflows {
        let all = workflow["permissions"]
            .as_object()
            .unwrap_or_else(|| panic!("{name} says nothing of permissions"));
        assert!(all.values().all(|right| right == "read"), "{name}: {all:?}");
        let text = read(&format!(".github/workflows/{name}"));
        for line in text.lines().filter(|line| line.contains("uses: ")) {
            let (_, reference) = line.split_once("uses: ").expect("filtered");
            let (action, version) =
                reference.split_once(" # v").unwrap_or_else(|| panic!("{name}: no version: {line}"));
            let (_, commit) = action.split_once('@').expect("a reference");
            assert!(
                commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()),
                "{name}: {line}"
            );
            assert!(version.split('.').count() == 3, "{name}: {line}");
        }
        for (job, what) in jobs(workflow) {
            assert!(what["timeout-minutes"].is_u64(), "{name}: {job} may run for six hours");
            for step in steps(what) {
                // Text that others may write (a branch's name) is never code.
                assert!(!step["run"].as_str().unwrap_or_default().contains("${{"), "{name}: {step:#}");
                if step["uses"].as_str().is_some_and(|uses| uses.starts_with("actions/checkout@")) {
                    assert_eq!(step["with"]["persist-credentials"], false, "{name}: {job}");
                }
            }
        }
    }
    let writes: BTreeMap<&str, BTreeSet<&str>> = jobs(&workflows["release.yml"])
        .into_iter()
        .map(|(name, job)| {
            let rights = job["permissions"].as_object().expect("each job says what it may");
            (
                name.as_str(),
                rights.iter().filter(|(_, right)| *right == "write").map(|(name, _)| name.as_str()).collect(),
            )
        })
        .collect();
    assert_eq!(writes["publish"], BTreeSet::from(["attestations", "contents", "id-token", "packages"]));
    assert_eq!(writes["image"], BTreeSet::from(["packages"]));
    assert!(["check", "build", "sbom"].iter().all(|job| writes[job].is_empty()), "{writes:?}");
}

#[test]
fn the_release_is_made_by_the_scripts_that_are_tested_and_named_as_the_action_looks_for_it() {
    let release = &workflows()["release.yml"];
    assert_eq!(release["on"]["push"]["tags"], serde_json::json!(["v*"]));
    let script_of = |job: &str| -> String {
        steps(&release["jobs"][job])
            .iter()
            .filter_map(|step| step["run"].as_str())
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert!(script_of("check").contains("packaging/notes.sh \"$GITHUB_REF_NAME\""));
    for job in ["build", "sbom"] {
        assert_eq!(release["jobs"][job]["needs"], "check", "{job} begins before the tag was checked");
    }
    for part in
        ["packaging/words.sh", "packaging/release.sh \"$binary\" dist \"$TARGET\"", "packaging/deb.sh"]
    {
        assert!(script_of("build").contains(part), "{part}");
    }
    assert!(script_of("publish").contains("packaging/sums.sh dist"));

    // The action's `$machine-unknown-linux-musl` for each machine that it knows.
    let action = read("packaging/action/run.sh");
    let known: BTreeSet<String> = action
        .lines()
        .filter_map(|line| line.split_once("machine=").map(|(_, rest)| rest))
        .filter(|rest| rest.ends_with(" ;;"))
        .map(|rest| format!("{}-unknown-linux-musl", rest.trim_end_matches(" ;;")))
        .collect();
    assert!(action.contains("archive=cml-runner-$version-$machine-unknown-linux-musl.tar.gz"));
    for job in ["build", "image"] {
        let built = release["jobs"][job]["strategy"]["matrix"]["include"].as_array().expect("targets");
        let built: BTreeSet<String> =
            built.iter().filter_map(|one| Some(one["target"].as_str()?.to_owned())).collect();
        assert_eq!(built, known, "{job}");
    }
    assert!(read("packaging/release.sh").contains("name=cml-runner-$(\"$here/version.sh\")-$target\n"));

    let kinds: Vec<&str> = steps(&release["jobs"]["publish"])
        .iter()
        .filter_map(|step| step["uses"].as_str()?.split('@').next())
        .filter(|uses| uses.contains("attest"))
        .collect();
    assert_eq!(
        kinds,
        ["actions/attest-build-provenance", "actions/attest-build-provenance", "actions/attest-sbom"]
    );
}

#[test]
fn workflows_call_scripts_that_are_there_and_install_tools_by_their_versions() {
    for (name, workflow) in workflows() {
        let runs: Vec<String> = jobs(&workflow)
            .into_iter()
            .flat_map(|(_, job)| steps(job).iter().filter_map(|step| step["run"].as_str().map(str::to_owned)))
            .collect();
        for line in runs.iter().flat_map(|run| run.lines()) {
            let words = line.split(|letter: char| letter.is_whitespace() || "()\"$".contains(letter));
            for script in words.filter(|word| word.ends_with(".sh") || *word == ".ci/run") {
                let found =
                    top().join(script).metadata().unwrap_or_else(|error| panic!("{name}: {script}: {error}"));
                assert!(found.permissions().mode() & 0o111 != 0, "{name}: {script} cannot be run");
            }
            if let Some((_, install)) = line.split_once("cargo install ") {
                let tool = install.split_whitespace().last().expect("a tool");
                let version = tool.split_once('@').map(|(_, version)| version);
                assert!(version.is_some_and(|version| version.split('.').count() == 3), "{name}: {line}");
                assert!(install.contains("--locked"), "{name}: {line}");
            }
        }
    }
}

#[test]
fn tools_have_one_version_everywhere() {
    let ci = read(".ci/run");
    let (_, rest) = ci.split_once("cargo-deny@").expect("CI installs cargo-deny");
    let deny = format!("cargo-deny@{}", rest.split_whitespace().next().unwrap_or_default());
    let audit = read(".github/workflows/audit.yml");
    assert!(audit.contains(&deny) && audit.matches("cargo-deny").count() > 1, "{deny}");
    let (_, key) = audit.split_once("key: tools-").expect("a key");
    assert_eq!(
        key.lines().next().unwrap_or_default(),
        deny.replace('@', "-"),
        "an older cache would be used"
    );
    let manifest = read("Cargo.toml");
    let (_, rest) = manifest.split_once("rust-version = \"").expect("a version");
    let rust = rest.split('"').next().unwrap_or_default();
    let release = &workflows()["release.yml"];
    assert!(
        release["env"]["RUST_TOOLCHAIN"].as_str().is_some_and(|it| it.starts_with(&format!("{rust}."))),
        "{rust}"
    );
    let image = workflows()["ci.yml"]["jobs"]["all"]["container"]["image"].clone();
    assert!(image.as_str().is_some_and(|image| image.starts_with(&format!("rust:{rust}-"))), "{image}");
}
