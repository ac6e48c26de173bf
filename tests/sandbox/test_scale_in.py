"""An instance that its group lets go waits for its watcher, for as long as the hook says, and then is gone."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Iterator

import boto3
import pytest
from daemons import eventually
from moto import mock_aws

from shipit.sandbox.moto_door import Moto
from shipit.sandbox.scale_in import HOOK, ScaleIn

REGION, GROUP = "us-east-1", "worker-reports"


class World:
    """A group of three instances, of which those in `watched` have a watcher."""

    def __init__(self, timeout: int = 300) -> None:
        self.moto = Moto(REGION)
        self.moto.create_fleet_template("template")
        self.moto.create_group(GROUP, "template", 3, {"queue": "reports"})
        self.moto.create_termination_hook(GROUP, HOOK, timeout)
        self.watched = {instance for _, instance, _, _ in self.moto.members()}
        self.ends = 0
        self.scale_in = ScaleIn(self.moto, self.watched.__contains__, self._ended)

    def _ended(self) -> None:
        self.ends += 1

    def shrink(self, by: int = 1) -> None:
        self.moto.scale(GROUP, -by, on_shrink=self.scale_in.begin)

    @property
    def states(self) -> list[str]:
        return sorted(state for _, _, state, _ in self.moto.members())

    @property
    def waiting(self) -> str:
        (found,) = [instance for _, instance, state, _ in self.moto.members() if state == "Terminating:Wait"]
        return found

    def call(self, action: str, instance: str, **more: str) -> int:
        form = {"Action": action, "AutoScalingGroupName": GROUP, "LifecycleHookName": HOOK, "InstanceId": instance}
        answered = self.scale_in.answer(urllib.parse.urlencode({**form, **more}).encode())
        assert answered is not None
        return answered[0]


@pytest.fixture
def make() -> Iterator[Callable[..., World]]:
    with mock_aws():
        yield World


BEAT, COMPLETE = "RecordLifecycleActionHeartbeat", "CompleteLifecycleAction"


def test_a_watched_instance_waits_until_its_action_is_completed(make: Callable[..., World]) -> None:
    world = make()
    world.shrink()
    assert world.states == ["InService", "InService", "Terminating:Wait"]
    leaving = world.waiting
    assert world.scale_in.target(leaving) == "Terminated"
    assert world.call(BEAT, leaving) == 200
    assert world.call(COMPLETE, leaving, LifecycleActionResult="CONTINUE") == 200
    assert world.states == ["InService", "InService"]
    assert world.ends == 1
    found = boto3.client("ec2", region_name=REGION).describe_instances(InstanceIds=[leaving])
    assert found["Reservations"][0]["Instances"][0]["State"]["Name"] == "terminated"
    assert world.call(COMPLETE, leaving) == 400


def test_the_group_is_of_its_new_size_while_one_waits_and_can_shrink_further(make: Callable[..., World]) -> None:
    world = make()
    world.shrink()
    world.shrink()
    assert world.states == ["InService", "Terminating:Wait", "Terminating:Wait"]


def test_an_instance_that_nobody_watches_is_gone_at_once(make: Callable[..., World]) -> None:
    world = make()
    world.watched.clear()
    world.shrink()
    assert world.states == ["InService", "InService"]


def test_an_instance_that_says_nothing_is_gone_when_the_hooks_time_is_over(make: Callable[..., World]) -> None:
    world = make(timeout=1)
    world.shrink()
    assert "Terminating:Wait" in world.states
    eventually(lambda: world.states == ["InService", "InService"])


@pytest.mark.parametrize(
    "wrong", [{"LifecycleHookName": "other"}, {"AutoScalingGroupName": "other"}, {"InstanceId": "i-0"}]
)
def test_a_call_about_another_action_is_a_validation_error(make: Callable[..., World], wrong: dict[str, str]) -> None:
    world = make()
    world.shrink()
    assert world.call(COMPLETE, world.waiting, **wrong) == 400
    assert "Terminating:Wait" in world.states


def test_other_requests_are_somebody_elses(make: Callable[..., World]) -> None:
    assert make().scale_in.answer(b"Action=DescribeAutoScalingGroups&Version=2011-01-01") is None


def test_one_that_waits_is_not_the_one_that_moto_ends_for_another(make: Callable[..., World]) -> None:
    world = make()
    first = next(world.moto.members())[1]
    world.watched.intersection_update({first})
    world.shrink(2)
    assert world.states == ["InService", "Terminating:Wait"]
    assert world.waiting == first
