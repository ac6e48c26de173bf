"""Which build ran where: the SQL that ships, asked through boto3, against plain Python."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from datetime import timedelta
from itertools import zip_longest
from typing import Any

import pytest
from fakes import NOON
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sandbox.athena.cloud import BUCKET, PLACE, Cloud, line, own
from sandbox.codedeploy.world import Door

from shipit import sql
from shipit.aws.history import HistoryReader
from shipit.models import BuildRun
from shipit.versions import periods

DAY = 86400.0


class History:
    """The history of one Athena, with objects as instances write them."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self._written = 10_000  # of one width, so that later keys sort later
        names = {"database": "shipit", "table": "version_history", **PLACE}
        cloud.create_table()
        for statement in sql.history_ddl(**names):
            cloud.athena.run(statement)
        self.reader = HistoryReader(cloud.athena, **names)
        self._folder = sql.history_location(**PLACE).removeprefix(f"s3://{BUCKET}/")

    def put(self, instance_id: str, ago: float, reason: str, build: str, deployment: str = "", **more: Any) -> str:
        """Let an instance say something so many seconds before noon."""
        at = NOON - timedelta(seconds=ago)
        body = line(instance_id, at, reason=reason, running_build=build, deployment_id=deployment, **more)
        self._written += 1
        key = f"{self._folder}/day={at:%Y-%m-%d}/{own(instance_id, self._written)}"
        self.cloud.store.put(BUCKET, key, json.dumps(body).encode())
        return key

    def runs(self, days: float = 30) -> list[BuildRun]:
        return list(self.reader.runs(NOON, days * DAY)[0])

    def told(self) -> list[tuple[str, str, int, float, float | None, int]]:
        """Return the runs, their times in seconds before noon."""
        return [
            (
                run.build,
                run.deployment_id,
                run.instances,
                (NOON - run.since).total_seconds(),
                (NOON - run.until).total_seconds() if run.until else None,
                run.unended,
            )
            for run in self.runs()
        ]


@pytest.fixture
def history(cloud: Cloud) -> History:
    return History(cloud)


def test_a_rollback_is_kept_apart_from_what_it_goes_back_to(history: History) -> None:
    for number, instance in enumerate(("i-1", "i-2")):
        for ago, build, deployment in ((900, "A", "d-1"), (600, "B", "d-2"), (300, "A", "d-3")):
            history.put(instance, ago - number, "start", build)
            history.put(instance, ago - 10 - number, "deploy", build, deployment)
            if build != "A" or ago == 900:
                history.put(instance, ago - 290 - number, "stop", build)
    assert history.told() == [
        ("A", "d-1", 2, 900, 609, 0),
        ("B", "d-2", 2, 600, 309, 0),
        ("A", "d-3", 2, 300, None, 2),
    ]


def test_a_worker_that_starts_again_belongs_to_the_deployment_that_brought_it(history: History) -> None:
    history.put("i-1", 900, "deploy", "A", "d-1")
    history.put("i-1", 600, "stop", "A")
    history.put("i-1", 500, "start", "A")
    assert history.told() == [("A", "d-1", 1, 900, None, 1)]


def test_the_same_build_brought_again_is_another_deployment_and_new_to_nobody_who_has_it(history: History) -> None:
    history.put("i-1", 900, "deploy", "A", "d-1")
    history.put("i-1", 600, "deploy", "A", "d-2")
    history.put("i-2", 590, "deploy", "A", "d-2")
    assert history.told() == [("A", "d-1", 1, 900, 600, 0), ("A", "d-2", 1, 600, None, 2)]
    [period] = periods(history.runs(), {})
    assert (period.instances, period.unended) == (2, 2)


def test_a_build_that_started_and_never_proved_itself_did_run(history: History) -> None:
    history.put("i-1", 900, "deploy", "A", "d-1")
    history.put("i-1", 600, "start", "broken")
    history.put("i-1", 500, "start", "A")
    history.put("i-1", 490, "deploy", "A", "d-3")
    assert [run[:2] for run in history.told()] == [("A", "d-1"), ("broken", ""), ("A", "d-3")]


def test_nobody_writes_the_history_of_another(history: History) -> None:
    history.put("i-1", 900, "deploy", "A", "d-1")
    key = history.put("i-2", 600, "deploy", "forged", "d-2")
    forged = key.replace("/AROATEST:i-2", "/AROATEST:i-2-x/day=2026-11-20/AROATEST:i-1")
    history.cloud.store.put(BUCKET, forged, history.cloud.store.objects.pop(key))
    key = history.put("i-3", 500, "deploy", "B", "d-3")
    objects = history.cloud.store.objects
    objects[key] = objects[key].replace(b'"instance_id": "i-3"', b'"instance_id": "i-1"')
    assert history.told() == [("A", "d-1", 1, 900, None, 1), ("B", "d-3", 1, 500, None, 1)]


def test_what_is_older_than_asked_for_is_not_read(history: History) -> None:
    history.put("i-1", 40 * DAY, "deploy", "A", "d-1")
    history.put("i-1", 10 * DAY, "deploy", "B", "d-2")
    assert [run.build for run in history.runs()] == ["B"]
    assert [run.build for run in history.runs(days=60)] == ["A", "B"]
    days = [prefix.partition("day=")[2] for prefix in history.cloud.store.listed]
    assert len(days) == 31 + 61


EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "instance": st.sampled_from(["i-1", "i-2", "i-3"]),
            # Few moments, so that ties are common; some outside what is looked at.
            "ago": st.sampled_from([-61, -59, 0, 1, 2, 3, 4, 5, 600, 86_000, 30 * 86_400, 30 * 86_400 + 1]),
            "reason": st.sampled_from(["start", "deploy", "deploy", "stop"]),
            "build": st.sampled_from(["A", "A", "B", "it's", ""]),
            "deployment": st.sampled_from(["", "", "d-1", "d-2"]),
            "seq": st.integers(0, 1),
            "asg": st.sampled_from(["a", "a", "b"]),
        }
    ),
    max_size=25,
)


@dataclass
class Run:
    """One instance's time on one build that one deployment brought; seconds before noon."""

    key: tuple[str, str, str]
    instance: str
    since: float
    until: float | None = None
    #: Whether the instance had another build before, or none.
    opens: bool = False


def plainly(events: list[dict[str, Any]]) -> list[Run]:
    """Return the runs of one instance; `events` are what it said, in order."""
    turns: list[list[tuple[dict[str, Any], float | None]]] = []
    for event, after in zip_longest(events, events[1:]):
        if event["reason"] == "stop" or not event["build"]:
            continue
        if not turns or turns[-1][-1][0]["build"] != event["build"]:
            turns.append([])
        turns[-1].append((event, after["ago"] if after else None))
    found: list[Run] = []
    for turn in turns:
        runs: dict[tuple[str, str, str], Run] = {}
        for number, (event, until) in enumerate(turn):
            known = [e["deployment"] for e, _ in turn[: number + 1] if e["deployment"]][-1:]
            known += [e["deployment"] for e, _ in turn[number:] if e["deployment"]]
            key = (event["asg"], event["build"], known[0] if known else "")
            run = runs.setdefault(key, Run(key, event["instance"], event["ago"]))
            run.until = until
            run.opens = run.opens or all(e["asg"] != event["asg"] for e, _ in turn[:number])
        found += runs.values()
    return found


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=EVENTS, gzipped=st.booleans())
def test_the_sql_answers_as_plain_python_does(athena_door: Door, events: list[dict[str, Any]], gzipped: bool) -> None:
    cloud = Cloud(athena_door)
    try:
        history = History(cloud)
        for event in events:
            more = {"seq": event["seq"], "asg": event["asg"]}
            key = history.put(
                event["instance"], event["ago"], event["reason"], event["build"], event["deployment"], **more
            )
            if gzipped:
                body = cloud.store.objects.pop(key)
                key += ".gz"
                cloud.store.put(BUCKET, key, gzip.compress(body))
            event["key"] = key
        found = {(run.asg, run.build, run.deployment_id): run for run in history.runs()}
    finally:
        cloud.close()
    wanted: dict[tuple[str, str, str], list[Run]] = {}
    for instance in ("i-1", "i-2", "i-3"):
        theirs = [e for e in events if e["instance"] == instance and -60 < e["ago"] <= 30 * DAY]
        for run in plainly(sorted(theirs, key=lambda e: (-e["ago"], e["seq"], e["key"]))):
            wanted.setdefault(run.key, []).append(run)
    assert set(found) == set(wanted)
    for key, runs in wanted.items():
        ends = [run.until for run in runs if run.until is not None]
        assert found[key] == BuildRun(
            asg=key[0],
            build=key[1],
            deployment_id=key[2],
            instances=len({run.instance for run in runs if run.opens}),
            since=NOON - timedelta(seconds=max(run.since for run in runs)),
            until=NOON - timedelta(seconds=min(ends)) if ends else None,
            unended=sum(run.until is None for run in runs),
        )
