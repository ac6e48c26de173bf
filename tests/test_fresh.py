"""Whether the way of reports works: a fresh report of an instance in service comes out, or the reason is told."""

from __future__ import annotations

import pytest
from fakes import NOON, fleet, group, report

from shipit.errors import DriftError
from shipit.fresh import Fresh, newest
from shipit.models import Fleet, Instance, Report


def look(members: Fleet, *reports: Report) -> Fresh:
    return newest(members, reports, now=NOON, heartbeat=300, look_back=3600)


TWO = fleet(group("a", instances=1), group("b", instances=1))


def test_the_newest_report_of_an_instance_in_service_is_shown() -> None:
    found = look(TWO, report("i-a-0", age=30), report("i-b-0", age=20), report("i-gone", age=1))
    assert (found.report.instance_id, found.group.name, found.age) == ("i-b-0", "b", 20)
    assert (found.reporting, found.members) == (2, 2)


@pytest.mark.parametrize(("age", "fresh"), [(660, True), (661, False)])
def test_a_report_is_fresh_for_two_heartbeats_and_a_minute(age: float, fresh: bool) -> None:
    if fresh:
        assert look(TWO, report("i-a-0", age=age)).age == age
    else:
        with pytest.raises(DriftError, match="the newest report is 11 min 1 s old, of i-a-0"):
            look(TWO, report("i-a-0", age=age))


def test_a_report_of_somebody_else_proves_nothing() -> None:
    with pytest.raises(DriftError, match="none of 2 instances in service reported in the last 1 h; 1 report came"):
        look(TWO, report("i-gone", age=1))


def test_a_report_of_one_that_leaves_proves_nothing() -> None:
    leaving = Instance(id="i-1", asg="worker-a", state="Terminating:Wait")
    staying = Instance(id="i-2", asg="worker-a")
    with pytest.raises(DriftError, match="none of 1 instance in service"):
        look(fleet(group("a", instances=(leaving, staying))), report("i-1", age=1))


def test_without_an_instance_in_service_there_is_nothing_to_check() -> None:
    with pytest.raises(DriftError, match="no instance is in service"):
        look(fleet(group("a", instances=0)), report("i-1", age=1))
