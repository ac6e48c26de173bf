"""Past times foretell a rollout's, within the bounds that no schedule can leave."""

from datetime import timedelta

import pytest
from fakes import NOON
from hypothesis import given
from hypothesis import strategies as st
from records import entry, record

from shipit.estimate import makespan, remaining, seconds_by_group
from shipit.models import Phase

TIMES = st.lists(st.floats(0, 1e5), max_size=30)
PLACES = st.integers(1, 8)


def test_a_group_takes_the_median_of_its_last_five_successes() -> None:
    taken = [9000, 9000, 10, 20, 30, 40, 500]
    records = [record(minute=n, groups={"a": entry(seconds)}) for n, seconds in enumerate(taken)]
    assert seconds_by_group(records) == seconds_by_group(records[::-1]) == {"a": 30}


@pytest.mark.parametrize("phase", [p for p in Phase if p is not Phase.SUCCEEDED])
def test_a_time_that_did_not_end_in_success_says_nothing(phase: Phase) -> None:
    assert seconds_by_group([record(groups={"a": entry(5, phase)})], ["a"]) == {}


def test_a_group_that_never_started_or_has_not_ended_says_nothing() -> None:
    assert seconds_by_group([record(groups={"a": entry(None), "b": entry(5, started_at=None)})]) == {}


def test_a_group_that_nothing_is_known_of_gets_the_median_of_all() -> None:
    known = record(groups={"a": entry(10), "b": entry(20), "c": entry(90)})
    assert seconds_by_group([known], ["new", "a"]) == {"a": 10, "b": 20, "c": 90, "new": 20}
    assert seconds_by_group([], ["new"]) == {}


def test_the_longest_start_first() -> None:
    assert makespan([1, 1, 1, 1, 4], 2) == 4
    assert makespan([3, 3, 2, 2, 2], 2) == 7


def test_without_groups_nothing_takes_time_and_without_places_nothing_can_run() -> None:
    assert makespan([], 3) == 0
    with pytest.raises(ValueError, match="at_once is 0"):
        makespan([1], 0)


@given(TIMES, PLACES)
def test_a_makespan_is_within_graham_s_bound(times: list[float], places: int) -> None:
    least = max(max(times, default=0), sum(times) / places)
    longest = max(times, default=0)
    got = makespan(times, places)
    assert least * 0.999_999 <= got <= (sum(times) / places + longest * (1 - 1 / places)) * 1.000_001 + 1e-6


@given(TIMES)
def test_a_place_for_each_takes_the_longest_and_a_single_place_the_sum(times: list[float]) -> None:
    assert makespan(times, max(len(times), 1)) == max(times, default=0)
    assert makespan(times, 1) == pytest.approx(sum(times))


@given(TIMES, PLACES)
def test_nothing_started_means_that_all_remains(times: list[float], places: int) -> None:
    expected = {f"g{n}": seconds for n, seconds in enumerate(times)}
    assert remaining({}, expected, expected, at_once=places, now=NOON) == makespan(times, places)


@given(TIMES, st.integers(0, 30), PLACES, st.floats(0, 1e5))
def test_what_runs_is_never_over_before_its_time_and_never_below_zero(
    times: list[float], begun: int, places: int, elapsed: float
) -> None:
    expected = {f"g{n}": seconds for n, seconds in enumerate(times)}
    started = dict.fromkeys(list(expected)[:begun], NOON)
    now = NOON + timedelta(seconds=elapsed)
    left = remaining(started, list(expected)[begun:], expected, at_once=places, now=now)
    assert left is not None
    assert left >= max((expected[name] - elapsed for name in started), default=0) - 1e-3
    assert left >= max(times[begun:], default=0)


def test_an_overdue_group_is_due_now_and_frees_its_place() -> None:
    expected = {"slow": 10.0, "next": 30.0}
    now = NOON + timedelta(seconds=500)
    assert remaining({"slow": NOON}, ["next"], expected, at_once=1, now=now) == 30


def test_a_waiting_group_starts_when_one_that_runs_has_ended() -> None:
    expected = {"a": 60.0, "b": 100.0, "c": 50.0}
    now = NOON + timedelta(seconds=20)
    assert remaining({"a": NOON, "b": NOON}, ["c"], expected, at_once=2, now=now) == 90


def test_more_that_run_than_may_free_a_place_only_when_enough_have_ended() -> None:
    expected = {"a": 10.0, "b": 20.0, "c": 30.0, "d": 5.0}
    assert remaining(dict.fromkeys("abc", NOON), ["d"], expected, at_once=2, now=NOON) == 30
    assert remaining(dict.fromkeys("abc", NOON), ["d"], expected, at_once=1, now=NOON) == 35


def test_of_a_group_that_nothing_is_known_of_no_number_is_made_up() -> None:
    assert remaining({"a": NOON}, [], {}, at_once=1, now=NOON) is None
    assert remaining({}, ["a"], {"b": 1.0}, at_once=1, now=NOON) is None
    assert remaining({}, [], {}, at_once=1, now=NOON) == 0
