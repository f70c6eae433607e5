//! Permissions and limits of an account, which the emulator lacks: IAM's simulation of policies, quotas, a route out.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::wire::{Answer, Ask, Refusal, all_between, escape};
use super::{Front, Inner};
use crate::iam::{self, Asked, Statement};

/// Default vCPU quota of every class.
const USUAL_VCPUS: u32 = 256;

/// Settings of the account by a test.
#[derive(Default)]
pub(super) struct Rights {
    lacking: BTreeSet<String>,
    /// Policies each of which must allow: the role's own ones, and its boundary.
    policies: Vec<Vec<Statement>>,
    quotas: BTreeMap<String, u32>,
    /// Regions whose default VPC has its route out.
    routed: BTreeSet<String>,
}

impl Front {
    /// Makes IAM report from now on that the caller may not do this: `ec2:CreateFleet`.
    pub fn lacks(&self, action: &str) {
        self.inner.rights().lacking.insert(action.to_owned());
    }

    /// Makes IAM answer from now on by these policies, each of which must allow.
    pub fn is_bound_by(&self, policies: Vec<Vec<Statement>>) {
        self.inner.rights().policies = policies;
    }

    /// Sets a quota by its code, vCPUs.
    pub fn quota(&self, code: &str, vcpus: u32) {
        self.inner.rights().quotas.insert(code.to_owned(), vcpus);
    }
}

impl Inner {
    /// Answers DescribeRouteTables. AWS's default VPC has a route out; the emulator's has none until it is created.
    pub(super) async fn route_tables(&self, ask: &Ask) -> Answer {
        let is_first = self.rights().routed.insert(ask.region.clone());
        if is_first {
            let one = |answer: Answer, name: &str| {
                all_between(&answer.text(), name).into_iter().next().unwrap_or_default()
            };
            let region = ask.region.as_str();
            let own = async |action: &str, params: &[(&str, &str)]| {
                let all: Vec<(&str, &str)> = [("Action", action), ("Version", "2016-11-15")]
                    .into_iter()
                    .chain(params.iter().copied())
                    .collect();
                self.own_call(region, &all).await
            };
            let default = [("Filter.1.Name", "is-default"), ("Filter.1.Value.1", "true")];
            let vpc = one(own("DescribeVpcs", &default).await, "vpcId");
            let gateway = one(own("CreateInternetGateway", &[]).await, "internetGatewayId");
            own("AttachInternetGateway", &[("InternetGatewayId", &gateway), ("VpcId", &vpc)]).await;
            let of_vpc = [("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", vpc.as_str())];
            let table = one(own("DescribeRouteTables", &of_vpc).await, "routeTableId");
            let route = [
                ("RouteTableId", table.as_str()),
                ("DestinationCidrBlock", "0.0.0.0/0"),
                ("GatewayId", gateway.as_str()),
            ];
            own("CreateRoute", &route).await;
        }
        self.forward(ask).await
    }
}

impl Rights {
    /// Answers `SimulatePrincipalPolicy`: each action on each resource, by the test's policies, if it has any.
    pub(super) fn simulate(&self, ask: &Ask) -> Answer {
        let context = |number: usize| {
            let part = |name: &str| ask.get(&format!("ContextEntries.member.{number}.{name}")).to_owned();
            let (key, value) = (part("ContextKeyName"), part("ContextKeyValues.member.1"));
            (!key.is_empty()).then_some((part("ContextKeyType"), key, value))
        };
        let context: Vec<(String, String, String)> = (1..).map_while(context).collect();
        let is_allowed = |action: &str, on: &str| {
            let one = context.iter().filter(|(kind, ..)| kind == "string");
            let asked = one.fold(Asked::new(action, on), |asked, (_, key, value)| asked.with(key, value));
            !self.lacking.contains(action)
                && self.policies.iter().all(|policy| iam::is_allowed(policy, &asked))
        };
        let decision = |allowed: bool| if allowed { "allowed" } else { "implicitDeny" };
        let mut members = String::new();
        for action in ask.list("ActionNames.member") {
            let each = ask.list("ResourceArns.member").into_iter().map(|on| (is_allowed(&action, &on), on));
            let each: Vec<(bool, String)> = each.collect();
            let of_each: String = each
                .iter()
                .map(|(allowed, on)| {
                    format!(
                        "<member><EvalResourceName>{}</EvalResourceName><EvalResourceDecision>{}</EvalResourceDecision></member>",
                        escape(on),
                        decision(*allowed)
                    )
                })
                .collect();
            members.push_str(&format!(
                "<member><EvalActionName>{}</EvalActionName><EvalResourceName>*</EvalResourceName>\
                 <EvalDecision>{}</EvalDecision><ResourceSpecificResults>{of_each}</ResourceSpecificResults></member>",
                escape(&action),
                decision(each.iter().all(|(allowed, _)| *allowed))
            ));
        }
        Answer::xml(format!(
            "<SimulatePrincipalPolicyResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\">\
             <SimulatePrincipalPolicyResult><IsTruncated>false</IsTruncated>\
             <EvaluationResults>{members}</EvaluationResults></SimulatePrincipalPolicyResult>\
             <ResponseMetadata><RequestId>front</RequestId></ResponseMetadata></SimulatePrincipalPolicyResponse>"
        ))
    }

    /// `GetServiceQuota`
    pub(super) fn service_quota(&self, ask: &Ask) -> Answer {
        let code = ask.get("QuotaCode");
        if !code.starts_with("L-") {
            let refusal = Refusal::new(400, "NoSuchResourceException", format!("no quota {code}"));
            return refusal.answer("servicequotas");
        }
        let vcpus = self.quotas.get(code).copied().unwrap_or(USUAL_VCPUS);
        Answer::json(
            200,
            &json!({"Quota": {
                "ServiceCode": "ec2", "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)", "QuotaCode": code,
                "QuotaName": format!("quota {code}"), "Value": f64::from(vcpus), "Unit": "None", "Adjustable": true,
                "GlobalQuota": false,
            }}),
        )
    }
}
