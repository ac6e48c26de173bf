"""Which build ran where, over time: questions to the history of starts and stops."""

from __future__ import annotations

from dataclasses import replace

from shipit.errors import UsageError
from shipit.events import BuildsRan
from shipit.flows.prepare import seconds
from shipit.models import Group
from shipit.versions import of_group, periods
from shipit.wiring import Tool

#: As many days as the table reaches back to.
_LONGEST = 400


def history(tool: Tool, *, group: str, since: str) -> None:
    """Show the builds of each group, the newest first."""
    tool.display(_ask(tool, group, since))


def when(tool: Tool, build: str, *, since: str) -> None:
    """Show where and when a build ran."""
    if not build:
        raise UsageError("which build?", hint="inv versions.when BUILD; inv versions.history lists them")
    found = _ask(tool, "", since)
    theirs = tuple(period for period in found.periods if period.build == build)
    tool.display(replace(found, periods=theirs, build=build))


def _ask(tool: Tool, group: str, since: str) -> BuildsRan:
    look_back = seconds("--since", since)
    if not 0 < look_back <= _LONGEST * 86400:
        raise UsageError(f"--since {since!r} is not in the history", hint=f"it goes back {_LONGEST} days: 90d")
    runs, cost = tool.past.runs(tool.clock.now(), look_back)
    groups: dict[str, Group] = {g.asg: g for g in tool.fleet.read().groups}
    found = periods(of_group(runs, group, groups), groups)
    return BuildsRan(env=tool.settings.env, periods=found, look_back=look_back, cost=cost, group=group)
