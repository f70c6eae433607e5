//! The first hour, followed to the letter: the front page and the quick start from a bare Debian, and the first GPU job
//! from there on, with emulators instead of AWS and GitHub. The commands are those of the pages.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use cml_e2e::action::{Job, named_values};
use cml_e2e::bare::{self, Bare, Origin};
use cml_e2e::book;
use cml_e2e::edge::variable;
use cml_e2e::front::Front;
use cml_e2e::paths;
use cml_e2e::release::{self, Shop};
use cml_e2e::secrets::{AWS_SECRET, TOKEN};
use cml_e2e::sim::Sim;
use cml_e2e::tier;
use cml_e2e::wait;
use serde_json::Value;

const PROJECT: &str = "https://github.com/cml-runner/cml-runner";
const QUICK_START: &str = "docs/quick-start.md";
/// Lines of the front page that are not typed here, and why.
const NOT_TYPED: [(&str, &str); 1] = [("cargo test --workspace", "is what types this")];

/// A toolchain as its installer leaves it, and what has been downloaded for it.
struct Rust {
    sysroot: PathBuf,
    home: PathBuf,
}

impl Rust {
    fn of_this_machine() -> Self {
        let told = Command::new("rustc").args(["--print", "sysroot"]).output().expect("rustc");
        let sysroot = PathBuf::from(String::from_utf8(told.stdout).expect("text").trim());
        let home = Some(variable("CARGO_HOME")).filter(|home| !home.is_empty()).map(PathBuf::from);
        Self { sysroot, home: home.unwrap_or_else(|| Path::new(&variable("HOME")).join(".cargo")) }
    }

    /// The prerequisite of the page. What an earlier run compiled there is not compiled again; it has a directory of its
    /// own, since cargo does not tell two clones' crates of one name apart and would replace the ones of this tree.
    fn given_to(&self, bare: Bare) -> Bare {
        let compiled = paths::target_dir().join("cml-e2e/first-hour");
        std::fs::create_dir_all(&compiled).expect("a directory");
        let path = format!("{}/bin:/usr/local/bin:/usr/bin:/bin", self.sysroot.display());
        let bare = bare
            .bound(&self.sysroot)
            .bound(&self.home.join("registry"))
            .bound(&compiled)
            .with_variable("PATH", &path)
            .with_variable("CARGO_HOME", &self.home.display().to_string())
            .with_variable("CARGO_NET_OFFLINE", "true")
            .with_variable("CARGO_BUILD_BUILD_DIR", &compiled.display().to_string())
            .with_variable("CARGO_TARGET_DIR", "/tmp/target");
        let config = self.home.join("config.toml");
        if config.is_file() { bare.bound(&config) } else { bare }
    }
}

/// Returns the commands of the front page, in the clone.
fn of_the_front_page() -> String {
    let text = bare::script(&bare::page("README.md"));
    let is_typed = |line: &&str| !NOT_TYPED.iter().any(|(words, _)| line.starts_with(words));
    text.lines().filter(is_typed).map(|line| format!("{line}\n")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_front_page_and_the_quick_start_work_in_a_bare_debian() {
    if bare::is_skipped("the quick start in a bare Debian") {
        return;
    }
    let _turn = tier::building().await;
    let origin = Origin::of_this_tree();
    let bare =
        Rust::of_this_machine().given_to(Bare::with(&bare::packages(QUICK_START))).bound(origin.path());
    let bare = bare
        .with_variable("GIT_CONFIG_COUNT", "2")
        .with_variable("GIT_CONFIG_KEY_0", &format!("url.file://{}.insteadOf", origin.path().display()))
        .with_variable("GIT_CONFIG_VALUE_0", PROJECT)
        .with_variable("GIT_CONFIG_KEY_1", "safe.directory")
        .with_variable("GIT_CONFIG_VALUE_1", "*");
    let quick_start = bare::script(&bare::page(QUICK_START));
    let (install, rest) = quick_start.split_once("cargo install").expect("it is installed");
    let text = format!("{install}\n{}\ncargo install{rest}", of_the_front_page());
    let ran = bare.types(&text).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stdout);
    for words in [
        "left behind  0 instances, 0 runners",
        &format!("cml-runner {}", env!("CARGO_PKG_VERSION")),
        "cml.yaml: ",
        "| accuracy |",
        "![Training loss](",
    ] {
        assert!(ran.stdout.contains(words), "no {words:?} in:\n{}", ran.stdout);
    }
}

/// The AWS CLI, as its users have it: on the PATH. It was installed by this machine's Python and is run by the bare one's.
fn aws_cli(bin: &Path) -> PathBuf {
    let venv = cml_e2e::venv::made("aws-cli", "requirements-aws.txt");
    let found = std::fs::read_dir(venv.join("lib")).expect("a directory").flatten().next().expect("a Python");
    let packages = found.path().join("site-packages");
    let program = bin.join("aws");
    let script = format!("#!/bin/sh\nPYTHONPATH={} exec python3 -m awscli \"$@\"\n", packages.display());
    std::fs::write(&program, script).expect("written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("a program");
    venv
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_gpu_job_is_launched_as_its_page_says() {
    if bare::is_skipped("the first GPU job") {
        return;
    }
    let _turn = tier::building().await;
    let sim = Sim::start().await;
    let front = Front::start().await;
    front.boot_instances();
    let programs = tempfile::TempDir::with_prefix("cml-e2e-bin-").expect("a directory");
    let bin = programs.path().join("bin");
    std::fs::create_dir(&bin).expect("a directory");
    for name in book::NAMES {
        std::fs::hard_link(paths::cml_runner(), bin.join(name))
            .or_else(|_| std::fs::copy(paths::cml_runner(), bin.join(name)).map(drop))
            .expect("the program");
    }
    let aws = aws_cli(&bin);
    let mut bare = Bare::with(&bare::packages(QUICK_START)).bound(&aws).bound(&bin);
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display());
    for (name, value) in [
        ("PATH", path.as_str()),
        ("AWS_ENDPOINT_URL", &front.url()),
        ("AWS_ACCESS_KEY_ID", "AKIACANARY0000000000"),
        ("AWS_SECRET_ACCESS_KEY", AWS_SECRET),
        ("AWS_REGION", "us-east-1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("GITHUB_SERVER_URL", &sim.web_url()),
        ("GITHUB_API_URL", &sim.api_url()),
        ("GITHUB_REPOSITORY", "acme/vision"),
        // The token that the page has the reader store and export; its value is unique.
        ("REPO_TOKEN", TOKEN),
        ("GIT_AUTHOR_NAME", "Ada"),
        ("GIT_AUTHOR_EMAIL", "ada@example.com"),
        ("GIT_COMMITTER_NAME", "Ada"),
        ("GIT_COMMITTER_EMAIL", "ada@example.com"),
    ] {
        bare = bare.with_variable(name, value);
    }
    let text =
        format!("{}\ncat .github/workflows/cml.yaml\n", bare::script(&bare::page("docs/first-gpu-job.md")));
    let ran = bare.types(&text).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stdout);
    for words in ["arn:aws:iam::", "as IAM says", "EC2 would launch g4dn.xlarge (spot)", "by-hand"] {
        assert!(ran.stdout.contains(words), "no {words:?} in:\n{}", ran.stdout);
    }
    assert!(
        Front::alive(&front.third_party("us-east-1").await).is_empty(),
        "a machine is left: {}",
        ran.stdout
    );
    assert!(!ran.stdout.contains(TOKEN) && !ran.stdout.contains(AWS_SECRET));
    // What the page shows is what the reader finds in the file.
    let shown = std::fs::read_to_string(book::root().join("docs/first-gpu-job.md")).expect("the page");
    let written = &ran.stdout[ran.stdout.find("# A machine for each run").expect("the workflow")..];
    assert!(shown.contains(written.trim()), "the page shows another workflow than:\n{written}");
    its_job_runs(&sim, &front, written).await;
}

/// The launching step of a workflow, as Actions runs it, buys a machine for the job behind it.
async fn its_job_runs(sim: &Sim, front: &Front, workflow: &str) {
    let workflow: Value = serde_yaml::from_str(workflow).expect("YAML");
    let version = env!("CARGO_PKG_VERSION");
    let steps = workflow["jobs"]["launch"]["steps"].as_array().expect("steps");
    let step = steps.iter().find(|step| step["with"]["command"] == "launch").expect("a launching step");
    assert_eq!(step["uses"], format!("cml-runner/cml-runner@v{version}"));
    let meant = |text: &str| {
        let named = [("github.run_id", "4242"), ("github.run_attempt", "1"), ("secrets.REPO_TOKEN", TOKEN)];
        named
            .iter()
            .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{{{ {name} }}}}"), value))
    };
    let with = step["with"].as_object().expect("inputs");
    let with: Vec<(&str, String)> = with
        .iter()
        .map(|(name, value)| {
            (name.as_str(), meant(&value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        })
        .collect();
    let with: Vec<(&str, &str)> = with.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let wanted = workflow["jobs"]["train"]["runs-on"][1].as_str().map(meant).expect("a label");
    let job = sim.queue(&wanted, "echo trained");
    let shop = Shop::with(release::of_the_program(), version).await;
    let (step, ran) = Job::new(sim.user().on_aws(front).without("REPO_TOKEN"), &shop.url).uses(&with).await;
    let _ = ran.expect_code(0);
    let view = sim.succeeds(job).await;
    let told = step.told("output");
    let name = view.runner_name.expect("a runner");
    assert_eq!(named_values(&told).get("runner"), Some(&name), "{told}");
    wait::until_true("the machine is gone", Duration::from_secs(60), async || {
        front.alive_now("us-east-1").await.is_empty()
    })
    .await;
}
