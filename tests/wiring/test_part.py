"""Some groups of a fleet are judged by themselves: the others have not departed, and who departed is not hidden."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from fakes import NOON, fleet, group, report

from shipit.models import Fleet, NodeState, QueryCost, Report, Wanted
from shipit.verify import Expectation, judge
from shipit.wiring.part import PartOfFleet

WHOLE = fleet(group("email", instances=1), group("reports", instances=1))


class Everybody:
    """A fleet of two groups, of which each instance reports, and one that is gone; `lies` name another group."""

    def __init__(self, lies: Mapping[str, str] | None = None) -> None:
        self.lies = lies or {}

    def read_with_launch_times(self) -> Fleet:
        return WHOLE

    def latest_reports(self, now: datetime, look_back: float) -> tuple[tuple[Report, ...], QueryCost]:
        who = (("i-email-0", "worker-email"), ("i-reports-0", "worker-reports"), ("i-gone", "worker-email"))
        return tuple(report(id, asg=self.lies.get(id, asg)) for id, asg in who), QueryCost()


def states(*groups: str, lies: Mapping[str, str] | None = None) -> dict[str, NodeState]:
    part = PartOfFleet(Everybody(), Everybody(lies), frozenset(groups))
    members = part.read_with_launch_times()
    reports, cost = part.latest_reports(NOON, 3600.0)
    wanted = dict.fromkeys(groups, Wanted(build="v2"))
    expected = Expectation(env="e", groups=wanted, published={"v2": "d2"}, heartbeat=300.0, grace=600.0)
    return {n.instance_id: n.state for n in judge(members, reports, expected, now=NOON, cost=cost).nodes}


def test_an_instance_of_a_group_that_was_not_chosen_is_not_called_departed() -> None:
    assert states("email") == {"i-email-0": NodeState.CURRENT, "i-gone": NodeState.DEPARTED}
    assert states("reports") == {"i-reports-0": NodeState.CURRENT}


def test_membership_says_whose_report_it_is_before_the_report_names_a_group() -> None:
    lies = {"i-email-0": "worker-reports", "i-reports-0": "worker-email"}
    assert states("email", lies=lies) == {"i-email-0": NodeState.CURRENT, "i-gone": NodeState.DEPARTED}
    assert states("reports", lies=lies) == {"i-reports-0": NodeState.CURRENT}


def test_of_the_whole_fleet_nothing_is_left_out() -> None:
    assert set(states("email", "reports")) == {"i-email-0", "i-reports-0", "i-gone"}
