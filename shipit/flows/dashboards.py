"""Write what Grafana needs to show the environment: its queues and groups as they are tagged now."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from shipit import sql
from shipit.dashboards import Facts, Work, render, write
from shipit.errors import PreflightError, UsageError
from shipit.events import Notice
from shipit.flows.prepare import seconds
from shipit.wiring import Tool
from shipit.wording import listing, plural


def export(tool: Tool, folder: str, *, home: str, oldest: str, depth: str, force: bool) -> None:
    """Write the dashboards, data sources and alert rules of the environment into a folder.

    Raises UsageError for flags that say nothing and for files that somebody changed, PreflightError where no group
    bears the tags, and AwsError.
    """
    if not folder:
        raise UsageError("no folder to write to", hint="inv dashboards.export DIR")
    limit = seconds("--oldest", oldest)
    if limit < 1:
        raise UsageError(f"--oldest {oldest!r} is too short", hint="write a duration of at least 1s, such as 180s")
    if not depth.isdecimal() or not int(depth):
        raise UsageError(f"--depth {depth!r} is no number of messages", hint="write a whole number, 1 or more")
    settings, reports = tool.settings, tool.settings.reports
    below = {"bucket": tool.place["bucket"], "prefix": tool.place["prefix"]}
    facts = Facts(
        env=settings.env,
        region=tool.session.region,
        database=reports.database,
        reports=reports.table,
        history=reports.history_table,
        reports_at=sql.reports_location(**below),
        history_at=sql.history_location(**below),
        workgroup=reports.workgroup,
        output=tool.athena_output,
        heartbeat=reports.heartbeat,
        works=_works(tool),
        oldest=int(limit),
        depth=int(depth),
        home=home,
    )
    done = write(Path(folder), render(facts), force=force)
    queues = len({work.queue for work in facts.works})
    tool.display.text(
        f"{plural(len(done.written), 'file')} of {settings.env} written to {folder}, {len(done.same)} unchanged: "
        f"{plural(queues, 'queue')}, {plural(2 * queues + 2, 'alert rule')}"
    )
    tool.display.text(f"next: bring {folder} to where Grafana finds it, {home}, and restart it (docs/dashboards.md)")


def _works(tool: Tool) -> tuple[Work, ...]:
    """Return the queues that the groups' tags name, with what SQS knows of their dead-letter queues."""
    tag, tags = tool.settings.queue_tag, tool.settings.tags
    asgs: dict[str, list[str]] = defaultdict(list)
    for record in tool.autoscaling.groups(tag, tags):
        asgs[record.tags[tag]].append(record.name)
    if not asgs:
        raise PreflightError(
            f"no Auto Scaling group bears the tag {tag!r}, so no queue is known",
            hint="check `queue-tag`, `tags` and `region` in shipit.toml",
        )
    facts = {queue.name: queue for queue in tool.queues.facts(asgs)}
    absent = sorted(name for name in asgs if not facts[name].exists)
    if absent:
        text = (
            f"SQS has no queue named as the tag {tag!r} says, so that nothing will be shown of it: {listing(absent)}"
        )
        tool.display(Notice(text=text, warning=True))
    return tuple(
        Work(queue=name, asgs=tuple(groups), dead_letter=facts[name].dead_letter.rpartition(":")[2])
        for name, groups in sorted(asgs.items())
    )
