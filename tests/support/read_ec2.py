"""Reads an account's EC2 as a third party would, with AWS's own Python client, and prints it as JSON."""

import json
import sys

import boto3


def main() -> None:
    ec2 = boto3.client("ec2", region_name=sys.argv[1])
    instances = [
        instance
        for page in ec2.get_paginator("describe_instances").paginate()
        for reservation in page["Reservations"]
        for instance in reservation["Instances"]
    ]
    templates = []
    for template in ec2.describe_launch_templates()["LaunchTemplates"]:
        try:
            versions = ec2.describe_launch_template_versions(LaunchTemplateId=template["LaunchTemplateId"])
        except ec2.exceptions.ClientError as error:
            # The program deletes templates meanwhile.
            if error.response["Error"]["Code"] == "InvalidLaunchTemplateId.NotFound":
                continue
            raise
        templates.append({**template, "Versions": versions["LaunchTemplateVersions"]})
    answer = {
        "instances": instances,
        "templates": templates,
        "groups": ec2.describe_security_groups()["SecurityGroups"],
        "volumes": ec2.describe_volumes()["Volumes"],
    }
    json.dump(answer, sys.stdout, default=str)


main()
