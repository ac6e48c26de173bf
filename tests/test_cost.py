"""What reports cost: the figures that the design was chosen by, and what changes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipit.cost import estimate
from shipit.errors import UsageError


@pytest.mark.parametrize(
    ("instances", "puts", "objects", "query", "stream"),
    [
        (300, 12.96, 4_500, 0.002, 0.38),
        (10_000, 432, 150_000, 0.061, 12.83),
        (100_000, 4_320, 1_500_000, 0.61, 128.29),
    ],
)
def test_the_prices_of_a_heartbeat_of_five_minutes_and_a_look_back_of_fifteen(
    instances: int, puts: float, objects: int, query: float, stream: float
) -> None:
    costs = estimate(instances, heartbeat=300, look_back=900)
    assert costs.alone.writing == pytest.approx(puts)
    assert costs.alone.objects == objects
    assert costs.alone.query == pytest.approx(query, rel=0.08)
    # Firehose's own 43,200 PUTs of batches a month come on top.
    assert costs.batched.writing == pytest.approx(stream + 0.216, abs=0.01)
    assert costs.batched.objects == 75
    assert costs.batched.query < 0.0003


def test_a_small_fleet_is_billed_the_least_that_athena_bills() -> None:
    costs = estimate(1, heartbeat=300, look_back=3600)
    assert costs.alone.size < 10_000_000
    assert costs.alone.query == pytest.approx(0.00005 + 24 * 0.4e-6 + 5e-6)


@given(st.integers(1, 10**6), st.floats(10, 3600), st.floats(60, 86400))
def test_more_instances_and_more_reports_never_cost_less(instances: int, heartbeat: float, look_back: float) -> None:
    costs = estimate(instances, heartbeat=heartbeat, look_back=look_back)
    for other in (
        estimate(instances + 1, heartbeat=heartbeat, look_back=look_back),
        estimate(instances, heartbeat=heartbeat / 2, look_back=look_back),
        estimate(instances, heartbeat=heartbeat, look_back=look_back + 600),
    ):
        assert other.alone.writing >= costs.alone.writing
        assert other.alone.query >= costs.alone.query
        assert other.batched.writing >= costs.batched.writing
        assert other.batched.query >= costs.batched.query


@pytest.mark.parametrize(("instances", "heartbeat"), [(0, 300), (-1, 300), (1, 0), (1, -5)])
def test_numbers_that_mean_nothing_are_refused(instances: int, heartbeat: float) -> None:
    with pytest.raises(UsageError):
        estimate(instances, heartbeat=heartbeat, look_back=3600)
