"""Runs of deployments become periods of groups; a rollback stays apart from what it goes back to."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from fakes import NOON, group
from hypothesis import given
from hypothesis import strategies as st

from shipit.models import BuildRun
from shipit.versions import of_group, periods

GROUPS = {g.asg: g for g in (group("a", queue="email-a"), group("b", queue="reports"))}


def run(
    build: str, deployment: str, since: float, until: float | None, *, asg: str = "worker-a", n: int = 2
) -> BuildRun:
    """Return a run of `n` instances, from and until so many minutes before noon; None where none has an end."""
    return BuildRun(
        asg=asg,
        build=build,
        deployment_id=deployment,
        instances=n,
        since=NOON - timedelta(minutes=since),
        until=None if until is None else NOON - timedelta(minutes=until),
        unended=n if until is None else 0,
    )


def test_a_rollback_makes_three_periods_the_newest_first() -> None:
    runs = [run("A", "d-1", 90, 61), run("B", "d-2", 60, 31), run("A", "d-3", 30, None)]
    assert [(p.group, p.build, p.deployments, p.instances) for p in periods(runs, GROUPS)] == [
        ("a", "A", ("d-3",), 2),
        ("a", "B", ("d-2",), 2),
        ("a", "A", ("d-1",), 2),
    ]
    assert [p.until for p in periods(runs, GROUPS)] == [
        None,
        NOON - timedelta(minutes=31),
        NOON - timedelta(minutes=61),
    ]


def test_launched_instances_do_not_make_periods_of_their_own() -> None:
    runs = [run("A", "d-1", 90, None), run("A", "d-2", 50, 40, n=1), run("A", "d-3", 20, None, n=1)]
    [period] = periods(runs, GROUPS)
    assert (period.instances, period.until, period.deployments) == (4, None, ("d-1", "d-2", "d-3"))


def test_instances_that_died_without_a_word_do_not_run_for_ever() -> None:
    runs = [replace(run("A", "d-1", 90, 60), unended=1), run("B", "d-2", 61, None)]
    newest, oldest = periods(runs, GROUPS)
    assert (newest.build, newest.until) == ("B", None)
    assert oldest.until == NOON - timedelta(minutes=60)
    assert oldest.unended == 1


def test_where_all_died_without_a_word_what_came_next_ends_a_period() -> None:
    _, oldest = periods([run("A", "d-1", 90, None), run("B", "d-2", 60, None), run("B", "d-3", 50, None)], GROUPS)
    assert (oldest.until, oldest.unended) == (NOON - timedelta(minutes=60), 2)


def test_a_build_brought_again_goes_on_to_what_came_next_where_nobody_said_the_end() -> None:
    """Its first run ended only for the second one's sake."""
    runs = [run("A", "d-1", 90, 80), run("A", "d-2", 80, None, n=0), run("B", "d-3", 60, None)]
    runs[1] = replace(runs[1], unended=2)
    _, oldest = periods(runs, GROUPS)
    assert (oldest.instances, oldest.until, oldest.unended) == (2, NOON - timedelta(minutes=60), 2)


def test_a_group_that_is_gone_goes_by_its_auto_scaling_group() -> None:
    runs = [run("A", "d-1", 90, None, asg="worker-old"), run("A", "", 90, 30, asg="worker-b")]
    found = periods(runs, GROUPS)
    assert [(p.group, p.deployments) for p in found] == [("b", ()), ("worker-old", ("d-1",))]


@pytest.mark.parametrize(
    ("pattern", "asgs"),
    [
        ("", ["worker-a", "worker-b", "worker-old"]),
        ("a", ["worker-a"]),
        ("email-*", ["worker-a"]),
        ("reports", ["worker-b"]),
        ("worker-o*", ["worker-old"]),
        ("none", []),
    ],
)
def test_a_wildcard_finds_a_group_by_any_of_its_names(pattern: str, asgs: list[str]) -> None:
    runs = [run("A", "d-1", 90, None, asg=asg) for asg in ("worker-a", "worker-b", "worker-old")]
    assert [r.asg for r in of_group(runs, pattern, GROUPS)] == asgs


RUNS = st.lists(
    st.builds(
        lambda build, deployment, since, lasts, asg: run(
            build, deployment, since, None if lasts is None else since - lasts, asg=asg
        ),
        st.sampled_from("AB"),
        st.sampled_from(["d-1", "d-2", "d-3"]),
        st.integers(0, 50),
        st.none() | st.integers(0, 20),
        st.sampled_from(["worker-a", "worker-b"]),
    ),
    max_size=12,
    unique_by=lambda r: (r.asg, r.build, r.deployment_id),
)


@given(RUNS)
def test_every_start_is_in_one_period_and_neighbours_are_of_different_builds(runs: list[BuildRun]) -> None:
    found = periods(runs, GROUPS)
    assert sum(p.instances for p in found) == sum(r.instances for r in runs)
    for asg, known in GROUPS.items():
        theirs = [p for p in found if p.group == known.name]
        assert {p.build for p in theirs} == {r.build for r in runs if r.asg == asg}
        assert all(a.build != b.build and a.since >= b.since for a, b in pairwise(theirs))
        assert all(p.until for p in theirs[1:]), "only the last build of a group runs now"
