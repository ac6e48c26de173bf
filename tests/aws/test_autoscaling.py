"""The members of named groups are read in as few calls as AWS allows, in whatever state they are."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from shipit.aws.autoscaling import AutoScaling
from shipit.errors import AwsError


class Cloud:
    """Groups in moto, and the calls that were made."""

    def __init__(self) -> None:
        keys = {"region_name": "us-east-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"}
        self.client: Any = boto3.client("autoscaling", **keys)
        ec2: Any = boto3.client("ec2", **keys)
        image = ec2.register_image(Name="one", RootDeviceName="/dev/sda1")["ImageId"]
        self.client.create_launch_configuration(LaunchConfigurationName="one", ImageId=image, InstanceType="t3.nano")
        self.asked: list[int] = []
        self.client.meta.events.register(
            "before-parameter-build.autoscaling.DescribeAutoScalingGroups",
            lambda params, **_: self.asked.append(len(params["AutoScalingGroupNames"])),
        )

    def group(self, name: str, instances: int) -> None:
        self.client.create_auto_scaling_group(
            AutoScalingGroupName=name,
            LaunchConfigurationName="one",
            MinSize=0,
            MaxSize=9,
            DesiredCapacity=instances,
            AvailabilityZones=["us-east-1a"],
        )


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with mock_aws():
        yield Cloud()


def test_only_the_groups_asked_for_are_read(cloud: Cloud) -> None:
    for name, count in (("a", 2), ("b", 0), ("c", 1)):
        cloud.group(name, count)
    found = AutoScaling(cloud.client).members(["b", "a", "a"])
    assert {name: len(members) for name, members in found.items()} == {"a": 2, "b": 0}
    assert {i.asg for i in found["a"]} == {"a"}
    assert Counter(i.state for i in found["a"]) == Counter(InService=2)


def test_instances_that_are_not_in_service_are_members_still(cloud: Cloud) -> None:
    cloud.group("a", 2)
    first = AutoScaling(cloud.client).members(["a"])["a"][0]
    cloud.client.enter_standby(InstanceIds=[first.id], AutoScalingGroupName="a", ShouldDecrementDesiredCapacity=True)
    states = {i.id: i.state for i in AutoScaling(cloud.client).members(["a"])["a"]}
    assert states[first.id] == "Standby"
    assert len(states) == 2


def test_a_group_that_is_not_there_is_empty_and_hides_no_other(cloud: Cloud) -> None:
    cloud.group("a", 1)
    found = AutoScaling(cloud.client).members(["a", "gone"])
    assert {name: len(members) for name, members in found.items()} == {"a": 1, "gone": 0}


def test_no_call_asks_for_more_groups_than_fit_a_page(cloud: Cloud) -> None:
    names = [f"g{n:03}" for n in range(250)]
    cloud.group(names[-1], 1)
    found = AutoScaling(cloud.client).members(names)
    assert len(found) == 250
    assert len(found[names[-1]]) == 1
    assert cloud.asked == [100, 100, 50]


def test_asking_for_nothing_calls_nobody(cloud: Cloud) -> None:
    cloud.group("a", 1)
    assert AutoScaling(cloud.client).members([]) == {}
    assert cloud.asked == []


def test_a_refusal_is_told_in_our_words() -> None:
    client: Any = boto3.client(
        "autoscaling",
        region_name="us-east-1",
        endpoint_url="http://127.0.0.1:9",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )
    with pytest.raises(AwsError):
        AutoScaling(client).members(["a"])
