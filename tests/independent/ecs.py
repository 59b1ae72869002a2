"""Prepares an ECS cluster on the stand-in for AWS, as scheduler/deploy/ecs says; prints a subnet and a security group for its tasks."""

import json
from pathlib import Path

import boto3

definition = json.loads((Path(__file__).resolve().parents[2] / "scheduler/deploy/ecs/executor-task.json").read_text())
for container in definition["containerDefinitions"]:
    container["memory"] = 2048  # the stand-in asks for it, Fargate does not

ecs = boto3.client("ecs")
ecs.create_cluster(clusterName="library", capacityProviders=["FARGATE", "FARGATE_SPOT"])
ecs.register_task_definition(**definition)
ec2 = boto3.client("ec2")
print(ec2.describe_subnets()["Subnets"][0]["SubnetId"], ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"])
