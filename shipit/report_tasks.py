"""The Invoke tasks around version reports, a part of `shipit.tasks`: the store, what it costs, what ran when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.collection import Collection

from shipit.command import command

if TYPE_CHECKING:
    from shipit.wiring import Tool

_SINCE = "how far back, up to 400d; default: 30d"


@command(
    dry_run="print the statements and change nothing; asks AWS nothing",
    template="print a CloudFormation template that makes the same",
)
def setup_reports(tool: Tool, dry_run: bool = False, template: bool = False) -> None:
    """Make what version reports need: tables, a workgroup with a limit, what expires; again, and nothing is done."""
    from shipit.flows import reports

    reports.setup(tool, dry_run=dry_run, template=template)


@command()
def reports_check(tool: Tool) -> None:
    """Find out whether a fresh report of a real instance comes out of Athena, how old it is, what that cost."""
    from shipit.flows import reports

    reports.check(tool)


@command(
    instances="how many; default: those in service",
    heartbeat="time between two reports of an instance: 5m; default: reports.heartbeat",
)
def reports_cost(tool: Tool, instances: str = "", heartbeat: str = "") -> None:
    """Show what the reports of a fleet cost, each written alone and in batches."""
    from shipit.flows import reports

    reports.cost(tool, instances=instances, heartbeat=heartbeat)


@command(group="groups by wildcard: their name, queue or Auto Scaling group", since=_SINCE)
def versions_history(tool: Tool, group: str = "", since: str = "30d") -> None:
    """Show which build ran in each group, from when to when."""
    from shipit.flows import versions

    versions.history(tool, group=group, since=since)


@command("build", build="the build to look for", since=_SINCE)
def when(tool: Tool, build: str = "", since: str = "30d") -> None:
    """Show where and when a build ran."""
    from shipit.flows import versions

    versions.when(tool, build, since=since)


SETUP = Collection("setup")
SETUP.add_task(setup_reports, name="reports")
REPORTS = Collection("reports")
REPORTS.add_task(reports_check, name="check")
REPORTS.add_task(reports_cost, name="cost")
VERSIONS = Collection("versions")
VERSIONS.add_task(versions_history, name="history")
VERSIONS.add_task(when)
