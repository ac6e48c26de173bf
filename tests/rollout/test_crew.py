"""Each command that is sent brings home one answer, whatever happens to it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from rollout.life import Life
from rollout.world import NEW, World

from shipit.errors import AwsThrottled, AwsUnavailable, GroupBusy, ShipitError
from shipit.rollout import Mark, Observed
from shipit.rollout.crew import Crew
from shipit.rollout.state import Examine, Find, Start, Stop


def crew_of(life: Life, *, may_start: Callable[[Start], bool] = lambda start: True) -> Crew:
    return Crew(life.world.plan(), life, life, by="ann", ignore_stop_failures=False, may_start=may_start)


def awaited(crew: Crew) -> Observed:
    for _ in range(2000):
        found = crew.collect()
        if found != Observed():
            return found
        time.sleep(0.005)
    raise AssertionError("no answer came")


def mark(attempt: int = 1, rollout: str = "r-1") -> str:
    return str(Mark(rollout=rollout, attempt=attempt, build=NEW, env="test", by="ann"))


def test_a_creation_says_in_its_description_whose_it_is_and_which_try() -> None:
    world = World("a")
    crew = crew_of(Life(world))
    crew.send(Start(group="a", attempt=2))
    found = awaited(crew)
    made = world.ours("a")[0]
    assert found == Observed(created={"a": made.id})
    assert made.description == mark(2)


def test_a_group_that_this_very_try_holds_is_adopted_although_nobody_heard_of_it() -> None:
    world = World("a")
    made = world.create("a", NEW, mark(), False)
    crew = crew_of(Life(world))
    crew.send(Start(group="a", attempt=1))
    assert awaited(crew) == Observed(created={"a": made})


@pytest.mark.parametrize("description", [mark(2), mark(1, "r-2")])
def test_a_group_that_another_try_or_rollout_holds_is_refused_with_what_is_known_of_the_holder(
    description: str,
) -> None:
    world = World("a")
    made = world.create("a", NEW, description, False)
    crew = crew_of(Life(world))
    crew.send(Start(group="a", attempt=1))
    found = awaited(crew)
    refused = found.refused["a"]
    assert isinstance(refused, GroupBusy)
    assert refused.holder_id == made
    assert found.deployments[made].description == description
    assert not found.created


@pytest.mark.parametrize(("attempt", "there"), [(1, True), (2, False)])
def test_a_lost_creation_is_found_by_its_mark_or_is_not_there_and_nothing_is_created(
    attempt: int, there: bool
) -> None:
    world = World("a")
    made = world.create("a", NEW, mark(1), False)
    crew = crew_of(Life(world))
    crew.send(Find(group="a", attempt=attempt))
    expected = Observed(created={"a": made}) if there else Observed(absent=frozenset("a"))
    assert awaited(crew) == expected
    assert len(world.ours("a")) == 1


def test_what_may_not_start_any_more_is_withdrawn() -> None:
    world = World("a")
    crew = crew_of(Life(world), may_start=lambda start: False)
    crew.send(Start(group="a", attempt=1))
    assert awaited(crew) == Observed(withdrawn=frozenset("a"))
    assert not world.created


def test_a_crew_that_is_shut_creates_nothing_and_still_looks_and_stops() -> None:
    world = World("a", "b", "c", "d")
    held = world.occupy("d")
    crew = crew_of(Life(world))
    crew.shut()
    crew.send(Start(group="a", attempt=1))
    assert awaited(crew) == Observed(withdrawn=frozenset("a"))
    crew.send(Find(group="b", attempt=1))
    assert awaited(crew) == Observed(absent=frozenset("b"))
    crew.send(Stop(group="d", deployment_id=held))
    assert awaited(crew) == Observed(stopped={"d": None})
    crew.send(Examine(group="d", deployment_id=held, ended=False))
    assert awaited(crew).examined.keys() == {"d"}
    assert not world.created


@pytest.mark.parametrize("defect", [AwsUnavailable("no connection"), RuntimeError("surprise")])
def test_whatever_a_call_raises_comes_home_as_the_answer_to_its_command(defect: Exception) -> None:
    world = World("a")
    life = Life(world)

    def fail(group: str) -> None:
        raise defect

    life.on_create = fail
    crew = crew_of(life)
    crew.send(Start(group="a", attempt=1))
    found = awaited(crew).refused["a"]
    assert isinstance(found, ShipitError)
    assert str(defect) in found.message


def test_a_muster_that_failed_is_over_and_the_next_one_may_be_luckier() -> None:
    world = World("a")
    world.faults.throttled = 1.0
    crew = crew_of(Life(world))
    for chance in (1.0, 0.0):
        world.faults.throttled = chance
        assert not crew.mustering
        crew.muster(["a"])
        assert crew.mustering
        found: Observed = Observed()
        while crew.mustering:
            found |= crew.collect()
            time.sleep(0.001)
    assert found.members["a"] == {i.id for i in world.alive("a")}


def test_a_refusal_to_stop_is_the_answer_to_the_stop() -> None:
    world = World("a")
    held = world.occupy("a")
    world.faults.throttled = 1.0
    crew = crew_of(Life(world))
    crew.send(Stop(group="a", deployment_id=held))
    assert isinstance(awaited(crew).stopped["a"], AwsThrottled)
