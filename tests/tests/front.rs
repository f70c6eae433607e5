//! The EC2 front itself: that it does what AWS does, before anything of ours is held against it.

use std::time::Duration;

use base64::Engine;
use cml_e2e::front::{Front, Refusal, UBUNTU_IMAGE, Weather};
use cml_e2e::wait;

struct Aws {
    url: String,
    client: reqwest::Client,
}

impl Aws {
    fn new(front: &Front) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { url: front.url(), client }
    }

    async fn ec2(&self, action: &str, params: &[(&str, &str)]) -> (u16, String) {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", action).append_pair("Version", "2016-11-15").extend_pairs(params);
        let sent =
            self.post("ec2").header("content-type", "application/x-www-form-urlencoded").body(form.finish());
        let answer = sent.send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a body"))
    }

    fn post(&self, service: &str) -> reqwest::RequestBuilder {
        let scope = format!(
            "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
        );
        self.client.post(&self.url).header("authorization", scope)
    }

    async fn template(&self, name: &str, user_data: &[u8]) -> (u16, String) {
        let encoded = base64::engine::general_purpose::STANDARD.encode(user_data);
        let params = [
            ("LaunchTemplateName", name),
            ("ClientToken", name),
            ("LaunchTemplateData.ImageId", UBUNTU_IMAGE),
            ("LaunchTemplateData.UserData", &encoded),
            ("LaunchTemplateData.InstanceInitiatedShutdownBehavior", "terminate"),
            ("LaunchTemplateData.MetadataOptions.HttpTokens", "required"),
        ];
        self.ec2("CreateLaunchTemplate", &params).await
    }

    async fn fleet(&self, token: &str, overrides: &[(&str, &str)]) -> (u16, String) {
        let mut params: Vec<(String, String)> = [
            ("Type", "instant"),
            ("ClientToken", token),
            ("TargetCapacitySpecification.TotalTargetCapacity", "1"),
            ("TargetCapacitySpecification.DefaultTargetCapacityType", "spot"),
            ("LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateName", "t"),
            ("LaunchTemplateConfigs.1.LaunchTemplateSpecification.Version", "1"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec();
        for (index, (kind, zone)) in overrides.iter().enumerate() {
            let at = format!("LaunchTemplateConfigs.1.Overrides.{}", index + 1);
            params.push((format!("{at}.InstanceType"), (*kind).to_owned()));
            params.push((format!("{at}.AvailabilityZone"), (*zone).to_owned()));
        }
        let params: Vec<(&str, &str)> =
            params.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        self.ec2("CreateFleet", &params).await
    }
}

const WAYS: [(&str, &str); 2] = [("g4dn.xlarge", "us-east-1a"), ("g5.xlarge", "us-east-1b")];

#[tokio::test(flavor = "multi_thread")]
async fn the_same_token_gives_the_same_machine_and_other_parameters_are_refused() {
    let front = Front::start().await;
    let aws = Aws::new(&front);
    assert_eq!(aws.template("t", b"#!/bin/sh\n").await.0, 200);
    assert_eq!(aws.template("t", b"#!/bin/sh\n").await.0, 200, "a repeat is no second template");
    let (first, second) = tokio::join!(aws.fleet("once", &WAYS), aws.fleet("once", &WAYS));
    assert_eq!(first, second);
    let (status, text) = aws.fleet("once", &WAYS[..1]).await;
    assert_eq!(status, 400);
    assert!(text.contains("IdempotentParameterMismatch"), "{text}");
    assert_eq!(front.alive_now("us-east-1").await.len(), 1);
    assert_eq!(front.count("CreateFleet"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_capacity_is_said_inside_the_200_and_the_rest_is_bought() {
    let front = Front::start().await;
    let aws = Aws::new(&front);
    aws.template("t", b"#!/bin/sh\n").await;
    front.dry(|way| way.instance_type == "g4dn.xlarge");
    let (status, text) = aws.fleet("some", &WAYS).await;
    assert_eq!(status, 200);
    assert!(text.contains("<errorCode>InsufficientInstanceCapacity</errorCode>"), "{text}");
    assert!(text.contains("<instanceType>g5.xlarge</instanceType>"), "{text}");
    assert_eq!(front.alive_now("us-east-1").await.len(), 1);
    front.dry(|way| way.is_spot());
    let (status, text) = aws.fleet("none", &WAYS).await;
    assert_eq!(status, 200);
    assert!(text.contains("<fleetInstanceSet/>") && text.matches("<errorCode>").count() == 2, "{text}");
    assert_eq!(front.alive_now("us-east-1").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_after_the_launch_leaves_a_machine_that_its_token_finds() {
    let front = Front::start().await;
    let aws = Aws::new(&front);
    aws.template("t", b"#!/bin/sh\n").await;
    front.script("CreateFleet", Weather::ServerErrorAfterDoing(503));
    assert_eq!(aws.fleet("lost", &WAYS).await.0, 503);
    let machines = front.alive_now("us-east-1").await;
    assert_eq!(machines.len(), 1);
    let (status, text) = aws.fleet("lost", &WAYS).await;
    assert_eq!(status, 200);
    assert!(text.contains(&machines[0]), "{text}");
    assert_eq!(front.alive_now("us-east-1").await, machines);
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_calls_are_refused_in_aws_words_and_counted() {
    let front = Front::start().await;
    let aws = Aws::new(&front);
    front.script("DescribeInstances", Weather::Refuse(Refusal::denied()));
    front.script("DescribeInstances", Weather::Refuse(Refusal::throttled()));
    let (status, text) = aws.ec2("DescribeInstances", &[]).await;
    assert!(status == 403 && text.contains("<Code>UnauthorizedOperation</Code>"), "{status} {text}");
    assert_eq!(aws.ec2("DescribeInstances", &[]).await.0, 503);
    assert_eq!(aws.ec2("DescribeInstances", &[]).await.0, 200);
    let statuses: Vec<u16> = front.calls_of("DescribeInstances").iter().map(|call| call.status).collect();
    assert_eq!(statuses, [403, 503, 200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_machine_can_be_invisible_for_some_describes() {
    let front = Front::start().await;
    let aws = Aws::new(&front);
    aws.template("t", b"#!/bin/sh\n").await;
    aws.fleet("hidden", &WAYS).await;
    let machine = front.alive_now("us-east-1").await.remove(0);
    front.hide_instances(2);
    assert!(!aws.ec2("DescribeInstances", &[]).await.1.contains(&machine));
    let (status, text) = aws.ec2("DescribeInstances", &[("InstanceId.1", &machine)]).await;
    assert!(status == 400 && text.contains("InvalidInstanceID.NotFound"), "{text}");
    assert!(aws.ec2("DescribeInstances", &[]).await.1.contains(&machine));
}

#[tokio::test(flavor = "multi_thread")]
async fn user_data_over_16_kb_and_images_that_are_not_there_are_refused() {
    let front = Front::start().await;
    let aws = Aws::new(&front);
    let (status, text) = aws.template("t", &vec![b'x'; 16_385]).await;
    assert!(status == 400 && text.contains("limited to 16384 bytes"), "{text}");
    assert_eq!(aws.template("t", &vec![b'x'; 16_384]).await.0, 200);
    let params = [("ImageId", "ami-0123456789abcdef0"), ("MinCount", "1"), ("MaxCount", "1")];
    let (status, text) = aws.ec2("RunInstances", &params).await;
    assert!(status == 400 && text.contains("InvalidAMIID.NotFound"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn aliases_lead_to_images_and_spot_prices_have_a_history() {
    let front = Front::start().await;
    let aws = Aws::new(&front);
    let ask = |name: &str| {
        aws.post("ssm")
            .header("x-amz-target", "AmazonSSM.GetParameter")
            .header("content-type", "application/x-amz-json-1.1")
            .body(serde_json::json!({"Name": name}).to_string())
            .send()
    };
    let ubuntu = "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id";
    let answer: serde_json::Value = ask(ubuntu).await.expect("an answer").json().await.expect("JSON");
    assert_eq!(answer["Parameter"]["Value"], UBUNTU_IMAGE);
    let missing = ask("/aws/service/canonical/nothing").await.expect("an answer");
    assert_eq!(missing.status(), 400);
    let images = aws.ec2("DescribeImages", &[("ImageId.1", UBUNTU_IMAGE)]).await;
    assert_eq!(images.0, 200);
    let (_, history) = aws.ec2("DescribeSpotPriceHistory", &[("InstanceType.1", "g5.xlarge")]).await;
    assert_eq!(history.matches("<item>").count(), 24, "four prices in each of six zones: {history}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_booted_machine_runs_its_user_data_and_ends_with_it() {
    let front = Front::start().await;
    front.boot_instances();
    let aws = Aws::new(&front);
    let marker = tempfile::NamedTempFile::new().expect("a file");
    let script = format!(
        "#!/bin/sh\necho \"up as $CML_MACHINE\"; until test -s {}; do sleep 0.05; done\n",
        marker.path().display()
    );
    aws.template("t", script.as_bytes()).await;
    aws.fleet("boot", &WAYS).await;
    let machine = front.alive_now("us-east-1").await.remove(0);
    let written = base64::engine::general_purpose::STANDARD.encode("up as local\n");
    wait::until_true("the console", Duration::from_secs(10), async || {
        aws.ec2("GetConsoleOutput", &[("InstanceId", &machine)]).await.1.contains(&written)
    })
    .await;
    std::fs::write(marker.path(), "end").expect("the marker");
    wait::until_true("the machine ends", Duration::from_secs(10), async || {
        front.alive_now("us-east-1").await.is_empty()
    })
    .await;
    assert_eq!(front.count("TerminateInstances"), 0, "it ended by itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_third_party_reads_the_account_past_the_front() {
    let front = Front::start().await;
    let aws = Aws::new(&front);
    aws.template("t", b"#!/bin/sh\n").await;
    aws.fleet("read", &WAYS).await;
    let calls = front.calls().len();
    let account = front.third_party("us-east-1").await;
    assert_eq!(Front::alive(&account).len(), 1);
    let data = &account["templates"][0]["Versions"][0]["LaunchTemplateData"];
    assert_eq!(data["InstanceInitiatedShutdownBehavior"], "terminate");
    assert_eq!(data["MetadataOptions"]["HttpTokens"], "required");
    assert_eq!(front.calls().len(), calls, "reading is not recorded");
}
