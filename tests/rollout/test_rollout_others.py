"""What others do to a rollout: hold its groups, stop it, take its lock, interrupt it, let its waves through."""

from __future__ import annotations

import re
import signal
import threading
import time

import pytest
from rollout.led import rollout_of, run
from rollout.life import Life, phases
from rollout.world import HOUR, Faults, World

from shipit.errors import Interrupted, LockLost
from shipit.events import (
    GroupBlocked,
    RolloutFinished,
    RolloutHalted,
    WaveStarted,
)
from shipit.models import DeploymentStatus, Phase
from shipit.rollout import OnBusy, Orders, Policy

# -- others --------------------------------------------------------------------------------------------------------


def test_on_busy_wait_lets_the_holder_end_and_names_it() -> None:
    world = World("a")
    holder = world.occupy("a", seconds=60.0)
    life = Life(world)
    assert phases(run(world, Policy(on_busy=OnBusy.WAIT), life=life).state) == {"a": Phase.SUCCEEDED}
    assert world.deployments[holder].status is DeploymentStatus.SUCCEEDED
    (blocked,) = [e for e in life.events if isinstance(e, GroupBlocked)]
    assert blocked.holder_id == holder
    # Who holds it, for how long, and what for.
    assert re.fullmatch(rf"{holder} \(user, .+ old\): by hand", blocked.holder)
    assert world.builds("a") == {"v2"}


def test_on_busy_stop_stops_the_holder_once_and_goes_on() -> None:
    world = World("a")
    holder = world.occupy("a", seconds=6000.0)
    assert phases(run(world, Policy(on_busy=OnBusy.STOP)).state) == {"a": Phase.SUCCEEDED}
    assert world.stops == [holder]
    assert world.at < HOUR


@pytest.mark.parametrize(("policy", "phase"), [(OnBusy.SKIP, Phase.SKIPPED), (OnBusy.FAIL, Phase.FAILED)])
def test_on_busy_skip_and_fail_leave_the_holder_alone(policy: OnBusy, phase: Phase) -> None:
    world = World("a", "b")
    holder = world.occupy("a", seconds=6000.0)
    rollout = run(world, Policy(on_busy=policy, failed_groups=None))
    assert phases(rollout.state) == {"a": phase, "b": Phase.SUCCEEDED}
    assert rollout.state.groups["a"].error_code == "BUSY"
    assert not world.ours("a")
    assert not world.deployments[holder].status.ended


@pytest.mark.parametrize("policy", [OnBusy.STOP, OnBusy.SKIP, OnBusy.FAIL])
def test_what_codedeploy_started_by_itself_is_waited_for_whatever_the_policy_for_others(policy: OnBusy) -> None:
    world = World("a")
    world.occupy("a", seconds=60.0, creator="codeDeployRollback")
    assert phases(run(world, Policy(on_busy=policy)).state) == {"a": Phase.SUCCEEDED}
    assert not world.stops


def test_a_deployment_that_somebody_stops_is_stopped_and_not_tried_again() -> None:
    world = World("a", "b")
    world.later(5.0, lambda: world.stop_active("a"))
    assert phases(run(world).state) == {"a": Phase.STOPPED, "b": Phase.SUCCEEDED}
    assert len(world.ours("a")) == 1


def test_a_full_account_is_filled_and_never_a_failure() -> None:
    world = World(*"abcdef")
    world.account_limit = 2
    assert set(phases(run(world).state).values()) == {Phase.SUCCEEDED}
    assert world.most_active == 2


def test_what_queues_when_the_account_turns_out_to_be_full_is_not_tried_one_by_one() -> None:
    names = [f"g{n:02}" for n in range(60)]
    world = World(*names)
    world.account_limit = 0
    life = Life(world)
    tries: list[str] = []

    def create(group: str) -> None:
        """Let the first be refused, and the others only when that is known."""
        tries.append(group)
        while group != names[0] and rollout.state.resume_at is None:
            time.sleep(0.001)

    def wait(sleeps: int) -> None:
        if rollout.state.resume_at is None:
            time.sleep(0.01)

    life.on_create, life.on_sleep = create, wait
    rollout = rollout_of(life, timeout=8.0)
    assert rollout.run_wave(0, 1)
    rollout.finish()
    assert rollout.state.resume_at is not None
    assert 1 < len(tries) < len(names)
    assert rollout.state.count(Phase.WAITING) == len(names)


# -- ends that are not of its own making ---------------------------------------------------------------------------


def test_the_deadline_is_no_failure_and_leaves_what_runs() -> None:
    world = World("a", "b")
    world.groups["b"].seconds = 5000.0
    rollout = rollout_of(Life(world), timeout=60.0)
    assert rollout.run_wave(0, 1)
    assert phases(rollout.state) == {"a": Phase.SUCCEEDED, "b": Phase.RUNNING}
    assert 60 <= world.at < 63
    assert not world.stops


def test_ctrl_c_leaves_the_deployments_running_and_says_how_to_watch() -> None:
    world = World("a", "b", "c")
    world.account_limit = 2
    life = Life(world)

    def press(sleeps: int) -> None:
        if world.at > 5:
            raise KeyboardInterrupt

    life.on_sleep = press
    rollout = rollout_of(life)
    with pytest.raises(Interrupted) as caught:
        rollout.run_wave(0, 1)
    assert "2 deployments go on in AWS, 1 group not started" in caught.value.message
    assert "inv watch r-1" in caught.value.hint
    finished = life.events[-1]
    assert isinstance(finished, RolloutFinished)
    assert finished.interrupted
    assert not world.stops


def test_ctrl_c_while_polls_fail_is_still_an_interruption() -> None:
    world = World("a", faults=Faults(unreached=1.0))
    life = Life(world)

    def press(sleeps: int) -> None:
        if sleeps == 3:
            raise KeyboardInterrupt

    life.on_sleep = press
    with pytest.raises(Interrupted):
        rollout_of(life).run_wave(0, 1)


def test_a_creation_under_way_at_the_end_is_waited_for_and_noted() -> None:
    world = World("a")
    life = Life(world)
    under_way, pressed = threading.Event(), threading.Event()

    def create(group: str) -> None:
        under_way.set()
        pressed.wait(10)
        time.sleep(0.05)

    def press(sleeps: int) -> None:
        under_way.wait(10)
        pressed.set()
        raise KeyboardInterrupt

    life.on_create, life.on_sleep = create, press
    with pytest.raises(Interrupted) as caught:
        rollout_of(life).run_wave(0, 1)
    assert "1 deployment goes on" in caught.value.message
    assert life.noted is not None
    assert life.noted.groups["a"].deployments == (world.ours("a")[0].id,)


@pytest.mark.parametrize("nth", range(4, 44))
def test_ctrl_c_at_any_turn_of_the_loop_forgets_no_creation(nth: int) -> None:
    world = World(*"abcdef")
    life = Life(world)

    def press(count: int) -> None:
        if count == nth:
            signal.raise_signal(signal.SIGINT)

    life.on_now = press
    with pytest.raises(Interrupted):
        rollout_of(life).run_wave(0, 1)
    assert life.noted is not None
    made = {name: [d.id for d in world.ours(name)] for name in life.noted.groups}
    assert {name: list(g.deployments) for name, g in life.noted.groups.items()} == made


def test_a_lost_lock_ends_it_with_that_and_nothing_more_is_created() -> None:
    world = World("a", "b", "c", "d")
    world.account_limit = 1
    life = Life(world)

    def check() -> None:
        if world.at > 5:
            raise LockLost("somebody else holds it")

    life.guard = check
    rollout = rollout_of(life)
    with pytest.raises(LockLost):
        rollout.run_wave(0, 1)
    rollout.finish()
    world.sleep(100.0)
    assert sum(world.created.values()) == 1
    assert life.noted is rollout.state


def test_an_order_to_stop_lets_nothing_more_start_retries_included() -> None:
    world = World("a", "b", instances=3)
    world.account_limit = 1
    world.later(5.0, lambda: world.take("a"))
    life = Life(world)

    def order(sleeps: int) -> None:
        if world.at > 8:
            life.given = Orders(stop="bob")

    life.on_sleep = order
    rollout = run(world, life=life)
    assert phases(rollout.state) == {"a": Phase.STOPPED, "b": Phase.WAITING}
    assert rollout.state.halted == "stopped by bob"
    assert world.created == {("a", 1): 1}


def test_who_orders_a_stop_and_stops_the_deployments_at_once_is_no_spent_budget() -> None:
    world = World("a", "b", "c")
    world.account_limit = 2
    life = Life(world)

    def order() -> None:
        life.left = Orders(stop="bob")  # which the driver would read some seconds from now
        for name in ("a", "b"):
            world.stop_active(name)

    world.later(5.0, order)
    rollout = run(world, life=life)
    assert phases(rollout.state) == {"a": Phase.STOPPED, "b": Phase.STOPPED, "c": Phase.WAITING}
    assert rollout.state.halted == "stopped by bob"
    assert not [e for e in life.events if isinstance(e, RolloutHalted)]


# -- waves ---------------------------------------------------------------------------------------------------------


def test_a_later_wave_does_not_start_while_an_earlier_one_moves() -> None:
    world = World("a", "b", "c", "d")
    world.later(5.0, lambda: world.take("a"))
    life = Life(world)
    rollout = rollout_of(life, waves={"a": 0, "b": 0, "c": 1, "d": 1})
    assert not rollout.run_wave(0, 2)
    world.sleep(100.0)
    assert phases(rollout.state) == dict.fromkeys("ab", Phase.SUCCEEDED) | dict.fromkeys("cd", Phase.WAITING)
    assert not world.ours("c")
    assert not rollout.run_wave(1, 2)
    assert set(phases(rollout.state).values()) == {Phase.SUCCEEDED}
    first = max(d.created_at for d in world.ours("a"))
    assert min(d.created_at for d in world.ours("c")) > first
    assert [e.groups for e in life.events if isinstance(e, WaveStarted)] == [("a", "b"), ("c", "d")]


def test_a_single_wave_is_not_told() -> None:
    world = World("a")
    life = Life(world)
    run(world, life=life)
    assert not [e for e in life.events if isinstance(e, WaveStarted)]


def test_a_wave_after_a_spent_budget_starts_nothing() -> None:
    world = World("a", "b")
    for instance in world.alive("a"):
        instance.bad = True
    rollout = rollout_of(Life(world), Policy(), waves={"a": 0, "b": 1})
    rollout.run_wave(0, 2)
    assert not rollout.run_wave(1, 2)
    assert phases(rollout.state) == {"a": Phase.FAILED, "b": Phase.WAITING}
    assert not world.ours("b")
