"""Makes a VPC whose subnets and groups are each wrong in their own way, and prints their ids as JSON."""

import json
import sys

import boto3


def main() -> None:
    ec2 = boto3.client("ec2", region_name=sys.argv[1])
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)

    def subnet(third: int, route: dict[str, str]) -> str:
        made = ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{third}.0/24")["Subnet"]["SubnetId"]
        if route:
            table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
            ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", **route)
            ec2.associate_route_table(RouteTableId=table, SubnetId=made)
        return made

    def group(name: str, lets_in: bool, lets_out: bool) -> str:
        made = ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"]
        ssh = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
        if lets_in:
            ec2.authorize_security_group_ingress(GroupId=made, IpPermissions=[ssh])
        if not lets_out:
            everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
            ec2.revoke_security_group_egress(GroupId=made, IpPermissions=[everything])
            ec2.authorize_security_group_egress(GroupId=made, IpPermissions=[ssh])
        return made

    private = subnet(1, {"GatewayId": gateway})
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    nat = ec2.create_nat_gateway(SubnetId=private, AllocationId=address)["NatGateway"]["NatGatewayId"]
    answer = {
        "cut": subnet(2, {}),
        "private": private,
        "nat": subnet(3, {"NatGatewayId": nat}),
        "open": group("open", lets_in=True, lets_out=True),
        "shut": group("shut", lets_in=False, lets_out=False),
    }
    json.dump(answer, sys.stdout)


main()
