"""Deploys a CloudFormation template in the emulator, with AWS's own Python client, and prints what an account then has.

Arguments: the template, the region, parameters as a JSON object.
"""

import json
import sys

import boto3


def main() -> None:
    path, region, parameters = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    with open(path, encoding="utf-8") as file:
        template = file.read()
    cloudformation = boto3.client("cloudformation", region_name=region)
    cloudformation.create_stack(
        StackName="cml-runner",
        TemplateBody=template,
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    )
    stack = cloudformation.describe_stacks(StackName="cml-runner")["Stacks"][0]
    iam = boto3.client("iam", region_name=region)
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
    name = outputs["RoleArn"].rsplit("/", 1)[-1]
    role = iam.get_role(RoleName=name)["Role"]
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    boundary = role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
    by_arn = [(policy["PolicyName"], policy["PolicyArn"]) for policy in attached]
    by_arn += [("boundary", boundary)] if boundary else []
    ec2 = boto3.client("ec2", region_name=region)
    answer = {
        "outputs": outputs,
        "trust": role["AssumeRolePolicyDocument"],
        "policies": {name: document(iam, arn) for name, arn in by_arn},
        "groups": ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["cml-runner"]}])["SecurityGroups"],
        "log_groups": boto3.client("logs", region_name=region).describe_log_groups()["logGroups"],
        "queues": boto3.client("sqs", region_name=region).list_queues().get("QueueUrls", []),
        "rules": boto3.client("events", region_name=region).list_rules()["Rules"],
        "instance_profiles": iam.list_instance_profiles_for_role(RoleName=name)["InstanceProfiles"],
    }
    json.dump(answer, sys.stdout, default=str)


def document(iam: object, arn: str) -> object:
    """The statements of a managed policy as the account has them."""
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    return iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]


main()
