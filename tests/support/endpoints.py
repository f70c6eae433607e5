"""Prints where botocore reaches the services that the program signs its own requests to, as JSON.

The answer is kept in crates/cml-aws/testdata/endpoints.json, which that crate's own tests read.
"""

import json

import botocore.session
from botocore.config import Config

REGIONAL = ["ssm", "service-quotas", "pricing", "s3"]
REGIONS = ["us-east-2", "eu-central-1", "ap-east-2", "cn-north-1", "cn-northwest-1", "us-gov-west-1", "us-gov-east-1"]
VARIANTS = {"plain": {}, "fips": {"use_fips_endpoint": True}, "dual-stack": {"use_dualstack_endpoint": True}}

session = botocore.session.Session()
found = {}
for service in [*REGIONAL, "ce", "iam"]:
    for region in REGIONS:
        # The program takes the plain address of a service that is in one place only.
        for variant, settings in VARIANTS.items() if service in REGIONAL else [("plain", {})]:
            client = session.create_client(
                service, region, aws_access_key_id="x", aws_secret_access_key="x", config=Config(**settings)
            )
            found.setdefault(service, {})[f"{region} {variant}"] = client.meta.endpoint_url
print(json.dumps(found, indent=1, sort_keys=True))
