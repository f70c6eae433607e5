//! The steps that create roles at AWS. Their resources are named after the repository, so that an account can have
//! several.

use crate::next::{Step, step};
use crate::plan::Plan;

/// Names of stacks: <https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html>
const LONGEST_STACK: usize = 128;
/// Names of roles: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>
const LONGEST_ROLE: usize = 64;

/// The role of the launching step, or of the daemon.
pub(crate) fn role(plan: &Plan) -> Step {
    let mode = if plan.pool { "daemon" } else { "launch" };
    let region = &plan.region;
    let repository = plan.repository_name();
    let stack = named("cml-runner", &repository, LONGEST_STACK);
    let mut step = step(
        "Make the role at AWS",
        "One CloudFormation stack: a role that workflows of this repository alone can become (OpenID Connect: no stored keys), with no more \
         permissions than are used, below a permission boundary. The single policies are `cml-runner init --print launch-policy`, `oidc-trust` and `boundary`; Terraform's module is templates/iam/terraform.",
        &["cml-runner init --print cloudformation > cml-runner-aws.yaml"],
        None,
    );
    // A daemon's role trusts an instance, not a subject of GitHub's tokens.
    let ids = if !plan.pool && is_on_github_com(plan) {
        let ask = |what: &str| format!("$(gh api repos/{repository} --jq {what})");
        format!(" OwnerId={} RepositoryId={}", ask(".owner.id"), ask(".id"))
    } else {
        String::new()
    };
    step.commands.push(format!(
        "aws cloudformation deploy --region {region} --stack-name {stack} --template-file cml-runner-aws.yaml --capabilities CAPABILITY_NAMED_IAM \
         --parameter-overrides Repository={repository} Mode={mode}{ids}"
    ));
    let arn = format!(
        "aws cloudformation describe-stacks --region {region} --stack-name {stack} --query \"Stacks[0].Outputs[?OutputKey=='RoleArn'].OutputValue\" \
         --output text"
    );
    step.commands.push(if plan.pool {
        arn
    } else {
        format!("gh variable set CML_AWS_ROLE --body \"$({arn})\"")
    });
    if plan.pool {
        step.why = "One CloudFormation stack: a role for the daemon with no more permissions than are used, below a permission boundary. The single \
                    policies are `cml-runner init --print launch-policy`, `daemon-policy` (what the daemon does beside) and `boundary`; Terraform's module is templates/iam/terraform. \
                    A second stack in the same account and network needs SecurityGroup=no beside, since the group is shared."
            .to_owned();
    } else {
        step.why.push_str(
            " A second stack in the same account needs SecurityGroup=no beside, since the group is shared, and, as any account that has GitHub's OpenID Connect \
             provider already, OidcProviderArn=ARN (`aws iam list-open-id-connect-providers` tells it).",
        );
    }
    if plan.repository.as_ref().is_some_and(|repository| !repository.is_on_github_com()) {
        step.why.push_str(
            " The stack trusts github.com: for an Enterprise Server put its own issuer (https://HOST/_services/token) into the trust policy.",
        );
    }
    step
}

/// Returns whether GitHub's ids are those that a trust policy of github.com refers to: an Enterprise Server has its
/// own.
fn is_on_github_com(plan: &Plan) -> bool {
    plan.repository.as_ref().is_none_or(crate::Repository::is_on_github_com)
}

/// A role for the data of the training job.
pub(crate) fn data(plan: &Plan, bucket: &str) -> Step {
    let mut commands = Vec::new();
    if plan.pool {
        commands.push(
            "aws iam create-open-id-connect-provider --url https://token.actions.githubusercontent.com --client-id-list sts.amazonaws.com   # unless the \
             account has it"
                .to_owned(),
        );
    }
    let repository = plan.repository_name();
    let role = named("cml-data", &repository, LONGEST_ROLE);
    let (owner, name) = repository.split_once('/').unwrap_or((&repository, ""));
    let with_ids = if is_on_github_com(plan) {
        format!(
            "{owner}@$(gh api repos/{repository} --jq .owner.id)/{name}@$(gh api repos/{repository} --jq .id)"
        )
    } else {
        repository.clone()
    };
    commands.extend([
        format!(
            "cml-runner init --print oidc-trust | sed -e 's|${{REPOSITORY}}|{repository}|' -e \"s|\\${{REPOSITORY_WITH_IDS}}|{with_ids}|\" \
             -e \"s|\\${{ACCOUNT_ID}}|$(aws sts get-caller-identity --query Account --output text)|\" > data-trust.json"
        ),
        format!("aws iam create-role --role-name {role} --assume-role-policy-document file://data-trust.json"),
        format!(
            "aws iam put-role-policy --role-name {role} --policy-name data --policy-document '{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\
             \"Action\":[\"s3:ListBucket\",\"s3:GetObject\",\"s3:PutObject\"],\"Resource\":[\"arn:aws:s3:::{bucket}\",\"arn:aws:s3:::{bucket}/*\"]}}]}}'"
        ),
        format!(
            "gh variable set CML_DATA_ROLE --body \"$(aws iam get-role --role-name {role} --query Role.Arn --output text)\""
        ),
    ]);
    Step {
        commands,
        ..step(
            "Give the training job a role for its data",
            "The machine itself has no permission at AWS: the job becomes a role that may read and write the bucket, and nothing else.",
            &[],
            None,
        )
    }
}

/// Returns `kind-OWNER-NAME`, of letters, digits and hyphens. If something was replaced or cut for that, a hash of the
/// repository's own name is appended: another repository that is cut to the same does not get the same stack.
fn named(kind: &str, repository: &str, longest: usize) -> String {
    let is_kept = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let plain: String = repository.chars().map(|c| if is_kept(c) { c } else { '-' }).collect();
    let whole = format!("{kind}-{plain}");
    if whole.len() <= longest && repository.chars().filter(|c| !is_kept(*c)).eq(['/']) {
        return whole;
    }
    let end = format!("-{:08x}", number(repository));
    let room = longest - end.len();
    format!("{}{end}", &whole[..room.min(whole.len())])
}

/// Returns a hash that is the same on every day and machine (FNV-1a).
fn number(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_and_roles_are_called_after_their_repository_in_letters_that_aws_takes() {
        assert_eq!(named("cml-runner", "acme/vision", LONGEST_STACK), "cml-runner-acme-vision");
        let long = "n".repeat(100);
        for (kind, longest) in [("cml-runner", LONGEST_STACK), ("cml-data", LONGEST_ROLE)] {
            let repositories = [
                "acme/vi.sion",
                "acme/vi_sion",
                "acme/vi-sion",
                &format!("acme/{long}"),
                &format!("acme/{long}b"),
            ];
            let mut names: Vec<String> = repositories.iter().map(|it| named(kind, it, longest)).collect();
            for name in &names {
                assert!(name.starts_with(&format!("{kind}-acme-")) && name.len() <= longest, "{name}");
                assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{name}");
            }
            names.sort();
            names.dedup();
            assert_eq!(names.len(), repositories.len(), "{names:?}");
        }
    }
}
