"""A rollout over a whole world: what is told of it, calls that fail, the budget of failures, the pace."""

from __future__ import annotations

import pytest
from rollout.led import EASY, rollout_of, run, told
from rollout.life import Life, phases
from rollout.world import HOUR, Faults, World

from shipit.errors import AwsError, AwsThrottled, AwsUnavailable
from shipit.events import (
    GroupEnded,
    GroupStarted,
    Notice,
    RolloutFinished,
    RolloutHalted,
)
from shipit.models import Allowance, Cause, Phase
from shipit.rollout import Orders, Policy, Rollout, RolloutState, begin

# -- the sunny one, and what is told of it ---------------------------------------------------------------------------


def test_every_group_is_created_once_runs_at_once_and_is_told_once() -> None:
    world = World("a", "b", "c")
    life = Life(world)
    rollout = run(world, life=life)
    assert phases(rollout.state) == dict.fromkeys("abc", Phase.SUCCEEDED)
    assert world.created == {("a", 1): 1, ("b", 1): 1, ("c", 1): 1}
    assert sorted(told(life, GroupStarted)) == sorted(told(life, GroupEnded)) == ["a", "b", "c"]
    assert isinstance(life.events[-1], RolloutFinished)
    assert world.most_active == 3
    assert world.builds("a") == {"v2"}


def test_a_group_whose_every_instance_fails_is_failed_and_the_others_go_on() -> None:
    world = World("a", "b")
    for instance in world.alive("b"):
        instance.bad = True
    rollout = run(world)
    assert phases(rollout.state) == {"a": Phase.SUCCEEDED, "b": Phase.FAILED}
    assert rollout.state.groups["b"].error_code == "HEALTH_CONSTRAINTS"
    assert rollout.state.groups["b"].examination.count(Cause.SCRIPT_FAILED) == 2


def test_a_success_that_hides_a_failed_instance_is_partial() -> None:
    world = World("a", instances=3)
    world.alive("a")[0].bad = True
    assert phases(run(world).state) == {"a": Phase.PARTIAL}


def test_a_deployment_that_cannot_be_created_fails_its_group_with_the_reason() -> None:
    world = World("a", "b")
    life = Life(world)

    def deny(group: str) -> None:
        if group == "a":
            raise AwsError("denied")

    life.on_create = deny
    rollout = run(world, life=life)
    assert phases(rollout.state) == {"a": Phase.FAILED, "b": Phase.SUCCEEDED}
    assert rollout.state.groups["a"].error_message == "denied"
    assert rollout.state.groups["a"].error_code == "REFUSED"


def test_a_defect_in_a_thread_fails_its_group_instead_of_hanging() -> None:
    world = World("a")
    life = Life(world)

    def break_down(group: str) -> None:
        raise RuntimeError("surprise")

    life.on_create = break_down
    rollout = run(world, life=life)
    assert phases(rollout.state) == {"a": Phase.FAILED}
    assert "surprise" in rollout.state.groups["a"].error_message
    assert rollout.state.groups["a"].error_code == "NOT_CREATED"


# -- calls that fail -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_an_answer_lost_after_the_creation_creates_nothing_twice(seed: int) -> None:
    world = World(*"abcdef", seed=seed, faults=Faults(unheard=0.5))
    assert set(phases(run(world).state).values()) == {Phase.SUCCEEDED}
    assert set(world.created.values()) == {1}


def test_a_creation_whose_answer_was_lost_is_found_although_nothing_more_may_start() -> None:
    world = World("a", faults=Faults(unheard=1.0, until=1.0))
    life = Life(world)

    def order(sleeps: int) -> None:
        if world.ours("a"):
            life.given = Orders(stop="bob")

    life.on_sleep = order
    rollout = run(world, life=life)
    assert phases(rollout.state) == {"a": Phase.SUCCEEDED}
    assert rollout.state.groups["a"].deployments == tuple(d.id for d in world.ours("a"))


def test_throttled_and_failing_polls_are_notices_and_never_a_verdict() -> None:
    world = World("a", "b", faults=Faults(throttled=0.4, unreached=0.2, omitted=0.3))
    life = Life(world)
    assert set(phases(run(world, life=life).state).values()) == {Phase.SUCCEEDED}
    warned = [e for e in life.events if isinstance(e, Notice) and "watching goes on" in e.text]
    # What changes nothing does not fill a log: a line each half minute at most.
    assert 1 <= len(warned) <= 1 + world.at / 30


def test_a_poll_that_is_refused_for_good_ends_the_watching_with_that_and_is_no_verdict() -> None:
    world = World("a", "b")
    refused = AwsError("the credentials have expired")

    def expire(sleeps: int) -> None:
        if set(phases(rollout.state).values()) == {Phase.RUNNING}:
            life.poll_error = refused

    life = Life(world)
    life.on_sleep = expire
    rollout = rollout_of(life)
    with pytest.raises(AwsError) as caught:
        rollout.run_wave(0, 1)
    rollout.finish()
    assert caught.value is refused
    assert phases(rollout.state) == {"a": Phase.RUNNING, "b": Phase.RUNNING}


def test_what_nobody_may_look_at_is_no_success_and_no_empty_group() -> None:
    world = World("a", "b", instances=3)
    world.alive("a")[0].bad = True
    for instance in world.alive("b"):
        instance.died_at = 0.0
    world.examine_error = AwsError("denied")
    rollout = run(world)
    assert phases(rollout.state) == {"a": Phase.PARTIAL, "b": Phase.FAILED}
    assert rollout.state.groups["a"].error_message == "denied"


# -- budgets -------------------------------------------------------------------------------------------------------


def spoilt(*bad: str, instances: int = 2) -> tuple[World, Life]:
    """Return a world of eight groups, two at a time, in which some are bad."""
    world = World(*"abcdefgh", instances=instances)
    world.account_limit = 2
    for name in bad:
        for instance in world.alive(name):
            instance.bad = True
    return world, Life(world)


@pytest.mark.parametrize("allowance", [Allowance(count=1), Allowance(percent=13.0)])
def test_when_more_groups_failed_than_may_no_new_group_starts(allowance: Allowance) -> None:
    world, life = spoilt("a", "b")
    rollout = run(world, Policy(failed_groups=allowance), life=life)
    assert rollout.state.halted == f"2 of 8 groups failed, and {allowance} may"
    assert rollout.state.count(Phase.FAILED) == 2
    assert rollout.state.count(Phase.WAITING) > 0
    assert len([e for e in life.events if isinstance(e, RolloutHalted)]) == 1


@pytest.mark.parametrize("allowance", [Allowance(count=2), Allowance(percent=25.0), None])
def test_as_many_failed_groups_as_may_do_not_halt_it(allowance: Allowance | None) -> None:
    world, life = spoilt("a", "b")
    rollout = run(world, Policy(failed_groups=allowance), life=life)
    assert (rollout.state.count(Phase.FAILED), rollout.state.count(Phase.SUCCEEDED)) == (2, 6)


@pytest.mark.parametrize("allowance", [Allowance(count=3), Allowance(percent=20.0)])
def test_when_more_instances_failed_than_may_no_new_group_starts(allowance: Allowance) -> None:
    world, life = spoilt("a", "b")
    rollout = run(world, Policy(failed_groups=None, failed_instances=allowance), life=life)
    assert rollout.state.halted == f"4 of 16 instances failed, and {allowance} may"
    assert rollout.state.count(Phase.WAITING) > 0


def test_failed_instances_count_while_their_group_still_runs() -> None:
    world = World("a", "b", instances=4)
    world.account_limit = 1
    world.groups["a"].seconds = 5.0
    world.alive("a")[0].bad = True
    world.groups["a"].serial = False
    slow = world.alive("a")[3]
    life = Life(world)

    def hold(sleeps: int) -> None:
        for it in world.ours("a"):
            if not it.status.ended:
                it.targets[slow.id].ends_at = 200.0

    life.on_sleep = hold
    rollout = run(world, Policy(failed_groups=None, failed_instances=Allowance(count=0)), life=life)
    halted = next(e for e in life.events if isinstance(e, RolloutHalted))
    ended = next(e for e in life.events if isinstance(e, GroupEnded))
    assert halted.at < ended.at
    assert phases(rollout.state) == {"a": Phase.PARTIAL, "b": Phase.WAITING}


def test_an_instance_that_is_gone_spends_no_budget() -> None:
    world = World("a", "b", instances=3)
    world.later(5.0, lambda: world.take("a"))
    rollout = run(world, Policy(failed_groups=Allowance(), failed_instances=Allowance()))
    assert phases(rollout.state) == dict.fromkeys("ab", Phase.SUCCEEDED)
    assert not rollout.state.halted


def test_a_halted_rollout_still_tries_again_what_it_had_begun() -> None:
    world = World("a", "b", "c", instances=2)
    world.account_limit = 2
    for instance in world.alive("a"):
        instance.bad = True
    world.groups["a"].seconds = world.groups["b"].seconds = 14.0
    world.later(5.0, lambda: world.take("b"))
    rollout = run(world, Policy())
    assert phases(rollout.state) == {"a": Phase.FAILED, "b": Phase.SUCCEEDED, "c": Phase.WAITING}


# -- the loop ------------------------------------------------------------------------------------------------------


def test_the_loop_sleeps_its_poll_while_nothing_is_under_way() -> None:
    world = World("a")
    world.groups["a"].seconds = 200.0
    life = Life(world)
    run(world, life=life)
    assert life.sleeps < 200


def test_a_throttled_creation_is_made_again_before_the_next_poll() -> None:
    world = World("a")
    life = Life(world)
    tries: list[float] = []

    def throttle(group: str) -> None:
        tries.append(world.at)
        if len(tries) < 4:
            raise AwsUnavailable("out of reach") if len(tries) == 1 else AwsThrottled("too many calls")

    life.on_create = throttle
    plan = world.plan()
    rollout = Rollout(plan, begin(plan, EASY), life.tools, by="ann", poll=60.0, timeout=HOUR)
    rollout.run_wave(0, 1)
    assert tries[-1] < 10
    assert rollout.state.count(Phase.SUCCEEDED) == 1


def test_the_end_of_every_group_is_noted_in_the_journal() -> None:
    world = World("a", "b")
    life = Life(world)
    rollout = run(world, life=life)
    assert isinstance(life.noted, RolloutState)
    assert life.noted == rollout.state
