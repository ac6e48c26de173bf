"""Look at some groups of a fleet as if they were all of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from shipit.models import Fleet, QueryCost, Report
from shipit.verify import FleetSource, ReportSource


@dataclass
class PartOfFleet:
    """Show the groups of `groups` and what their instances report; satisfies FleetSource and ReportSource."""

    fleet: FleetSource
    reports: ReportSource
    groups: frozenset[str]
    _others: frozenset[str] = field(default=frozenset(), init=False)

    def read_with_launch_times(self) -> Fleet:
        """Return the chosen groups with their instances and when these were launched."""
        fleet = self.fleet.read_with_launch_times()
        self._others = frozenset(g.asg for g in fleet.groups if g.name not in self.groups)
        return replace(fleet, groups=tuple(g for g in fleet.groups if g.name in self.groups))

    def latest_reports(self, now: datetime, look_back: float) -> tuple[tuple[Report, ...], QueryCost]:
        """Return the reports without those from groups that were not chosen: these have not departed."""
        found, cost = self.reports.latest_reports(now, look_back)
        return tuple(r for r in found if r.asg not in self._others), cost
