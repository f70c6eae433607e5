//! The guide's two workflows, run for real: a repository with DVC and a remote on the emulator's S3, and the program
//! that runs the jobs (see `tests/support/seed/execute.sh` for what replaces what).
//!
//! Requires root and mmdebstrap, for the image of `packaging/`. Without them a test prints that it was skipped, unless
//! all tests are required.

mod report;
mod team;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use cml_world::Verbatim;
use serde_json::{Value, json};

pub use report::Report;

use crate::paths;
use crate::secrets::{AWS_SECRET, TOKEN};
use crate::sim::Sim;
use crate::tier;
use team::Team;

/// The key whose secret half is [`AWS_SECRET`].
const AWS_KEY: &str = "AKIACANARY0000000000";

/// The team's repository, as one simulated GitHub knows it.
pub struct Seed<'a> {
    sim: &'a Sim,
    team: &'static Team,
}

/// A workflow file of `tests/seed/`, as it is.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn workflow(name: &str) -> String {
    std::fs::read_to_string(paths::tests_dir().join("seed").join(name)).expect("the workflow is there")
}

/// Returns true, and prints it, when this machine lacks what these tests need.
///
/// # Panics
/// When they are required.
#[must_use]
pub fn is_skipped(name: &str) -> bool {
    if tier::is_left_to_full(name) {
        return true;
    }
    let has = |tool: &str| {
        let found = Command::new("sh").args(["-c", "command -v \"$0\" >/dev/null", tool]).status();
        found.is_ok_and(|status| status.success())
    };
    let why = if !rustix::process::geteuid().is_root() {
        "not root".to_owned()
    } else if let Some(tool) = ["mmdebstrap", "unshare", "git", "curl", "python3"].iter().find(|it| !has(it))
    {
        format!("{tool} is not installed")
    } else {
        return false;
    };
    tier::skip(name, &why);
    true
}

impl<'a> Seed<'a> {
    /// The repository, with a trained model on `main`.
    #[must_use]
    pub fn known_to(sim: &'a Sim) -> Self {
        let team = Team::shared();
        sim.know_commit(&team.main(), "refs/heads/main");
        Self { sim, team }
    }

    /// Pushes `main` with changes to a branch: in each file, one text replaced by another. Returns the commit.
    #[must_use]
    pub fn push(&self, branch: &str, edits: &[(&str, &str, &str)]) -> String {
        let sha = self.team.push(branch, edits);
        self.sim.know_commit(&sha, &format!("refs/heads/{branch}"));
        sha
    }

    /// Returns the branch's results when they are reproduced elsewhere: `roc_curve.png`, `precision_recall_curve.png`.
    #[must_use]
    pub fn reproduced(&self, branch: &str) -> BTreeMap<String, Vec<u8>> {
        self.team.reproduced(branch)
    }

    /// A workflow's run for a push.
    #[must_use]
    pub fn on_push(&self, yaml: String, branch: &str, sha: &str) -> Verbatim {
        let reference = format!("refs/heads/{branch}");
        let payload = json!({
            "ref": reference, "before": self.team.main(), "after": sha, "head_commit": {"id": sha},
            "repository": repository(),
        });
        self.verbatim(yaml, "push", payload, sha, reference)
    }

    /// A workflow's run for a pull request to `main`, which GitHub runs on the merge of both.
    #[must_use]
    pub fn on_pull_request(&self, yaml: String, number: u64, branch: &str, sha: &str) -> Verbatim {
        let reference = format!("refs/pull/{number}/merge");
        let merge = self.team.merge(branch, &reference);
        self.sim.know_commit(&merge, &reference);
        let payload = json!({
            "action": "opened", "number": number, "repository": repository(),
            "pull_request": {
                "number": number,
                "head": {"ref": branch, "sha": sha},
                "base": {"ref": "main", "sha": self.team.main()},
            },
        });
        self.verbatim(yaml, "pull_request", payload, &merge, reference)
    }

    fn verbatim(&self, yaml: String, event: &str, payload: Value, sha: &str, reference: String) -> Verbatim {
        let text = |path: PathBuf| path.display().to_string();
        let secrets =
            format!("GITHUB_TOKEN={TOKEN}\nAWS_ACCESS_KEY_ID={AWS_KEY}\nAWS_SECRET_ACCESS_KEY={AWS_SECRET}");
        let env = BTreeMap::from([
            ("SEED_ACT".to_owned(), text(self.team.act.clone())),
            ("SEED_IMAGE".to_owned(), text(self.team.image.clone())),
            ("SEED_ORIGIN".to_owned(), text(self.team.origin())),
            ("SEED_WHEELS".to_owned(), text(self.team.wheels.clone())),
            ("SEED_SECRETS".to_owned(), secrets),
        ]);
        Verbatim {
            yaml,
            event: event.to_owned(),
            payload,
            sha: sha.to_owned(),
            reference,
            executor: paths::tests_dir().join("support/seed/execute.sh"),
            env,
        }
    }
}

fn repository() -> Value {
    json!({
        "name": "vision", "full_name": "acme/vision", "default_branch": "main", "private": true,
        "owner": {"login": "acme"},
    })
}
