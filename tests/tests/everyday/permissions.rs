//! The policies of `templates/iam` compared with the calls to AWS: every path through the program that makes a call is
//! run, and the required and the allowed permissions must be the same. A new call must be added here.

use std::collections::BTreeMap;

use base64::Engine;
use cml_e2e::daemon::{Daemon, WEBHOOK_SECRET, free_port};
use cml_e2e::desk::{Desk, PNG, sim_with_workflow_token};
use cml_e2e::front::{Front, Override, UBUNTU_IMAGE};
use cml_e2e::iam::{self, Asked, Known, Statement, asked, document, is_allowed, statements};
use cml_e2e::moto::Moto;
use cml_e2e::runner::{Ran, Runner};
use cml_e2e::secrets::AWS_SECRET;
use cml_e2e::sim::Sim;
use cml_e2e::wait;
use serde_json::{Value, json};

const REGION: &str = "us-east-1";
const JOB_ROLE: &str = "arn:aws:iam::123456789012:role/training";
const OUR_ROLE: &str = "arn:aws:iam::123456789012:role/cml-runner";
const TAGGED: &str = "aws:RequestTag/cml-runner:launch";
const OURS: &str = "aws:ResourceTag/cml-runner:launch";
const OWNED: &str = "aws:ResourceTag/cml-runner:owner";

/// Returns the statements of a file, with this test's values for its names.
fn policy(file: &str) -> Vec<Statement> {
    let names = [
        ("JOB_ROLE_ARN", JOB_ROLE),
        ("ROLE_ARN", OUR_ROLE),
        ("BUCKET", "plots"),
        ("OWNER", "acme/vision"),
        ("REGIONS", REGION),
    ];
    statements(&document(file, &names))
}

fn policies(files: &[&str]) -> Vec<Statement> {
    files.iter().flat_map(|file| policy(file)).collect()
}

const LAUNCH: [&str; 2] = ["launch-policy.json", "job-role-policy.json"];
const EVERY: [&str; 5] = [
    "launch-policy.json",
    "daemon-policy.json",
    "doctor-policy.json",
    "job-role-policy.json",
    "reports-policy.json",
];

/// The runs of `cml-runner doctor`, each a command line.
const DOCTOR: [&[&str]; 2] =
    [&["doctor", "--type", "m+t4", "--spot", "prefer"], &["doctor", "--type", "m", "--daemon"]];

struct World {
    sim: Sim,
    front: Front,
    user: Runner,
}

async fn world() -> World {
    let sim = Sim::start().await;
    let front = Front::start().await;
    front.boot_instances();
    let user = sim.user().on_aws(&front);
    World { sim, front, user }
}

impl World {
    async fn launch(&self, more: &[&str]) -> Ran {
        let always = ["launch", "--cloud", "aws", "--labels", "cml,gpu", "--max-lifetime", "1h", "--json"];
        let limits = ["--boot-timeout", "40s", "--idle-timeout", "30s"];
        self.user.run(&[&always[..], &limits, more].concat()).await
    }

    async fn on_aws(&self, command: &[&str]) -> Ran {
        self.user.run(&[command, &["--cloud", "aws", "--region", REGION, "--json"]].concat()).await
    }
}

/// Returns the permissions that were required so far.
async fn all_asked(front: &Front) -> Vec<Asked> {
    let calls = front.calls();
    let account = front.third_party(REGION).await;
    let tags = |instance: &Value| -> BTreeMap<String, String> {
        let tags = instance["Tags"].as_array().cloned().unwrap_or_default();
        let text = |tag: &Value, field: &str| tag[field].as_str().expect("a tag").to_owned();
        tags.iter().map(|tag| (text(tag, "Key"), text(tag, "Value"))).collect()
    };
    let instances = account["instances"].as_array().expect("a list").iter();
    let templates = calls.iter().filter(|call| call.action == "CreateLaunchTemplate");
    let known = Known {
        instances: instances
            .map(|it| (it["InstanceId"].as_str().expect("an id").to_owned(), tags(it)))
            .collect(),
        templates: templates.map(|call| (call.params["LaunchTemplateName"].clone(), call.clone())).collect(),
        job_role: JOB_ROLE.to_owned(),
    };
    let mut all: Vec<Asked> = calls.iter().flat_map(|call| asked(call, &known)).collect();
    all.sort();
    all.dedup();
    all
}

/// Asserts that nothing is required that these do not allow, or that the boundary forbids.
fn nothing_is_denied(all: &[Asked], allowing: &[&str]) {
    let boundary = policy("permission-boundary.json");
    let owner = [policy("owner-policy.json"), everything()].concat();
    for statements in [&policies(allowing), &boundary, &owner] {
        let denied: Vec<&Asked> = all.iter().filter(|asked| !is_allowed(statements, asked)).collect();
        assert!(denied.is_empty(), "{allowing:?}, or what bounds it, denies {denied:#?}");
    }
}

/// Asserts that every action, with every resource that it is allowed on, is used.
fn nothing_is_too_much(all: &[Asked], file: &str) {
    let each: Vec<Statement> = policy(file).iter().flat_map(Statement::each).collect();
    // Everything is allowed only where AWS knows nothing narrower.
    let is_used = |one: &Statement| {
        let is_all = one.resources == ["*"];
        all.iter().any(|asked| one.meets(asked) && (!is_all || asked.resource == "*"))
    };
    let unused: Vec<&Statement> = each.iter().filter(|one| !is_used(one)).collect();
    assert!(unused.is_empty(), "{file} allows what nothing asks for: {unused:#?}");
}

/// Somebody attached `AdministratorAccess`.
fn everything() -> Vec<Statement> {
    statements(&json!({"Statement": [{"Sid": "All", "Effect": "Allow", "Action": "*", "Resource": "*"}]}))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launch_is_allowed_what_it_asks_for_and_nothing_else() {
    let world = world().await;
    // Spot, with everything that is created and looked up the first time; then listed, read, ended and cleaned up.
    let launched = world
        .launch(&["--type", "m", "--spot", "only", "--idle-timeout", "never"])
        .await
        .expect_code(0)
        .json();
    let id = launched["instance_id"].as_str().expect("an id");
    let _ = world.on_aws(&["ls"]).await.expect_code(0);
    let _ = world.user.run(&["logs", id, "--cloud", "aws", "--region", REGION]).await.expect_code(0);
    let _ = world.on_aws(&["stop", id]).await.expect_code(0);
    let _ = world.on_aws(&["reap"]).await.expect_code(0);
    // On-demand, with everything given.
    let group =
        world.front.third_party(REGION).await["groups"][0]["GroupId"].as_str().expect("a group").to_owned();
    let subnet =
        world.front.calls_of("CreateFleet")[0].params["LaunchTemplateConfigs.1.Overrides.1.SubnetId"].clone();
    let given = ["--spot", "never", "--type", "m", "--image", UBUNTU_IMAGE, "--tag", "team=vision"];
    let places = ["--subnet", &subnet, "--security-group", &group, "--instance-profile", "training"];
    let _ = world.launch(&[&given[..], &places].concat()).await.expect_code(0);
    // A volume of a snapshot.
    let cache = format!("{}:/cache", world.front.add_snapshot(REGION, 8).await);
    let _ = world.launch(&["--type", "m", "--spot", "never", "--cache", &cache]).await.expect_code(0);
    // An image of the account's own, one by its name, a type that is newer than the table: asked for even where the emulator
    // has none.
    let _ = world.launch(&["--image", "ssm:/cml-runner/images/vision"]).await.expect_code(1);
    let _ = world.launch(&["--image", "ubuntu@099720109477:x86_64:*vision*"]).await.expect_code(1);
    let _ = world.launch(&["--type", "g99.huge"]).await.expect_code(1);
    // Failures: a machine that does not come up is read and ended; then there is no capacity.
    let script = base64::engine::general_purpose::STANDARD.encode("exit 9");
    let _ = world.launch(&["--type", "m", "--startup-script", &script]).await.expect_code(6);
    world.front.dry(|_: &Override| true);
    let _ = world.launch(&["--type", "m", "--spot", "prefer"]).await.expect_code(3);

    let all = all_asked(&world.front).await;
    nothing_is_denied(&all, &LAUNCH);
    LAUNCH.iter().for_each(|file| nothing_is_too_much(&all, file));
    what_is_not_ours_is_denied(&all);
    drop(world.sim);
}

/// Asserts that the same requests without our tag are denied, and requests that are never made.
fn what_is_not_ours_is_denied(all: &[Asked]) {
    let launch = policies(&LAUNCH);
    // In addition to everything that an administrator may attach, the boundary denies what it does not allow.
    let boundary = policy("permission-boundary.json");
    let owner = [policies(&LAUNCH), policy("owner-policy.json")].concat();
    let of = |action: &str, kind: &str| -> Vec<Asked> {
        let end = format!(":{kind}/");
        let is_it = |it: &&Asked| it.action == action && it.resource.contains(&end);
        let found: Vec<Asked> = all.iter().filter(is_it).cloned().collect();
        assert!(!found.is_empty(), "no {action} of {kind}");
        found
    };
    for (action, kind, key) in [
        ("ec2:RunInstances", "instance", TAGGED),
        ("ec2:CreateFleet", "instance", TAGGED),
        ("ec2:CreateFleet", "fleet", TAGGED),
        ("ec2:RunInstances", "launch-template", OURS),
        ("ec2:TerminateInstances", "instance", OURS),
        ("ec2:GetConsoleOutput", "instance", OURS),
        ("ec2:DeleteLaunchTemplate", "launch-template", OURS),
    ] {
        for asked in of(action, kind) {
            let without = asked.without(key);
            assert!(!is_allowed(&launch, &without), "{without:#?}");
            assert!(!is_allowed(&boundary, &without), "whatever is attached: {without:#?}");
        }
    }
    for (action, kind, key) in [
        ("ec2:CreateLaunchTemplate", "launch-template", TAGGED),
        ("ec2:RunInstances", "volume", TAGGED),
        ("ec2:RunInstances", "network-interface", TAGGED),
        ("ec2:CreateFleet", "network-interface", TAGGED),
        ("ec2:RunInstances", "snapshot", "aws:ResourceTag/cml-runner:cache"),
        ("ec2:CreateFleet", "snapshot", "aws:ResourceTag/cml-runner:cache"),
    ] {
        of(action, kind).into_iter().for_each(|it| {
            let without = it.without(key);
            assert!(!is_allowed(&launch, &without), "{without:#?}");
        });
    }
    for (action, kind, key) in [
        ("ec2:RunInstances", "instance", "aws:RequestTag/cml-runner:owner"),
        ("ec2:TerminateInstances", "instance", OWNED),
        // Another owner's template has its user data, which a machine bought by it could read.
        ("ec2:RunInstances", "launch-template", OWNED),
        ("ec2:CreateFleet", "launch-template", OWNED),
    ] {
        for asked in of(action, kind) {
            assert!(is_allowed(&owner, &asked), "its own: {asked:#?}");
            let of_another = asked.clone().with(key, "acme/speech");
            assert!(!is_allowed(&owner, &of_another), "another owner's: {of_another:#?}");
            assert!(!is_allowed(&owner, &asked.without(key)), "nobody's");
        }
    }
    let named = "aws:RequestTag/cml-runner:owner";
    for asked in of("ec2:CreateLaunchTemplate", "launch-template") {
        assert!(!is_allowed(&owner, &asked.without(named)), "nobody's template");
    }
    let tagged: Vec<&Asked> = all.iter().filter(|asked| asked.context.contains_key(named)).collect();
    assert!(tagged.len() > 10, "{tagged:#?}");
    for asked in tagged {
        assert!(is_allowed(&owner, asked), "its own: {asked:#?}");
        let of_another = asked.clone().with(named, "acme/speech");
        assert!(!is_allowed(&owner, &of_another), "in another owner's name: {of_another:#?}");
    }
    // Tags on what is there already would make it ours.
    of("ec2:CreateTags", "instance")
        .into_iter()
        .for_each(|it| assert!(!is_allowed(&launch, &it.without("ec2:CreateAction"))));
    let pass = Asked::new("iam:PassRole", "arn:aws:iam::123456789012:role/admin")
        .with("iam:PassedToService", "ec2.amazonaws.com");
    let never = [
        pass.clone(),
        Asked::new("iam:PassRole", JOB_ROLE).with("iam:PassedToService", "lambda.amazonaws.com"),
        Asked::new("iam:CreateServiceLinkedRole", "arn:aws:iam::1:role/aws-service-role/x/Y")
            .with("iam:AWSServiceName", "ec2fleet.amazonaws.com"),
        Asked::new("ec2:RunInstances", "arn:aws:ec2:us-east-1:123456789012:key-pair/admin"),
        Asked::new(
            "ec2:AuthorizeSecurityGroupIngress",
            "arn:aws:ec2:us-east-1:123456789012:security-group/sg-1",
        ),
        Asked::new("ec2:CreateSecurityGroup", "arn:aws:ec2:us-east-1:123456789012:security-group/*"),
        Asked::new("ssm:GetParameter", "arn:aws:ssm:us-east-1:123456789012:parameter/prod/password"),
        Asked::new("s3:GetObject", "arn:aws:s3:::plots/a"),
    ];
    for asked in never {
        assert!(!is_allowed(&launch, &asked), "{asked:#?}");
    }
    let never_whatever_is_attached = [
        pass,
        Asked::new("iam:PassRole", JOB_ROLE).with("iam:PassedToService", "lambda.amazonaws.com"),
        Asked::new("ssm:GetParameter", "arn:aws:ssm:us-east-1:123456789012:parameter/prod/password"),
        Asked::new("s3:GetObject", "arn:aws:s3:::backups/db"),
    ];
    for asked in never_whatever_is_attached {
        assert!(!is_allowed(&boundary, &asked), "whatever is attached: {asked:#?}");
    }
    let elsewhere = Asked::new("ec2:DescribeInstances", "*");
    let regions = [policy("launch-policy.json"), policy("regions-policy.json")].concat();
    assert!(is_allowed(&regions, &elsewhere.clone().with("aws:RequestedRegion", REGION)));
    assert!(!is_allowed(&regions, &elsewhere.with("aws:RequestedRegion", "eu-west-1")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_is_allowed_what_it_asks_for_and_nothing_else() {
    let port = free_port();
    let sim = Sim::start_with_webhook(port).await;
    let front = Front::start().await;
    front.boot_instances();
    let user = sim.user().on_aws(&front).with("CML_RUNNER_WEBHOOK_SECRET", WEBHOOK_SECRET);
    let config = format!(
        "runners:\n  gpu:\n    labels: [cml, gpu]\n    cloud: aws\n    regions: [{REGION}]\n    instance_types: [g4dn.xlarge]\n    \
         spot: prefer\n    max: 2\n    idle_timeout: 60s\n    boot_timeout: 90s\n    max_lifetime: 1h\n"
    );
    let mut daemon = Daemon::start(&user, &config, port, &["--poll", "10s", "--prices-every", "10s"]);
    daemon.until_ready().await;
    // One machine works, one is interrupted; prices are requested; at the end nothing is left.
    let held = user.home().join("held");
    let job = sim.queue("gpu", &format!("until [ -e {} ]; do sleep 0.2; done", held.display()));
    let at_work = |all: &Value| all["runners"][0]["state"] == "busy";
    let _ = daemon.until("/api/v1/runners", "the job runs", at_work).await;
    wait::until_true("prices and notices are asked for", std::time::Duration::from_secs(60), async || {
        front.count("GetProducts") > 0 && front.count("DescribeSpotInstanceRequests") > 0
    })
    .await;
    front.give_notice(&front.alive_now(REGION).await);
    let leaving = |all: &Value| all["runners"][0]["state"] == "leaving";
    let _ = daemon.until("/api/v1/runners", "the notice is heard of", leaving).await;
    std::fs::write(&held, "").expect("is written");
    let _ = sim.succeeds(job).await;
    let is_gone = |all: &Value| all["runners"].as_array().is_some_and(Vec::is_empty);
    let _ = daemon.until("/api/v1/runners", "the machine is gone", is_gone).await;
    let _ = daemon.end().await.expect_code(0);
    let refresh = ["prices", "refresh", "--region", REGION, "--type", "g4dn.xlarge"];
    let _ = user.run(&refresh).await.expect_code(0);
    let _ = user.run(&["cost", "--verify-with", "cost-explorer"]).await;

    let all = all_asked(&front).await;
    nothing_is_denied(&all, &["launch-policy.json", "daemon-policy.json"]);
    nothing_is_too_much(&all, "daemon-policy.json");
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_are_allowed_what_they_ask_for_and_nothing_else() {
    let sim = sim_with_workflow_token().await;
    let front = Front::start().await;
    let s3 = tokio::task::spawn_blocking(|| Moto::shared().url()).await.expect("the emulator starts");
    let scope =
        "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let made =
        client.put(format!("{s3}/plots")).header("authorization", scope).send().await.expect("an answer");
    assert!(made.status().is_success());
    let desk = Desk::on_push(&sim, &"0".repeat(40))
        .with("AWS_ENDPOINT_URL", &front.url())
        .with("AWS_ACCESS_KEY_ID", "AKIACANARY0000000000")
        .with("AWS_SECRET_ACCESS_KEY", AWS_SECRET)
        .with("AWS_REGION", REGION);
    desk.write("roc.png", PNG);
    let signed = desk.says(&["cml-publish", "roc.png", "--to", "s3://plots/reports"]).await;
    assert!(signed.contains("X-Amz-Signature"), "{signed}");
    let all = all_asked(&front).await;
    let file = "reports-policy.json";
    nothing_is_denied(&all, &[file]);
    nothing_is_too_much(&all, file);
    assert!(!is_allowed(&policy(file), &Asked::new("s3:PutObject", "arn:aws:s3:::backups/db")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_is_allowed_what_it_asks_for_and_nothing_else() {
    let world = world().await;
    // Doctor's result for a role that has just these policies, one owner and the boundary: that nothing is missing.
    let own = policies(&["launch-policy.json", "daemon-policy.json", "owner-policy.json"]);
    world.front.is_bound_by(vec![own, policy("permission-boundary.json")]);
    for command in DOCTOR {
        let told = world.on_aws(command).await.json();
        let checks = told["checks"].as_array().expect("checks");
        let of_permissions: Vec<&Value> =
            checks.iter().filter(|check| check["name"] == "permissions us-east-1").collect();
        assert!(of_permissions.len() == 1 && of_permissions[0]["status"] == "ok", "{of_permissions:#?}");
    }
    let all = all_asked(&world.front).await;
    nothing_is_denied(&all, &["launch-policy.json", "doctor-policy.json"]);
    nothing_is_too_much(&all, "doctor-policy.json");
}

/// Names that resemble a permission but are none: a call that takes none, and keys of conditions.
const NO_PERMISSIONS: [&str; 4] =
    ["sts:GetCallerIdentity", "ec2:CreateAction", "iam:AWSServiceName", "ec2:ResourceTag"];

/// All files below a directory.
fn below(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).expect("a directory").flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] }).collect()
}

/// A permission that a message recommends must be in a file that the reader can attach.
#[test]
fn every_permission_that_the_sources_name_is_in_a_policy_and_the_boundary_is_their_sum() {
    let mut allowed: Vec<String> = policies(&EVERY).iter().flat_map(|it| it.actions.clone()).collect();
    allowed.sort();
    allowed.dedup();
    assert!(allowed.iter().all(|it| !it.contains('*')), "{allowed:?}");
    let boundary = policy("permission-boundary.json");
    let mut bounds: Vec<String> =
        boundary.iter().filter(|it| it.allows).flat_map(|it| it.actions.clone()).collect();
    bounds.sort();
    assert_eq!(bounds, allowed);
    let mut named = Vec::new();
    let sources = iam::directory().join("../../crates/cml-aws/src");
    for path in below(&sources) {
        let text = std::fs::read_to_string(path).expect("is text");
        for word in text.split(|c: char| !c.is_ascii_alphanumeric() && c != ':') {
            let is_one = word.split_once(':').is_some_and(|(service, action)| {
                ["ec2", "ssm", "pricing", "ce", "s3", "iam", "sts", "servicequotas"].contains(&service)
                    && action.starts_with(|c: char| c.is_ascii_uppercase())
            });
            if is_one {
                named.push(word.to_owned());
            }
        }
    }
    assert!(named.len() > 15, "{named:?}");
    let missing: Vec<&String> =
        named.iter().filter(|it| !allowed.contains(it) && !NO_PERMISSIONS.contains(&it.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?} are in no policy");
}
