//! The team's repository, made once in a test process by `tests/support/seed/prepare.sh`; the image and the program `act`,
//! made once in a target directory.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};

use super::AWS_KEY;
use crate::edge::variable;
use crate::moto::Moto;
use crate::paths;
use crate::secrets::AWS_SECRET;
use crate::venv::tell;

const BUCKET: &str = "vision-data";

pub(super) struct Team {
    pub(super) image: PathBuf,
    pub(super) act: PathBuf,
    pub(super) wheels: PathBuf,
    dir: PathBuf,
    /// Python environment with the project's requirements, for the team's own commands.
    venv: PathBuf,
    main: String,
    /// There is one clone.
    clone: Mutex<()>,
    /// Another test process must not take the directory.
    _lock: File,
}

impl Team {
    pub(super) fn shared() -> &'static Self {
        static SHARED: OnceLock<Team> = OnceLock::new();
        SHARED.get_or_init(Self::make)
    }

    fn make() -> Self {
        let kept = paths::target_dir().join("cml-e2e");
        fs::create_dir_all(&kept).expect("the directory can be made");
        let lock = File::create(kept.join("seed-team.lock")).expect("the lock file can be made");
        lock.lock().expect("the lock can be taken");
        let dir = kept.join("seed-team");
        if dir.exists() {
            fs::remove_dir_all(&dir).expect("the last one's repository can be removed");
        }
        let mut team = Self {
            image: kept.join("seed-image"),
            act: crate::action::act(),
            wheels: kept.join("seed-wheels"),
            dir,
            venv: kept.join("seed-venv"),
            main: String::new(),
            clone: Mutex::new(()),
            _lock: lock,
        };
        for dir in [&team.wheels, &team.dir, &team.venv] {
            fs::create_dir_all(dir).expect("the directory can be made");
        }
        team.make_image();
        make_bucket();
        let seed = paths::tests_dir().join("seed");
        let project = seed.join("project");
        let support = paths::tests_dir().join("support/seed");
        let prepare = support.join("prepare.sh");
        let mut download = Command::new(support.join("wheels.sh"));
        run(download
            .arg(&team.wheels)
            .arg("machine")
            .args([seed.join("requirements-jobs.txt"), project.join("requirements.txt")]));
        let said = team.inside(
            &[&support, &seed],
            &[
                prepare.as_path(),
                &project,
                &team.dir,
                &team.venv,
                &team.wheels,
                Moto::shared().url().as_ref(),
                BUCKET.as_ref(),
            ],
        );
        tell(&format!("the team's repository is made\n{said}"));
        team.main = team.git(&["rev-parse", "main"]);
        team
    }

    fn make_image(&self) {
        let root = paths::tests_dir().parent().expect("this crate lies in the workspace");
        tell(&format!("the image of packaging/Dockerfile goes into {}", self.image.display()));
        let mut command = Command::new(root.join("packaging/image-root.sh"));
        run(command.arg(&self.image).arg(paths::cml_runner()));
    }

    /// Runs a command in the image, as a member of the team.
    fn inside(&self, more: &[&Path], command: &[&Path]) -> String {
        let scratch = self.dir.join("scratch");
        fs::create_dir_all(&scratch).expect("the directory can be made");
        let mut inside = Command::new(paths::tests_dir().join("support/seed/inside.sh"));
        inside.args([&self.image, &scratch]).args(more).args([&self.dir, &self.venv, &self.wheels]);
        inside.args(["--", "HOME=/root", "PIP_DISABLE_PIP_VERSION_CHECK=1"]);
        let certificates = "/etc/ssl/certs/ca-certificates.crt";
        if Path::new(certificates).exists() {
            inside.arg(format!("PIP_CERT={certificates}"));
        }
        inside.args(way_to_packages().map(|(name, value)| format!("{name}={value}")));
        inside.args(command).env_clear().env("PATH", variable("PATH"));
        run(inside.env("AWS_ACCESS_KEY_ID", AWS_KEY).env("AWS_SECRET_ACCESS_KEY", AWS_SECRET))
    }

    pub(super) fn origin(&self) -> PathBuf {
        self.dir.join("origin.git")
    }

    pub(super) fn main(&self) -> String {
        self.main.clone()
    }

    fn git(&self, arguments: &[&str]) -> String {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=A team", "-c", "user.email=team@example.invalid", "-C"]);
        run(git.arg(self.dir.join("team")).args(arguments)).trim().to_owned()
    }

    pub(super) fn push(&self, branch: &str, edits: &[(&str, &str, &str)]) -> String {
        let _clone = self.clone.lock().expect("never poisoned");
        let _ = self.git(&["checkout", "--quiet", "--force", "-B", branch, "main"]);
        for (file, old, new) in edits {
            let path = self.dir.join("team").join(file);
            let text = fs::read_to_string(&path).expect("the file is there");
            assert!(text.contains(old), "no {old:?} in {file}");
            fs::write(&path, text.replace(old, new)).expect("the file can be written");
        }
        let _ = self.git(&["commit", "--quiet", "--all", "--message", "Try something"]);
        let _ = self.git(&["push", "--quiet", "--force", "origin", branch]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Merges a branch into `main` as GitHub does for a pull request: under this name, without moving `main`.
    pub(super) fn merge(&self, branch: &str, reference: &str) -> String {
        let _clone = self.clone.lock().expect("never poisoned");
        let _ = self.git(&["checkout", "--quiet", "--force", "--detach", "main"]);
        let _ = self.git(&["merge", "--quiet", "--no-ff", "--message", "Merge", branch]);
        let _ = self.git(&["push", "--quiet", "origin", &format!("HEAD:{reference}")]);
        self.git(&["rev-parse", "HEAD"])
    }

    pub(super) fn reproduced(&self, branch: &str) -> BTreeMap<String, Vec<u8>> {
        let _clone = self.clone.lock().expect("never poisoned");
        let _ = self.git(&["checkout", "--quiet", "--force", branch]);
        let script =
            format!("cd {}/team && PATH={}/bin:$PATH dvc repro", self.dir.display(), self.venv.display());
        let _ = self.inside(&[], &["sh".as_ref(), "-c".as_ref(), script.as_ref()]);
        let files = fs::read_dir(self.dir.join("team/results")).expect("the results are there").flatten();
        files
            .map(|file| {
                let name = file.file_name().to_string_lossy().into_owned();
                (name, fs::read(file.path()).expect("the result can be read"))
            })
            .collect()
    }
}

/// Returns the settings with which this machine's pip reaches its index.
fn way_to_packages() -> impl Iterator<Item = (String, String)> {
    let named = ["PIP_INDEX_URL", "https_proxy"].into_iter().map(|name| (name.to_owned(), variable(name)));
    named.filter(|(_, value)| !value.is_empty())
}

/// Creates the bucket with AWS's own client, as a person would.
fn make_bucket() {
    let moto = Moto::shared();
    let program =
        "import boto3, sys; boto3.client('s3', endpoint_url=sys.argv[1]).create_bucket(Bucket=sys.argv[2])";
    let mut python = Command::new(moto.python());
    python.args(["-c", program, &moto.url(), BUCKET]);
    python.env("AWS_ACCESS_KEY_ID", AWS_KEY).env("AWS_SECRET_ACCESS_KEY", AWS_SECRET);
    run(python.env("AWS_REGION", "us-east-1").env("AWS_DEFAULT_REGION", "us-east-1"));
}

fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    // Without the arguments: there are keys among them.
    assert!(output.status.success(), "{:?} failed: {}\n{out}{err}", command.get_program(), output.status);
    out
}
