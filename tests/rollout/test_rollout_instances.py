"""Instances that go, or come, in the middle cost neither an hour nor the group its success."""

from __future__ import annotations

import pytest
from rollout.led import rollout_of, run, told
from rollout.life import Life, phases
from rollout.world import HOUR, Faults, World

from shipit.events import (
    GroupRetried,
    GroupStarted,
    Notice,
)
from shipit.models import Cause, DeploymentStatus, Phase
from shipit.rollout import OnBusy, Orders, Policy

# -- instances that go ---------------------------------------------------------------------------------------------


def test_a_reclaimed_instance_costs_neither_an_hour_nor_the_group_its_success() -> None:
    world = World("a", instances=3)
    world.later(5.0, lambda: world.take("a"))
    life = Life(world)
    rollout = run(world, life=life)
    assert phases(rollout.state) == {"a": Phase.SUCCEEDED}
    assert world.builds("a") == {"v2"}
    assert world.at < HOUR / 2
    assert world.stops == [world.ours("a")[0].id]
    assert told(life, GroupRetried) == ["a"]
    assert [e.attempt for e in life.events if isinstance(e, GroupStarted)] == [1, 2]


def test_the_second_try_after_a_reclaim_reaches_only_instances_without_the_build() -> None:
    world = World("a", instances=3)
    world.later(5.0, lambda: world.take("a"))
    run(world)
    first, second = world.ours("a")
    assert len(first.targets) == 3
    assert len(second.targets) == 1
    assert not first.targets.keys() & second.targets.keys()


def test_each_try_is_noted_with_its_times() -> None:
    world = World("a", instances=3)
    world.later(5.0, lambda: world.take("a"))
    group = run(world).state.groups["a"]
    first, second = group.tries
    assert (first.deployment, second.deployment) == group.deployments
    assert first.started_at == group.started_at
    times = [moment for one in (first, second) for moment in (one.started_at, one.ended_at) if moment]
    assert len(times) == 4
    assert times == sorted(times)
    assert group.ended_at == second.ended_at


def test_a_dead_instance_beside_a_broken_one_is_not_waited_for_and_the_build_is_blamed() -> None:
    world = World("a", instances=3)
    world.alive("a")[0].bad = True
    world.later(5.0, lambda: world.take("a", which=1))
    assert phases(run(world).state) == {"a": Phase.FAILED}
    assert world.at < HOUR / 2


def test_those_that_wait_for_their_turn_behind_a_dead_instance_get_the_build_by_another_try() -> None:
    world = World("a", instances=4)
    world.groups["a"].serial = True
    world.later(5.0, lambda: world.take("a"))
    assert phases(run(world).state) == {"a": Phase.SUCCEEDED}
    assert world.builds("a") == {"v2"}
    assert world.at < HOUR / 2


def test_a_slow_serial_deployment_is_looked_at_and_never_stopped() -> None:
    world = World("a", instances=4)
    world.groups["a"].serial = True
    world.groups["a"].seconds = 120.0
    life = Life(world)
    assert phases(run(world, life=life).state) == {"a": Phase.SUCCEEDED}
    assert not world.stops


def test_an_instance_that_came_after_the_plan_and_died_is_missed_after_five_quiet_minutes() -> None:
    world = World("a", "b")
    world.groups["a"].seconds = 100.0
    life = Life(world)
    rollout = rollout_of(life, waves={"a": 0, "b": 1})
    rollout.run_wave(0, 2)
    world.groups["b"].launch = 0.0
    world.launch("b")
    newcomer = world.in_service("b")[-1].id
    began = world.at
    world.later(began + 3.0, lambda: world.take("b", cause=Cause.SCALED_IN, which=2))
    rollout.run_wave(1, 2)
    assert world.groups["b"].instances[newcomer].died_at == began + 3.0
    assert rollout.state.groups["b"].phase is Phase.SUCCEEDED
    assert 300 < world.at - began < HOUR / 2


def test_a_group_that_was_scaled_in_to_nothing_is_empty_and_no_failure() -> None:
    world = World("a", instances=1)
    world.later(5.0, lambda: world.take("a", cause=Cause.SCALED_IN))
    assert phases(run(world).state) == {"a": Phase.EMPTY}


def test_a_group_without_an_instance_is_empty() -> None:
    assert phases(run(World("a", instances=0)).state) == {"a": Phase.EMPTY}


def test_a_group_that_was_reclaimed_whole_is_waited_for_and_deployed_to() -> None:
    world = World("a", instances=1)
    world.groups["a"].launch = 100.0
    world.later(5.0, lambda: world.take("a"))
    assert phases(run(world).state) == {"a": Phase.SUCCEEDED}
    assert world.builds("a") == {"v2"}


def test_a_group_that_stays_empty_is_given_up_after_the_time_that_the_policy_gives() -> None:
    world = World("a", instances=1)
    world.groups["a"].launch = 2 * HOUR
    world.later(5.0, lambda: world.take("a"))
    assert phases(run(world, Policy(wait_for_members=100.0)).state) == {"a": Phase.EMPTY}
    assert 100 < world.at < HOUR / 2


def test_a_group_is_not_called_empty_while_nobody_can_look() -> None:
    world = World("a", instances=1)
    world.groups["a"].launch = 600.0
    world.later(5.0, lambda: world.take("a"))
    life = Life(world)

    def recover(sleeps: int) -> None:
        # Without this look at who is there it is the five quiet minutes that find the dead one.
        world.members_fail = world.at < 1000.0

    life.on_sleep = recover
    assert phases(run(world, Policy(wait_for_members=100.0), life=life).state) == {"a": Phase.SUCCEEDED}
    assert world.at > 1000


def test_where_none_was_outdated_the_next_try_is_at_all_so_that_launched_ones_get_the_build() -> None:
    world = World("a", instances=2)
    world.groups["a"].launch = 3 * HOUR
    world.later(5.0, lambda: world.take("a"))
    life = Life(world)
    # The try that found nobody to bring anything to is none of the retries.
    assert phases(run(world, Policy(retries=1), life=life).state) == {"a": Phase.SUCCEEDED}
    assert [e.reason for e in life.events if isinstance(e, GroupRetried)][1:] == ["none that was left was outdated"]
    stopped, none, whole = world.ours("a")
    assert (stopped.status, none.error_code) == (DeploymentStatus.STOPPED, "NO_INSTANCES")
    assert whole.status is DeploymentStatus.SUCCEEDED
    assert world.groups["a"].last_success.build == "v2"


def test_retries_are_bounded_and_the_end_says_so() -> None:
    world = World("a", instances=1)
    world.groups["a"].launch = 1.0
    life = Life(world)

    def reclaim(sleeps: int) -> None:
        active = world.groups["a"].active
        if active is not None and active.stop_at is None and world.at > active.created_at + 4:
            world.take("a")

    life.on_sleep = reclaim
    rollout = run(world, Policy(retries=2), life=life)
    assert phases(rollout.state) == {"a": Phase.FAILED}
    assert rollout.state.groups["a"].error_code == "RETRIES"
    assert len(world.ours("a")) == 3


# -- after the end of our deployments ------------------------------------------------------------------------------


def late(world: World, at: float = 5.0) -> None:
    """Launch an instance in the middle of the deployment."""
    world.later(at, lambda: world.launch("a"))


@pytest.mark.parametrize("faults", [Faults(), Faults(unreached=0.7), Faults(omitted=0.7)])
def test_settling_waits_for_the_update_of_instances_launched_in_the_middle(faults: Faults) -> None:
    world = World("a", faults=faults)
    late(world)
    life = Life(world)
    rollout = run(world, life=life)
    assert phases(rollout.state) == {"a": Phase.SUCCEEDED}
    follow_on = world.deployments[world.ours("a")[0].follow_on_ids[0]]
    assert follow_on.status is DeploymentStatus.SUCCEEDED
    world.sleep(60.0)
    assert world.builds("a") == {"v2"}
    told = len([e for e in life.events if isinstance(e, Notice) and follow_on.id in e.text])
    assert told == 1 if faults == Faults() else told <= 1


def test_settling_ends_at_the_deadline() -> None:
    world = World("a")
    late(world)
    rollout = rollout_of(Life(world), timeout=30.0)
    assert not rollout.run_wave(0, 1)
    world.groups["a"].seconds = 5000.0
    active = world.groups["a"].active
    assert active is not None
    for target in active.targets.values():
        target.ends_at = 5000.0
    rollout.settle()
    assert 30 <= world.at < 35


def test_settling_heeds_an_order_to_stop() -> None:
    world = World("a")
    late(world)
    life = Life(world)
    rollout = rollout_of(life)
    rollout.run_wave(0, 1)
    life.given = Orders(stop="bob")
    rollout.settle()
    assert rollout.state.closed


def outdate(world: World) -> None:
    """Bring an instance to the old build, as one is that was launched in the middle and updated by nobody."""
    world.in_service("a")[0].build = "v1"


def test_a_group_is_opened_again_for_its_outdated_instances_alone() -> None:
    world = World("a")
    life = Life(world)
    rollout = rollout_of(life)
    rollout.run_wave(0, 1)
    outdate(world)
    assert rollout.again(["a"], "mixed")
    assert not rollout.watch()
    assert phases(rollout.state) == {"a": Phase.SUCCEEDED}
    assert world.builds("a") == {"v2"}
    assert [len(d.targets) for d in world.ours("a")] == [2, 1]


def test_a_group_opened_again_in_which_nobody_is_outdated_has_succeeded_and_is_not_deployed_again() -> None:
    world = World("a")
    rollout = rollout_of(Life(world))
    rollout.run_wave(0, 1)
    assert rollout.again(["a"], "mixed")
    assert not rollout.watch()
    assert phases(rollout.state) == {"a": Phase.SUCCEEDED}
    assert rollout.state.groups["a"].error_code == ""
    assert [d.error_code for d in world.ours("a")] == ["", "NO_INSTANCES"]


def test_a_group_that_its_own_follow_on_holds_is_waited_for_when_it_is_opened_again() -> None:
    world = World("a")
    late(world)
    rollout = rollout_of(Life(world), Policy(on_busy=OnBusy.FAIL))
    rollout.run_wave(0, 1)
    assert world.groups["a"].active is not None
    rollout.again(["a"], "mixed")
    assert not rollout.watch()
    assert phases(rollout.state) == {"a": Phase.SUCCEEDED}


def test_nothing_is_opened_again_that_did_not_succeed_or_is_closed_or_has_no_try_left() -> None:
    world = World("a", "b")
    for instance in world.alive("b"):
        instance.bad = True
    rollout = rollout_of(Life(world), Policy(failed_groups=None, retries=1))
    rollout.run_wave(0, 1)
    assert not rollout.again(["b"], "mixed")
    assert rollout.again(["a"], "mixed")
    rollout.watch()
    assert not rollout.again(["a"], "mixed")
    rollout.close("enough")
    assert not rollout.again(["a"], "mixed")
