//! `templates/iam`: the CloudFormation template and the Terraform module grant a role the same as the JSON files, and
//! the README explains every statement.

use std::process::{Command, Output};

use cml_e2e::front::Front;
use cml_e2e::iam::{directory, document, statements};
use cml_e2e::moto::Moto;
use cml_e2e::paths;
use serde_json::{Value, json};

const REGION: &str = "us-east-1";
const PROVIDER: &str = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com";
const JOB_ROLE: &str = "arn:aws:iam::123456789012:role/training";

/// Values for every name that the files leave open.
const FILLED: [(&str, &str); 8] = [
    ("ROLE_ARN", "x"),
    ("JOB_ROLE_ARN", "x"),
    ("OWNER", "x"),
    ("BUCKET", "x"),
    ("REGIONS", "x"),
    ("ACCOUNT_ID", "x"),
    ("REPOSITORY", "x"),
    ("REPOSITORY_WITH_IDS", "x"),
];

async fn finished(command: Command) -> Output {
    tokio::process::Command::from(command).output().await.expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A stack in an account of its own.
async fn stack(front: &Front, parameters: &Value) -> Value {
    let python = tokio::task::spawn_blocking(|| Moto::shared().python()).await.expect("the emulator starts");
    let mut command = Command::new(python);
    command
        .arg(paths::tests_dir().join("support/deploy_stack.py"))
        .arg(directory().join("cloudformation.yaml"))
        .args([REGION, &parameters.to_string()])
        .env("AWS_ENDPOINT_URL", format!("{}/past-the-front", front.url()))
        .env("AWS_ACCESS_KEY_ID", "third-party")
        .env("AWS_SECRET_ACCESS_KEY", "third-party")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    let output = finished(command).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The document of a policy by its name in the template.
fn held<'a>(stack: &'a Value, name: &str) -> Option<&'a Value> {
    let all = stack["policies"].as_object().expect("policies");
    all.iter().find(|(key, _)| key.split('-').any(|part| part == name)).map(|(_, document)| document)
}

/// The emulator's CloudFormation knows neither `AWS::SQS::QueuePolicy` nor `AWS::IAM::OIDCProvider`: of these only the form is
/// checked, by cfn-lint.
#[tokio::test(flavor = "multi_thread")]
async fn a_stack_with_everything_has_the_statements_of_the_files_word_for_word() {
    let front = Front::start().await;
    let stack = stack(
        &front,
        &json!({"Mode": "launch", "Repository": "acme/vision", "OidcProviderArn": PROVIDER, "Owner": "acme/vision",
            "OwnerId": "1234567", "RepositoryId": "7654321", "Regions": "eu-west-1,us-east-1", "JobRoleArn": JOB_ROLE, "ReportsBucket": "plots/reports",
            "LogGroup": "yes", "InterruptionQueue": "yes"}),
    )
    .await;
    let role = stack["outputs"]["RoleArn"].as_str().expect("a role");
    let names = [
        ("ROLE_ARN", role),
        ("JOB_ROLE_ARN", JOB_ROLE),
        ("OWNER", "acme/vision"),
        ("BUCKET", "plots/reports"),
        ("REGIONS", "eu-west-1\", \"us-east-1"),
        ("ACCOUNT_ID", "123456789012"),
        ("REPOSITORY", "acme/vision"),
        ("REPOSITORY_WITH_IDS", "acme@1234567/vision@7654321"),
    ];
    for (name, file) in [
        ("LaunchPolicy", "launch-policy.json"),
        ("DoctorPolicy", "doctor-policy.json"),
        ("OwnerPolicy", "owner-policy.json"),
        ("RegionsPolicy", "regions-policy.json"),
        ("JobRolePolicy", "job-role-policy.json"),
        ("ReportsPolicy", "reports-policy.json"),
        ("boundary", "permission-boundary.json"),
    ] {
        assert_eq!(held(&stack, name), Some(&document(file, &names)), "{file}");
    }
    assert_eq!(held(&stack, "DaemonPolicy"), None);
    assert_eq!(stack["trust"], document("github-oidc-trust.json", &names));
    assert_eq!(stack["instance_profiles"], json!([]));

    let group = &stack["groups"][0];
    assert_eq!(
        (&group["GroupId"], &group["IpPermissions"]),
        (&stack["outputs"]["SecurityGroupId"], &json!([]))
    );
    assert_eq!(stack["log_groups"][0]["logGroupName"], stack["outputs"]["LogGroup"]);
    assert_eq!(stack["queues"].as_array().map(Vec::len), Some(1), "{stack:#}");
    let rules = stack["rules"].to_string();
    for notice in ["EC2 Spot Instance Interruption Warning", "EC2 Instance Rebalance Recommendation"] {
        assert!(rules.contains(notice), "{rules}");
    }
}

/// The boundary without a job role, which allows no role, and without a bucket, which allows no file: the statements
/// are absent.
fn boundary_without_role_and_bucket() -> Value {
    let mut boundary = document("permission-boundary.json", &[("JOB_ROLE_ARN", "-"), ("BUCKET", "-")]);
    let all = boundary["Statement"].as_array_mut().expect("statements");
    all.retain(|it| it["Sid"] != "AtMostTheJobRole" && it["Sid"] != "AtMostFilesOfReports");
    boundary
}

/// GitHub puts the owner's and the repository's number into subjects of newer repositories, after `@`. A star instead
/// of a number would also match the text after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_stack_trusts_the_subjects_with_numbers_only_where_the_numbers_are_given() {
    let front = Front::start().await;
    let stack =
        stack(&front, &json!({"Repository": "acme/vision", "OidcProviderArn": PROVIDER, "Doctor": "no"}))
            .await;
    let subjects =
        &stack["trust"]["Statement"][0]["Condition"]["StringLike"]["token.actions.githubusercontent.com:sub"];
    assert_eq!(*subjects, json!(["repo:acme/vision:ref:refs/heads/*", "repo:acme/vision:pull_request"]));
    assert_eq!(held(&stack, "boundary"), Some(&boundary_without_role_and_bucket()));
    for file in ["github-oidc-trust.json", "cloudformation.yaml", "terraform/main.tf"] {
        let text = std::fs::read_to_string(directory().join(file)).expect(file);
        assert!(!text.contains("@*"), "{file}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_for_a_daemon_lets_an_instance_in_and_makes_nothing_that_was_not_asked_for() {
    let front = Front::start().await;
    let stack = stack(
        &front,
        &json!({"Mode": "daemon", "Repository": "acme/vision", "Doctor": "no", "SecurityGroup": "no"}),
    )
    .await;
    assert_eq!(stack["trust"], document("daemon-trust.json", &[]));
    assert_eq!(held(&stack, "LaunchPolicy"), Some(&document("launch-policy.json", &[])));
    assert_eq!(held(&stack, "DaemonPolicy"), Some(&document("daemon-policy.json", &[])));
    assert_eq!(held(&stack, "boundary"), Some(&boundary_without_role_and_bucket()));
    assert_eq!(stack["policies"].as_object().map(serde_json::Map::len), Some(3), "{stack:#}");
    assert_eq!(stack["instance_profiles"].as_array().map(Vec::len), Some(1));
    for nothing in ["groups", "log_groups", "queues", "rules"] {
        assert_eq!(stack[nothing], json!([]), "{nothing}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_template_passes_cfn_lint() {
    let python = tokio::task::spawn_blocking(|| Moto::shared().python()).await.expect("the emulator starts");
    let mut command = Command::new(python.with_file_name("cfn-lint"));
    command.args(["--include-checks", "I", "--"]).arg(directory().join("cloudformation.yaml"));
    let output = finished(command).await;
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

/// `terraform validate` needs AWS's provider, which takes a registry: this reads the files as HCL, and sees that each reads a
/// policy that is there, that none is forgotten, and that the module takes what the template takes.
#[tokio::test(flavor = "multi_thread")]
async fn the_terraform_module_is_hcl_and_reads_every_policy() {
    let python = tokio::task::spawn_blocking(|| Moto::shared().python()).await.expect("the emulator starts");
    let module = directory().join("terraform");
    let files = std::fs::read_dir(&module).expect("the module").flatten().map(|entry| entry.path());
    let mut command = Command::new(python);
    command.arg(paths::tests_dir().join("support/read_hcl.py"));
    command.args(files.filter(|path| path.extension().is_some_and(|end| end == "tf")));
    let output = finished(command).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let read: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let main = std::fs::read_to_string(module.join("main.tf")).expect("is there");
    let policies = std::fs::read_dir(directory()).expect("the files").flatten();
    for name in policies.map(|entry| entry.file_name().into_string().expect("UTF-8")) {
        if name.ends_with(".json") {
            assert!(main.contains(&format!("${{path.module}}/../{name}")), "the module does not read {name}");
        }
    }
    let variables: Vec<String> = read["variables.tf"]["variable"]
        .as_array()
        .expect("variables")
        .iter()
        .flat_map(|it| {
            it.as_object().expect("a block").keys().map(|key| key.trim_matches('"').replace('_', ""))
        })
        .collect();
    let template = std::fs::read_to_string(directory().join("cloudformation.yaml")).expect("is there");
    let (_, parameters) = template.split_once("\nParameters:\n").expect("parameters");
    let (parameters, _) = parameters.split_once("\nConditions:\n").expect("ends");
    for line in parameters.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")) {
        let name = line.trim().trim_end_matches(':').to_ascii_lowercase();
        assert!(variables.contains(&name), "the module has no variable for {name}: {variables:?}");
    }
}

#[test]
fn the_readme_says_what_every_statement_is_for() {
    let readme = std::fs::read_to_string(directory().join("README.md")).expect("is there");
    for entry in std::fs::read_dir(directory()).expect("the files").flatten() {
        let name = entry.file_name().into_string().expect("UTF-8");
        if !name.ends_with(".json") {
            continue;
        }
        assert!(readme.contains(&format!("`{name}`")), "{name} is not in the README");
        let document = document(&name, &FILLED);
        // A trust has no resource.
        let sids =
            document["Statement"].as_array().expect("statements").iter().filter_map(|it| it["Sid"].as_str());
        for sid in sids {
            assert!(readme.contains(&format!("`{sid}`")), "{sid} of {name} is not in the README");
        }
    }
    // AWS takes no longer managed policy. <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>
    for file in ["launch-policy.json", "permission-boundary.json"] {
        assert!(document(file, &FILLED).to_string().len() <= 6144, "{file}");
        assert!(!statements(&document(file, &FILLED)).is_empty());
    }
}
