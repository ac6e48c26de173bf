"""What a process leaves behind is enough for another one to go on from, even where the last word is missing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from fakes import NOON, deployment, group
from hypothesis import given
from hypothesis import strategies as st
from rollout.life import Life
from rollout.world import HOUR, NEW, World

from shipit.models import Deployment, FailureNote, Group, GroupEntry, Outcome, Phase, RolloutRecord
from shipit.rollout import (
    Mark,
    Policy,
    Rollout,
    RolloutState,
    annotate,
    begin,
    complete,
    decide,
    entries,
    gather,
    restore,
)
from shipit.rollout.state import Examine, Start

POLICY = Policy(failed_groups=None)
WORDS = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=20)


def record_of(world: World, **groups: GroupEntry) -> RolloutRecord:
    """Return the record that was written at the start, with these entries changed."""
    made = entries(world.plan())
    return RolloutRecord(id="r-1", env="test", build=NEW, by="ann", started_at=NOON, groups={**made, **groups})


def resumed(world: World, record: RolloutRecord, *, waves: dict[str, int] | None = None) -> RolloutState:
    last: dict[str, Deployment] = {
        n: world.view(g.last_attempt) for n, g in world.groups.items() if g.last_attempt is not None
    }
    return restore(record, world.plan(waves), last, POLICY)


def create(world: World, group: str, attempt: int = 1, *, rollout: str = "r-1") -> str:
    mark = Mark(rollout=rollout, attempt=attempt, build=NEW, env="test", by="ann")
    return world.create(group, NEW, str(mark), False)


def drive(world: World, state: RolloutState) -> Rollout:
    rollout = Rollout(world.plan(), state, Life(world).tools, by="ben", poll=2.0, timeout=3 * HOUR)
    rollout.run_wave(0, 1)
    rollout.finish()
    return rollout


def test_what_ended_stays_ended_and_what_was_never_begun_begins() -> None:
    world = World("a", "b", "c")
    record = record_of(
        world,
        a=GroupEntry(phase=Phase.SUCCEEDED, deployments=("d-1",)),
        b=GroupEntry(phase=Phase.FAILED, deployments=("d-2",)),
    )
    rollout = drive(world, resumed(world, record))
    assert {n: g.phase for n, g in rollout.state.groups.items()} == {
        "a": Phase.SUCCEEDED,
        "b": Phase.FAILED,
        "c": Phase.SUCCEEDED,
    }
    assert world.created == {("c", 1): 1}


def test_a_creation_that_nobody_noted_is_found_by_its_mark() -> None:
    world = World("a")
    record = record_of(world)
    made = create(world, "a")
    rollout = drive(world, resumed(world, record))
    assert rollout.state.groups["a"].deployments == (made,)
    assert [t.deployment for t in rollout.state.groups["a"].tries] == [made]
    assert world.created == {("a", 1): 1}


def test_a_deployment_of_another_rollout_is_not_taken_for_ours() -> None:
    world = World("a")
    record = record_of(world)
    create(world, "a", rollout="r-2")
    state = resumed(world, record)
    assert (state.groups["a"].phase, state.groups["a"].deployments) == (Phase.WAITING, ())


def test_tries_that_nobody_noted_are_counted_by_the_newest_ones_mark() -> None:
    world = World("a")
    record = record_of(world)
    create(world, "a", attempt=3)
    state = resumed(world, record)
    assert state.groups["a"].tried == 3
    assert replace(state.groups["a"], phase=Phase.WAITING).attempt == 4


def test_a_success_that_codedeploy_hid_behind_an_update_is_not_deployed_again() -> None:
    world = World("a")
    world.own_are_newest = True
    record = record_of(world)
    create(world, "a")
    world.later(2.0, lambda: world.launch("a"))
    world.sleep(30.0)
    world.sleep(30.0)
    assert world.groups["a"].last_attempt is not world.ours("a")[0]
    rollout = drive(world, resumed(world, record))
    assert rollout.state.groups["a"].phase is Phase.SUCCEEDED
    assert [d.status for d in world.ours("a")] == ["Succeeded", "Failed"]
    assert world.ours("a")[1].error_code == "NO_INSTANCES"


def test_a_deployment_that_was_stopped_meanwhile_is_tried_again_for_the_user_asked_to_carry_on() -> None:
    world = World("a")
    record = record_of(world, a=GroupEntry(phase=Phase.RUNNING, deployments=(create(world, "a"),)))
    world.stop_active("a")
    world.sleep(5.0)
    rollout = drive(world, resumed(world, record))
    assert rollout.state.groups["a"].phase is Phase.SUCCEEDED
    assert world.created == {("a", 1): 1, ("a", 2): 1}


def test_what_runs_is_looked_at_at_once_for_nobody_knows_who_died_before() -> None:
    world = World("a", instances=2)
    record = record_of(world, a=GroupEntry(phase=Phase.RUNNING, deployments=(create(world, "a"),)))
    world.later(1.0, lambda: world.take("a"))
    world.sleep(100.0)
    began = world.at
    state = resumed(world, record)
    assert [type(c) for c in decide(state, NOON)[1]] == [Examine]
    rollout = drive(world, state)
    assert rollout.state.groups["a"].phase is Phase.SUCCEEDED
    assert world.at - began < HOUR / 2


def test_a_retry_that_waited_goes_on_at_the_outdated_instances() -> None:
    world = World("a")
    made = create(world, "a")
    world.stop_active("a")
    world.sleep(5.0)
    record = record_of(world, a=GroupEntry(phase=Phase.WAITING, deployments=(made,)))
    _, commands = decide(resumed(world, record), NOON)
    assert commands == (Start(group="a", attempt=2, outdated_only=True),)


def test_it_goes_on_in_the_last_wave_that_had_begun() -> None:
    world = World("a", "b", "c")
    waves = {"a": 0, "b": 1, "c": 2}
    record = record_of(world, a=GroupEntry(phase=Phase.SUCCEEDED, deployments=("d-1",)))
    assert resumed(world, record, waves=waves).wave == 0
    create(world, "b")
    assert resumed(world, record, waves=waves).wave == 1


def test_a_group_that_the_record_does_not_know_begins_as_any_other() -> None:
    world = World("a", "b")
    record = record_of(world)
    record = replace(record, groups={"a": record.groups["a"]})
    assert resumed(world, record).groups["b"] == begin(world.plan(), POLICY).groups["b"]


def test_the_record_keeps_each_group_as_it_stands_and_why_it_failed() -> None:
    world = World("a", "b")
    world.alive("b")[0].bad = world.alive("b")[1].bad = True
    record = record_of(world)
    rollout = drive(world, begin(world.plan(), POLICY))
    why = FailureNote(cause="a script failed")
    kept = annotate(record, rollout.state, {"a": why, "b": why}).groups
    assert (kept["a"].phase, kept["a"].failure) == (Phase.SUCCEEDED, None)
    assert (kept["b"].phase, kept["b"].failure) == (Phase.FAILED, why)
    assert kept["a"].deployments == tuple(d.id for d in world.ours("a"))
    assert kept["a"].queue == "a"
    assert kept["a"].seconds is not None


def test_why_a_group_failed_stays_noted_when_the_rollout_is_carried_on() -> None:
    world = World("a", "b")
    why = FailureNote(cause="a script failed")
    record = record_of(world, b=GroupEntry(phase=Phase.FAILED, deployments=("d-2",), failure=why))
    rollout = drive(world, resumed(world, record))
    assert annotate(record, rollout.state, {}).groups["b"].failure == why


def test_what_is_being_looked_into_counts_as_running_in_the_record() -> None:
    world = World("a")
    state = begin(world.plan(), POLICY)
    state = replace(state, groups={"a": replace(state.groups["a"], phase=Phase.EXAMINING)})
    assert annotate(record_of(world), state, {}).groups["a"].phase is Phase.RUNNING


@given(WORDS, st.integers(1, 99), WORDS, WORDS, st.text(max_size=300))
def test_a_mark_is_read_back_from_any_description_that_codedeploy_takes(
    rollout: str, attempt: int, build: str, env: str, by: str
) -> None:
    mark = Mark(rollout=rollout, attempt=attempt, build=build, env=env, by=by)
    text = str(mark)
    assert len(text) <= 256
    found = Mark.parse(text)
    assert found is not None
    assert replace(found, by="") == replace(mark, by="")
    assert by.startswith(found.by)
    assert mark.same_try(text)
    assert not replace(mark, attempt=attempt + 1).same_try(text)


@given(st.integers(200, 219))
def test_a_mark_that_leaves_hardly_any_room_for_its_author_is_one_all_the_same(length: int) -> None:
    mark = Mark(rollout="r-1", attempt=1, build="v" * length, env="e", by="ann@laptop")
    assert len(str(mark)) <= 256
    assert mark.same_try(str(mark))


def test_a_description_of_somebody_else_is_no_mark() -> None:
    assert Mark.parse("shipit rollout r-1") is None
    assert Mark.parse("by hand") is None
    assert Mark.parse("") is None


def test_a_lost_record_is_made_anew_of_the_deployments_that_bear_its_mark() -> None:
    def tried(name: str, rollout: str, build: str, minute: int) -> Group:
        mark = Mark(rollout=rollout, attempt=1, build=build, env="prod", by="ann")
        at = NOON + timedelta(minutes=minute)
        last = deployment(name, build, "InProgress", id=f"d-{name}", description=str(mark), created_at=at)
        return group(name, queue=f"q-{name}", last_attempt=last)

    groups = [
        tried("a", "r-1", "v2", 2),
        tried("b", "r-1", "v1", 1),
        tried("c", "r-2", "v3", 0),
        group("d"),
        group("e", last_attempt=deployment("e", "v2", description="by hand")),
    ]
    made = gather("r-1", groups, now=NOON + timedelta(hours=1))
    assert made is not None
    assert (made.id, made.env, made.by, made.outcome) == ("r-1", "prod", "ann", Outcome.RUNNING)
    assert made.started_at == NOON + timedelta(minutes=1)
    assert {n: (g.build, g.deployments, g.queue, g.phase) for n, g in made.groups.items()} == {
        "a": ("v2", ("d-a",), "q-a", Phase.RUNNING),
        "b": ("v1", ("d-b",), "q-b", Phase.RUNNING),
    }
    assert gather("r-9", groups, now=NOON) is None


def test_a_record_is_completed_by_deployments_that_bear_its_mark_and_by_no_others() -> None:
    world = World("a", "b", "c", "d")
    create(world, "a")
    create(world, "b", rollout="r-2")
    noted = create(world, "c")
    record = record_of(world, c=GroupEntry(phase=Phase.SUCCEEDED, deployments=(noted,)))
    last = {n: world.view(g.last_attempt) for n, g in world.groups.items() if g.last_attempt is not None}
    completed = complete(record, last)
    assert completed.groups["a"].deployments == (last["a"].id,)
    assert completed.groups["a"].phase is Phase.RUNNING
    assert {n: completed.groups[n] for n in "bcd"} == {n: record.groups[n] for n in "bcd"}
    assert complete(completed, last) == completed
