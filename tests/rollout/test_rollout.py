"""A rollout over a whole world: each policy, each fault, and what is told of it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Mapping

import pytest
from rollout.world import HOUR, Faults, Life, World, phases

from shipit.errors import AwsError, AwsThrottled, AwsUnavailable, Interrupted, LockLost
from shipit.events import (
    GroupBlocked,
    GroupEnded,
    GroupRetried,
    GroupStarted,
    Notice,
    RolloutFinished,
    RolloutHalted,
    WaveStarted,
)
from shipit.models import Allowance, Cause, DeploymentStatus, Phase
from shipit.rollout import OnBusy, Orders, Policy, Rollout, RolloutState, begin

EASY = Policy(failed_groups=None)


def rollout_of(
    life: Life, policy: Policy = EASY, *, waves: Mapping[str, int] | None = None, timeout: float = 3 * HOUR
) -> Rollout:
    plan = life.world.plan(waves)
    return Rollout(plan, begin(plan, policy), life.tools, by="ann", poll=2.0, timeout=timeout)


def run(world: World, policy: Policy = EASY, *, life: Life | None = None, timeout: float = 3 * HOUR) -> Rollout:
    """Lead the whole rollout, in one wave, to its end, follow-ons included."""
    rollout = rollout_of(life or Life(world), policy, timeout=timeout)
    rollout.open()
    if not rollout.run_wave(0, 1):
        rollout.settle()
    rollout.finish()
    return rollout


def told(life: Life, kind: type[GroupStarted] | type[GroupEnded] | type[GroupRetried]) -> list[str]:
    return [e.group for e in life.events if isinstance(e, kind)]


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
    assert [e for e in life.events if isinstance(e, Notice) and e.warning]


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


# -- instances that go ---------------------------------------------------------------------------------------------


def test_a_reclaimed_instance_costs_neither_an_hour_nor_the_group_its_success() -> None:
    world = World("a", instances=3)
    world.later(5.0, lambda: world.take("a"))
    life = Life(world)
    rollout = run(world, life=life)
    assert phases(rollout.state) == {"a": Phase.SUCCEEDED}
    assert world.builds("a") == {"v2"}
    assert world.at < 300
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
    assert world.at < 300


def test_those_that_wait_for_their_turn_behind_a_dead_instance_get_the_build_by_another_try() -> None:
    world = World("a", instances=4)
    world.groups["a"].serial = True
    world.later(5.0, lambda: world.take("a"))
    assert phases(run(world).state) == {"a": Phase.SUCCEEDED}
    assert world.builds("a") == {"v2"}
    assert world.at < 600


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
    assert 300 < world.at - began < 600


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
    assert 100 < world.at < 300


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
    assert phases(run(world).state) == {"a": Phase.SUCCEEDED}
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


# -- others --------------------------------------------------------------------------------------------------------


def test_on_busy_wait_lets_the_holder_end_and_names_it() -> None:
    world = World("a")
    holder = world.occupy("a", seconds=60.0)
    life = Life(world)
    assert phases(run(world, Policy(on_busy=OnBusy.WAIT), life=life).state) == {"a": Phase.SUCCEEDED}
    assert world.deployments[holder].status is DeploymentStatus.SUCCEEDED
    assert [e.holder_id for e in life.events if isinstance(e, GroupBlocked)] == [holder]
    assert world.builds("a") == {"v2"}


def test_on_busy_stop_stops_the_holder_once_and_goes_on() -> None:
    world = World("a")
    holder = world.occupy("a", seconds=6000.0)
    assert phases(run(world, Policy(on_busy=OnBusy.STOP)).state) == {"a": Phase.SUCCEEDED}
    assert world.stops == [holder]
    assert world.at < 100


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
