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
    _members: frozenset[str] = field(default=frozenset(), init=False)
    _others: frozenset[str] = field(default=frozenset(), init=False)

    def read_with_launch_times(self) -> Fleet:
        """Return the chosen groups with their instances and when these were launched."""
        fleet = self.fleet.read_with_launch_times()
        chosen = tuple(g for g in fleet.groups if g.name in self.groups)
        others = [g for g in fleet.groups if g.name not in self.groups]
        self._members = frozenset(i.id for g in chosen for i in g.instances)
        self._others = frozenset(name for g in others for name in (g.asg, *(i.id for i in g.instances)))
        return replace(fleet, groups=chosen)

    def latest_reports(self, now: datetime, look_back: float) -> tuple[tuple[Report, ...], QueryCost]:
        """Return the reports without those from groups that were not chosen: these have not departed.

        Whose report it is, membership says before the report does.
        """
        found, cost = self.reports.latest_reports(now, look_back)
        kept = (r for r in found if r.instance_id in self._members or not {r.asg, r.instance_id} & self._others)
        return tuple(kept), cost
