"""Questions that change nothing: what runs, what was deployed, what would be."""

from __future__ import annotations

from pathlib import Path

from shipit.errors import DamagedError, ShipitError, UsageError
from shipit.events import Notice
from shipit.flows.prepare import prepare
from shipit.history import rows
from shipit.models import RolloutPlan, RolloutRecord
from shipit.plan import running_build
from shipit.status import summarize
from shipit.wiring import Tool
from shipit.wording import plural


def status(tool: Tool) -> None:
    """Show what each group runs, and the drift in one line; a last record that is lost or damaged is a warning."""
    record = None
    try:
        record = tool.ledger.latest()
    except (UsageError, DamagedError) as lost:
        tool.display(Notice(text=f"what the last rollout was is not known: {lost.message}", warning=True))
    holding = tool.lock.holder()
    prefix = tool.settings.prefix
    found = summarize(
        tool.fleet.read(),
        record,
        lambda group: running_build(group.last_success, prefix),
        now=tool.clock.now(),
        lock=str(holding).removeprefix("locked by ") if holding and not holding.expired else "",
    )
    tool.display.value("status", found.fields)


def history(tool: Tool, count: str) -> None:
    """List the last rollouts, the newest first; raises UsageError for a count that is none."""
    if not count.isdecimal() or not int(count):
        raise UsageError(f"--count {count!r} is no number of rollouts", hint="write a whole number, 1 or more")
    records = tool.ledger.recent(int(count))
    if not records:
        tool.display.text(f"nothing was deployed to {tool.settings.env} yet")
        return
    tool.display.value("history", {"rollouts": rows(records)})


def diff(tool: Tool, build: str) -> None:
    """Show the commits between what runs and HEAD, or a published build."""
    published = tool.builds.get(build) if build else tool.builds.prospective(tool.head())
    show_commits(tool, prepare(tool, published, allow_older=True))


def show_commits(tool: Tool, made: RolloutPlan) -> None:
    """Show, for each build that runs, the commits that the plan would bring, with their authors."""
    wanted = made.published.build
    running = {p.running: 0 for p in made.groups if p.running and p.running != wanted.version}
    for planned in made.groups:
        if planned.running in running:
            running[planned.running] += 1
    if not any(p.running for p in made.groups):
        tool.display.text("no group runs a build that is known: there are no commits to compare")
    elif not running:
        tool.display.text(f"nothing would change: every group with a known build runs {wanted.version}")
    for version, groups in running.items():
        head = f"{plural(groups, 'group')} {'runs' if groups == 1 else 'run'} {version}"
        try:
            theirs = tool.builds.get(version).build
            coming = tool.repository.commits(theirs.sha, wanted.sha)
            leaving = tool.repository.commits(wanted.sha, theirs.sha)
        except ShipitError as error:
            tool.display(Notice(text=f"{head}: {error.message}", warning=True))
            continue
        for name, commits in (("get", coming), ("lose", leaving)):
            if commits:
                tool.display.text(f"{head}, and would {name} {plural(len(commits), 'commit')}:")
                table = [
                    {"commit": c.sha[:9], "author": c.author, "when": f"{c.date:%Y-%m-%d %H:%M}", "what": c.subject}
                    for c in commits
                ]
                tool.display.value("commits", {"commits": table})


def report(tool: Tool, rollout: str, output: str) -> None:
    """Write one self-contained HTML page of a rollout."""
    from shipit.report import render

    record = tool.ledger.read(rollout) if rollout else _latest(tool)
    path = Path(output or f"shipit-{record.env}-{record.id}.html")
    try:
        path.write_text(render(record, now=tool.clock.now()), encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror or error}",
            hint="--output FILE names another, in a folder that is there",
        ) from None
    tool.display.value("report", {"report": str(path)})


def _latest(tool: Tool) -> RolloutRecord:
    record = tool.ledger.latest()
    if record is None:
        raise UsageError(
            f"no rollout of {tool.settings.env} is known", hint="the first inv deploy leaves a record to tell of"
        )
    return record
