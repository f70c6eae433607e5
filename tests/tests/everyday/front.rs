//! Tests of the EC2 front itself: it must behave as AWS does before it can test our code.

use std::time::Duration;

use base64::Engine;
use cml_e2e::front::{Front, GPU_IMAGE, Image, LeftVolume, Refusal, Trouble, UBUNTU_IMAGE, Weather};
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
        self.ec2_in("us-east-1", action, params).await
    }

    async fn ec2_in(&self, region: &str, action: &str, params: &[(&str, &str)]) -> (u16, String) {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", action)
            .append_pair("Version", "2016-11-15")
            .extend_pairs(params)
            .finish();
        let sent =
            self.post(region, "ec2").header("content-type", "application/x-www-form-urlencoded").body(form);
        let answer = sent.send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a body"))
    }

    fn post(&self, region: &str, service: &str) -> reqwest::RequestBuilder {
        let scope = format!(
            "AWS4-HMAC-SHA256 Credential=k/20260101/{region}/{service}/aws4_request, SignedHeaders=host, Signature=0"
        );
        self.client.post(&self.url).header("authorization", scope)
    }

    async fn template(&self, name: &str, user_data: &[u8]) -> (u16, String) {
        let encoded = base64::engine::general_purpose::STANDARD.encode(user_data);
        self.template_of(name, UBUNTU_IMAGE, &[("UserData", &encoded)]).await
    }

    async fn template_of(&self, name: &str, image: &str, more: &[(&str, &str)]) -> (u16, String) {
        let mut params: Vec<(String, String)> = [
            ("LaunchTemplateName", name),
            ("ClientToken", name),
            ("LaunchTemplateData.ImageId", image),
            ("LaunchTemplateData.InstanceInitiatedShutdownBehavior", "terminate"),
            ("LaunchTemplateData.MetadataOptions.HttpTokens", "required"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec();
        params.extend(
            more.iter().map(|(key, value)| (format!("LaunchTemplateData.{key}"), (*value).to_owned())),
        );
        let params: Vec<(&str, &str)> =
            params.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        self.ec2("CreateLaunchTemplate", &params).await
    }

    async fn fleet(&self, token: &str, overrides: &[(&str, &str)]) -> (u16, String) {
        let mut params: Vec<(String, String)> = [
            ("Type", "instant"),
            ("ClientToken", token),
            ("TargetCapacitySpecification.TotalTargetCapacity", "1"),
            ("TargetCapacitySpecification.DefaultTargetCapacityType", "spot"),
            ("LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateName", "trial"),
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
    assert_eq!(aws.template("trial", b"#!/bin/sh\n").await.0, 200);
    assert_eq!(aws.template("trial", b"#!/bin/sh\n").await.0, 200, "a repeat is no second template");
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
    aws.template("trial", b"#!/bin/sh\n").await;
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
    aws.template("trial", b"#!/bin/sh\n").await;
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
    aws.template("trial", b"#!/bin/sh\n").await;
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
    let (status, text) = aws.template("trial", &vec![b'x'; 16_385]).await;
    assert!(status == 400 && text.contains("limited to 16384 bytes"), "{text}");
    assert_eq!(front.take_wrong().len(), 1);
    assert_eq!(aws.template("trial", &vec![b'x'; 16_384]).await.0, 200);
    let params = [("ImageId", "ami-0123456789abcdef0"), ("MinCount", "1"), ("MaxCount", "1")];
    let (status, text) = aws.ec2("RunInstances", &params).await;
    assert!(status == 400 && text.contains("InvalidAMIID.NotFound"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn aliases_lead_to_images_and_spot_prices_have_a_history() {
    let front = Front::start().await;
    let aws = Aws::new(&front);
    let ask = |name: &str| {
        aws.post("us-east-1", "ssm")
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
    aws.template("trial", script.as_bytes()).await;
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
    aws.template("trial", b"#!/bin/sh\n").await;
    aws.fleet("read", &WAYS).await;
    let calls = front.calls().len();
    let account = front.third_party("us-east-1").await;
    assert_eq!(Front::alive(&account).len(), 1);
    let data = &account["templates"][0]["Versions"][0]["LaunchTemplateData"];
    assert_eq!(data["InstanceInitiatedShutdownBehavior"], "terminate");
    assert_eq!(data["MetadataOptions"]["HttpTokens"], "required");
    assert_eq!(front.calls().len(), calls, "reading is not recorded");
}

/// The root of a template: device and size.
fn root<'a>(device: &'a str, gib: &'a str) -> [(&'a str, &'a str); 2] {
    [("BlockDeviceMapping.1.DeviceName", device), ("BlockDeviceMapping.1.Ebs.VolumeSize", gib)]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_smaller_than_the_images_snapshot_is_refused_as_aws_does() {
    let front = Front::start().await;
    let aws = Aws::new(&front);
    let words = "is smaller than snapshot 'snap-0dca37ea5', expect size &gt;= 75GB";
    aws.template_of("trial", GPU_IMAGE, &root("/dev/sda1", "35")).await;
    let (status, text) = aws.fleet("small", &WAYS).await;
    assert_eq!(status, 200);
    assert_eq!(text.matches("<errorCode>InvalidBlockDeviceMapping</errorCode>").count(), 2, "{text}");
    assert!(text.contains(&format!("Volume of size 35GB {words}")), "{text}");
    let image =
        [("ImageId", GPU_IMAGE), ("InstanceType", "g4dn.xlarge"), ("MinCount", "1"), ("MaxCount", "1")];
    for dry in ["true", "false"] {
        let small = root("/dev/sda1", "74");
        let params: Vec<_> = image.into_iter().chain(small).chain([("DryRun", dry)]).collect();
        let (status, text) = aws.ec2("RunInstances", &params).await;
        assert!(status == 400 && text.contains(words), "{status} {text}");
    }
    let large = root("/dev/sda1", "75");
    let params: Vec<_> = image.into_iter().chain(large).chain([("DryRun", "true")]).collect();
    assert!(aws.ec2("RunInstances", &params).await.1.contains("DryRunOperation"));
    assert!(front.alive_now("us-east-1").await.is_empty());
    let (_, images) = aws.ec2("DescribeImages", &[("ImageId.1", GPU_IMAGE)]).await;
    assert!(
        images.contains("<volumeSize>75</volumeSize>") && images.contains("<virtualName>ephemeral0<"),
        "{images}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_that_nothing_said_to_delete_stay_after_the_machine() {
    let front = Front::start().await;
    let aws = Aws::new(&front);
    front.add_image(Image::new("ami-0123456789abcdef1", "gha-ami", 8).with_volume("/dev/sdf", 200, false));
    for (name, more) in [
        ("kept", &[][..]),
        (
            "ended",
            &[
                ("BlockDeviceMapping.1.DeviceName", "/dev/sdf"),
                ("BlockDeviceMapping.1.Ebs.DeleteOnTermination", "true"),
            ],
        ),
    ] {
        aws.template_of(name, "ami-0123456789abcdef1", more).await;
        let at = "LaunchTemplateConfigs.1";
        let specification = format!("{at}.LaunchTemplateSpecification");
        let params = [
            ("Type", "instant"),
            ("TargetCapacitySpecification.TotalTargetCapacity", "1"),
            (&format!("{specification}.LaunchTemplateName"), name),
            (&format!("{specification}.Version"), "1"),
            (&format!("{at}.Overrides.1.InstanceType"), "g4dn.xlarge"),
            (&format!("{at}.Overrides.1.AvailabilityZone"), "us-east-1a"),
        ];
        assert_eq!(aws.ec2("CreateFleet", &params).await.0, 200);
    }
    assert_eq!(front.leftover_volumes("us-east-1").await, [], "nothing is left while the machines run");
    let machines = front.alive_now("us-east-1").await;
    for machine in &machines {
        assert_eq!(front.volumes_of(machine).len(), 2);
        aws.ec2("TerminateInstances", &[("InstanceId.1", machine)]).await;
    }
    let left = front.leftover_volumes("us-east-1").await;
    let [LeftVolume { instance, device, gib: 200 }] = left.as_slice() else { panic!("{left:?}") };
    assert!(machines.contains(instance) && device == "/dev/sdf", "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_of_another_architecture_than_the_image_is_refused() {
    let front = Front::start().await;
    let aws = Aws::new(&front);
    aws.template("trial", b"#!/bin/sh\n").await;
    let (_, text) = aws.fleet("mixed", &[("m6g.large", "us-east-1a"), ("m5.large", "us-east-1b")]).await;
    assert!(
        text.contains("The architecture 'arm64' of the specified instance type does not match"),
        "{text}"
    );
    assert!(text.contains("<instanceType>m5.large</instanceType>"), "{text}");
    assert_eq!(front.alive_now("us-east-1").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_in_trouble_answers_as_aws_does_and_the_others_answer() {
    let front = Front::start().await;
    let aws = Aws::new(&front);
    front.trouble("ap-east-1", Trouble::NotEnabled);
    front.trouble("us-west-2", Trouble::Down);
    front.trouble("eu-west-1", Trouble::DeniedByPolicy("DescribeSubnets"));
    for (region, status, words) in [
        ("ap-east-1", 401, "<Code>AuthFailure</Code>"),
        ("us-west-2", 503, "<Code>Unavailable</Code>"),
        ("eu-west-1", 403, "with an explicit deny in a service control policy"),
        ("us-east-1", 200, "<subnetSet>"),
    ] {
        let (have, text) = aws.ec2_in(region, "DescribeSubnets", &[]).await;
        assert!(have == status && text.contains(words), "{region}: {have} {text}");
    }
    assert_eq!(aws.ec2_in("eu-west-1", "DescribeVpcs", &[]).await.0, 200, "only the action is denied");
    front.recover("us-west-2");
    assert_eq!(aws.ec2_in("us-west-2", "DescribeSubnets", &[]).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_just_made_may_be_unknown_once() {
    let front = Front::start().await;
    let aws = Aws::new(&front);
    aws.template("trial", b"#!/bin/sh\n").await;
    front.late_templates(1);
    let (status, text) = aws.fleet("early", &WAYS).await;
    assert!(status == 400 && text.contains("InvalidLaunchTemplateName.NotFoundException"), "{text}");
    assert_eq!(aws.fleet("early", &WAYS).await.0, 200, "a refused token may be used again");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_aws_would_not_take_are_refused_with_the_parameter_and_told() {
    let front = Front::start().await;
    let aws = Aws::new(&front);
    let told = async |action: &str, params: &[(&str, &str)]| {
        assert_eq!(aws.ec2(action, params).await.0, 400);
        let wrong = front.take_wrong();
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        wrong[0].why.join("; ")
    };
    let unknown = told("DescribeInstances", &[("Filters.1.Name", "x")]).await;
    assert_eq!(unknown, "Filters is no parameter of AWS's");
    let kind = told("DescribeInstances", &[("MaxResults", "many")]).await;
    assert_eq!(kind, "MaxResults is 'many', no whole number");
    let gap = told("DescribeInstances", &[("InstanceId.2", "i-1")]).await;
    assert_eq!(gap, "InstanceId is a list, whose parts are numbered from 1 without gaps");
    let value = told("CreateFleet", &[("Type", "at-once")]).await;
    assert!(value.contains("Type is 'at-once', which is none of its"), "{value}");
    assert!(value.contains("LaunchTemplateConfigs is missing"), "{value}");
    let action = told("StartDreaming", &[]).await;
    assert!(action.contains("'StartDreaming', which AWS does not have"), "{action}");
    let body = serde_json::json!({"Name": 5, "Depth": "all"}).to_string();
    let sent = aws.post("us-east-1", "ssm").header("x-amz-target", "AmazonSSM.GetParameter");
    let sent = sent.header("content-type", "application/x-amz-json-1.1").body(body).send().await;
    assert_eq!(sent.expect("an answer").status(), 400);
    let wrong = front.take_wrong().remove(0).why;
    assert_eq!(wrong, ["Depth is no parameter of AWS's", "Name is 5, no string"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn documented_limits_that_the_model_lacks_are_refused_in_aws_words() {
    let front = Front::start().await;
    let aws = Aws::new(&front);
    let tag = |key: String, value: String| vec![(key, value)];
    let many = (0..51).map(|number| (format!("k{number}"), "v".to_owned())).collect();
    let long = |letters: usize| "x".repeat(letters);
    for (tags, words) in [
        (tag("AWS:foo".to_owned(), "v".to_owned()), "Tag keys starting with 'aws:' are reserved"),
        (tag(long(129), "v".to_owned()), "Tag key is empty or exceeds the maximum length of 128"),
        (tag("k".to_owned(), long(257)), "Tag value exceeds the maximum length of 256"),
        (many, "<Code>TagLimitExceeded</Code>"),
    ] {
        let mut more = vec![("TagSpecification.1.ResourceType".to_owned(), "instance".to_owned())];
        for (number, (key, value)) in tags.into_iter().enumerate() {
            let at = format!("TagSpecification.1.Tag.{}", number + 1);
            more.extend([(format!("{at}.Key"), key), (format!("{at}.Value"), value)]);
        }
        let more: Vec<(&str, &str)> =
            more.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let (status, text) = aws.template_of("trial", UBUNTU_IMAGE, &more).await;
        assert!(status == 400 && text.contains(words), "{words}: {text}");
    }
    for name in ["ab", "with space", &long(129)] {
        let (status, text) = aws.template_of(name, UBUNTU_IMAGE, &[]).await;
        assert!(status == 400 && text.contains("InvalidLaunchTemplateName.MalformedException"), "{text}");
    }
    let ways = vec![WAYS[0]; 301];
    assert!(aws.fleet("many", &ways).await.1.contains("at most 300 are allowed"));
    assert_eq!(front.take_wrong().len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_sends_what_aws_would_not_take_fails() {
    let sends = tokio::spawn(async {
        let front = Front::start().await;
        let (status, _) = Aws::new(&front).ec2("DescribeInstances", &[("Colour", "red")]).await;
        assert_eq!(status, 400, "a program that does not mind the refusal fails all the same");
    });
    let panic = sends.await.expect_err("the front fails its test").into_panic();
    let words = panic.downcast_ref::<String>().expect("words");
    assert!(words.contains("ec2:DescribeInstances: Colour is no parameter of AWS's"), "{words}");
}
