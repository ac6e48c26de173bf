"""Find out whether a report of a real instance comes out of the query, and how old it is. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from shipit.errors import DriftError
from shipit.models import Fleet, Group, Instance, Report, stale_after
from shipit.wording import duration, plural

_LOOK = (
    "on an instance: does /etc/shipit/instance.env name SHIPIT_REPORTS, may its role put objects there "
    "(docs/iam.md), and what does its heartbeat's journal say?"
)


@dataclass(frozen=True, kw_only=True)
class Fresh:
    """Name the newest report of a member of the fleet, its age in seconds, and how many of the members report."""

    report: Report
    group: Group
    age: float
    reporting: int
    members: int


def newest(fleet: Fleet, reports: Iterable[Report], *, now: datetime, heartbeat: float, look_back: float) -> Fresh:
    """Return the newest report of an instance in service; raises DriftError where that does not prove the way works.

    It does not where nobody is in service, where nobody in service has reported in the last `look_back` seconds, or
    where the newest report is older than two heartbeats and a minute.
    """
    homes: dict[str, tuple[Group, Instance]] = {i.id: (g, i) for g in fleet.groups for i in g.instances}
    members = {name for name, (_, instance) in homes.items() if instance.in_service}
    if not members:
        raise DriftError("no instance is in service: nobody should report", hint="scale a group out, and try again")
    heard = {report.instance_id: report for report in reports}
    found = sorted((heard[name] for name in members & heard.keys()), key=lambda r: (r.reported_at, r.instance_id))
    if not found:
        others = f"; {plural(len(heard), 'report')} came from elsewhere" if heard else ""
        raise DriftError(
            f"none of {plural(len(members), 'instance')} in service reported in the last "
            f"{duration(look_back)}{others}",
            hint=_LOOK,
        )
    report = found[-1]
    age = (now - report.reported_at).total_seconds()
    if age > stale_after(heartbeat):
        raise DriftError(
            f"the newest report is {duration(age)} old, of {report.instance_id}: nobody has reported since, and each "
            f"should every {duration(heartbeat)}",
            hint=_LOOK,
        )
    return Fresh(
        report=report, group=homes[report.instance_id][0], age=age, reporting=len(found), members=len(members)
    )
