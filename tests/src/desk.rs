//! A step of a workflow that reports: CML's programs by their names, in the environment of a step of Actions.

use std::path::PathBuf;

use cml_world::{SimSettings, TokenGrant};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::paths;
use crate::runner::{Ran, Runner, Running};
use crate::sim::Sim;

/// A picture of one pixel, and another one.
pub const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\0\0\0\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\0\x05\0\x01\xff\x89\x99=\x1d\0\0\0\0IEND\xaeB`\x82";

/// A workflow's token, which is an App's and may do everything.
pub const WORKFLOW_TOKEN: &str = "ghs_workflow";

/// Starts a GitHub that accepts [`WORKFLOW_TOKEN`].
pub async fn sim_with_workflow_token() -> Sim {
    let grant = TokenGrant {
        token: WORKFLOW_TOKEN.to_owned(),
        login: "github-actions[bot]".to_owned(),
        permissions: None,
    };
    Sim::start_with(SimSettings { tokens: vec![grant], ..SimSettings::default() }).await
}

/// The step.
pub struct Desk {
    /// Its user.
    pub user: Runner,
    client: reqwest::Client,
    /// As on a runner: neither of workspace and home directory contains the other one.
    _home: TempDir,
}

impl Desk {
    /// Creates a step of a run on a push of this commit.
    ///
    /// # Panics
    /// When its files cannot be written.
    #[must_use]
    pub fn on_push(sim: &Sim, sha: &str) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let user = sim.user();
        let workspace = user.home().display().to_string();
        let user = user
            .with("GITHUB_WORKSPACE", &workspace)
            .with("HOME", &home.path().display().to_string())
            .with("GITHUB_ACTIONS", "true")
            .with("GITHUB_EVENT_NAME", "push")
            .with("GITHUB_SHA", sha)
            .with("GITHUB_REF_NAME", "main")
            .with("GITHUB_WORKFLOW", "train")
            .with("GITHUB_RUN_ID", "4242");
        let desk = Self {
            user,
            client: reqwest::Client::builder().no_proxy().build().expect("a client"),
            _home: home,
        };
        std::fs::create_dir(desk.user.home().join("bin")).expect("a directory");
        for name in [
            "cml",
            "cml-publish",
            "cml-send-comment",
            "cml-send-github-check",
            "cml-pr",
            "cml-tensorboard-dev",
            "cml-report",
        ] {
            std::os::unix::fs::symlink(paths::cml_runner(), desk.program(name)).expect("a link");
        }
        desk
    }

    /// Creates a step of a run on a pull request. There is no head repository when it was a fork that is deleted.
    #[must_use]
    pub fn on_pull(sim: &Sim, number: u64, head_sha: &str, head_repository: Option<&str>) -> Self {
        let head_repository = head_repository.map(|name| json!({"full_name": name}));
        let event = json!({"pull_request": {
            "number": number,
            "head": {"sha": head_sha, "repo": head_repository},
            "base": {"repo": {"full_name": "acme/vision"}},
        }});
        Self::on_push(sim, "0000000000000000000000000000000000000000").with_event("pull_request", &event)
    }

    fn with_event(self, name: &str, event: &Value) -> Self {
        let file = self.write("event.json", event.to_string().as_bytes());
        self.with("GITHUB_EVENT_NAME", name).with("GITHUB_EVENT_PATH", &file.display().to_string())
    }

    /// Sets one variable.
    #[must_use]
    pub fn with(self, name: &str, value: &str) -> Self {
        Self { user: self.user.with(name, value), ..self }
    }

    /// Removes one variable.
    #[must_use]
    pub fn without(self, name: &str) -> Self {
        Self { user: self.user.without(name), ..self }
    }

    fn program(&self, name: &str) -> PathBuf {
        self.user.home().join("bin").join(name)
    }

    /// Writes a file of the step's working directory.
    ///
    /// # Panics
    /// When it cannot.
    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("below the home")).expect("a directory");
        std::fs::write(&path, bytes).expect("written");
        path
    }

    /// Returns the path of a file of the step.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.user.home().join(name)
    }

    /// Starts `cml-publish …`.
    #[must_use]
    pub fn start(&self, line: &[&str]) -> Running {
        self.user.start_program(self.program(line[0]).as_os_str(), &line[1..])
    }

    /// Runs `cml-publish …` to its end.
    pub async fn run(&self, line: &[&str]) -> Ran {
        self.start(line).finish().await
    }

    /// Returns its output, after success without any output on stderr.
    ///
    /// # Panics
    /// Otherwise.
    pub async fn says(&self, line: &[&str]) -> String {
        let ran = self.run(line).await.expect_code(0);
        assert_eq!(ran.stderr, "", "{ran:#?}");
        ran.stdout.strip_suffix('\n').unwrap_or(&ran.stdout).to_owned()
    }

    /// Runs git in the step's working directory.
    ///
    /// # Panics
    /// When it fails.
    pub async fn git(&self, line: &[&str]) -> String {
        let mut all =
            vec!["-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"];
        all.extend(line);
        self.user.run_program("git", &all).await.expect_code(0).stdout.trim().to_owned()
    }

    /// Returns what a browser with a session receives from this address: status and bytes.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn fetch(&self, url: &str, signed_in: bool) -> (u16, Vec<u8>) {
        let request = self.client.get(url);
        let request = if signed_in { request.header("cookie", "user_session=x") } else { request };
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.bytes().await.expect("a body").to_vec())
    }
}

/// Returns addresses of images in Markdown, in order.
#[must_use]
pub fn images(markdown: &str) -> Vec<String> {
    let after = markdown.split("![").skip(1);
    let inside = after.filter_map(|rest| Some(rest.split_once("](")?.1.split([')', ' ']).next()?.to_owned()));
    inside.collect()
}
