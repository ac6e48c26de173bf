"""Whoever joins or leaves an Auto Scaling group is passed on once, to the instances and to CodeDeploy."""

from collections.abc import Iterator

import pytest
from moto import mock_aws

from shipit.sandbox.config import SandboxConfig
from shipit.sandbox.instance.facts import InstanceFacts
from shipit.sandbox.membership import Membership
from shipit.sandbox.moto_door import Moto
from shipit.sandbox.seed import seed_moto

CONFIG = SandboxConfig(
    root="/nowhere",
    port=1,
    application="worker",
    bucket="some-bucket",
    report_bucket="some-bucket",
    report_prefix="sandbox",
    database="shipit",
    table="version_reports",
    queue_tag="queue",
    tags={"env": "sandbox"},
    queues=("email", "reports"),
    instances=4,
)


class Recorder:
    """Hosts and CodeDeploy at once: remembers who came and went."""

    def __init__(self) -> None:
        self.facts: dict[str, InstanceFacts] = {}
        self.launched: list[tuple[str, str]] = []
        self.gone: list[str] = []

    def add(self, facts: InstanceFacts) -> None:
        self.facts[facts.id] = facts

    def remove(self, instance_id: str) -> None:
        del self.facts[instance_id]

    def instance_launched(self, asg: str, instance_id: str) -> None:
        self.launched.append((asg, instance_id))

    def instance_gone(self, instance_id: str) -> None:
        self.gone.append(instance_id)


@pytest.fixture
def fleet() -> Iterator[tuple[Moto, Membership, Recorder]]:
    with mock_aws():
        moto = Moto("us-east-1")
        seed_moto(moto, CONFIG)
        recorder = Recorder()
        members = Membership(moto, CONFIG, recorder)
        members.reconcile()
        yield moto, members, recorder


def test_the_seeded_instances_know_their_queue_and_where_to_report(fleet: tuple[Moto, Membership, Recorder]) -> None:
    _, members, recorder = fleet
    assert len(members) == len(recorder.facts) == 4
    some = next(iter(recorder.facts.values()))
    assert some.asg == f"worker-{some.queue}"
    assert some.reports == "s3://some-bucket/sandbox/reports/v1"


def test_nothing_is_passed_on_twice(fleet: tuple[Moto, Membership, Recorder]) -> None:
    _, members, recorder = fleet
    members.reconcile(recorder)
    assert (recorder.launched, recorder.gone) == ([], [])


def test_a_reclaimed_instance_is_gone_and_its_successor_is_launched(fleet: tuple[Moto, Membership, Recorder]) -> None:
    moto, members, recorder = fleet
    victim = moto.in_service("worker-email")[0]
    moto.reclaim([victim])
    members.reconcile(recorder)
    assert recorder.gone == [victim]
    assert [asg for asg, _ in recorder.launched] == ["worker-email"]
    assert len(members) == 4
    assert victim not in recorder.facts
