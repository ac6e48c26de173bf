"""Reports as they should not be, through the SQL that ships to the verdict: a state of their own, never "current"."""

from __future__ import annotations

import gzip
import json
import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from fakes import NOON
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sandbox.athena.cloud import BUCKET, Cloud, line
from sandbox.codedeploy.world import Door

from shipit.aws.athena import Athena
from shipit.errors import AwsError
from shipit.models import Fleet, Group, Instance, NodeState, Verification, Wanted
from shipit.verify import Expectation, judge

LONG_AGO = NOON - timedelta(hours=3)
ODD = ["it's", '"quoted"', "v2'; DROP TABLE x; --", "v2 ", "V2", "ünï\u2028code", "v2\x00", "'v2'", "\\", "v" * 3000]
EXPECTED = Expectation(
    env="prod",
    groups={"email": Wanted(build="v2")},
    published={"v2": "d2", "v1": "d1", **dict.fromkeys(ODD, "?")},
    heartbeat=300.0,
    grace=600.0,
)


def verified(cloud: Cloud, *ids: str) -> Verification:
    members = tuple(Instance(id=id, asg="workers-email", launched_at=LONG_AGO) for id in ids)
    fleet = Fleet(groups=(Group(name="email", queue="email", asg="workers-email", instances=members),))
    reports, cost = cloud.reader().latest_reports(NOON, 3600)
    return judge(fleet, reports, EXPECTED, now=NOON, cost=cost)


def states(found: Verification) -> dict[str, str]:
    return {node.instance_id: node.state.value for node in found.nodes}


def key(instance_id: str, number: int = 1) -> str:
    """Return the name of an object that the instance may write."""
    return f"AROATEST:{instance_id}-{number}.json"


@pytest.fixture
def table(cloud: Cloud) -> Cloud:
    """A table with one good report, of i-a."""
    cloud.create_table()
    cloud.put(key("i-a"), line("i-a"))
    return cloud


def slot(at: datetime) -> str:
    return f"{at:%Y-%m-%d-%H}"


@pytest.mark.parametrize(
    ("ahead", "state"),
    [
        (timedelta(seconds=59), "current"),
        (timedelta(seconds=61), "silent"),
        (timedelta(hours=1), "silent"),
        (timedelta(days=3650), "silent"),
        (-timedelta(seconds=661), "stale"),
        (-timedelta(minutes=59), "stale"),
        (-timedelta(hours=2), "silent"),
        (-timedelta(days=3650), "silent"),
    ],
)
def test_a_clock_that_is_wrong_proves_nothing(table: Cloud, ahead: timedelta, state: str) -> None:
    at = NOON + ahead
    table.put(key("i-b"), line("i-b", at), slot=slot(at))
    found = verified(table, "i-a", "i-b")
    assert states(found) == {"i-a": "current", "i-b": state}
    assert state == "current" or "clock" in found.nodes[1].next_step


def test_a_report_of_the_future_does_not_hide_the_true_one(table: Cloud) -> None:
    table.put(key("i-a", 2), line("i-a", NOON + timedelta(minutes=5), build="v1", running_build="v1"))
    table.put(key("i-b", 1), line("i-b", NOON - timedelta(minutes=1), build="v1", running_build="v1"))
    table.put(key("i-b", 2), line("i-b", NOON + timedelta(minutes=5)))
    assert states(verified(table, "i-a", "i-b")) == {"i-a": "current", "i-b": "outdated"}


@pytest.mark.parametrize(
    "reported_at",
    ["2026-11-20T11:59:99.000Z", "2026-11-20T11:59", "2026-11-20T11:59:00.000+05:00", "2026-11-20T11:59:00.000z", ""],
)
def test_a_time_that_is_none_is_no_fresh_report(table: Cloud, reported_at: str) -> None:
    table.put(key("i-b"), line("i-b", reported_at=reported_at))
    assert states(verified(table, "i-a", "i-b"))["i-b"] in ("stale", "silent")


@pytest.mark.parametrize("build", ODD)
def test_a_build_of_an_odd_name_is_that_build_and_no_other(table: Cloud, build: str) -> None:
    table.put(key("i-b"), line("i-b", build=build, running_build=build))
    [_, node] = verified(table, "i-a", "i-b").nodes
    assert (node.state, node.running, node.installed) == (NodeState.OUTDATED, build, build)


@pytest.mark.parametrize("absent", ["build", "running_build", "digest"])
@pytest.mark.parametrize("how", ["null", "empty", "missing"])
def test_a_report_that_lacks_what_would_prove_it_is_not_current(table: Cloud, absent: str, how: str) -> None:
    said = line("i-b")
    said[absent] = None if how == "null" else ""
    if how == "missing":
        del said[absent]
    table.put(key("i-b"), said)
    state = {"build": "unknown-build", "running_build": "restart-needed", "digest": "wrong-digest"}[absent]
    assert states(verified(table, "i-a", "i-b"))["i-b"] == state


def test_a_key_that_is_there_twice_in_a_line_is_read_once(table: Cloud) -> None:
    """The sandbox takes the last, as most readers of JSON do; nobody tried AWS's."""
    said = json.dumps(line("i-b"))
    table.put(key("i-b"), f'{said[:-1]}, "running_build": "v1"}}\n')
    assert states(verified(table, "i-a", "i-b"))["i-b"] == "restart-needed"


def test_two_reports_of_one_moment_are_one_instance_and_the_later_counts(table: Cloud) -> None:
    table.put(key("i-b", 1), line("i-b", seq=1))
    table.put(key("i-b", 2), line("i-b", seq=2, running_build="v1"))
    assert states(verified(table, "i-a", "i-b")) == {"i-a": "current", "i-b": "restart-needed"}


@pytest.mark.parametrize(
    "odd", [None, "", "i-b ", " i-b", "I-B", "i-b\x00", "i-b'", "i-", "not an id; --", "i-" + "0" * 3000]
)
def test_an_instance_id_that_is_none_speaks_for_no_member(table: Cloud, odd: str | None) -> None:
    # In a batch, for what one writes under a key of its own speaks for itself.
    table.put("batch.gz", gzip.compress(json.dumps({**line("i-b"), "instance_id": odd}).encode()))
    found = states(verified(table, "i-a", "i-b"))
    assert (found.pop("i-a"), found.pop("i-b")) == ("current", "silent")
    assert found == ({odd: "departed"} if odd else {})


def test_an_empty_object_is_nobodys_report(table: Cloud) -> None:
    table.put(key("i-b"), b"")
    assert states(verified(table, "i-a", "i-b")) == {"i-a": "current", "i-b": "silent"}


@pytest.mark.parametrize("body", ["{", '{"seq": "x"}', "\x00", "[]"])
def test_an_object_that_is_not_as_the_table_says_is_named_with_what_to_do(table: Cloud, body: str) -> None:
    name = table.put(key("i-b"), body)
    with pytest.raises(AwsError, match="HIVE_") as caught:
        verified(table, "i-a", "i-b")
    assert f"look at s3://acme-shipit/{name}, and move it away" in caught.value.hint


def test_a_hundred_thousand_rows_are_one_verdict(cloud: Cloud) -> None:
    cloud.create_table()
    # As the tool does: many rows come as one file, not a page at a time.
    cloud.athena = Athena(
        cloud.client,
        database="shipit",
        sleep=lambda seconds: threading.Event().wait(0.02),
        fetch=lambda url: cloud.store.get(BUCKET, url.removeprefix(f"s3://{BUCKET}/")),
    )
    good, bad = json.dumps(line("i-0")), json.dumps(line("i-0", running_build="v1"))
    ids = [f"i-{n:x}" for n in range(100_000)]
    rows = "\n".join((bad if n % 1000 == 7 else good).replace('"i-0"', f'"{id}"', 1) for n, id in enumerate(ids))
    cloud.put("batch.gz", gzip.compress(rows.encode(), compresslevel=1))
    found = verified(cloud, *ids)
    assert found.states == {"current": 99_900, "restart-needed": 100}


IDS = ("i-a", "i-b", "i-c")
SAID = st.fixed_dictionaries(
    {
        "instance_id": st.sampled_from(IDS),
        "build": st.none() | st.sampled_from(["v2", "v1", "it's"]),
        "running_build": st.none() | st.sampled_from(["v2", "v1", "it's"]),
        "digest": st.none() | st.sampled_from(["d2", "d1"]),
        "seq": st.none() | st.integers(0, 2),
        "ago": st.sampled_from([-3600, -61, -60, 0, 1, 660, 661, 3600, 3601, 86_400]),
    }
)


def answer(said: list[dict[str, Any]], instance_id: str) -> str:
    """Return the state by brute force: all reports of the instance, one after another, by the words of the pages."""
    read = [r for r in said if r["instance_id"] == instance_id and -60 < r["ago"] <= 3600]
    if not read:
        return "silent"
    last = read[0]
    for one in read[1:]:
        seqs = [-1 if r["seq"] is None else r["seq"] for r in (one, last)]
        if (-one["ago"], seqs[0], one["number"]) > (-last["ago"], seqs[1], last["number"]):
            last = one
    runs, holds = last["running_build"] or "", last["build"] or ""
    if last["ago"] > 660:
        return "stale"
    if runs == holds == "v2":
        return "current" if last["digest"] == "d2" else "wrong-digest"
    if holds == "v2":
        return "restart-needed"
    other = holds if runs == "v2" else runs or holds
    return "outdated" if other in ("v1", "v2", "it's") else "unknown-build"


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=st.lists(SAID, max_size=15))
def test_the_verdict_over_any_reports_is_what_plain_python_says(
    athena_door: Door, said: list[dict[str, Any]]
) -> None:
    cloud = Cloud(athena_door)
    try:
        cloud.create_table()
        for number, row in enumerate(said):
            row["number"] = number
            at = NOON - timedelta(seconds=row["ago"])
            fields = {name: row[name] for name in ("build", "running_build", "digest", "seq")}
            cloud.put(key(row["instance_id"], 100 + number), line(row["instance_id"], at, **fields), slot=slot(at))
        found = verified(cloud, *IDS)
    finally:
        cloud.close()
    assert states(found) == {id: answer(said, id) for id in IDS}
    assert found.converged == all(node.state is NodeState.CURRENT for node in found.nodes)
