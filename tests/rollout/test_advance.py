"""From a state and one answer to the next state, step by step."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from fakes import NOON, published
from rollout.steps import judged, start

from shipit.errors import AccountFull, AwsError, AwsLoggedOut, AwsThrottled, AwsUnavailable, GroupBusy
from shipit.events import GroupEnded, GroupRetried, Notice, RolloutHalted
from shipit.models import (
    Allowance,
    Cause,
    Deployment,
    DeploymentStatus,
    Examination,
    Overview,
    Phase,
    TargetStatus,
)
from shipit.rollout import Observed, OnBusy, Policy, RolloutState, advance, decide
from shipit.rollout.decide import next_due
from shipit.rollout.state import Command, Errand, Examine, Find, Start, Stop


def running(overview: Overview = Overview(in_progress=2), **more: object) -> RolloutState:
    """Return a state in which `a` runs and the others wait for another wave."""
    state = start(Policy(failed_groups=None, failed_instances=None), b=1, c=1)
    state, _ = decide(state, NOON)
    state, _ = advance(state, Observed(created={"a": "d-1"}), NOON)
    state, _ = advance(state, Observed(deployments={"d-1": seen("InProgress", overview)}), NOON)
    return change(state, **more)


def change(state: RolloutState, **more: object) -> RolloutState:
    group = replace(state.groups["a"], **more)  # type: ignore[arg-type]  # fields by name, as replace takes them
    return replace(state, groups={**state.groups, "a": group})


def seen(status: str, overview: Overview, *, code: str = "", id: str = "d-1") -> Deployment:
    return Deployment(
        id=id,
        group="a",
        status=DeploymentStatus(status),
        overview=overview,
        error_code=code,
        revision=published().revision,
    )


def commands(state: RolloutState, seconds: float) -> tuple[Command, ...]:
    return decide(state, NOON + timedelta(seconds=seconds))[1]


def test_an_end_that_codedeploy_calls_success_is_looked_into_where_a_target_did_not_end_well() -> None:
    for overview in (Overview(), Overview(succeeded=1, pending=1), Overview(succeeded=1, skipped=1)):
        state, _ = advance(running(), Observed(deployments={"d-1": seen("Succeeded", overview)}), NOON)
        assert state.groups["a"].phase is Phase.EXAMINING, overview


def test_quiet_for_five_minutes_is_looked_into_and_then_not_again_at_once() -> None:
    state = running()
    assert not commands(state, 299)
    assert commands(state, 300) == (Examine(group="a", deployment_id="d-1", ended=False),)
    state, _ = decide(state, NOON + timedelta(seconds=300))
    alive = Examination(judged=(judged(Cause.RUNNING, TargetStatus.IN_PROGRESS),), in_service=2)
    state, _ = advance(state, Observed(examined={"a": alive}), NOON + timedelta(seconds=301))
    assert not commands(state, 500)
    assert commands(state, 601)


def test_what_a_look_saw_on_the_way_spends_no_budget_after_a_whole_success() -> None:
    slow = Examination(judged=(judged(Cause.AGENT_DEAD, TargetStatus.PENDING),), in_service=2)
    state = replace(
        running(errand=Errand.LOOK), policy=Policy(failed_groups=None, failed_instances=Allowance(count=1))
    )
    state, _ = advance(state, Observed(examined={"a": slow}), NOON)
    state, _ = advance(state, Observed(deployments={"d-1": seen("Succeeded", Overview(succeeded=2))}), NOON)
    assert state.groups["a"].phase is Phase.SUCCEEDED
    assert not state.groups["a"].examination.judged


def test_a_doomed_deployment_is_stopped_and_asked_again_only_where_the_stop_may_not_have_arrived() -> None:
    state = running(doomed=True)
    stop = (Stop(group="a", deployment_id="d-1"),)
    assert commands(state, 1) == stop
    state, _ = decide(state, NOON)
    lost, _ = advance(state, Observed(stopped={"a": AwsUnavailable("lost")}), NOON)
    assert not commands(lost, 1)
    assert commands(lost, 4) == stop
    taken, _ = advance(state, Observed(stopped={"a": None}), NOON)
    assert not commands(taken, 4)
    denied, events = advance(state, Observed(stopped={"a": AwsError("denied")}), NOON)
    assert not commands(denied, 4)
    assert [e.text for e in events if isinstance(e, Notice)] == ["a: not stopped: denied"]


def test_one_look_at_a_dead_one_before_living_ones_proves_nothing_and_two_do() -> None:
    gone = judged(Cause.RECLAIMED, TargetStatus.IN_PROGRESS, "i-1")
    waits = judged(Cause.RUNNING, TargetStatus.PENDING, "i-2")
    found = Examination(judged=(gone, waits), in_service=2)
    state, _ = advance(running(errand=Errand.LOOK), Observed(examined={"a": found}), NOON)
    assert not state.groups["a"].doomed
    state, _ = advance(change(state, errand=Errand.LOOK), Observed(examined={"a": found}), NOON)
    assert state.groups["a"].doomed


def test_a_look_that_is_refused_is_no_verdict_on_what_runs_and_is_not_repeated_at_once() -> None:
    state, events = advance(running(errand=Errand.LOOK), Observed(examined={"a": AwsError("denied")}), NOON)
    assert state.groups["a"].phase is Phase.RUNNING
    assert not events
    assert not commands(state, 10)


def test_a_busy_group_whose_holder_has_ended_is_neither_skipped_nor_asked_without_a_pause() -> None:
    state, _ = decide(start(Policy(on_busy=OnBusy.SKIP)), NOON)
    holder = seen("Succeeded", Overview(), id="d-other")
    busy = Observed(refused={"a": GroupBusy("a", "d-other")}, deployments={"d-other": holder})
    state, _ = advance(state, busy, NOON)
    assert state.groups["a"].phase is Phase.WAITING
    assert not [c for c in commands(state, 1) if c.group == "a"]
    assert [c for c in commands(state, 4) if c.group == "a"] == [Start(group="a", attempt=1)]


def test_a_group_that_its_own_last_try_still_holds_is_tried_again_whatever_the_policy() -> None:
    state = running(phase=Phase.WAITING, errand=Errand.START)
    state = replace(state, policy=Policy(on_busy=OnBusy.FAIL))
    state, _ = advance(state, Observed(refused={"a": GroupBusy("a", "d-1")}), NOON)
    assert state.groups["a"].phase is Phase.WAITING
    assert commands(state, 4) == (Start(group="a", attempt=2),)


def test_an_unsure_creation_is_looked_for_before_it_is_made_again_even_where_all_is_closed() -> None:
    state, _ = decide(start(), NOON)
    state, _ = advance(state, Observed(refused={"a": AwsUnavailable("lost")}), NOON)
    state = replace(state, halted="enough", closed=True)
    assert not state.resting
    find = Find(group="a", attempt=1)
    assert commands(state, 4) == (find,)
    state, _ = decide(state, NOON + timedelta(seconds=4))
    absent, _ = advance(state, Observed(absent=frozenset("a")), NOON)
    assert absent.groups["a"].phase is Phase.WAITING
    assert not commands(absent, 4)
    found, _ = advance(state, Observed(created={"a": "d-1"}), NOON)
    assert found.groups["a"].phase is Phase.RUNNING


def test_a_further_try_of_which_nobody_heard_is_looked_for_before_its_group_is_called_stopped() -> None:
    state = running(phase=Phase.WAITING, unsure=True)
    state = replace(state, halted="enough", closed=True)
    state, _ = advance(state, Observed(), NOON)
    assert commands(state, 1) == (Find(group="a", attempt=2),)
    state, _ = decide(state, NOON)
    absent, _ = advance(state, Observed(absent=frozenset("a")), NOON)
    assert absent.groups["a"].phase is Phase.STOPPED
    found, _ = advance(state, Observed(created={"a": "d-2"}), NOON)
    assert found.groups["a"].phase is Phase.RUNNING


def test_a_throttled_creation_was_not_made_and_is_not_looked_for() -> None:
    state, _ = decide(start(), NOON)
    state, _ = advance(state, Observed(refused={"a": AwsThrottled("too many")}), NOON)
    assert [c for c in commands(state, 1) if c.group == "a"] == [Start(group="a", attempt=1)]


def test_room_that_a_failure_made_is_used_only_when_it_was_judged() -> None:
    state, _ = decide(start(), NOON)
    state, _ = advance(state, Observed(created={"a": "d-1"}, refused={"b": AccountFull("full")}), NOON)
    state, _ = advance(state, Observed(withdrawn=frozenset("c")), NOON)
    failed = seen("Failed", Overview(failed=2), code="HEALTH_CONSTRAINTS")
    state, _ = advance(state, Observed(deployments={"d-1": failed}), NOON)
    assert commands(state, 1) == (Examine(group="a", deployment_id="d-1", ended=True),)
    state, _ = decide(state, NOON)
    broken = Examination(judged=(judged(Cause.SCRIPT_FAILED, TargetStatus.FAILED),), in_service=2)
    state, events = advance(state, Observed(examined={"a": broken}), NOON)
    assert [e for e in events if isinstance(e, RolloutHalted)]
    assert not commands(state, 60)


def test_the_next_due_moment_is_the_earliest_that_somebody_waits_for() -> None:
    soon, later = NOON + timedelta(seconds=3), NOON + timedelta(seconds=9)
    state = start()
    assert next_due(state, NOON) is None
    state = replace(change(state, not_before=later), resume_at=soon)
    assert next_due(state, NOON) == soon
    assert next_due(state, soon) == later
    assert next_due(change(state, errand=Errand.START), soon) is None


def test_a_clock_that_is_behind_makes_no_time_negative() -> None:
    past = NOON - timedelta(hours=1)
    state, events = advance(running(), Observed(deployments={"d-1": seen("Succeeded", Overview(succeeded=2))}), past)
    assert [e.seconds for e in events if isinstance(e, GroupEnded)] == [0.0]
    assert state.groups["a"].phase is Phase.SUCCEEDED


def test_a_retry_is_told_with_its_reason() -> None:
    gone = Examination(judged=(judged(Cause.RECLAIMED, TargetStatus.FAILED, "i-9"),), in_service=1)
    state = running(phase=Phase.EXAMINING, errand=Errand.EXAMINE, ended_as=DeploymentStatus.FAILED)
    state, events = advance(state, Observed(examined={"a": gone}), NOON)
    assert [e.reason for e in events if isinstance(e, GroupRetried)] == ["i-9 was reclaimed"]
    assert commands(state, 1) == (Start(group="a", attempt=2, outdated_only=True),)


@pytest.mark.parametrize("kind", ["refused", "stopped", "examined"])
def test_expired_credentials_are_heard_of_whichever_call_met_them(kind: str) -> None:
    expired, other = AwsLoggedOut("expired"), AwsUnavailable("away")
    assert Observed(**{kind: {"a": other, "b": expired}}).logged_out is expired  # type: ignore[arg-type]  # by name
    assert Observed(**{kind: {"a": other}}).logged_out is None  # type: ignore[arg-type]  # by name
