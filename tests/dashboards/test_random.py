"""Each panel's SQL against plain Python, on reports as they come: in batches, forged, ahead, of no time at all."""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from dashboards.world import World
from fakes import NOON
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sandbox.athena.cloud import BUCKET, line
from sandbox.codedeploy.world import Door

AHEAD, NONE = "2027-01-01T00:00:00.000Z", "yesterday"
BUILDS = st.sampled_from(["v1", "v2", 'it\'s "v3"', "", None])
WRITERS = st.sampled_from(["own", "batch", "forged"])
REPORTS = st.lists(
    st.fixed_dictionaries(
        {
            "writer": WRITERS,
            "author": st.sampled_from(["i-1", "i-2", "i-3", "i-4"]),
            "instance_id": st.sampled_from(["i-1", "i-2", "", None]),
            "asg": st.sampled_from(["a", "b"]),
            "build": BUILDS,
            "running_build": BUILDS,
            "reason": st.sampled_from(["heartbeat", "deploy", "stop", None]),
            "seq": st.none() | st.integers(0, 2),
            # Ties, both sides of a missed heartbeat and of a slot; the last is read by one panel alone.
            "ago": st.sampled_from([0, 300, 659, 660, 661, 1200, 3600, 3700, 9000]),
            "says": st.sampled_from(["", "", "", "", AHEAD, NONE, None]),
        }
    ),
    max_size=16,
)
DEPLOYMENTS = st.lists(
    st.fixed_dictionaries(
        {
            "asg": st.sampled_from(["a", "b"]),
            "build": st.sampled_from(["v1", "v1", "v2"]),
            # Of an instance there may be two.
            "authors": st.lists(st.sampled_from(["i-1", "i-2"]), min_size=1, max_size=3),
            # Steps of twenty minutes; some days that only tell what a group had, and some before those.
            "ago": st.sampled_from([*(steps * 1200 for steps in range(8)), 86400 * 16, 86400 * 18]),
            "writer": st.sampled_from(["own"] * 6 + ["batch", "forged"]),
            "reason": st.sampled_from(["deploy"] * 8 + ["start"]),
            "says": st.sampled_from([""] * 8 + [NONE, None]),
        }
    ),
    max_size=8,
)


@dataclass(frozen=True)
class Told:
    """A report that counts: whose it is, what it says, when it says so, where it lies."""

    who: str
    row: dict[str, Any]
    says: str | None
    at: datetime | None
    written: datetime
    path: str

    @property
    def ahead(self) -> bool:
        return self.says in (AHEAD, NONE)

    @property
    def rank(self) -> tuple[Any, ...]:
        seq = self.row.get("seq")
        return self.says is not None, self.says or "", seq is not None, seq or 0, self.path


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    door = Door()
    world = World(door)
    yield world
    world.cloud.close()
    door.close()


def told(world: World, lines: list[dict[str, Any]], below: str, layout: str) -> list[Told]:
    """Write the reports, in place of those before, and return those that count."""
    world.cloud.store.objects.clear()
    found = []
    for number, fields in enumerate(lines):
        row = {k: v for k, v in fields.items() if k not in ("writer", "author", "ago", "says")}
        written = NOON - timedelta(seconds=fields["ago"])
        body = {**line("", written), **row}
        if fields["says"] != "":
            body["reported_at"] = fields["says"]
        batch = fields["writer"] == "batch"
        own = f"AROATEST:{fields['author']}-{number}.json"
        name = {"batch": f"{number}.gz", "own": own, "forged": f"AROATEST:i-9-/{own}"}[fields["writer"]]
        key = f"prod/{below}{written.strftime(layout)}/{name}"
        data = (json.dumps(body) + "\n").encode()
        world.cloud.store.put(BUCKET, key, gzip.compress(data) if batch else data)
        who = fields["instance_id"] if batch else fields["author"]
        if who and fields["writer"] != "forged":
            at = written if fields["says"] == "" else NOON.replace(year=2027, month=1, day=1, hour=0)
            none = fields["says"] in (NONE, None)
            found.append(Told(who, row, body["reported_at"], None if none else at, written, f"s3://{BUCKET}/{key}"))
    return found


def newest(reports: list[Told], hours: int) -> list[Told]:
    """Return the last word of each instance that did not stop, of the slots that a range of so many hours touches."""
    best: dict[str, Told] = {}
    for report in reports:
        if f"{report.written:%d%H}" < f"{NOON - timedelta(hours=hours):%d%H}":
            continue
        # A report without a time comes last, one that is ahead before it.
        rank = (report.says is not None, not report.ahead, report.rank)
        kept = best.get(report.who)
        if kept is None or rank > (kept.says is not None, not kept.ahead, kept.rank):
            best[report.who] = report
    return [report for _, report in sorted(best.items()) if report.row["reason"] != "stop"]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=REPORTS)
def test_what_instances_run_is_what_plain_python_says(world: World, lines: list[dict[str, Any]]) -> None:
    reports = told(world, lines, "reports/v1/slot=", "%Y-%m-%d-%H")
    last = newest(reports, 1)

    groups: dict[tuple[str, str], list[Told]] = defaultdict(list)
    for report in last:
        groups[report.row["asg"], report.row["running_build"] or "none"].append(report)
    assert {
        (row["asg"], row["build"]): (row["instances"], row["restart_needed"], row["oldest_report"])
        for row in world.show("versions: Builds by group")
    } == {
        key: (
            str(len(theirs)),
            str(sum(r.row["running_build"] != r.row["build"] for r in theirs)),
            min((r.says for r in theirs if r.says is not None), default=None),
        )
        for key, theirs in groups.items()
    }

    running = Counter(r.row["running_build"] for r in last if r.row["running_build"])
    most = max(running, key=lambda build: (running[build], build), default=None)
    assert {(row["instance"], row["why"]) for row in world.show("versions: Drift")} == {
        (r.who, why) for r in last if most and (why := drifted(r, most))
    }

    quiet = {r.who for r in last if r.at is None or r.ahead or r.at < NOON - timedelta(seconds=660)}
    assert {row["instance"] for row in world.show("versions: Silent, or gone without a word")} == quiet

    steps: dict[tuple[str, datetime], Told] = {}
    for report in reports:
        if report.at is None or report.ahead or report.row["reason"] == "stop":
            continue
        key = report.who, report.at.replace(minute=report.at.minute // 10 * 10, second=0)
        if key not in steps or report.rank > steps[key].rank:
            steps[key] = report
    latest = max((step for _, step in steps), default=NOON)
    counted = Counter((step, r.row["running_build"] or "none") for (_, step), r in steps.items() if step < latest)
    assert {
        (stamp(row["time"]), row["build"], row["instances"]) for row in world.show("versions: Fleet by running build")
    } == {(step, build, str(count)) for (step, build), count in counted.items()}


def drifted(report: Told, most: str) -> str:
    """Say why an instance is in the table, empty where it is not."""
    running, installed = report.row["running_build"], report.row["build"]
    if not running:
        return "nothing runs"
    if installed is not None and running != installed:
        return "restart needed"
    return "another build" if running != most else ""


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=DEPLOYMENTS)
def test_the_last_rollouts_are_those_of_plain_python(world: World, made: list[dict[str, Any]]) -> None:
    lines = [
        {
            **{k: v for k, v in fields.items() if k != "authors"},
            "author": author,
            "instance_id": author,
            "deployment_id": f"d-{number}",
            "ago": fields["ago"] - minute * 60,
        }
        for number, fields in enumerate(made)
        for minute, author in enumerate(fields["authors"])
    ]
    reports = told(world, lines, "history/v1/day=", "%Y-%m-%d")
    deployments: dict[tuple[str, str, str], list[Told]] = defaultdict(list)
    for report in reports:
        # Fourteen days of the panel, and three before them.
        if report.at and report.row["reason"] == "deploy" and report.written >= NOON - timedelta(days=17, hours=12):
            deployments[report.row["asg"], report.row["deployment_id"], report.row["build"]].append(report)
    by_asg: dict[str, list[tuple[datetime, str, str, list[Told]]]] = defaultdict(list)
    for (asg, deployment, build), theirs in deployments.items():
        by_asg[asg].append((min(r.at for r in theirs if r.at), deployment, build, theirs))
    changes = []
    for asg, theirs_of in by_asg.items():
        order = sorted(theirs_of, key=lambda d: d[:3])
        if len({r.who for r in order[0][3]}) > 1:
            changes.append((order[0][0], asg, order[0][2], order[0][3]))
        changes += [(d[0], asg, d[2], d[3]) for before, d in pairwise(order) if before[2] != d[2]]
    rollouts: list[list[Any]] = []
    previous = None
    for first, _, build, theirs in sorted(changes, key=lambda c: c[:3]):
        end, instances = max(r.at for r in theirs if r.at), len({r.who for r in theirs})
        if previous and previous[0] == build and first < previous[1] + timedelta(hours=1):
            rollouts[-1][2] = max(rollouts[-1][2], end)
            rollouts[-1][3] += 1
            rollouts[-1][4] += instances
        else:
            rollouts.append([build, first, end, 1, instances])
        previous = build, end
    shown = [
        (row["build"], stamp(row["first_instance"]), stamp(row["last_instance"]), row["asgs"], row["instances"])
        for row in world.show("versions: Last rollouts")
    ]
    wanted = [(build, first, end, str(asgs), str(count)) for build, first, end, asgs, count in rollouts]
    assert sorted(shown) == sorted(wanted)
    assert [row[1] for row in shown] == sorted((row[1] for row in shown), reverse=True)


def stamp(text: str | None) -> datetime:
    """Return a time as Athena shows it."""
    assert text
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f UTC").replace(tzinfo=UTC)
