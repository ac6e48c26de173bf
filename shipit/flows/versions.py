"""Which build ran where, over time: questions to the history of starts and stops."""

from __future__ import annotations

from shipit.errors import UsageError
from shipit.flows.prepare import seconds
from shipit.flows.reports import spent
from shipit.models import Group, QueryCost
from shipit.versions import Period, of_group, periods, rows
from shipit.wiring import Tool
from shipit.wording import duration, moment, plural

#: As many days as the table reaches back to.
_LONGEST = 400


def history(tool: Tool, *, group: str, since: str) -> None:
    """Show the builds of each group, the newest first."""
    found, look_back, cost = _ask(tool, group, since)
    if found:
        tool.display.value("versions", {"versions": rows(found)})
    else:
        tool.display.text(_nothing(tool, "no instance", group, look_back))
    tool.display.text(f"Athena: {spent(cost)}")


def when(tool: Tool, build: str, *, since: str) -> None:
    """Show where and when a build ran."""
    if not build:
        raise UsageError("which build?", hint="inv versions.when BUILD; inv versions.history lists them")
    found, look_back, cost = _ask(tool, "", since)
    theirs = tuple(period for period in found if period.build == build)
    if theirs:
        first = min(period.since for period in theirs)
        ends = [period.until for period in theirs if period.until]
        until = moment(max(ends)) if len(ends) == len(theirs) else "now"
        groups = plural(len({period.group for period in theirs}), "group")
        tool.display.value(
            "when", {"ran": f"in {groups}, {moment(first)} to {until}", "where": rows(theirs, build=False)}
        )
    else:
        tool.display.text(_nothing(tool, f"no instance with {build}", "", look_back))
    tool.display.text(f"Athena: {spent(cost)}")


def _ask(tool: Tool, group: str, since: str) -> tuple[tuple[Period, ...], float, QueryCost]:
    look_back = seconds("--since", since)
    if not 0 < look_back <= _LONGEST * 86400:
        raise UsageError(f"--since {since!r} is not in the history", hint=f"it goes back {_LONGEST} days: 90d")
    runs, cost = tool.past.runs(tool.clock.now(), look_back)
    groups: dict[str, Group] = {g.asg: g for g in tool.fleet.read().groups}
    return periods(of_group(runs, group, groups), groups), look_back, cost


def _nothing(tool: Tool, what: str, group: str, look_back: float) -> str:
    where = f" of {group}" if group else ""
    return f"{what}{where} said in the last {duration(look_back)} that it was started in {tool.settings.env}"
