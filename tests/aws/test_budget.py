"""The rate budget starts fast, halves on a throttle, grows again, and never passes its ceiling."""

import itertools
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipit.aws.budget import RateBudget


class Time:
    """Seconds that only sleeping moves; `slots` are the moments at which calls went out."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def budget(time: Time, rate: float = 20, ceiling: float = 100) -> RateBudget:
    return RateBudget(rate, ceiling, clock=time, sleep=time.sleep)


def test_fifty_calls_leave_within_five_seconds() -> None:
    time = Time()
    paced = budget(time)
    for _ in range(50):
        paced.take()
        paced.accepted()
    assert time.now < 5


def test_a_throttle_halves_the_rate_once_for_all_calls_in_flight() -> None:
    time = Time()
    paced = budget(time)
    assert [paced.throttled() for _ in range(5)] == [True, False, False, False, False]
    assert paced.rate == 10


def test_after_a_throttle_it_grows_by_about_one_call_a_second_each_second() -> None:
    time = Time()
    paced = budget(time)
    paced.throttled()
    begun = time.now
    while time.now - begun < 10:
        paced.take()
        paced.accepted()
    assert 18 < paced.rate < 22


def test_endless_throttles_leave_a_rate_above_zero() -> None:
    time = Time()
    paced = budget(time)
    for _ in range(200):
        time.now += 2
        paced.throttled()
    assert paced.rate == 0.5


def play(paced: RateBudget, time: Time, seconds: float, refuses: Callable[[], bool]) -> int:
    """Make calls for so long, one after another; return how many were accepted."""
    accepted, until = 0, time.now + seconds
    while time.now < until:
        paced.take()
        if refuses():
            paced.throttled()
        else:
            paced.accepted()
            accepted += 1
    return accepted


@pytest.mark.parametrize("seed", range(5))
def test_throttles_that_come_at_any_rate_do_not_bring_it_down_for_long(seed: int) -> None:
    time, chance = Time(), random.Random(seed)
    paced = budget(time, 20, 200)
    assert play(paced, time, 15, lambda: chance.random() < 0.3) > 500


@pytest.mark.parametrize("limit", [5.0, 15.0, 40.0])
def test_a_limit_on_the_rate_is_kept_to_with_few_throttles(limit: float) -> None:
    time = Time()
    paced = budget(time, 20, 200)
    tokens, filled, refused = [limit], [0.0], [0]

    def refuses() -> bool:
        tokens[0] = min(limit, tokens[0] + (time.now - filled[0]) * limit)
        filled[0] = time.now
        if tokens[0] < 1:
            refused[0] += 1
            return True
        tokens[0] -= 1
        return False

    play(paced, time, 60, refuses)
    refused[0] = 0
    accepted = play(paced, time, 240, refuses)
    assert accepted > 0.6 * 240 * limit
    assert refused[0] < 0.25 * accepted


def test_a_service_that_serves_nobody_is_asked_ever_more_slowly() -> None:
    time = Time()
    paced = budget(time)
    play(paced, time, 120, lambda: True)
    assert paced.rate == 0.5


@given(st.lists(st.booleans(), min_size=1, max_size=300), st.floats(1, 50), st.floats(1, 100))
def test_calls_are_never_closer_than_the_ceiling_allows(answers: list[bool], rate: float, ceiling: float) -> None:
    time = Time()
    paced = budget(time, rate, ceiling)
    slots = []
    for accepted in answers:
        paced.take()
        slots.append(time.now)
        if accepted:
            paced.accepted()
        else:
            paced.throttled()
    assert all(later - earlier >= 1 / ceiling - 1e-9 for earlier, later in itertools.pairwise(slots))
