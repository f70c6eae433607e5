//! Permissions of the credentials, by IAM's policy simulation; and where that is not allowed, by dry runs.
//! <https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html>

use std::collections::BTreeMap;

use cml_cloud::{CloudError, ErrorKind, tag};
use cml_ec2::answers::policy_simulation::{self, Evaluation};

use crate::cloud::AwsCloud;
use crate::errors::{codes, failed};
use crate::inspect::Identity;
use crate::pages::{Pages, incomplete};
use crate::signed::IAM;

/// One permission, and the effect of its absence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needed {
    /// `ec2:CreateFleet`.
    pub action: &'static str,
    /// Effect of its absence, as the end of "without it …".
    pub without: &'static str,
    /// Whether no launch is possible without it.
    pub is_essential: bool,
    on: &'static [&'static str],
}

/// ARNs of resources, with `REGION` and `ACCOUNT` to be filled in.
/// <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html>
const ANYTHING: &[&str] = &["*"];
const INSTANCE: &[&str] = &["arn:aws:ec2:REGION:ACCOUNT:instance/i-0123456789abcdef0"];
const TEMPLATE: &[&str] = &["arn:aws:ec2:REGION:ACCOUNT:launch-template/lt-0123456789abcdef0"];
const MACHINE: &[&str] = &[
    "arn:aws:ec2:REGION:ACCOUNT:instance/i-0123456789abcdef0",
    "arn:aws:ec2:REGION:ACCOUNT:volume/vol-0123456789abcdef0",
    "arn:aws:ec2:REGION:ACCOUNT:network-interface/eni-0123456789abcdef0",
];
/// Resources of a machine.
const LAUNCH: &[&str] = &[
    "arn:aws:ec2:REGION:ACCOUNT:instance/i-0123456789abcdef0",
    "arn:aws:ec2:REGION:ACCOUNT:volume/vol-0123456789abcdef0",
    "arn:aws:ec2:REGION:ACCOUNT:network-interface/eni-0123456789abcdef0",
    "arn:aws:ec2:REGION:ACCOUNT:launch-template/lt-0123456789abcdef0",
    "arn:aws:ec2:REGION:ACCOUNT:subnet/subnet-0123456789abcdef0",
    "arn:aws:ec2:REGION:ACCOUNT:security-group/sg-0123456789abcdef0",
    "arn:aws:ec2:REGION::image/ami-0123456789abcdef0",
];
const FLEET: &[&str] = &[
    "arn:aws:ec2:REGION:ACCOUNT:fleet/fleet-0123456789abcdef0",
    "arn:aws:ec2:REGION:ACCOUNT:instance/i-0123456789abcdef0",
    "arn:aws:ec2:REGION:ACCOUNT:launch-template/lt-0123456789abcdef0",
    "arn:aws:ec2:REGION:ACCOUNT:subnet/subnet-0123456789abcdef0",
    "arn:aws:ec2:REGION::image/ami-0123456789abcdef0",
];
const GROUP: &[&str] = &[
    "arn:aws:ec2:REGION:ACCOUNT:security-group/sg-0123456789abcdef0",
    "arn:aws:ec2:REGION:ACCOUNT:vpc/vpc-0123456789abcdef0",
];
const IMAGE_PARAMETER: &[&str] = &[
    "arn:aws:ssm:REGION::parameter/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id",
];
const SPOT_ROLE: &[&str] =
    &["arn:aws:iam::ACCOUNT:role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot"];

const fn needed(action: &'static str, without: &'static str, on: &'static [&'static str]) -> Needed {
    Needed { action, without, is_essential: true, on }
}

const fn useful(action: &'static str, without: &'static str, on: &'static [&'static str]) -> Needed {
    Needed { action, without, is_essential: false, on }
}

/// Actions of a launch.
pub const LAUNCH_ACTIONS: &[Needed] = &[
    needed("ec2:DescribeSubnets", "no place for a machine is found", ANYTHING),
    needed("ec2:DescribeSecurityGroups", "the machine's security group is not found", ANYTHING),
    needed("ec2:DescribeImages", "no image is found", ANYTHING),
    useful("ssm:GetParameter", "images are not found by their names (give --image ami-…)", IMAGE_PARAMETER),
    useful("ec2:DescribeSpotPriceHistory", "the cheapest zone is not known", ANYTHING),
    useful("ec2:DescribeSnapshots", "the disk of a cache is not counted in prices and budgets", ANYTHING),
    useful("ec2:DescribeInstanceTypes", "types that are newer than this program are not known", ANYTHING),
    needed("ec2:DescribeInstances", "it is not seen whether a machine came or went", ANYTHING),
    useful("ec2:CreateSecurityGroup", "the first launch in a VPC fails (or give --security-group)", GROUP),
    needed("ec2:CreateLaunchTemplate", "nothing can be launched", TEMPLATE),
    needed("ec2:CreateFleet", "nothing can be launched", FLEET),
    needed("ec2:RunInstances", "nothing can be launched", LAUNCH),
    needed("ec2:CreateTags", "machines could not be told from others, so nothing is launched", MACHINE),
    useful("ec2:DeleteLaunchTemplate", "launch templates are left behind", TEMPLATE),
    needed("ec2:TerminateInstances", "a failed launch leaves its machine until its own time-out", INSTANCE),
    useful("ec2:GetConsoleOutput", "a machine that dies cannot be explained", INSTANCE),
    useful(
        "iam:CreateServiceLinkedRole",
        "the first spot launch of an account fails (once: aws iam create-service-linked-role --aws-service-name \
         spot.amazonaws.com)",
        SPOT_ROLE,
    ),
];

/// Additional actions of the daemon.
pub const DAEMON_ACTIONS: &[Needed] = &[
    useful("ec2:DescribeLaunchTemplates", "leftover launch templates are not found", ANYTHING),
    useful("ec2:DescribeSpotInstanceRequests", "interruptions are noticed two minutes later", ANYTHING),
    useful("pricing:GetProducts", "reports use the price table that ships", ANYTHING),
];

const ASKING: &str = "asking IAM";

/// Result for one permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is granted.
    Allowed,
    /// It is denied, with AWS's reason.
    Denied(String),
    /// It could not be determined, with the reason.
    Unknown(String),
}

/// Results for all permissions in question.
#[derive(Clone, Debug)]
pub struct Permissions {
    /// Results, in the order of the request.
    pub verdicts: Vec<(Needed, Verdict)>,
    /// Reason why IAM could not be queried and dry runs were used.
    pub without_iam: Option<String>,
}

impl AwsCloud {
    /// Checks whether these credentials may do all this in a region, for a scope of GitHub's (`acme/vision`). Nothing
    /// is executed.
    ///
    /// # Errors
    /// Only when AWS cannot be reached: a query that is denied is replaced by dry runs.
    pub async fn permissions(
        &self,
        identity: &Identity,
        region: &str,
        owner: &str,
        needed: &[Needed],
    ) -> Result<Permissions, CloudError> {
        if identity.is_root() {
            let verdicts = needed.iter().map(|one| (*one, Verdict::Allowed)).collect();
            return Ok(Permissions { verdicts, without_iam: None });
        }
        let Some(principal) = identity.principal() else {
            let why = format!("IAM cannot be asked about {}", identity.arn);
            return self.by_dry_runs(region, needed, why).await;
        };
        let mut known: BTreeMap<&str, Verdict> = BTreeMap::new();
        // One query for all actions on the same resources.
        let places: Vec<&[&str]> = needed.iter().map(|one| one.on).collect();
        for on in places.iter().enumerate().filter(|(at, on)| !places[..*at].contains(on)).map(|(_, on)| *on)
        {
            let actions: Vec<&'static str> =
                needed.iter().filter(|one| one.on == on).map(|one| one.action).collect();
            match self.simulated(&principal, identity, (region, owner), &actions, on).await {
                Ok(verdicts) => known.extend(actions.iter().copied().zip(verdicts)),
                Err(error) if error.kind == ErrorKind::Denied => {
                    let why = "allow iam:SimulatePrincipalPolicy on this role to have all of them looked at (a launch does not need it)";
                    return self.by_dry_runs(region, needed, why.to_owned()).await;
                }
                // A role with a path has an ARN that its session does not contain.
                Err(error) if error.kind == ErrorKind::Invalid => {
                    let why = format!(
                        "IAM does not know {principal}: has the role a path? Its policies cannot be asked then"
                    );
                    return self.by_dry_runs(region, needed, why).await;
                }
                Err(error) => return Err(error),
            }
        }
        let unsaid = || Verdict::Unknown("IAM did not say".to_owned());
        let verdict = |one: &Needed| (*one, known.get(one.action).cloned().unwrap_or_else(unsaid));
        Ok(Permissions { verdicts: needed.iter().map(verdict).collect(), without_iam: None })
    }

    /// Returns the results for actions, in their order, each over all these resources.
    async fn simulated(
        &self,
        principal: &str,
        identity: &Identity,
        (region, owner): (&str, &str),
        actions: &[&str],
        on: &[&str],
    ) -> Result<Vec<Verdict>, CloudError> {
        let partition = identity.arn.split(':').nth(1).unwrap_or("aws");
        let named = |arn: &&str| {
            let arn = arn.replace("REGION", region).replace("ACCOUNT", &identity.account);
            arn.replacen("arn:aws:", &format!("arn:{partition}:"), 1)
        };
        let resources: Vec<String> = on.iter().map(named).collect();
        let client = self.clients.signed(&IAM, region);
        let mut question = vec![("PolicySourceArn".to_owned(), principal.to_owned())];
        question.extend(members("ActionNames", actions));
        question.extend(members("ResourceArns", &resources));
        question.extend(circumstances(region, owner));
        let mut results: Vec<Evaluation> = Vec::new();
        let mut pages = Pages::default();
        loop {
            let mut question = question.clone();
            question.extend(pages.token().map(|token| ("Marker".to_owned(), token)));
            let answer = client.ask_iam("SimulatePrincipalPolicy", &question, ASKING).await?;
            let page = policy_simulation::read(&answer).map_err(|why| incomplete(ASKING, &why))?;
            results.extend(page.items);
            if !pages.follow(ASKING, page.next.as_deref())? {
                break;
            }
        }
        let of = |action: &&str| {
            let of_action: Vec<&Evaluation> =
                results.iter().filter(|result| result.action.eq_ignore_ascii_case(action)).collect();
            match (of_action.iter().find_map(|result| result.refusal.clone()), of_action.is_empty()) {
                (Some(why), _) => Verdict::Denied(why),
                (None, false) => Verdict::Allowed,
                (None, true) => Verdict::Unknown("IAM did not say".to_owned()),
            }
        };
        Ok(actions.iter().map(of).collect())
    }

    /// Determines permissions by dry runs.
    async fn by_dry_runs(
        &self,
        region: &str,
        needed: &[Needed],
        why: String,
    ) -> Result<Permissions, CloudError> {
        let ec2 = self.clients.ec2(region);
        let mut verdicts = Vec::new();
        for one in needed {
            macro_rules! dry {
                ($call:expr) => {
                    answered(
                        one,
                        $call
                            .dry_run(true)
                            .send()
                            .await
                            .map(|_| ())
                            .map_err(|error| failed("asking by a dry run", one.action, &error)),
                    )?
                };
            }
            let verdict = match one.action {
                "ec2:DescribeSubnets" => dry!(ec2.describe_subnets()),
                "ec2:DescribeSecurityGroups" => dry!(ec2.describe_security_groups()),
                "ec2:DescribeImages" => dry!(ec2.describe_images().owners("self")),
                "ec2:DescribeSnapshots" => dry!(ec2.describe_snapshots().owner_ids("self")),
                "ec2:DescribeSpotPriceHistory" => dry!(ec2.describe_spot_price_history().max_results(1)),
                "ec2:DescribeInstances" => dry!(ec2.describe_instances()),
                "ec2:DescribeLaunchTemplates" => dry!(ec2.describe_launch_templates()),
                "ec2:DescribeSpotInstanceRequests" => dry!(ec2.describe_spot_instance_requests()),
                _ => Verdict::Unknown("a dry run cannot tell".to_owned()),
            };
            verdicts.push((*one, verdict));
        }
        Ok(Permissions { verdicts, without_iam: Some(why) })
    }
}

/// Interprets a dry run's answer, which is always an error.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonParameters.html>
fn answered(needed: &Needed, answer: Result<(), CloudError>) -> Result<Verdict, CloudError> {
    match answer {
        Ok(()) => Ok(Verdict::Unknown(format!("{} did not take a dry run for one", needed.action))),
        Err(error) => match (error.code.as_deref(), error.kind) {
            (Some(code), _) if codes::would_succeed(code) => Ok(Verdict::Allowed),
            (_, ErrorKind::Denied) => Ok(Verdict::Denied("AWS refuses it".to_owned())),
            (Some(code), _) => Ok(Verdict::Unknown(format!("AWS answered {code}"))),
            (None, _) => Err(error),
        },
    }
}

/// Encodes a list for the query protocol.
/// <https://smithy.io/2.0/aws/protocols/aws-query-protocol.html#serialization-of-lists>
fn members(name: &str, values: &[impl AsRef<str>]) -> Vec<(String, String)> {
    let numbered = values.iter().zip(1..);
    numbered.map(|(value, at)| (format!("{name}.member.{at}"), value.as_ref().to_owned())).collect()
}

/// Returns the context of a launch, for policies with conditions.
fn circumstances(region: &str, owner: &str) -> Vec<(String, String)> {
    let keys = [tag::LAUNCH, tag::SPEC, tag::DEADLINE, tag::OWNER, tag::CONTROLLER, tag::RUNNER];
    let mut all: Vec<(String, &[&str], &str)> = vec![
        ("aws:RequestedRegion".to_owned(), std::slice::from_ref(&region), "string"),
        ("aws:TagKeys".to_owned(), &keys, "stringList"),
        ("ec2:CreateAction".to_owned(), &["RunInstances"], "string"),
        ("iam:AWSServiceName".to_owned(), &["spot.amazonaws.com"], "string"),
    ];
    let tags = keys.map(|key| (key, if key == tag::OWNER { owner } else { "doctor" }));
    // That of this program's security group; machines have the runner's.
    let tags: Vec<(&str, &str)> = tags.into_iter().chain([("Name", crate::network::GROUP)]).collect();
    for (key, value) in &tags {
        for place in ["aws:RequestTag", "aws:ResourceTag", "ec2:ResourceTag"] {
            all.push((format!("{place}/{key}"), std::slice::from_ref(value), "string"));
        }
    }
    let mut parameters = Vec::new();
    for ((key, values, kind), at) in all.iter().zip(1..) {
        let entry = format!("ContextEntries.member.{at}");
        parameters.push((format!("{entry}.ContextKeyName"), key.clone()));
        parameters.push((format!("{entry}.ContextKeyType"), (*kind).to_owned()));
        parameters.extend(members(&format!("{entry}.ContextKeyValues"), values));
    }
    parameters
}
