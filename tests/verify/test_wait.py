"""When a wait looks, and what ends it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from fakes import NOON, FakeClock
from verify.said import COST, EXPECTED, fleet, member, on

from shipit.errors import AwsUnavailable
from shipit.events import Event, Notice, Verified
from shipit.models import Fleet, QueryCost, Report, Spending, Verification
from shipit.verify import verify


class Source:
    """Play a fleet and its reports: one answer per look, the last one stays; an error is raised."""

    def __init__(self, *looks: Report | AwsUnavailable | None, cost: QueryCost = COST) -> None:
        self.looks = list(looks)
        self.cost = cost
        self.asked: list[tuple[datetime, float]] = []

    def read_with_launch_times(self) -> Fleet:
        return fleet(member())

    def latest_reports(self, now: datetime, look_back: float) -> tuple[tuple[Report, ...], QueryCost]:
        self.asked.append((now, look_back))
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(look, AwsUnavailable):
            raise look
        return ((replace(look, reported_at=now),) if look else ()), self.cost


def looked(source: Source, wait: float) -> tuple[Verification, list[Event], FakeClock]:
    clock, events = FakeClock(), list[Event]()
    found = verify(
        source, source, EXPECTED, clock=clock, look_back=3600.0, wait=wait, poll=15.0, listen=events.append
    )
    return found, events, clock


def test_without_a_wait_it_looks_once() -> None:
    source = Source(on("v1"))
    found, events, clock = looked(source, 0.0)
    assert events == [Verified(verification=found, final=True)]
    assert found.spent == Spending().plus(COST)
    assert source.asked == [(NOON, 3600.0)]
    assert clock.sleeps == 0


def test_it_looks_until_the_fleet_has_converged() -> None:
    found, events, _ = looked(Source(None, on("v1"), on("v2")), 600.0)
    assert found.converged
    looks = [e for e in events if isinstance(e, Verified)]
    assert [(e.final, e.left) for e in looks] == [(False, 600.0), (False, 585.0), (True, None)]
    assert found.at == NOON + timedelta(seconds=37.5)
    assert found.spent == Spending(queries=3, scanned=1500, seconds=3.0, dollars=pytest.approx(0.00015))
    assert found.cost == COST


def test_the_last_look_is_at_the_deadline() -> None:
    found, events, _ = looked(Source(on("v1")), 40.0)
    assert not found.converged
    assert found.at == NOON + timedelta(seconds=40)
    assert [e.final for e in events if isinstance(e, Verified)] == [False, False, False, True]


def test_aws_out_of_reach_is_a_notice_while_there_is_time() -> None:
    found, events, _ = looked(Source(AwsUnavailable("no network"), on("v2")), 600.0)
    assert found.converged
    assert isinstance(events[0], Notice)
    assert "no network" in events[0].text


def test_aws_out_of_reach_at_the_deadline_is_no_verdict() -> None:
    with pytest.raises(AwsUnavailable):
        looked(Source(on("v1"), AwsUnavailable("no network")), 15.0)


def test_a_query_that_read_nothing_ends_no_wait_whatever_it_says() -> None:
    found, events, _ = looked(Source(on("v2"), cost=QueryCost(query_id="q")), 30.0)
    assert not found.converged
    assert len(events) == 3


class Fleets:
    """Play a fleet of five instances of which, at each look, so many run the expected build."""

    def __init__(self, *current: int) -> None:
        self.current = list(current)
        self.asked: list[datetime] = []
        self.members = tuple(member(f"i-{n}") for n in range(5))

    def read_with_launch_times(self) -> Fleet:
        return fleet(*self.members)

    def latest_reports(self, now: datetime, look_back: float) -> tuple[tuple[Report, ...], QueryCost]:
        self.asked.append(now)
        good = self.current.pop(0) if len(self.current) > 1 else self.current[0]
        said = [(on("v2" if n < good else "v1"), i.id) for n, i in enumerate(self.members)]
        return tuple(replace(r, instance_id=id, reported_at=now) for r, id in said), COST


def test_it_looks_less_and_less_often_until_something_changes() -> None:
    source, clock = Fleets(1, 1, 1, 1, 1, 3, 3, 5), FakeClock()
    found = verify(source, source, EXPECTED, clock=clock, look_back=3600.0, wait=3600.0, poll=15.0)
    assert found.converged
    pauses = [(b - a).total_seconds() for a, b in zip(source.asked, source.asked[1:], strict=False)]
    assert pauses == [15.0, 22.5, 33.75, 50.625, 60.0, 15.0, 22.5]
    assert found.spent.queries == 8


def test_a_look_that_the_caller_has_seen_enough_of_is_the_last() -> None:
    source, clock, events = Fleets(1), FakeClock(), list[Event]()
    found = verify(
        source,
        source,
        EXPECTED,
        clock=clock,
        look_back=3600.0,
        wait=600.0,
        stop_when=lambda look: len(events) == 1,
        listen=events.append,
    )
    assert not found.converged
    assert [e.final for e in events if isinstance(e, Verified)] == [False, True]
