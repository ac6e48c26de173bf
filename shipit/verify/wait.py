"""Look until the fleet has converged, at a cadence that costs little."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from shipit.errors import AwsUnavailable
from shipit.events import Listener, Notice, Verified, ignore
from shipit.models import Fleet, NodeState, QueryCost, Report, Spending, Verification
from shipit.verify.judge import Expectation, judge

#: While nothing changes, each pause is so many times the one before, up to so many times the first.
_GROWTH, _LONGEST = 1.5, 4.0


class FleetSource(Protocol):
    """Tell who is in the fleet, or in the part of it that is to be checked."""

    def read_with_launch_times(self) -> Fleet:
        """Return the groups with their instances and when these were launched."""


class ReportSource(Protocol):
    """Tell what the instances last said."""

    def latest_reports(self, now: datetime, look_back: float) -> tuple[tuple[Report, ...], QueryCost]:
        """Return the newest report of each instance in the last `look_back` seconds, and what that cost."""


class Clock(Protocol):
    """Tell the time and wait."""

    def now(self) -> datetime:
        """Return the time, aware and in UTC."""

    def sleep(self, seconds: float) -> None:
        """Block for that many seconds."""


def verify(
    fleet: FleetSource,
    reports: ReportSource,
    expected: Expectation,
    *,
    clock: Clock,
    look_back: float,
    wait: float = 0.0,
    poll: float = 15.0,
    stop_when: Callable[[Verification], bool] = lambda found: False,
    listen: Listener = ignore,
) -> Verification:
    """Look until every counted instance is current or `wait` seconds have passed, and return the last look.

    With no `wait` it looks once; `stop_when` ends the wait early. The pause between two looks is `poll`, and rises to
    four times that while no instance becomes current. Emits Verified after each look. While there is time, AWS being
    out of reach is a Notice; at the end it raises AwsUnavailable, for it is no verdict. Seconds.
    """
    deadline = clock.now() + timedelta(seconds=wait)
    spent, pause, current = Spending(), poll / _GROWTH, 0
    while True:
        # Who is there comes first: one that is launched between the two reads is not held to a report.
        at = clock.now()
        left = max((deadline - at).total_seconds(), 0.0)
        pause = min(pause * _GROWTH, poll * _LONGEST)
        try:
            members = fleet.read_with_launch_times()
            found, cost = reports.latest_reports(at, look_back)
        except AwsUnavailable as error:
            if not left:
                raise
            listen(Notice(text=f"{error.message}; looking again", warning=True))
        else:
            spent = spent.plus(cost)
            verification = replace(judge(members, found, expected, now=at, cost=cost), spent=spent)
            final = verification.converged or not left or stop_when(verification)
            listen(Verified(verification=verification, final=final, left=None if final else left))
            if final:
                return verification
            if (now_current := verification.count(NodeState.CURRENT)) != current:
                pause, current = poll, now_current
        clock.sleep(min(pause, left))
