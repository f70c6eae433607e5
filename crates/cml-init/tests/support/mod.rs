//! Small repositories, written into temporary directories.
#![allow(dead_code, reason = "each suite uses some of it")]

use std::fs;
use std::path::Path;

use cml_init::{Cloud, Findings, Folder, InitOptions, Plan, look};
use tempfile::TempDir;

pub(crate) const GIT: &str = "[core]\n\tbare = false\n[remote \"origin\"]\n\turl = git@github.com:acme/vision.git\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n";
pub(crate) const TORCH: &str = "torch==2.5.1\ndvc[s3]>=3\n";
pub(crate) const PIPELINE: &str = "stages:\n  train:\n    cmd: python train.py\n    metrics:\n      - metrics.json:\n          cache: false\n";
pub(crate) const EC2: &str = "on: push
jobs:
  start-runner:
    runs-on: ubuntu-latest
    steps:
      - uses: machulav/ec2-github-runner@v2
        with: { mode: start }
  train:
    needs: start-runner
    runs-on: ${{ needs.start-runner.outputs.label }}
    steps: [{ run: make train }]
";
pub(crate) const SEED: [&str; 2] = [
    include_str!("../../../../tests/seed/workflow-1.yaml"),
    include_str!("../../../../tests/seed/workflow-2.yaml"),
];

pub(crate) struct Fixture {
    pub(crate) name: &'static str,
    pub(crate) files: &'static [(&'static str, &'static str)],
}

pub(crate) const FIXTURES: [Fixture; 7] = [
    Fixture {
        name: "plain-python",
        files: &[(".git/config", GIT), ("requirements.txt", "scikit-learn\n"), ("train.py", "print(1)\n")],
    },
    Fixture {
        name: "dvc-torch",
        files: &[
            (".git/config", GIT),
            (".git/refs/remotes/origin/HEAD", "ref: refs/remotes/origin/trunk\n"),
            ("requirements.txt", TORCH),
            ("dvc.yaml", PIPELINE),
            (
                ".dvc/config",
                "[core]\n    remote = storage\n['remote \"storage\"']\n    url = s3://acme-data/vision\n",
            ),
            ("train.py", "import torch\n"),
        ],
    },
    Fixture {
        name: "r",
        files: &[
            (".git/config", GIT),
            ("renv.lock", "{}\n"),
            ("R/model.R", "x <- 1\n"),
            ("train.R", "source('R/model.R')\n"),
            ("results/metrics.json", "{\"rmse\": 1.5}\n"),
        ],
    },
    Fixture {
        name: "guide",
        files: &[
            (".git/config", GIT),
            (".github/workflows/test.yaml", SEED[0]),
            (".github/workflows/cml.yaml", SEED[1]),
            ("requirements.txt", "dvc[s3]\nscikit-learn\n"),
            ("dvc.yaml", PIPELINE),
            (
                ".dvc/config",
                "[core]\n    remote = cos\n['remote \"cos\"']\n    url = s3://bucket\n    endpointurl = https://s3.eu.example.com\n",
            ),
        ],
    },
    Fixture {
        name: "ec2-github-runner",
        files: &[
            (".git/config", GIT),
            (".github/workflows/train.yml", EC2),
            ("Makefile", "train:\n\tpython -m vision.train\n"),
            ("pyproject.toml", "[project]\nname = \"vision\"\ndependencies = [\"tensorflow>=2.16\"]\n"),
            ("uv.lock", "version = 1\n"),
            ("vision/train.py", ""),
        ],
    },
    Fixture {
        name: "terraform-and-runs-on",
        files: &[
            (
                "infra/main.tf",
                "module \"runners\" {\n  source  = \"github-aws-runners/github-runner/aws\"\n  version = \"7.0.0\"\n}\n",
            ),
            (".github/runs-on.yml", "runners: {}\n"),
            (
                ".github/workflows/ci.yml",
                "on: push\njobs:\n  test:\n    runs-on: runs-on=${{ github.run_id }}/runner=2cpu-linux-x64\n    steps: [{ run: make }]\n",
            ),
            ("k8s/runners.yaml", "apiVersion: actions.github.com/v1alpha1\nkind: AutoscalingRunnerSet\n"),
            ("environment.yml", "dependencies: [python=3.12, 'pytorch::pytorch']\n"),
            ("notebooks/train.ipynb", "{}\n"),
        ],
    },
    Fixture { name: "nothing", files: &[("README.md", "# Nothing\n")] },
];

pub(crate) fn write(root: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("lies in a directory")).expect("a directory");
        fs::write(path, text).expect("writes");
    }
}

impl Fixture {
    pub(crate) fn make(&self) -> (TempDir, Folder) {
        let directory = TempDir::new().expect("a temporary directory");
        write(directory.path(), self.files);
        let folder = Folder::open(directory.path()).expect("opens");
        (directory, folder)
    }

    pub(crate) fn look(&self) -> Findings {
        look(&self.make().1)
    }
}

pub(crate) fn wishes(cloud: Cloud, pool: bool) -> InitOptions {
    InitOptions { cloud, region: "us-east-1".to_owned(), pool, repo: None, version: "0.1.0".to_owned() }
}

pub(crate) fn plan(findings: &Findings, cloud: Cloud, pool: bool) -> Plan {
    Plan::new(findings, &wishes(cloud, pool)).expect("is a plan")
}
