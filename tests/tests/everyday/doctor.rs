//! `cml-runner doctor`: each problem that prevents a launch is created for real, and reported with its fix.

use std::collections::BTreeMap;
use std::time::Duration;

use cml_e2e::front::{Front, Refusal, Weather};
use cml_e2e::runner::Runner;
use cml_e2e::secrets::TOKEN;
use cml_e2e::sim::Sim;
use cml_e2e::wait;
use cml_world::{ForkRights, Posture, SimApp, SimSettings, TokenGrant, Webhook};
use jiff::SignedDuration;
use serde_json::Value;

const SPOT_GPU_QUOTA: &str = "L-3819A6DF";
const ON_DEMAND_GPU_QUOTA: &str = "L-DB2E81BA";

async fn on_aws(settings: SimSettings) -> (Sim, Front, Runner) {
    let sim = Sim::start_with(settings).await;
    let front = Front::start().await;
    let user = sim.user().on_aws(&front);
    (sim, front, user)
}

const GPU: [&str; 9] =
    ["doctor", "--cloud", "aws", "--type", "m+t4", "--region", "us-east-1", "--spot", "prefer"];

/// The checks as JSON; the exit code is that of their worst.
async fn checks(user: &Runner, line: &[&str]) -> Vec<Value> {
    let line: Vec<&str> = line.iter().copied().chain(["--json"]).collect();
    let ran = user.run(&line).await;
    let answer = ran.json();
    let failed = answer["checks"].as_array().expect("checks").iter().any(|check| check["status"] == "fail");
    assert_eq!(ran.code, Some(i32::from(failed)), "{ran:#?}");
    assert_eq!(answer["ok"], !failed, "{ran:#?}");
    answer["checks"].as_array().cloned().expect("checks")
}

/// The one check with this name and status: what was found, and the fix.
#[track_caller]
fn the(checks: &[Value], name: &str, status: &str) -> (String, String) {
    let fitting: Vec<&Value> =
        checks.iter().filter(|check| check["name"] == name && check["status"] == status).collect();
    assert!(!fitting.is_empty(), "no {status} of {name:?} in {checks:#?}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&fitting[0]["found"]), text(&fitting[0]["fix"]))
}

#[track_caller]
fn has_failures(checks: &[Value], names: &[&str]) {
    let failed: Vec<&str> = checks
        .iter()
        .filter(|check| check["status"] == "fail")
        .filter_map(|check| check["name"].as_str())
        .collect();
    assert_eq!(failed, names, "{checks:#?}");
}

/// The same with the digits and letters that follow this word left out.
fn masked(text: &str, word: &str) -> String {
    let mut parts = text.split(word);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| {
        format!("{all}{word}…{}", part.trim_start_matches(|c: char| c.is_ascii_hexdigit()))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn where_all_is_well_each_check_is_a_line_and_nothing_was_made() {
    let private = SimSettings { private: true, ..SimSettings::default() };
    let (_sim, front, user) = on_aws(private).await;
    let ran = user.run(&GPU).await.expect_code(0);
    assert_eq!(ran.stderr, "");
    let state = user.home().join("state").display().to_string();
    let told = ran.stdout.replace(&state, "/home/ada/.local/state");
    // Each account and VPC of the emulator has another id.
    let told = masked(&masked(&told, "vpc-"), "arn:aws:sts::");
    insta::assert_snapshot!("all_is_well", told);
    for call in front.calls() {
        let asks = ["Describe", "Get", "Simulate"].iter().any(|word| call.action.starts_with(word));
        let is_dry = call.params.get("DryRun").is_some_and(|dry| dry == "true");
        assert!(asks || is_dry, "{} changes something", call.action);
    }
    assert!(Front::alive(&front.third_party("us-east-1").await).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_aws_does_not_accept_are_told_first_and_alone() {
    let (_sim, front, user) = on_aws(SimSettings::default()).await;
    front.script_always("GetCallerIdentity", Weather::Refuse(Refusal::expired_keys()));
    let all = checks(&user, &GPU).await;
    let (found, fix) = the(&all, "aws credentials", "fail");
    assert!(found.contains("RequestExpired") && fix.contains("sign in again"), "{found} {fix}");
    has_failures(&all, &["aws credentials"]);
    let without = user.without("AWS_ACCESS_KEY_ID").without("AWS_SECRET_ACCESS_KEY");
    let (found, fix) = the(&checks(&without, &GPU).await, "aws credentials", "fail");
    assert!(found.contains("no AWS credentials") && fix.contains("AWS_ACCESS_KEY_ID"), "{found} {fix}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_that_is_missing_is_named_with_what_happens_without_it() {
    let (_sim, front, user) = on_aws(SimSettings::default()).await;
    front.lacks("ec2:CreateFleet");
    front.lacks("ec2:GetConsoleOutput");
    let all = checks(&user, &GPU).await;
    has_failures(&all, &["permissions us-east-1"]);
    let (found, fix) = the(&all, "permissions us-east-1", "fail");
    assert!(found.starts_with("ec2:CreateFleet: no policy allows it on arn:aws:ec2:us-east-1:"), "{found}");
    assert!(found.ends_with("without it nothing can be launched"), "{found}");
    assert!(fix.starts_with("allow ec2:CreateFleet;"), "{fix}");
    let (found, _) = the(&all, "permissions us-east-1", "warn");
    assert!(found.contains("ec2:GetConsoleOutput") && found.contains("cannot be explained"), "{found}");
    let (found, _) = the(&all, "permissions us-east-1", "ok");
    assert!(found.contains("as IAM says"), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_iam_may_not_be_asked_dry_runs_tell_what_they_can() {
    let (_sim, front, user) = on_aws(SimSettings::default()).await;
    let denied = Refusal::new(403, "AccessDenied", "not authorized to perform: iam:SimulatePrincipalPolicy");
    front.script_always("SimulatePrincipalPolicy", Weather::Refuse(denied));
    front.script_always("DescribeSpotPriceHistory", Weather::Refuse(Refusal::denied()));
    let all = checks(&user, &GPU).await;
    has_failures(&all, &[]);
    let (found, fix) = the(&all, "permissions us-east-1", "skip");
    assert!(
        found.contains("ec2:CreateFleet") && fix.contains("iam:SimulatePrincipalPolicy"),
        "{found} {fix}"
    );
    let (found, _) = the(&all, "permissions us-east-1", "warn");
    assert!(found.starts_with("ec2:DescribeSpotPriceHistory: AWS refuses it"), "{found}");
    let (found, _) = the(&all, "permissions us-east-1", "ok");
    assert!(found.ends_with("by dry run"), "{found}");
    let dry = front.calls_of("DescribeInstances");
    assert!(dry.iter().all(|call| call.params["DryRun"] == "true"), "{dry:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_of_nothing_is_told_with_the_line_that_asks_for_more() {
    let (_sim, front, user) = on_aws(SimSettings::default()).await;
    front.quota(SPOT_GPU_QUOTA, 0);
    let all = checks(&user, &GPU).await;
    has_failures(&all, &[]);
    let (found, fix) = the(&all, "quota us-east-1", "warn");
    assert!(found.starts_with("0 vCPUs of G and VT (spot): no machine of launch fits"), "{found}");
    let line = "aws service-quotas request-service-quota-increase --region us-east-1 --service-code ec2 --quota-code L-3819A6DF \
                --desired-value 4";
    assert!(
        fix.contains(line) && fix.contains("https://us-east-1.console.aws.amazon.com/servicequotas/"),
        "{fix}"
    );

    front.quota(ON_DEMAND_GPU_QUOTA, 0);
    // With none in either market a launch is impossible.
    let both = checks(&user, &GPU).await;
    has_failures(&both, &["quota us-east-1", "quota us-east-1"]);
    let only: Vec<&str> = GPU.iter().copied().chain(["--spot", "only"]).collect();
    has_failures(&checks(&user, &only).await, &["quota us-east-1"]);
    // A type of another class will do.
    let other = [
        "doctor",
        "--cloud",
        "aws",
        "--type",
        "g4dn.xlarge,m5.xlarge",
        "--region",
        "us-east-1",
        "--spot",
        "only",
    ];
    has_failures(&checks(&user, &other).await, &[]);
    let denied = Refusal::denied_action("servicequotas:GetServiceQuota");
    front.script_always("GetServiceQuota", Weather::Refuse(denied));
    let (_, fix) = the(&checks(&user, &only).await, "quota us-east-1", "skip");
    assert!(fix.contains("servicequotas:GetServiceQuota"), "{fix}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subnet_without_a_way_out_and_a_group_that_lets_others_in_are_told() {
    let (_sim, front, user) = on_aws(SimSettings::default()).await;
    let network = front.odd_network("us-east-1").await;
    let line = |subnet: &str, group: &str| -> Vec<String> {
        let words = GPU.iter().copied().chain(["--subnet", subnet, "--security-group", group]);
        words.map(str::to_owned).collect()
    };
    let run = async |subnet: &str, group: &str| {
        let line = line(subnet, group);
        checks(&user, &line.iter().map(String::as_str).collect::<Vec<_>>()).await
    };
    let cut = run(&network["cut"], &network["open"]).await;
    let (found, fix) = the(&cut, "network us-east-1", "fail");
    assert!(found.contains("has no default route") && fix.contains("NAT gateway"), "{found} {fix}");
    let (found, _) = the(&cut, "network us-east-1", "warn");
    assert!(found.contains("1 inbound rules"), "{found}");

    let private = run(&network["private"], &network["shut"]).await;
    let found: Vec<&str> = private
        .iter()
        .filter(|check| check["name"] == "network us-east-1" && check["status"] == "fail")
        .filter_map(|check| check["found"].as_str())
        .collect();
    assert!(found[0].contains("gives no public address"), "{found:?}");
    assert!(found[1].contains("lets no HTTPS out"), "{found:?}");

    let nat = run(&network["nat"], &network["open"]).await;
    the(&nat, "network us-east-1", "ok");
    has_failures(&nat, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_not_there_or_drives_no_gpu_and_a_refused_launch_are_told() {
    let (_sim, front, user) = on_aws(SimSettings::default()).await;
    let with = |image: &'static str| GPU.iter().copied().chain(["--image", image]).collect::<Vec<_>>();
    let (found, fix) = the(&checks(&user, &with("beos-5")).await, "image launch", "fail");
    assert!(found.contains("beos-5") && fix.contains("ubuntu-24.04"), "{found} {fix}");
    let (found, fix) = the(&checks(&user, &with("ubuntu-24.04")).await, "image launch", "warn");
    assert!(
        found.contains("nothing tells of an NVIDIA driver") && fix.contains("ubuntu-22.04-gpu"),
        "{found} {fix}"
    );

    let words = "In order to use this AWS Marketplace product you need to accept terms and subscribe.";
    front.script_always("RunInstances", Weather::Refuse(Refusal::new(401, "OptInRequired", words)));
    let all = checks(&user, &GPU).await;
    has_failures(&all, &["dry run us-east-1"]);
    let (found, _) = the(&all, "dry run us-east-1", "fail");
    assert!(found.contains("accept terms and subscribe"), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_or_with_a_wrong_one_aws_is_looked_at_all_the_same() {
    let (_sim, _front, user) = on_aws(SimSettings::default()).await;
    let user = user.without("REPO_TOKEN");
    let all = checks(&user, &GPU).await;
    has_failures(&all, &["github"]);
    let (found, fix) = the(&all, "github", "fail");
    assert!(found.contains("no GitHub token") && fix.contains("fine-grained"), "{found} {fix}");
    the(&all, "aws credentials", "ok");
    let user = user.with("REPO_TOKEN", "ghp_wrong");
    let (found, fix) = the(&checks(&user, &GPU).await, "github credentials", "fail");
    assert!(found.contains("Bad credentials") && !fix.is_empty(), "{found} {fix}");
}

const LOCAL: [&str; 3] = ["doctor", "--cloud", "local"];

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_told_by_its_kind_its_end_and_what_it_may_not_do() {
    let grant = |token: &str, permissions: Option<&[(&str, &str)]>| TokenGrant {
        token: token.to_owned(),
        login: "ada".to_owned(),
        permissions: permissions.map(|held| {
            held.iter().map(|(name, access)| ((*name).to_owned(), (*access).to_owned())).collect()
        }),
    };
    let classic = "ghp_classic";
    let short = "github_pat_short";
    let reader = "github_pat_reader";
    let tomorrow = cml_e2e::edge::now() + SignedDuration::from_hours(30);
    let posture = Posture {
        classic_scopes: BTreeMap::from([(classic.to_owned(), "repo, workflow".to_owned())]),
        expirations: BTreeMap::from([(
            short.to_owned(),
            tomorrow.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        )]),
        ..Posture::default()
    };
    let tokens =
        vec![grant(classic, None), grant(short, None), grant(reader, Some(&[("administration", "read")]))];
    let sim = Sim::start_with(SimSettings { tokens, posture, ..SimSettings::default() }).await;
    let (found, fix) =
        the(&checks(&sim.user().with("REPO_TOKEN", classic), &LOCAL).await, "github credentials", "warn");
    assert!(
        found.contains("classic token with repo, workflow") && fix.contains("Administration"),
        "{found} {fix}"
    );
    let (found, _) =
        the(&checks(&sim.user().with("REPO_TOKEN", short), &LOCAL).await, "github credentials", "warn");
    assert!(found.contains("fine-grained") && found.contains("29 h more"), "{found}");
    let all = checks(&sim.user().with("REPO_TOKEN", reader), &LOCAL).await;
    has_failures(&all, &["github runners"]);
    let (found, fix) = the(&all, "github runners", "fail");
    assert!(found.contains("not accessible") && fix.contains("Administration"), "{found} {fix}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_is_told_before_aws_refuses_its_signatures() {
    for (ahead, status) in [(SignedDuration::from_secs(120), "warn"), (SignedDuration::from_mins(-9), "fail")]
    {
        let posture = Posture { clock_ahead: ahead, ..Posture::default() };
        let sim = Sim::start_with(SimSettings { posture, ..SimSettings::default() }).await;
        let (found, fix) = the(&checks(&sim.user(), &LOCAL).await, "clock", status);
        let side = if ahead.is_negative() { "ahead of GitHub's" } else { "behind GitHub's" };
        assert!(found.contains(side) && fix.contains("set-ntp"), "{found} {fix}");
    }
}

const POOL: &str = "\
runners:
  desk:
    labels: [desk]
    cloud: local
    max: 2
";

async fn daemon_checks(settings: SimSettings) -> Vec<Value> {
    let sim = Sim::start_with(settings).await;
    let user = sim.user();
    std::fs::write(user.home().join("cml.yaml"), POOL).expect("written");
    checks(&user, &["doctor", "--daemon"]).await
}

fn hooked(url: &str, posture: Posture) -> SimSettings {
    let webhook = Some(Webhook { url: url.to_owned(), secret: "s3cret".to_owned() });
    SimSettings { webhook, posture, ..SimSettings::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemons_webhook_is_looked_at_with_its_last_deliveries() {
    let url = "http://127.0.0.1:9/webhook";
    let (found, fix) = the(&daemon_checks(SimSettings::default()).await, "webhook", "warn");
    assert!(found.contains("found by polling") && fix.contains("Workflow jobs"), "{found} {fix}");
    let (found, _) = the(&daemon_checks(hooked(url, Posture::default())).await, "webhook", "ok");
    assert!(found.contains("nothing was sent yet"), "{found}");
    let off = Posture { hook_is_active: false, ..Posture::default() };
    let (found, _) = the(&daemon_checks(hooked(url, off)).await, "webhook", "warn");
    assert!(found.contains("switched off"), "{found}");
    let form = Posture { hook_content_type: "form".to_owned(), ..Posture::default() };
    the(&daemon_checks(hooked(url, form)).await, "webhook", "ok");
    let odd = Posture { hook_content_type: "xml".to_owned(), ..Posture::default() };
    let (found, _) = the(&daemon_checks(hooked(url, odd)).await, "webhook", "fail");
    assert!(found.contains("neither JSON nor a form"), "{found}");
    // Another service's webhook is not ours, and its address is private.
    let foreign = daemon_checks(hooked("http://127.0.0.1:9/v1/input?key=s3cret", Posture::default())).await;
    let (found, _) = the(&foreign, "webhook", "warn");
    assert!(
        found.contains("none tells a daemon") && !format!("{foreign:?}").contains("s3cret"),
        "{foreign:?}"
    );
    let others = Posture { hook_events: vec!["push".to_owned()], ..Posture::default() };
    the(&daemon_checks(hooked(url, others)).await, "webhook", "warn");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launch_that_has_a_cml_yaml_needs_nothing_of_a_daemon_and_a_daemon_needs_to_list_jobs() {
    let token = "github_pat_runners";
    let grant = TokenGrant {
        token: token.to_owned(),
        login: "ada".to_owned(),
        permissions: Some(BTreeMap::from([("administration".to_owned(), "write".to_owned())])),
    };
    let sim = Sim::start_with(SimSettings { tokens: vec![grant], ..SimSettings::default() }).await;
    let user = sim.user().with("REPO_TOKEN", token);
    std::fs::write(user.home().join("cml.yaml"), POOL).expect("written");
    has_failures(&checks(&user, &["doctor"]).await, &[]);
    let all = checks(&user, &["doctor", "--daemon"]).await;
    has_failures(&all, &["github jobs"]);
    assert!(the(&all, "github jobs", "fail").1.contains("Actions: read and write"), "{all:?}");
}

const PROXIED: &str = "\
runners:
  gpu:
    labels: [gpu]
    cloud: aws
    max: 1
    instance_types: [g4dn.xlarge]
    regions: [us-east-1]
    subnets: [SUBNET]
    security_group: GROUP
    proxy: { https: 'http://10.0.0.9:3128' }
";

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_proxy_a_subnet_needs_no_way_out_of_its_own() {
    let (_sim, front, user) = on_aws(SimSettings::default()).await;
    let network = front.odd_network("us-east-1").await;
    let file = PROXIED.replace("SUBNET", &network["cut"]).replace("GROUP", &network["shut"]);
    std::fs::write(user.home().join("cml.yaml"), &file).expect("written");
    let all = checks(&user, &["doctor"]).await;
    has_failures(&all, &[]);
    assert!(the(&all, "network us-east-1", "skip").0.contains("proxy"), "{all:?}");
    std::fs::write(user.home().join("cml.yaml"), file.replace("    proxy", "    # proxy")).expect("written");
    has_failures(&checks(&user, &["doctor"]).await, &["network us-east-1", "network us-east-1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_look_at_routes_the_rest_of_the_network_is_looked_at() {
    let (_sim, front, user) = on_aws(SimSettings::default()).await;
    front.script_always("DescribeRouteTables", Weather::Refuse(Refusal::denied()));
    let all = checks(&user, &GPU).await;
    has_failures(&all, &[]);
    assert!(the(&all, "network us-east-1", "skip").1.contains("ec2:DescribeRouteTables"), "{all:?}");
    the(&all, "network us-east-1", "ok");
    the(&all, "dry run us-east-1", "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_that_nobody_takes_are_told_with_what_their_status_means() {
    // No program listens there.
    let port = cml_e2e::daemon::free_port();
    let sim = Sim::start_with_webhook(port).await;
    let _job = sim.queue("desk", "true");
    let user = sim.user();
    std::fs::write(user.home().join("cml.yaml"), POOL).expect("written");
    let (found, fix) = wait::until("a delivery has failed", Duration::from_secs(20), async || {
        let all = checks(&user, &["doctor", "--daemon"]).await;
        let failed = all.iter().any(|check| check["name"] == "webhook" && check["status"] == "fail");
        failed.then(|| the(&all, "webhook", "fail"))
    })
    .await;
    assert!(found.contains("0 of the last 1 deliveries") && fix.contains("proxy"), "{found} {fix}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_have_code_run_is_told_for_public_private_and_grouped_runners() {
    let local = async |settings: SimSettings| {
        let sim = Sim::start_with(settings).await;
        checks(&sim.user(), &LOCAL).await
    };
    let name = "who may run code";
    let lax = Posture { fork_approval: "first_time_contributors".to_owned(), ..Posture::default() };
    let (found, fix) =
        the(&local(SimSettings { posture: lax, ..SimSettings::default() }).await, name, "warn");
    assert!(found.contains("without approval") && fix.contains("Require approval for all"), "{found} {fix}");
    the(&local(SimSettings::default()).await, name, "ok");
    let rights = ForkRights { run: true, write_tokens: true, secrets: false };
    let posture = Posture { forks: rights, ..Posture::default() };
    let settings = SimSettings { private: true, posture, ..SimSettings::default() };
    let (found, _) = the(&local(settings).await, name, "warn");
    assert!(found.contains("write tokens"), "{found}");

    let posture = Posture { groups_are_public: true, ..Posture::default() };
    let sim = Sim::start_with(SimSettings { posture, ..SimSettings::default() }).await;
    let organization = format!("{}/acme", sim.web_url());
    let all = checks(&sim.user(), &["doctor", "--cloud", "local", "--repo", &organization]).await;
    let (found, _) = the(&all, name, "warn");
    assert!(found.contains("Default serve public repositories"), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_told_which_permissions_it_lacks() {
    let held = |access: &str| BTreeMap::from([("administration".to_owned(), access.to_owned())]);
    for (access, status) in [("read", "fail"), ("write", "ok")] {
        let app = Some(SimApp { id: 7, installation_id: 70, permissions: held(access) });
        let sim = Sim::start_with(SimSettings { app, ..SimSettings::default() }).await;
        let user = sim.user().without("REPO_TOKEN");
        let key = user.home().join("app.pem");
        std::fs::copy(cml_e2e::paths::tests_dir().join("../crates/cml-github/tests/app_key.pem"), &key)
            .expect("copied");
        let key = key.display().to_string();
        let all =
            checks(&user, &["doctor", "--cloud", "local", "--app-id", "7", "--app-key-file", &key]).await;
        let (found, _) = the(&all, "github app", status);
        assert!(status == "ok" || found.contains("administration: write"), "{found}");
        the(&all, "github credentials", "ok");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_flags_and_a_wrong_file_are_usage_errors() {
    let user = Runner::new().with("REPO_TOKEN", TOKEN).with("GITHUB_REPOSITORY", "acme/vision");
    let ran = user.run(&["doctor", "--cloud", "aws", "--type", "banana"]).await;
    assert!(ran.code == Some(1) && ran.stderr.contains("banana"), "{ran:#?}");
    let ran = user.run(&["doctor", "--config", "missing.yaml"]).await.expect_code(2);
    assert!(ran.stderr.contains("missing.yaml"), "{ran:#?}");
    let ran = user.run(&["doctor", "--config", "cml.yaml", "--type", "m"]).await.expect_code(2);
    assert!(ran.stderr.contains("cannot be used with"), "{ran:#?}");
}
