//! Boots the rendered user data with the real cloud-init: in a system container in seconds, or in a virtual machine
//! with its own kernel.
//!
//! Each test runs in a network namespace of its own, in which 169.254.169.254 is our metadata service and 192.0.2.1 the
//! simulated GitHub. Requires root and the packages that `.ci/run` installs; without them a test prints that it was
//! skipped, unless all tests are required.

mod guest;
mod imds;
mod mirror;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use cml_bootstrap::{Bootstrap, Machine, Registration, RunnerPackage};
use cml_cloud::{Deadline, LaunchId};
use cml_spec::Setup;
use cml_world::{JobView, SimSettings};
use jiff::SignedDuration;
use secrecy::SecretString;
use serde_json::{Value, json};
use tempfile::TempDir;

pub use guest::{Guest, Off, Place};
pub use imds::Imds;
pub use mirror::{Fate, Mirror};

use crate::edge::{now, variable};
use crate::paths;
use crate::secrets::TOKEN;
use crate::sim::Sim;
use crate::tier;

/// Address of the simulated GitHub; the user data's metadata rule does not block it.
const GITHUB_ADDRESS: &str = "192.0.2.1";
/// Set inside the namespace.
const INSIDE: &str = "CML_BOOT_INSIDE";
/// Time limit of a test in its namespace.
const LIMIT: Duration = Duration::from_secs(600);

/// Runs the test `name` of this test program again, in a network namespace of its own, where `body` is run.
///
/// # Panics
/// When the test fails there.
pub fn isolated(name: &str, body: impl AsyncFnOnce()) {
    isolated_within(LIMIT, name, body);
}

/// Does the same with another time limit, for tests that boot many machines one after the other.
///
/// # Panics
/// When the test fails there.
pub fn isolated_within(limit: Duration, name: &str, body: impl AsyncFnOnce()) {
    if !variable(INSIDE).is_empty() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime").block_on(body());
        return;
    }
    if tier::is_left_to_full(name) {
        return;
    }
    if let Some(why) = missing() {
        return tier::skip(name, &why);
    }
    let _turn = tier::booting();
    // Made before the clock of any test runs.
    let _ = image();
    let exe = std::env::current_exe().expect("the test program has a path");
    let setup = format!(
        "ip link set lo up && ip address add 169.254.169.254/32 dev lo && ip address add {GITHUB_ADDRESS}/32 dev lo && exec \"$@\""
    );
    let output = Command::new("timeout")
        .args(["--kill-after=5", &limit.as_secs().to_string(), "unshare", "--net", "sh", "-c", &setup, "sh"])
        .arg(exe)
        .args(["--exact", name, "--nocapture", "--include-ignored"])
        .env(INSIDE, "1")
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .output()
        .expect("unshare starts");
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    tell(&said);
    assert!(output.status.success(), "{name} failed in its namespace: {}\n{said}", output.status);
    assert!(said.contains("1 passed"), "{name} did not run in its namespace:\n{said}");
}

/// Returns what this machine lacks.
fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("not root".to_owned());
    }
    let has = |tool: &str| {
        Command::new("sh")
            .args(["-c", "command -v \"$0\" >/dev/null", tool])
            .status()
            .is_ok_and(|it| it.success())
    };
    let lacking: Vec<_> = ["systemd-nspawn", "mmdebstrap", "unshare", "ip", "mke2fs"]
        .into_iter()
        .filter(|tool| !has(tool))
        .collect();
    (!lacking.is_empty()).then(|| format!("{} not installed (see .ci/run)", lacking.join(", ")))
}

/// Returns the image, built once and kept in the target directory.
fn image() -> &'static PathBuf {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let dir = paths::target_dir().join("cml-e2e").join("boot-image");
        let made = Command::new(paths::tests_dir().join("support/boot/image.sh")).arg(&dir).output();
        let made = made.expect("image.sh starts");
        assert!(made.status.success(), "no image: {}", String::from_utf8_lossy(&made.stderr));
        dir
    })
}

#[allow(
    clippy::print_stderr,
    reason = "who reads the test's output is to know what was skipped and what was said inside"
)]
fn tell(text: &str) {
    eprintln!("{text}");
}

/// A simulated GitHub and a metadata service, and the machines that boot between them.
pub struct Lab {
    /// GitHub.
    pub sim: Sim,
    /// The metadata service.
    pub imds: Imds,
    client: reqwest::Client,
    dir: TempDir,
}

impl Lab {
    /// Creates it, inside [`isolated`] only.
    ///
    /// # Panics
    /// Elsewhere.
    pub async fn new() -> Self {
        let listen = format!("{GITHUB_ADDRESS}:0").parse().expect("an address");
        let sim = Sim::start_with(SimSettings { listen, ..SimSettings::default() }).await;
        Self {
            sim,
            imds: Imds::start().await,
            client: reqwest::Client::builder().no_proxy().build().expect("a client"),
            dir: TempDir::with_prefix("cml-e2e-boot-").expect("a directory"),
        }
    }

    /// Returns a machine for one job with the label `boot`, with short limits.
    ///
    /// # Panics
    /// When the simulated GitHub refuses.
    pub async fn bootstrap(&self) -> Bootstrap {
        let launch = launch_at(now());
        let name = launch.runner_name();
        let body = json!({"name": name, "runner_group_id": 1, "labels": ["boot"], "work_folder": "_work"});
        let made = self.github("POST", "actions/runners/generate-jitconfig", Some(body)).await;
        let encoded = made["encoded_jit_config"].as_str().expect("a configuration").to_owned();
        Bootstrap {
            launch,
            runner_name: name,
            registration: Registration::Jit { encoded: SecretString::from(encoded) },
            package: self.package().await,
            deadline: Deadline(now() + SignedDuration::from_secs(120)),
            boot_timeout: SignedDuration::from_secs(60),
            idle_timeout: Some(SignedDuration::from_secs(60)),
            machine: Machine::Cloud { gpu: false },
            offers: Vec::new(),
            setup: Setup::default(),
        }
    }

    /// Returns the same with limits for an emulated processor.
    pub async fn bootstrap_for_vm(&self) -> Bootstrap {
        Bootstrap {
            deadline: Deadline(now() + SignedDuration::from_mins(20)),
            boot_timeout: SignedDuration::from_mins(4),
            ..self.bootstrap().await
        }
    }

    /// Waits for the job's end, with a limit for an emulated processor.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn ended_in_vm(&self, job: u64, guest: &Guest) -> JobView {
        let ended = self.sim.wait_for_job(job, Duration::from_secs(300)).await;
        ended.unwrap_or_else(|| panic!("the job does not end; console:\n{}", guest.console()))
    }

    /// Returns the runner's package, as GitHub lists it.
    pub async fn package(&self) -> RunnerPackage {
        let all = self.github("GET", "actions/runners/downloads", None).await;
        let is_ours = |one: &&Value| one["os"] == "linux" && one["architecture"] == "x64";
        let ours = all.as_array().and_then(|all| all.iter().find(is_ours)).expect("a package");
        RunnerPackage {
            url: ours["download_url"].as_str().expect("an address").to_owned(),
            sha256: ours["sha256_checksum"].as_str().map(str::to_owned),
            token: None,
        }
    }

    async fn github(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let url = format!("{}/repos/acme/vision/{path}", self.sim.api_url());
        let request = self
            .client
            .request(method.parse().expect("a method"), url)
            .bearer_auth(TOKEN)
            .header("accept", "application/vnd.github+json")
            .header("user-agent", "cml-e2e");
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        request.send().await.expect("GitHub answers").json().await.expect("JSON")
    }

    /// Boots in a container.
    pub fn boot(&self, bootstrap: &Bootstrap) -> Guest {
        self.boot_user_data(cml_bootstrap::render(bootstrap).expect("fits").expose(), &Place::default())
    }

    /// Boots in this place.
    pub fn boot_in(&self, bootstrap: &Bootstrap, place: &Place) -> Guest {
        self.boot_user_data(cml_bootstrap::render(bootstrap).expect("fits").expose(), place)
    }

    /// Returns a directory for a disk that is booted again.
    pub fn state(&self) -> PathBuf {
        let state = self.dir.path().join("state");
        std::fs::create_dir_all(&state).expect("a directory");
        state
    }

    /// Creates a volume with a file system and one file.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn volume_with(&self, name: &str, text: &str) -> PathBuf {
        let (tree, volume) = (self.dir.path().join("volume"), self.dir.path().join("volume.img"));
        std::fs::create_dir_all(&tree).and_then(|()| std::fs::write(tree.join(name), text)).expect("written");
        let made = Command::new("mke2fs")
            .args(["-q", "-t", "ext4", "-d"])
            .arg(&tree)
            .arg(&volume)
            .arg("16m")
            .status();
        assert!(made.is_ok_and(|made| made.success()), "mke2fs fails");
        volume
    }

    /// Returns the unpacked runner, as an image may contain it.
    ///
    /// # Panics
    /// When it is not available.
    pub async fn unpacked_runner(&self) -> PathBuf {
        let (package, dir) = (self.dir.path().join("runner.tar.gz"), self.dir.path().join("runner"));
        let bytes = self.client.get(self.package().await.url).send().await.expect("it answers").bytes().await;
        std::fs::write(&package, bytes.expect("the package")).expect("written");
        std::fs::create_dir_all(&dir).expect("a directory");
        let unpacked = Command::new("tar").arg("-xzf").arg(&package).arg("-C").arg(&dir).status();
        assert!(unpacked.is_ok_and(|unpacked| unpacked.success()), "tar fails");
        dir
    }

    /// Returns a registration token.
    pub async fn registration_token(&self) -> String {
        let made = self.github("POST", "actions/runners/registration-token", None).await;
        made["token"].as_str().expect("a token").to_owned()
    }

    /// Removes a runner, as a person would.
    ///
    /// # Panics
    /// When there is none of this name.
    pub async fn remove_runner(&self, name: &str) {
        let found = self.github("GET", &format!("actions/runners?name={name}"), None).await;
        let id = found["runners"][0]["id"].as_u64().expect("it is there");
        let url = format!("{}/repos/acme/vision/actions/runners/{id}", self.sim.api_url());
        let request = self.client.delete(url).bearer_auth(TOKEN).header("user-agent", "cml-e2e");
        let status = request.send().await.expect("GitHub answers").status();
        assert!(status.is_success(), "{status}");
    }

    /// Creates a package repository on the guest's disk with one package, of one program, and returns arguments for the
    /// container.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn debian_repository(&self, package: &str, program: &str) -> Vec<String> {
        let (tree, repository) = (self.dir.path().join("tree"), self.dir.path().join("repository"));
        for dir in [tree.join("DEBIAN"), tree.join("usr/bin"), repository.clone()] {
            std::fs::create_dir_all(dir).expect("a directory");
        }
        let file = tree.join("usr/bin").join(package);
        std::fs::write(&file, program).expect("written");
        let control = format!(
            "Package: {package}\nVersion: 1\nArchitecture: all\nMaintainer: test <test@example.com>\nDescription: test\n"
        );
        std::fs::write(tree.join("DEBIAN/control"), &control).expect("written");
        let deb = repository.join(format!("{package}.deb"));
        let script = "chmod 755 \"$1\" \"$2\" \"$2\"/* && dpkg-deb --root-owner-group --build \"$1\" \"$3\" >/dev/null && stat -c %s \"$3\" && sha256sum <\"$3\"";
        let made = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(&tree)
            .arg(tree.join("usr/bin"))
            .arg(&deb)
            .output();
        let made = String::from_utf8(made.expect("sh starts").stdout).expect("text");
        let mut words = made.split_whitespace();
        let (size, sum) = (words.next().expect("its size"), words.next().expect("its sum"));
        let index = format!("{control}Filename: ./{package}.deb\nSize: {size}\nSHA256: {sum}\n");
        std::fs::write(repository.join("Packages"), index).expect("written");
        let sources = self.dir.path().join("sources.list");
        std::fs::write(&sources, "deb [trusted=yes] file:/var/repository ./\n").expect("written");
        let parts = self.dir.path().join("sources.list.d");
        std::fs::create_dir_all(&parts).expect("a directory");
        vec![
            format!("--bind-ro={}:/var/repository", repository.display()),
            format!("--bind-ro={}:/etc/apt/sources.list", sources.display()),
            format!("--bind-ro={}:/etc/apt/sources.list.d", parts.display()),
        ]
    }

    /// Boots any user data.
    ///
    /// # Panics
    /// When nothing can be started.
    pub fn boot_user_data(&self, user_data: &[u8], place: &Place) -> Guest {
        let dir = TempDir::new_in(self.dir.path()).expect("a directory");
        self.imds.serves(user_data);
        Guest::start(image(), dir, user_data, place)
    }
}

/// Returns the same user data, with its script in cloud-init's last stage.
#[must_use]
pub fn in_last_stage(user_data: &[u8]) -> Vec<u8> {
    let message = String::from_utf8(crate::front::unpacked(user_data.to_vec())).expect("text");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed
        .write_all(message.replace("text/cloud-boothook", "text/x-shellscript").as_bytes())
        .expect("in memory");
    packed.finish().expect("in memory")
}

/// Returns the id of a launch that was decided at this time.
#[must_use]
pub fn launch_at(time: jiff::Timestamp) -> LaunchId {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let random = RandomState::new().build_hasher().finish();
    LaunchId::new(ulid::Ulid::from_parts(time.as_millisecond().unsigned_abs(), u128::from(random)))
}
