"""What reports need: the store they go to, whether they come out of it, what it costs."""

from __future__ import annotations

from shipit import sql
from shipit.cost import MANY, Way, estimate
from shipit.display.blocks import bill
from shipit.display.text import dollars, size
from shipit.errors import UsageError
from shipit.flows.prepare import seconds
from shipit.fresh import newest
from shipit.models import Workgroup
from shipit.setup import Doing, Found, Goal, Step, carry_out, decide, expiry_rules
from shipit.wiring import Tool
from shipit.wording import duration, plural


def setup(tool: Tool, *, dry_run: bool, template: bool) -> None:
    """Make what is missing of the database, the tables, the workgroup and the bucket's lifecycle."""
    if dry_run and template:
        raise UsageError("--dry-run and --template print different things", hint="give one of them")
    if template:
        _print(tool, sql.template(**tool.place, **_tables(tool), **_group(tool)))
        return
    wanted = _wanted(tool)
    if dry_run:
        _show(tool, wanted)
        return
    steps = decide(wanted, _found(tool, wanted))
    carry_out(steps, tool.ddl, tool.athena_setup, tool.report_rules)
    tool.display.value("setup", {"setup": [_row(step) for step in steps]})
    if not any(step.doing in (Doing.MAKE, Doing.CHANGE) for step in steps):
        tool.display.text("nothing to do")


def check(tool: Tool) -> None:
    """Ask for a fresh report of a real instance, and say how old it is and what the question cost."""
    reports = tool.settings.reports
    now = tool.clock.now()
    found, cost = tool.reports.latest_reports(now, reports.look_back)
    fresh = newest(tool.fleet.read(), found, now=now, heartbeat=reports.heartbeat, look_back=reports.look_back)
    report = fresh.report
    tool.display.value(
        "check",
        {
            "instance": f"{report.instance_id} of {fresh.group.name}",
            "runs": report.running_build or "no build that it could prove",
            "reported": f"{duration(fresh.age)} ago ({report.reason})",
            "reporting": f"{fresh.reporting:,} of {fresh.members:,} instances in service",
            "query": bill(cost),
        },
    )


def cost(tool: Tool, *, instances: str, heartbeat: str) -> None:
    """Show what reports cost, by the fleet's size and the settings where no flag says other."""
    if instances and not instances.isdecimal():
        raise UsageError(f"--instances {instances!r} is no number of instances", hint="write a whole number: 300")
    reports = tool.settings.reports
    count = int(instances) if instances else sum(group.in_service for group in tool.fleet.read().groups)
    every = seconds("--heartbeat", heartbeat) if heartbeat else reports.heartbeat
    costs = estimate(count, heartbeat=every, look_back=reports.look_back)
    tool.display.value(
        "cost",
        {
            "reports": f"{costs.reports:,.0f} a month: {plural(count, 'instance')}, one every {duration(every)}",
            "prices": [
                _price("each written alone", costs.alone),
                _price("in batches, by Firehose", costs.batched),
            ],
        },
    )
    if count > MANY:
        tool.display.text(
            f"above {MANY:,} instances batches are the cheaper way by far; docs/reports.md says at what price"
        )


def _price(name: str, way: Way) -> dict[str, str]:
    return {
        "reports": name,
        "a month": dollars(way.writing),
        "a query": dollars(way.query),
        "reads at most": f"{plural(way.objects, 'object')}, {size(round(way.size))}",
    }


def _tables(tool: Tool) -> dict[str, str]:
    return {"table": tool.settings.reports.table, "history_table": tool.settings.reports.history_table}


def _group(tool: Tool) -> dict[str, str]:
    reports = tool.settings.reports
    return {"workgroup": reports.workgroup, "scan_limit": str(reports.scan_limit), "output": tool.athena_output}


def _wanted(tool: Tool) -> Goal:
    reports, place = tool.settings.reports, tool.place
    statements = (
        *sql.reports_ddl(**place, table=reports.table),
        *sql.history_ddl(**place, table=reports.history_table),
    )
    return Goal(
        database=reports.database,
        tables=tuple(sql.shape(statement) for statement in statements[1:]),
        statements=statements,
        workgroup=Workgroup(name=reports.workgroup, scan_limit=reports.scan_limit, output=tool.athena_output),
        rules=expiry_rules(place["prefix"]),
    )


def _found(tool: Tool, wanted: Goal) -> Found:
    catalog = tool.athena_setup
    database = catalog.has_database(wanted.database)
    return Found(
        database=database,
        tables=catalog.tables(wanted.database, tuple(t.name for t in wanted.tables)) if database else (),
        workgroup=catalog.workgroup(wanted.workgroup.name),
        rules=tool.report_rules.rules(),
    )


def _row(step: Step) -> dict[str, str]:
    done = {Doing.MAKE: "made", Doing.CHANGE: "changed", Doing.THERE: "there already", Doing.LEFT: "left as it is"}
    return {"part": step.part, "state": done[step.doing], "note": step.note}


def _show(tool: Tool, wanted: Goal) -> None:
    """Print the statements, and in comments what SQL cannot say."""
    group = wanted.workgroup
    lines = [f"-- workgroup {group.name}: a query may read {size(group.scan_limit or 0)}, results in {group.output}"]
    lines += [f"-- s3://{tool.place['bucket']}/{rule.prefix} expires after {rule.days} days" for rule in wanted.rules]
    _print(tool, "\n".join([*lines, *(f"\n{statement};" for statement in wanted.statements)]))


def _print(tool: Tool, text: str) -> None:
    for line in text.splitlines():
        tool.display.text(line, code=True)
