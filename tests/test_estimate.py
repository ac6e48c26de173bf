"""Past times foretell a group's."""

import pytest
from records import entry, record

from shipit.estimate import seconds_by_group
from shipit.models import Phase


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
