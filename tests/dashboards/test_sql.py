"""Every panel's SQL runs, as exported and with Grafana's macros expanded, and says what the reports said."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
import sqlglot
from dashboards.world import QUERIES, World
from fakes import NOON
from sandbox.athena.cloud import BUCKET, line
from sandbox.codedeploy.world import Door


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    door = Door()
    yield door
    door.close()


@pytest.fixture
def world(door: Door) -> Iterator[World]:
    world = World(door)
    yield world
    world.cloud.close()


def ago(**span: float) -> datetime:
    return NOON - timedelta(**span)


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_a_statement_is_sql_of_athenas_and_runs_where_nobody_reported(world: World, name: str) -> None:
    assert sqlglot.parse_one(QUERIES[name], read="athena")
    assert world.show(name) == []


def test_there_is_a_statement_for_each_thing_to_see() -> None:
    assert sorted(QUERIES) == [
        "queues: Rollouts",
        "versions: Builds by group",
        "versions: Drift",
        "versions: Fleet by running build",
        "versions: Last rollouts",
        "versions: Silent, or gone without a word",
    ]


def test_each_reads_the_partitions_of_its_range_and_no_others(world: World) -> None:
    for name, count in (("versions: Drift", 2), ("versions: Fleet by running build", 7), ("queues: Rollouts", 4)):
        world.cloud.store.listed.clear()
        world.show(name)
        assert len(world.cloud.store.listed) == count


def test_the_fleet_is_counted_by_build_and_step_and_each_instance_once(world: World) -> None:
    for minutes in (5, 10, 15):
        for instance in ("i-a1", "i-a2"):
            world.put(instance, ago(minutes=minutes), running_build="v1" if minutes > 10 else "v2")
    world.put("i-b1", ago(minutes=12), running_build="")
    world.put("i-a1", ago(minutes=0), running_build="v3")
    assert [tuple(row.values()) for row in world.show("versions: Fleet by running build")] == [
        ("2026-11-20 11:40:00.000 UTC", "none", "1"),
        ("2026-11-20 11:40:00.000 UTC", "v1", "2"),
        # The step that began at noon is not over: nobody counts in it.
        ("2026-11-20 11:50:00.000 UTC", "v2", "2"),
    ]


def test_drift_is_what_differs_from_most_or_from_its_own_disk(world: World) -> None:
    for instance in ("i-a1", "i-a2", "i-a3"):
        world.put(instance, ago(minutes=9), running_build="v1")
        world.put(instance, ago(minutes=4))
    world.put("i-b1", ago(minutes=3), build="v1", running_build="v1")
    world.put("i-b2", ago(minutes=2), running_build="v1")
    world.put("i-b3", ago(minutes=2), running_build="")
    world.put("i-b4", ago(minutes=2), build="v3")
    world.put("i-b5", ago(minutes=9), running_build="v1")
    world.put("i-b5", ago(minutes=1), running_build="v1", reason="stop")
    assert {
        row["instance"]: (row["running"], row["installed"], row["why"]) for row in world.show("versions: Drift")
    } == {
        "i-b1": ("v1", "v1", "another build"),
        "i-b2": ("v1", "v2", "restart needed"),
        "i-b3": ("", "v2", "nothing runs"),
        "i-b4": ("v2", "v3", "restart needed"),
    }


def test_silent_is_whoever_reported_and_then_missed_two_heartbeats(world: World) -> None:
    world.put("i-a1", ago(minutes=10))
    world.put("i-a2", ago(minutes=12))
    world.put("i-a3", ago(minutes=30))
    world.put("i-a3", ago(minutes=29), reason="stop")
    world.put("i-a4", ago(minutes=1), reported_at="yesterday")
    found = world.show("versions: Silent, or gone without a word")
    assert [(row["instance"], row["last_report"]) for row in found] == [
        ("i-a2", "2026-11-20T11:48:00.000Z"),
        ("i-a4", "yesterday"),
    ]


def test_groups_are_counted_by_build(world: World) -> None:
    world.put("i-a1", ago(minutes=4))
    world.put("i-a2", ago(minutes=3), build="v3")
    world.put("i-b1", ago(minutes=2), asg="workers-reports", queue="reports", build="v1", running_build="v1")
    found = world.show("versions: Builds by group")
    assert [(row["asg"], row["build"], row["instances"], row["restart_needed"]) for row in found] == [
        ("workers-email", "v2", "2", "1"),
        ("workers-reports", "v1", "1", "0"),
    ]


def test_a_malformed_time_costs_the_one_who_wrote_it_and_nobody_else(world: World) -> None:
    world.put("i-a1", ago(minutes=20))
    world.put("i-a2", ago(minutes=20), reported_at="2026-13-45T99:00:00.000Z")
    world.put("i-a3", ago(minutes=2))
    [step] = world.show("versions: Fleet by running build")
    assert step["instances"] == "1"


def test_a_report_counts_for_the_author_in_its_key_whatever_it_says_inside(world: World) -> None:
    for instance in ("i-a1", "i-a2"):
        world.put(instance, ago(minutes=4))
    own, deeper = "AROAEXAMPLE:i-bad-1.json", "AROAEXAMPLE:i-bad-/slot=2026-11-20-11/AROAEXAMPLE:i-a1-2.json"
    for key in (own, deeper, "AROAEXAMPLE:i-bad-/x.json", "i-a2-3.json"):
        world.put("i-a2", ago(minutes=2), key=key, build="v9", running_build="v9")
    assert [(row["instance"], row["running"]) for row in world.show("versions: Drift")] == [("i-bad", "v9")]
    assert sum(int(row["instances"] or 0) for row in world.show("versions: Builds by group")) == 3


def test_batches_of_firehose_carry_their_authors_inside(world: World) -> None:
    lines = "".join(json.dumps(line(f"i-{n}", ago(minutes=4))) + "\n" for n in range(3))
    world.cloud.store.put(BUCKET, "prod/reports/v1/slot=2026-11-20-11/batch.gz", gzip.compress(lines.encode()))
    assert [row["instances"] for row in world.show("versions: Builds by group")] == ["3"]


def test_a_rollout_is_a_change_of_build_over_many_groups_and_a_launch_is_none(world: World) -> None:
    for asg in ("email", "reports"):
        world.deploy(asg, "v1", ago(days=5), f"i-{len(asg)}a", f"i-{len(asg)}b")
        world.deploy(asg, "v2", ago(days=1, minutes=len(asg)), f"i-{len(asg)}a", f"i-{len(asg)}b")
    world.deploy("email", "v2", ago(hours=9), "i-5c")
    world.deploy("email", "v1", ago(hours=3), "i-5a", "i-5b", "i-5c")
    world.deploy("new", "v1", ago(hours=1), "i-3a")
    found = [(row["build"], row["asgs"], row["instances"]) for row in world.show("versions: Last rollouts")]
    assert found == [("v1", "1", "3"), ("v2", "2", "4"), ("v1", "2", "4")]


def test_rollouts_are_marked_from_their_first_instance_to_their_last(world: World) -> None:
    world.deploy("email", "v1", ago(days=2), "i-5a")
    world.deploy("email", "v2", ago(hours=2), "i-5a", "i-5b")
    [mark] = [row for row in world.show("queues: Rollouts") if row["text"] == "v2"]
    assert (mark["time"], mark["timeend"]) == ("2026-11-20 10:00:00.000 UTC", "2026-11-20 10:01:00.000 UTC")


def test_what_an_instance_wrote_into_the_history_under_another_name_is_no_rollout(world: World) -> None:
    for instance in ("i-a1", "i-a2"):
        forged = f"AROAEXAMPLE:i-bad-/day=2026-11-20/AROAEXAMPLE:{instance}-1.json"
        world.put(instance, ago(hours=2), table="history", key=forged, reason="deploy", build="v9")
    assert world.show("versions: Last rollouts") == []


def test_a_rollback_within_the_hour_is_a_rollout_of_its_own(world: World) -> None:
    for minutes, build in ((180, "v1"), (50, "v2"), (40, "v1"), (20, "v2")):
        for asg in ("email", "reports"):
            world.deploy(asg, build, ago(minutes=minutes - len(asg)), f"i-{len(asg)}a", f"i-{len(asg)}b")
    found = [(row["build"], row["asgs"], row["instances"]) for row in world.show("versions: Last rollouts")]
    assert found == [("v2", "2", "4"), ("v1", "2", "4"), ("v2", "2", "4"), ("v1", "2", "4")]


def test_a_report_from_the_future_hides_none_that_came_after_it(world: World) -> None:
    for instance in ("i-a1", "i-a2", "i-a3"):
        world.put(instance, ago(minutes=4))
    world.put("i-b1", ago(minutes=30), reported_at="2027-01-01T00:00:00.000Z", running_build="v1")
    world.put("i-b2", ago(minutes=30), reported_at="2027-01-01T00:00:00.000Z", running_build="v1")
    world.put("i-b2", ago(minutes=14))
    assert [row["instance"] for row in world.show("versions: Drift")] == ["i-b1"]
    silent = [row["instance"] for row in world.show("versions: Silent, or gone without a word")]
    assert silent == ["i-b2", "i-b1"]
    # Nobody is counted in the step of a day to come, and the last true one is still left out as unfinished.
    assert [(row["time"], row["instances"]) for row in world.show("versions: Fleet by running build")] == [
        ("2026-11-20 11:40:00.000 UTC", "1")
    ]
