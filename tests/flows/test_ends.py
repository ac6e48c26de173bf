"""What the ends of the groups amount to: whose fault it is decides the exit code."""

from __future__ import annotations

import pytest

from shipit.errors import LockLost
from shipit.flows.ends import outcome_of, sum_of
from shipit.models import Outcome, Phase
from shipit.rollout import GroupState, RolloutState

DENIED = "AWS denied CreateDeployment: nobody may"


def group(name: str, phase: Phase, code: str = "") -> GroupState:
    return GroupState(group=name, instances=1, phase=phase, error_code=code, error_message=DENIED if code else "")


def state(*groups: GroupState, halted: str = "", closed: bool = False) -> RolloutState:
    return RolloutState(groups={g.group: g for g in groups}, halted=halted, closed=closed)


GOOD = group("good", Phase.SUCCEEDED)
REFUSED = group("refused", Phase.FAILED, "REFUSED")
BUSY = group("busy", Phase.SKIPPED, "BUSY")
PARTIAL = group("partial", Phase.PARTIAL)
BROKEN = group("broken", Phase.FAILED, "HEALTH_CONSTRAINTS")
STRANGE = group("strange", Phase.FAILED, "NOT_CREATED")


@pytest.mark.parametrize(
    ("groups", "code", "outcome"),
    [
        ([REFUSED], 7, Outcome.REFUSED),
        ([GOOD, REFUSED], 7, Outcome.REFUSED),
        ([REFUSED, BROKEN], 1, Outcome.FAILED),
        ([REFUSED, STRANGE], 1, Outcome.FAILED),
        ([REFUSED, PARTIAL], 1, Outcome.FAILED),
        ([REFUSED, BUSY], 1, Outcome.FAILED),
        ([GOOD, BROKEN], 1, Outcome.FAILED),
        ([GOOD, BUSY], 4, Outcome.BUSY),
        ([GOOD, PARTIAL], 3, Outcome.DRIFTED),
    ],
)
def test_the_exit_code_tells_a_bad_build_from_what_aws_or_others_did(
    groups: list[GroupState], code: int, outcome: Outcome
) -> None:
    ended = sum_of(state(*groups, halted="enough"), "v2", whole=False)
    assert ended is not None
    assert ended.exit_code == code
    assert outcome_of(ended, proved=True, stopped=False) is outcome
    assert "inv deploy --build v2" in ended.hint


def test_what_aws_refused_is_said_once_with_what_was_not_started() -> None:
    waiting = group("waiting", Phase.WAITING)
    ended = sum_of(state(GOOD, REFUSED, waiting, halted="enough"), "v2", whole=False)
    assert ended is not None
    assert ended.message == f"1 of 3 groups could not be started, 1 more was not tried: {DENIED}"


def test_within_the_budget_what_failed_counts_at_the_end_alone() -> None:
    for bad, code in ((BROKEN, 3), (REFUSED, 7)):
        assert sum_of(state(GOOD, bad), "v2", whole=False) is None
        ended = sum_of(state(GOOD, bad), "v2", whole=True)
        assert ended is not None
        assert ended.exit_code == code


def test_where_every_group_may_fail_and_did_nothing_is_as_it_should_be() -> None:
    ended = sum_of(state(BROKEN), "v2", whole=True)
    assert ended is not None
    assert (ended.exit_code, ended.message) == (1, "1 of 1 group failed")


def test_a_lost_lock_is_no_end_of_the_rollout_for_it_may_be_carried_on() -> None:
    assert outcome_of(LockLost("it was taken over"), proved=True, stopped=False) is Outcome.INTERRUPTED


def test_a_rollout_that_somebody_stopped_says_who_whatever_failed() -> None:
    ended = sum_of(state(REFUSED, halted="stopped by ada", closed=True), "v2", whole=False)
    assert ended is not None
    assert (ended.exit_code, ended.message) == (1, "stopped by ada")


def test_where_all_is_well_there_is_nothing_to_say() -> None:
    assert sum_of(state(GOOD), "v2", whole=True) is None
