"""Minimum healthy hosts: the documented sums, and what must hold for any fleet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipit.sandbox.codedeploy.health import (
    ALL_AT_ONCE,
    HALF_AT_A_TIME,
    ONE_AT_A_TIME,
    HealthRule,
    Measure,
    Progress,
    Verdict,
)


def percent(value: int) -> HealthRule:
    return HealthRule(measure=Measure.FLEET_PERCENT, value=value)


def at_start(rule: HealthRule, hosts: int) -> Progress:
    return Progress(hosts=hosts, minimum=rule.minimum(hosts), waiting=hosts, running=0, succeeded=0, failed=0)


@pytest.mark.parametrize(
    ("rule", "hosts", "minimum", "slots"),
    [
        (HALF_AT_A_TIME, 9, 5, 4),
        (percent(40), 9, 4, 5),
        (percent(95), 10, 10, 0),
        (HALF_AT_A_TIME, 1, 1, 0),
        (ONE_AT_A_TIME, 9, 8, 1),
        (ONE_AT_A_TIME, 1, 0, 1),
        (ALL_AT_ONCE, 300, 0, 300),
        (HealthRule(measure=Measure.HOST_COUNT, value=5), 3, 5, 0),
    ],
)
def test_the_documented_sums(rule: HealthRule, hosts: int, minimum: int, slots: int) -> None:
    progress = at_start(rule, hosts)
    assert (progress.minimum, progress.slots) == (minimum, slots)
    assert progress.verdict is (Verdict.GOING_ON if slots else Verdict.TOO_FEW_HEALTHY)


rules = st.one_of(
    st.integers(0, 100).map(percent),
    st.integers(0, 20).map(lambda value: HealthRule(measure=Measure.HOST_COUNT, value=value)),
    st.just(ONE_AT_A_TIME),
)


@given(rule=rules, outcomes=st.lists(st.booleans(), min_size=1, max_size=30))
def test_no_walk_breaks_the_minimum_and_every_walk_ends(rule: HealthRule, outcomes: list[bool]) -> None:
    hosts, minimum = len(outcomes), rule.minimum(len(outcomes))
    waiting, running, succeeded, failed = hosts, 0, 0, 0
    coming = iter(outcomes)
    while True:
        progress = Progress(
            hosts=hosts, minimum=minimum, waiting=waiting, running=running, succeeded=succeeded, failed=failed
        )
        if progress.verdict is not Verdict.GOING_ON:
            break
        running, waiting = running + progress.slots, waiting - progress.slots
        assert hosts - running - failed >= minimum
        ok = next(coming)
        running, succeeded, failed = running - 1, succeeded + ok, failed + (not ok)
    assert running == 0
    if progress.verdict is Verdict.SUCCEEDED:
        assert (waiting, succeeded > 0, succeeded >= minimum) == (0, True, True)
    else:
        assert succeeded == 0 or waiting > 0


@given(rule=rules, hosts=st.integers(1, 50))
def test_success_everywhere_is_a_success(rule: HealthRule, hosts: int) -> None:
    progress = Progress(hosts=hosts, minimum=rule.minimum(hosts), waiting=0, running=0, succeeded=hosts, failed=0)
    assert progress.verdict is Verdict.SUCCEEDED
