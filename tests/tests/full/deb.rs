//! The Debian package: built from a binary, inspected, installed into an empty root, and run from there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cml_e2e::release::{has, says, script, stripped};
use cml_e2e::tier;
use tempfile::TempDir;

/// The names of the program, in addition to its own.
const NAMES: [&str; 7] = [
    "cml",
    "cml-publish",
    "cml-send-comment",
    "cml-send-github-check",
    "cml-pr",
    "cml-tensorboard-dev",
    "cml-report",
];

fn program(name: impl AsRef<std::ffi::OsStr>, line: &[&str]) -> String {
    says(Command::new(name).args(line))
}

/// A package of the built binary, without what only a debugger needs and hardly packed: what is tested is not how small it is.
fn package(dir: &Path) -> PathBuf {
    let binary = stripped(dir);
    let out = dir.join("out");
    let built =
        says(Command::new(script("deb.sh")).arg(&binary).arg(&out).env("DEB_COMPRESSION", "-Zgzip -z1"));
    assert!(built.contains("building package 'cml-runner'"), "{built}");
    let mut made: Vec<PathBuf> =
        std::fs::read_dir(out).expect("a directory").map(|entry| entry.expect("a file").path()).collect();
    assert_eq!(made.len(), 1, "{made:?}");
    made.remove(0)
}

#[test]
fn the_package_has_the_program_under_all_its_names_and_it_runs_where_it_was_installed() {
    if !has("dpkg-deb") {
        return tier::skip("the Debian package", "dpkg-deb is not installed");
    }
    let _turn = tier::booting();
    let dir = TempDir::with_prefix("cml-e2e-deb-").expect("a directory");
    let deb = package(dir.path());
    let version = env!("CARGO_PKG_VERSION");
    let architecture = program("dpkg", &["--print-architecture"]);
    let name = format!("cml-runner_{version}_{}.deb", architecture.trim());
    assert_eq!(deb.file_name().and_then(|name| name.to_str()), Some(name.as_str()));
    control(&deb, version, architecture.trim());
    contents(&deb);

    let root = installed(dir.path(), &deb);
    let bin = root.join("usr/bin");
    assert_eq!(program(bin.join("cml-runner"), &["--version"]), format!("cml-runner {version}\n"));
    for name in NAMES {
        let help = program(bin.join(name), &["--help"]);
        assert!(help.contains("Usage: cml"), "{name}: {help}");
    }
    let sums = Command::new("dpkg-deb").arg("--ctrl-tarfile").arg(&deb).stdout(Stdio::piped()).spawn();
    let tar = sums.expect("dpkg-deb starts").stdout.expect("piped");
    let sums = Command::new("tar").args(["-xO", "./md5sums"]).stdin(tar).output().expect("tar runs").stdout;
    std::fs::write(dir.path().join("md5sums"), &sums).expect("written");
    let checked = says(
        Command::new("md5sum")
            .args(["--check", "--strict"])
            .arg(dir.path().join("md5sums"))
            .current_dir(&root),
    );
    assert!(checked.contains("usr/bin/cml-runner: OK"), "{checked}");
    manual(&root);
    service(&root);
}

/// A prerelease is older than its release, for Debian, too.
#[test]
fn a_candidate_of_a_release_is_older_than_the_release() {
    if !has("dpkg-deb") {
        return tier::skip("the version of a candidate", "dpkg-deb is not installed");
    }
    // A tree like this one except for its version; the content of the package does not matter here.
    let dir = TempDir::with_prefix("cml-e2e-deb-").expect("a directory");
    let top = dir.path().join("top");
    std::fs::create_dir_all(&top).expect("a directory");
    let _ = says(Command::new("cp").arg("-r").arg(script("")).arg(top.join("packaging")));
    for name in ["templates", "crates", "LICENSE-MIT", "CHANGELOG.md"] {
        std::os::unix::fs::symlink(script("..").join(name), top.join(name)).expect("a link");
    }
    std::fs::write(top.join("Cargo.toml"), "[workspace.package]\nversion = \"1.2.3-rc.1\"\n")
        .expect("written");
    let words = dir.path().join("words");
    for (name, files) in
        [("man", &["a.1"][..]), ("completions", &["cml-runner.bash", "_cml-runner", "cml-runner.fish"])]
    {
        std::fs::create_dir_all(words.join(name)).expect("a directory");
        files.iter().for_each(|file| std::fs::write(words.join(name).join(file), "").expect("written"));
    }
    let out = dir.path().join("out");
    let _ = says(
        Command::new(top.join("packaging/deb.sh"))
            .args([Path::new("/bin/true"), &out, &words])
            .env("DEB_COMPRESSION", "-Zgzip -z1"),
    );
    let deb = std::fs::read_dir(out).expect("a directory").next().expect("a package").expect("a file").path();
    let version = says(Command::new("dpkg-deb").arg("--field").arg(&deb).arg("Version"));
    assert_eq!(version.trim(), "1.2.3~rc.1");
    for (older, newer) in [(version.trim(), "1.2.3"), ("1.2.2", version.trim())] {
        let _ = program("dpkg", &["--compare-versions", older, "lt", newer]);
    }
}

fn control(deb: &Path, version: &str, architecture: &str) {
    let text = says(Command::new("dpkg-deb").arg("--field").arg(deb));
    let fields: BTreeMap<&str, &str> =
        text.lines().filter(|line| !line.starts_with(' ')).filter_map(|line| line.split_once(": ")).collect();
    assert_eq!(fields["Package"], "cml-runner");
    assert_eq!((fields["Version"], fields["Architecture"]), (version, architecture));
    let depends = fields["Depends"];
    assert!(depends.starts_with("ca-certificates, libc6 (>= 2."), "what it asks of the C library: {depends}");
    assert_eq!((fields["Section"], fields["Priority"]), ("devel", "optional"));
    let kib: u64 = fields["Installed-Size"].parse().expect("a number");
    assert!(kib > 1024, "{kib} KiB");
    assert!(fields["Maintainer"].contains('@') && !fields["Description"].is_empty());
}

/// Checks owners and permissions.
fn contents(deb: &Path) {
    let listed = says(Command::new("dpkg-deb").arg("--contents").arg(deb));
    let mut files: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    for line in listed.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[1], "root/root", "{line}");
        files.insert(words[5].trim_start_matches('.'), (words[0], words.last().copied().unwrap_or_default()));
    }
    for (path, mode) in [
        ("/usr/bin/cml-runner", "-rwxr-xr-x"),
        ("/usr/share/man/man1/cml-runner.1.gz", "-rw-r--r--"),
        ("/usr/share/man/man1/cml-runner-launch.1.gz", "-rw-r--r--"),
        ("/usr/share/bash-completion/completions/cml-runner", "-rw-r--r--"),
        ("/usr/share/zsh/vendor-completions/_cml-runner", "-rw-r--r--"),
        ("/usr/share/fish/vendor_completions.d/cml-runner.fish", "-rw-r--r--"),
        ("/lib/systemd/system/cml-runner.service", "-rw-r--r--"),
        ("/etc/cml-runner/", "drwxr-xr-x"),
        ("/usr/share/doc/cml-runner/copyright", "-rw-r--r--"),
        ("/usr/share/doc/cml-runner/changelog.gz", "-rw-r--r--"),
        ("/usr/share/doc/cml-runner/CHANGELOG.md.gz", "-rw-r--r--"),
        ("/usr/share/doc/cml-runner/LICENSE-DejaVu", "-rw-r--r--"),
    ] {
        assert_eq!(files.get(path).map(|(mode, _)| *mode), Some(mode), "{path} in:\n{listed}");
    }
    for name in NAMES {
        let leads_to = |path: &str| files.get(path).map(|(_, to)| *to);
        assert_eq!(leads_to(&format!("/usr/bin/{name}")), Some("cml-runner"), "{name} in:\n{listed}");
        let manual = format!("/usr/share/man/man1/{name}.1.gz");
        assert!(
            leads_to(&manual).is_some_and(|to| to.starts_with("cml-runner") && to.ends_with(".1.gz")),
            "{manual} in:\n{listed}"
        );
    }
}

/// Installed by dpkg into an empty root where that is allowed, else unpacked.
fn installed(dir: &Path, deb: &Path) -> PathBuf {
    let root = dir.join("root");
    std::fs::create_dir_all(root.join("var/lib/dpkg/updates")).expect("a directory");
    std::fs::create_dir_all(root.join("var/lib/dpkg/info")).expect("a directory");
    std::fs::write(root.join("var/lib/dpkg/status"), "").expect("written");
    if rustix::process::geteuid().is_root() {
        // What it depends on is this machine's.
        let mut dpkg = Command::new("dpkg");
        dpkg.arg(format!("--root={}", root.display())).args(["--force-depends", "--install"]).arg(deb);
        let output = dpkg.stdin(Stdio::null()).output().expect("dpkg starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let query = format!("--admindir={}", root.join("var/lib/dpkg").display());
        let state =
            program("dpkg-query", &[&query, "--show", "--showformat=${db:Status-Status}", "cml-runner"]);
        assert_eq!(state, "installed");
    } else {
        let _ = says(Command::new("dpkg-deb").arg("--extract").arg(deb).arg(&root));
    }
    root
}

/// Checks that the pages can be read, under every name.
fn manual(root: &Path) {
    let pages = root.join("usr/share/man/man1");
    for (name, page) in [
        ("cml", "cml-runner.1.gz"),
        ("cml-publish", "cml-runner-publish.1.gz"),
        ("cml-send-comment", "cml-runner-comment-create.1.gz"),
        ("cml-send-github-check", "cml-runner-check-create.1.gz"),
        ("cml-pr", "cml-runner-pr-create.1.gz"),
        ("cml-tensorboard-dev", "cml-runner.1.gz"),
        ("cml-report", "cml-runner-report.1.gz"),
    ] {
        let found = pages.join(format!("{name}.1.gz")).canonicalize().expect("the link leads somewhere");
        assert!(found.ends_with(page), "{name}: {}", found.display());
    }
    if !has("man") {
        return tier::skip("how the manual pages read", "man is not installed");
    }
    let read = |page: &Path| {
        let mut man = Command::new("man");
        man.args([
            "--warnings",
            "--encoding=utf-8",
            "--no-hyphenation",
            "--no-justification",
            "--local-file",
        ]);
        says(man.arg(page).env("MANWIDTH", "100").env("LC_ALL", "C.UTF-8").env("MANPAGER", "cat"))
    };
    let first = read(&pages.join("cml-runner.1.gz"));
    for part in [
        "cml-runner - Ephemeral GitHub Actions runners",
        "/etc/cml-runner/cml.yaml",
        "cml-send-comment",
        "EXIT STATUS",
        "EXAMPLES",
    ] {
        let words = first.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(part), "{part:?} is not in:\n{first}");
    }
    let launch = read(&pages.join("cml-runner-launch.1.gz"));
    for part in ["cml-runner launch [OPTIONS]", "--idle-timeout <DURATION>", "CML_RUNNER_MAX_LIFETIME"] {
        assert!(launch.contains(part), "{part:?} is not in:\n{launch}");
    }
    // Not one page has a warning.
    for entry in std::fs::read_dir(&pages).expect("pages") {
        let _ = read(&entry.expect("a page").path());
    }
}

/// The service starts the program of the package.
fn service(root: &Path) {
    let unit = std::fs::read_to_string(root.join("lib/systemd/system/cml-runner.service")).expect("there");
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("it starts something");
    let program = line.split_whitespace().next().expect("a program").trim_start_matches('/');
    assert!(root.join(program).is_file(), "{line}");
    assert!(!unit.contains("/usr/local"), "{unit}");
}
