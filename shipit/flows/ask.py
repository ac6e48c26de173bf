"""Questions that change nothing: what runs, what was deployed, what would be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from shipit.errors import ShipitError, UsageError
from shipit.events import Notice
from shipit.flows.prepare import prepare, seconds
from shipit.history import rows
from shipit.models import RolloutPlan, RolloutRecord
from shipit.plan import patterns, running_build, select
from shipit.status import summarize
from shipit.verify import outcome
from shipit.wiring import Tool
from shipit.wording import plural


def verify_versions(tool: Tool, *, build: str, only: str, wait: str) -> None:
    """Check that every instance reports its build, by default what the env's last rollout brought its group."""
    limit = seconds("--wait", wait)
    chosen = select(tool.fleet.read(), patterns(only))
    wanted: Mapping[str, frozenset[str]] = {build: chosen}
    if not build:
        record = _latest(tool)
        tool.display(Notice(text=f"expecting {record.build}, of rollout {record.id} by {record.by}"))
        if not only and record.excluded:
            chosen -= frozenset(record.excluded)
            text = f"{len(record.excluded)} groups that this rollout left out on purpose are not checked"
            tool.display(Notice(text=text))
        wanted = _by_build(record, chosen)
    found = [
        tool.look(one, groups, wait=limit, stop_when=lambda look: False, listen=tool.display)
        for one, groups in wanted.items()
    ]
    for verification in found:
        outcome(verification)


def status(tool: Tool) -> None:
    """Show what each group runs, and the drift in one line."""
    holding = tool.lock.holder()
    prefix = tool.settings.prefix
    found = summarize(
        tool.fleet.read(),
        tool.ledger.latest(),
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
    if not running:
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
    path.write_text(render(record, now=tool.clock.now()), encoding="utf-8")
    tool.display.value("report", {"report": str(path)})


def _latest(tool: Tool) -> RolloutRecord:
    record = tool.ledger.latest()
    if record is None:
        raise UsageError(
            f"no rollout of {tool.settings.env} is known, so no build is expected", hint="name one with --build"
        )
    return record


def _by_build(record: RolloutRecord, groups: frozenset[str]) -> Mapping[str, frozenset[str]]:
    """Return which of the groups should run which build; a rollback may have brought different ones."""
    builds: dict[str, set[str]] = {record.build: set()}
    for name in groups:
        entry = record.groups.get(name)
        builds.setdefault((entry.build if entry else "") or record.build, set()).add(name)
    return {build: frozenset(names) for build, names in builds.items() if names} or {record.build: groups}
