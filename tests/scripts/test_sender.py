"""Reports reach S3 once and in order, however often it fails; what it refuses for good does not hold up the rest."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from instance_aws import ID, ROLE_ID, InstanceAws
from shipit_instance.aws import Aws, Refused
from shipit_instance.metadata import Failed, Metadata
from shipit_instance.rows import Report
from shipit_instance.sender import Sender
from shipit_instance.spool import Spool

SLOT = "s3://bucket/env/reports/v1/slot=2026-11-22-13/"
DAY = "s3://bucket/env/history/v1/day=2026-11-22/"


class World:
    """A spool, a sender, and what was said."""

    def __init__(self, folder: Path, aws: InstanceAws) -> None:
        self.aws = aws
        self.said: list[str] = []
        self.spool = Spool(str(folder / "spool"), self.said.append)
        self.sender = Sender(self.spool, Aws(Metadata(aws.url), "eu-central-1"), self.said.append, lambda: 1.0)

    def add(self, *moments: int, reason: str = "heartbeat", targets: tuple[str, ...] = (SLOT,)) -> None:
        for moment in moments:
            self.spool.add(Report(reason, moment, f'{{"n":{moment}}}\n', targets))

    @property
    def sent(self) -> list[int]:
        return [int(path.rpartition("-")[2].removesuffix(".json")) for path in self.aws.puts]


@pytest.fixture
def world(aws: InstanceAws, tmp_path: Path) -> World:
    return World(tmp_path, aws)


def test_a_key_names_its_author_as_policies_do_and_the_moment_of_the_report(world: World) -> None:
    world.add(1_795_354_000_123, reason="start", targets=(SLOT, DAY))
    assert world.sender.step() is None
    assert world.aws.puts == [
        f"/bucket/env/reports/v1/slot=2026-11-22-13/{ROLE_ID}:{ID}-1795354000123.json",
        f"/bucket/env/history/v1/day=2026-11-22/{ROLE_ID}:{ID}-1795354000123.json",
    ]
    assert len(world.spool) == 0


def test_the_author_is_asked_for_once_for_each_key(world: World) -> None:
    world.add(1, 2, 3)
    world.sender.step()
    assert world.aws.calls == ["GetCallerIdentity"]


def test_nothing_is_lost_while_s3_is_down_and_it_comes_in_order_when_it_is_up(world: World) -> None:
    world.aws.s3_down = True
    world.add(5, 3)
    waits = [world.sender.step() for _ in range(3)]
    world.add(4)
    world.aws.s3_down = False
    assert world.sender.step() is None
    assert world.sent == [5, 3, 4]
    assert [wait is not None for wait in waits] == [True] * 3
    assert [line.partition(":")[0] for line in world.said] == ["reports wait", "reports are sent again"]


def test_the_pauses_grow_to_five_minutes_and_differ_by_chance(tmp_path: Path) -> None:
    class Down:
        def user_id(self) -> str:
            raise Failed("no route")

        def put(self, bucket: str, key: str, body: bytes) -> None:
            raise AssertionError("nobody to write as")

    spool = Spool(str(tmp_path / "spool"), print)
    spool.add(Report("heartbeat", 1, "", (SLOT,)))
    for chance, last in ((1.0, 300.0), (0.0, 150.0)):
        sender = Sender(spool, Down(), lambda text: None, lambda chance=chance: chance)
        waits = [sender.step() or 0.0 for _ in range(12)]
        assert waits[0] == last / 150
        assert waits[-1] == last
        assert all(a <= b <= 2 * a for a, b in pairwise(waits))


@pytest.mark.parametrize("answer", [500, 503, 429, 409, (400, "RequestTimeout"), (403, "RequestTimeTooSkewed")])
def test_what_may_heal_is_tried_again(world: World, answer: int | tuple[int, str]) -> None:
    world.aws.s3_answers = [answer]
    world.add(1, 2)
    assert world.sender.step() == 2.0
    assert world.sender.step() is None
    assert world.sent == [1, 2]


@pytest.mark.parametrize("answer", [(403, "AccessDenied"), (404, "NoSuchBucket"), (301, "PermanentRedirect"), 400])
def test_what_cannot_heal_is_dropped_with_a_word_and_holds_up_nothing(
    world: World, answer: int | tuple[int, str]
) -> None:
    world.aws.s3_answers = [answer]
    world.add(1, 2)
    assert world.sender.step() is None
    assert world.sent == [2]
    assert "is dropped: s3: HTTP" in world.said[0]


def test_an_answer_that_was_lost_is_no_second_object(world: World) -> None:
    world.add(1)
    (entry,) = world.spool.entries()
    world.sender.send(entry)
    world.spool.add(Report("heartbeat", 1, "again", (SLOT,)))
    assert world.sender.step() is None
    assert list(world.aws.objects.values()) == [b'{"n":1}\n']


def test_credentials_that_expired_are_replaced_and_the_author_is_asked_for_anew(world: World) -> None:
    world.add(1)
    world.sender.step()
    world.aws.s3_answers = [(403, "ExpiredToken")]
    world.aws.key = "ASIAEXAMPLE2"
    world.add(2)
    assert world.sender.step() == 2.0
    assert world.sender.step() is None
    assert world.sent == [1, 2]
    assert world.aws.calls == ["GetCallerIdentity"] * 2


def test_sts_that_fails_is_waited_for(world: World) -> None:
    world.aws.errors["GetCallerIdentity"] = [(503, "ServiceUnavailable")]
    world.add(1)
    assert world.sender.step() == 2.0
    assert world.sender.step() is None
    assert world.sent == [1]


def test_metadata_that_fail_are_waited_for(world: World) -> None:
    world.aws.metadata_fails = 500
    world.add(1)
    assert world.sender.step() == 2.0
    world.aws.metadata_fails = 0
    assert world.sender.step() is None


def test_a_second_sender_of_the_same_spool_makes_no_second_object(world: World) -> None:
    world.add(1, 2)
    entries = list(world.spool.entries())
    world.sender.step()
    other = Sender(world.spool, Aws(Metadata(world.aws.url), "eu-central-1"), world.said.append)
    for entry in entries:
        other.send(entry)
    assert world.sent == [1, 2]


def test_one_report_alone_says_whether_it_waits_or_is_refused(world: World) -> None:
    world.add(1, 2)
    first, second = world.spool.entries()
    world.aws.s3_answers = [503, (403, "AccessDenied")]
    with pytest.raises(Failed) as waits:
        world.sender.send(first)
    assert not isinstance(waits.value, Refused)
    with pytest.raises(Refused):
        world.sender.send(second)
    assert [entry.milliseconds for entry in world.spool.entries()] == [1]
