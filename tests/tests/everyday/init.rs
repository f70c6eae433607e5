//! `cml-runner init` in a git repository: files that the program itself accepts, nothing overwritten without consent,
//! every document that it prints.

use std::fs;
use std::path::PathBuf;

use cml_e2e::runner::{Ran, Runner};

const CML: &str = include_str!("../../seed/workflow-2.yaml");
const LAUNCHING: &str = "on: push
jobs:
  launch:
    runs-on: ubuntu-latest
    steps:
      - uses: iterative/setup-cml@v2
      - env: { REPO_TOKEN: \"${{ secrets.PAT }}\" }
        run: cml runner launch --cloud=CLOUD --labels=cml
";

struct Project {
    user: Runner,
    root: PathBuf,
}

impl Project {
    /// A git repository with a remote and a script that trains.
    async fn new() -> Self {
        let user = Runner::new();
        let root = user.home().join("vision");
        let root_text = root.display().to_string();
        for arguments in [
            vec!["init", "--quiet", "--initial-branch", "trunk", &root_text],
            vec![
                "-C",
                &root_text,
                "remote",
                "add",
                "origin",
                "https://me:hunter2@github.com/acme/vision.git",
            ],
        ] {
            let _ = user.run_program("git", &arguments).await.expect_code(0);
        }
        let project = Self { user, root };
        project.put("requirements.txt", "torch\n");
        project.put("train.py", "print('trained')\n");
        project
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().expect("lies in a directory")).expect("a directory");
        fs::write(path, text).expect("writes");
    }

    fn get(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.root.join(path)).ok()
    }

    async fn init(&self, flags: &[&str]) -> Ran {
        let mut arguments = vec!["init", "vision"];
        arguments.extend_from_slice(flags);
        self.user.run(&arguments).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_the_program_itself_finds_right_are_written_once() {
    let project = Project::new().await;
    let ran = project.init(&["--region", "eu-west-1"]).await.expect_code(0);
    for said in [
        "acme/vision on github.com",
        "torch in requirements.txt",
        "Repository=acme/vision Mode=launch",
        "cml-runner doctor",
    ] {
        assert!(ran.stdout.contains(said), "{said} is missing in {ran:#?}");
    }
    assert!(!ran.said().contains("hunter2"), "{ran:#?}");
    let config = project.root.join("cml.yaml").display().to_string();
    let valid = project.user.run(&["validate", &config]).await.expect_code(0);
    assert!(
        valid.stdout.ends_with("cml.yaml is valid (1 pool)\n") && !valid.stdout.contains("warning"),
        "{valid:#?}"
    );
    let workflow = project.get(".github/workflows/cml.yaml").expect("is written");
    assert!(workflow.contains("branches: [trunk]") || workflow.contains("branches: [main]"), "{workflow}");
    let again = project.init(&["--region", "eu-west-1", "--json"]).await.expect_code(0).json();
    assert_eq!(again["written"].as_array().map(Vec::len), Some(0), "{again}");
    assert_eq!(again["files"][0]["state"], "same", "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_gives_a_configuration_that_is_right() {
    for flags in [
        &["--pool"][..],
        &["--cloud", "local"],
        &["--region", "us-west"],
        &["--repo", "https://ghe.example.com/acme/vision"],
    ] {
        let project = Project::new().await;
        let _ = project.init(flags).await.expect_code(0);
        let config = project.root.join("cml.yaml").display().to_string();
        let valid = project.user.run(&["validate", &config]).await.expect_code(0);
        assert!(!valid.stdout.contains("warning"), "{flags:?} {valid:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_is_shown_as_a_difference_and_written_over_only_by_force_which_keeps_it() {
    let project = Project::new().await;
    project.put("cml.yaml", "# mine\n");
    project.put(".github/workflows/cml.yaml", CML);
    let dry = project.init(&["--dry-run"]).await.expect_code(0);
    assert!(dry.stdout.contains("-# mine\n") && dry.stdout.contains("+name: cml\n"), "{dry:#?}");
    let ran = project.init(&[]).await.expect_code(1);
    assert!(ran.stderr.contains("-# mine\n") && ran.stderr.contains("+++ cml.yaml (proposed)"), "{ran:#?}");
    assert!(
        ran.stderr.contains("nothing was written")
            && ran.stderr.contains("--from-cml .github/workflows/cml.yaml"),
        "{ran:#?}"
    );
    assert_eq!(ran.stdout, "");
    let json = project.init(&["--json"]).await.expect_code(1).json();
    assert_eq!(
        (json["error"]["kind"].as_str(), json["files"][0]["state"].as_str()),
        (Some("failed"), Some("differs"))
    );
    assert_eq!(
        (project.get("cml.yaml").as_deref(), project.get(".github/workflows/cml.yaml").as_deref()),
        (Some("# mine\n"), Some(CML))
    );
    let forced = project.init(&["--force"]).await.expect_code(0);
    assert!(forced.stdout.contains("what was there is cml.yaml.before"), "{forced:#?}");
    assert_eq!(project.get("cml.yaml.before").as_deref(), Some("# mine\n"));
    assert_eq!(project.get(".github/workflows/cml.yaml.before").as_deref(), Some(CML));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_of_cmls_is_translated_to_standard_output_and_into_its_file_by_force() {
    let project = Project::new().await;
    project.put(".github/workflows/train.yml", CML);
    let ran = project.init(&["--from-cml"]).await.expect_code(0);
    assert!(
        ran.stdout.starts_with("# The guide's second workflow.")
            && ran.stdout.contains("cml-runner/cml-runner@v"),
        "{ran:#?}"
    );
    assert!(ran.stderr.contains("timeout-minutes"), "{ran:#?}");
    assert_eq!(project.get(".github/workflows/train.yml").as_deref(), Some(CML));
    let forced = project.init(&["--from-cml", ".github/workflows/train.yml", "--force"]).await.expect_code(0);
    assert!(forced.stdout.contains("train.yml is written"), "{forced:#?}");
    assert_eq!(project.get(".github/workflows/train.yml"), Some(ran.stdout));
    assert_eq!(project.get(".github/workflows/train.yml.before").as_deref(), Some(CML));
    project.put(".github/workflows/aws.yml", &LAUNCHING.replace("CLOUD", "aws"));
    let json =
        project.init(&["--from-cml", ".github/workflows/aws.yml", "--json"]).await.expect_code(0).json();
    assert!(json["changes"].as_array().is_some_and(|changes| changes.len() > 3), "{json}");
    assert!(json["next_steps"].as_array().is_some_and(|steps| !steps.is_empty()), "{json}");
}

/// `gh` and `aws` answer as they would, and `aws` writes down how it was called.
const GITHUB: &str = "#!/bin/sh\n[ \"$1 $2 $3\" = 'api repos/acme/vision --jq' ] || exit 0\n\
                      case $4 in .owner.id) echo 1234567 ;; .id) echo 7654321 ;; esac\n";
const AWS: &str = "#!/bin/sh\necho \"$*\" >>\"$HOME/called\"\n\
                   case $1 in sts) echo 123456789012 ;; *) echo arn:aws:iam::123456789012:role/r ;; esac\n";

#[tokio::test(flavor = "multi_thread")]
async fn printed_commands_make_roles_of_this_repositorys_own_that_trust_its_numbers_too() {
    let project = Project::new().await;
    project
        .put(".dvc/config", "[core]\n    remote = data\n['remote \"data\"']\n    url = s3://acme-data/dvc\n");
    let bin = project.user.home().join("bin");
    fs::create_dir(&bin).expect("a directory");
    let own = cml_e2e::paths::cml_runner();
    std::os::unix::fs::symlink(own, bin.join("cml-runner")).expect("a link");
    for (name, text) in [("gh", GITHUB), ("aws", AWS)] {
        fs::write(bin.join(name), text).expect("writes");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(bin.join(name), mode).expect("a mode");
    }
    let json = project.init(&["--json"]).await.expect_code(0).json();
    let steps = json["next_steps"].as_array().expect("steps");
    let is_of_roles =
        |command: &&str| command.contains("aws ") || command.starts_with("cml-runner init --print");
    let commands: Vec<&str> = steps
        .iter()
        .flat_map(|step| step["commands"].as_array().into_iter().flatten())
        .filter_map(|command| command.as_str())
        .filter(is_of_roles)
        .collect();
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let line = format!("set -e; cd vision; {}", commands.join("\n"));
    let user = project.user.with("PATH", &path);
    let _ = user.run_program("sh", &["-c", &line]).await.expect_code(0);

    let called = fs::read_to_string(user.home().join("called")).expect("aws was called");
    for words in [
        "--stack-name cml-runner-acme-vision --template-file",
        "Repository=acme/vision Mode=launch OwnerId=1234567 RepositoryId=7654321\n",
        "describe-stacks --region us-east-1 --stack-name cml-runner-acme-vision",
        "create-role --role-name cml-data-acme-vision",
        "put-role-policy --role-name cml-data-acme-vision",
    ] {
        assert!(called.contains(words), "no {words:?} in {called}");
    }
    let trust = fs::read_to_string(project.root.join("data-trust.json")).expect("is written");
    let trust: serde_json::Value = serde_json::from_str(&trust).expect("JSON");
    let trust = &trust["Statement"][0];
    assert_eq!(
        trust["Condition"]["StringLike"]["token.actions.githubusercontent.com:sub"],
        serde_json::json!([
            "repo:acme/vision:ref:refs/heads/*",
            "repo:acme/vision:pull_request",
            "repo:acme@1234567/vision@7654321:ref:refs/heads/*",
            "repo:acme@1234567/vision@7654321:pull_request"
        ])
    );
    assert!(trust["Principal"]["Federated"].as_str().is_some_and(|arn| arn.contains("::123456789012:")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_says_what_to_do() {
    let project = Project::new().await;
    project.put(".github/workflows/gcp.yml", &LAUNCHING.replace("CLOUD", "gcp"));
    project.put(".github/workflows/other.yml", CML);
    project.put(".github/workflows/broken.yml", "jobs: [");
    for (flags, code, said) in [
        (
            &["--from-cml"][..],
            2,
            "several workflows use CML: .github/workflows/gcp.yml, .github/workflows/other.yml",
        ),
        (&["--from-cml", ".github/workflows/gcp.yml"], 1, "machines of gcp are not served"),
        (&["--from-cml", ".github/workflows/broken.yml"], 1, "not YAML"),
        (&["--from-cml", "nowhere.yml"], 2, "nowhere.yml: is not there"),
        (&["--region", "moon"], 2, "--region \"moon\" is no AWS region"),
        (&["--repo", "acme"], 2, "--repo \"acme\" names no repository"),
        (&["--from-cml", "/etc/passwd"], 2, "/etc/passwd is not in the repository"),
    ] {
        let ran = project.init(flags).await.expect_code(code);
        assert!(ran.stderr.contains(said) && ran.stderr.contains("hint: "), "{flags:?} {ran:#?}");
    }
    let ran = project.user.run(&["init", "nowhere"]).await.expect_code(2);
    assert!(ran.stderr.contains("nowhere: cannot be opened") && ran.stderr.contains("hint: "), "{ran:#?}");
    assert_eq!(project.get("cml.yaml"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn outside_of_git_it_works_and_asks_for_the_repository() {
    let user = Runner::new();
    fs::create_dir(user.home().join("plain")).expect("a directory");
    let ran = user.run(&["init", "plain"]).await.expect_code(0);
    assert!(
        ran.stdout.contains("this is no git repository")
            && ran.stdout.contains("https://github.com/OWNER/NAME"),
        "{ran:#?}"
    );
    let config = user.home().join("plain/cml.yaml").display().to_string();
    let _ = user.run(&["validate", &config]).await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_for_aws_come_with_the_program() {
    let user = Runner::new();
    for (name, starts) in [
        ("cloudformation", "AWSTemplateFormatVersion"),
        ("launch-policy", "ec2:CreateFleet"),
        ("daemon-policy", "\"Statement\""),
        ("oidc-trust", "sts:AssumeRoleWithWebIdentity"),
        ("boundary", "\"Statement\""),
    ] {
        let ran = user.run(&["init", "--print", name]).await.expect_code(0);
        assert!(ran.stdout.contains(starts), "{name}: {ran:#?}");
        if name != "cloudformation" {
            assert!(serde_json::from_str::<serde_json::Value>(&ran.stdout).is_ok(), "{name}: {ran:#?}");
        }
    }
}
