//! Conversion of a recorded call to the permissions that AWS requires. Most actions have the name of their call; the
//! exceptions are those of AWS's tables of actions, resources and condition keys, and each has its reason here.
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html>

use std::collections::{BTreeMap, BTreeSet};

use super::Asked;
use crate::front::{Call, Override};

/// Facts of an account in addition to its calls: tags of resources that calls name.
#[derive(Debug, Default)]
pub struct Known {
    /// By instance.
    pub instances: BTreeMap<String, BTreeMap<String, String>>,
    /// Launch templates as they were asked for, by name.
    pub templates: BTreeMap<String, Call>,
    /// The role in the instance profile that machines are given.
    pub job_role: String,
}

/// Returns every permission that AWS requires for one call.
#[must_use]
pub fn asked(call: &Call, known: &Known) -> Vec<Asked> {
    let of = Of { call, known };
    let all = match call.action.as_str() {
        "CreateLaunchTemplate" => of.template(),
        "CreateFleet" => of.fleet(),
        "CreateSecurityGroup" => of.group(),
        "DeleteLaunchTemplate" => of.removal(),
        "TerminateInstances" => vec![of.of_instance("InstanceId.1")],
        "GetConsoleOutput" => vec![of.of_instance("InstanceId")],
        "GetParameter" => vec![of.one(&of.parameter())],
        "RunInstances" => of.machine(),
        // The role queries itself; the emulator's caller has another name.
        "SimulatePrincipalPolicy" => vec![of.one("arn:aws:iam::123456789012:role/cml-runner")],
        // Requires no permission. <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>
        "GetCallerIdentity" => Vec::new(),
        "PutObject" | "GetObject" => vec![of.one(&format!("arn:aws:s3:::{}", of.get("Path")))],
        _ => vec![of.one("*")],
    };
    all.into_iter().map(|it| it.with("aws:RequestedRegion", &call.region)).collect()
}

struct Of<'a> {
    call: &'a Call,
    known: &'a Known,
}

type Tags = BTreeMap<String, String>;

impl Of<'_> {
    fn get(&self, name: &str) -> &str {
        self.call.params.get(name).map_or("", String::as_str)
    }

    /// The call's own name as the action.
    fn one(&self, resource: &str) -> Asked {
        Asked::new(&format!("{}:{}", self.call.service, self.call.action), resource)
    }

    fn arn(&self, kind: &str) -> String {
        format!("arn:aws:ec2:{}:123456789012:{kind}", self.call.region)
    }

    /// Images and snapshots have no account in their names.
    fn shared(&self, kind: &str) -> String {
        format!("arn:aws:ec2:{}::{kind}", self.call.region)
    }

    fn template(&self) -> Vec<Asked> {
        let tags = tags_for(self.call, "", "launch-template");
        self.made(&["CreateLaunchTemplate"], "launch-template", &tags)
    }

    fn group(&self) -> Vec<Asked> {
        let mut all =
            self.made(&["CreateSecurityGroup"], "security-group", &tags_for(self.call, "", "security-group"));
        all.push(self.one(&self.arn(&format!("vpc/{}", self.get("VpcId")))));
        all
    }

    /// An instant fleet buys with the caller's own permissions, so `CreateFleet` takes `RunInstances` for everything that an
    /// instance is made of. AWS's table has the same resources for `CreateFleet` itself and does not say which fleets are
    /// asked for them; policies that others publish for instant fleets allow both
    /// (<https://karpenter.sh/docs/reference/cloudformation/>), and one denial ends every launch: so both are asked here. What
    /// the launch template says counts as said in the request.
    fn fleet(&self) -> Vec<Asked> {
        let name = self.get("LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateName");
        let template =
            self.known.templates.get(name).unwrap_or_else(|| panic!("a fleet by no template: {name:?}"));
        let data = |field: &str| template.params.get(&format!("LaunchTemplateData.{field}")).cloned();
        let in_template = |kind| tags_for(template, "LaunchTemplateData.", kind);
        let instance: Tags =
            in_template("instance").into_iter().chain(tags_for(self.call, "", "instance")).collect();
        let both = ["CreateFleet", "RunInstances"];
        let is_spot = self.get("TargetCapacitySpecification.DefaultTargetCapacityType") == "spot";

        let mut all = self.made(&["CreateFleet"], "fleet", &tags_for(self.call, "", "fleet"));
        all.extend(self.made(&both, "instance", &instance));
        all.push(self.one(&self.arn("volume/*")));
        for kind in ["volume", "network-interface"] {
            all.extend(self.made(&both, kind, &in_template(kind)));
        }
        let plain = |action: &str, resource: String| Asked::new(&format!("ec2:{action}"), &resource);
        let subnets: BTreeSet<String> =
            Override::of(&self.call.params).into_iter().filter_map(|it| it.subnet).collect();
        for action in both {
            let by = plain(action, self.arn("launch-template/lt-0123456789abcdef0"));
            all.push(with_tags(by, "aws:ResourceTag", &tags_for(template, "", "launch-template")));
            all.push(plain(action, self.shared(&format!("image/{}", data("ImageId").unwrap_or_default()))));
            all.extend(subnets.iter().map(|id| plain(action, self.arn(&format!("subnet/{id}")))));
            let group = data("SecurityGroupId.1").unwrap_or_default();
            all.push(plain(action, self.arn(&format!("security-group/{group}"))));
            if let Some(snapshot) = data("BlockDeviceMapping.2.Ebs.SnapshotId") {
                let of = plain(action, self.shared(&format!("snapshot/{snapshot}")));
                // Snapshots for caches have this tag by convention.
                all.push(of.with("aws:ResourceTag/cml-runner:cache", ""));
            }
            if is_spot {
                all.push(plain(action, self.arn("spot-instances-request/*")));
            }
        }
        if is_spot {
            // The first time that an account buys spot capacity.
            let role =
                "arn:aws:iam::123456789012:role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot";
            let first = Asked::new("iam:CreateServiceLinkedRole", role);
            all.push(first.with("iam:AWSServiceName", "spot.amazonaws.com"));
        }
        if data("IamInstanceProfile.Name").or(data("IamInstanceProfile.Arn")).is_some() {
            let given = Asked::new("iam:PassRole", &self.known.job_role);
            all.push(given.with("iam:PassedToService", "ec2.amazonaws.com"));
        }
        all
    }

    /// A machine without a template: requested by `doctor` only, as a dry run.
    fn machine(&self) -> Vec<Asked> {
        assert_eq!(self.get("DryRun"), "true", "machines are bought by fleets");
        let mut all = Vec::new();
        for kind in ["instance", "volume", "network-interface"] {
            all.extend(self.made(&["RunInstances"], kind, &tags_for(self.call, "", kind)));
        }
        all.push(self.one(&self.shared(&format!("image/{}", self.get("ImageId")))));
        all.push(self.one(&self.arn(&format!("subnet/{}", self.get("SubnetId")))));
        all.push(self.one(&self.arn("security-group/sg-0123456789abcdef0")));
        if self.get("InstanceMarketOptions.MarketType") == "spot" {
            all.push(self.one(&self.arn("spot-instances-request/*")));
        }
        all
    }

    /// A thing that is made: by these actions, and tagged while it is made, which is an action of its own.
    /// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html>
    fn made(&self, by: &[&str], kind: &str, tags: &Tags) -> Vec<Asked> {
        let resource = self.arn(&format!("{kind}/*"));
        let ask =
            |action: &str| with_tags(Asked::new(&format!("ec2:{action}"), &resource), "aws:RequestTag", tags);
        let mut all: Vec<Asked> = by.iter().map(|action| ask(action)).collect();
        if !tags.is_empty() {
            all.extend(by.iter().map(|action| ask("CreateTags").with("ec2:CreateAction", action)));
        }
        all
    }

    fn of_instance(&self, parameter: &str) -> Asked {
        let id = self.get(parameter);
        let none = Tags::new();
        let tags = self.known.instances.get(id).unwrap_or(&none);
        with_tags(self.one(&self.arn(&format!("instance/{id}"))), "aws:ResourceTag", tags)
    }

    /// AWS reports a template that was never created as missing.
    fn removal(&self) -> Vec<Asked> {
        let Some(made) = self.known.templates.get(self.get("LaunchTemplateName")) else { return Vec::new() };
        let template = self.one(&self.arn("launch-template/lt-0123456789abcdef0"));
        vec![with_tags(template, "aws:ResourceTag", &tags_for(made, "", "launch-template"))]
    }

    /// AWS's own parameters are of no account.
    fn parameter(&self) -> String {
        let name = self.get("Name");
        let account = if name.starts_with("/aws/service/") { "" } else { "123456789012" };
        format!("arn:aws:ssm:{}:{account}:parameter{name}", self.call.region)
    }
}

fn with_tags(asked: Asked, prefix: &str, tags: &Tags) -> Asked {
    tags.iter().fold(asked, |asked, (key, value)| asked.with(&format!("{prefix}/{key}"), value))
}

/// What a call tags things of this kind with.
fn tags_for(call: &Call, prefix: &str, kind: &str) -> Tags {
    let mut tags = Tags::new();
    for specification in 1.. {
        let of = format!("{prefix}TagSpecification.{specification}.");
        match call.params.get(&format!("{of}ResourceType")) {
            None => return tags,
            Some(named) if named != kind => {}
            Some(_) => {
                let part =
                    |number: u32, what: &str| call.params.get(&format!("{of}Tag.{number}.{what}")).cloned();
                tags.extend((1..).map_while(|number| Some((part(number, "Key")?, part(number, "Value")?))));
            }
        }
    }
    tags
}
