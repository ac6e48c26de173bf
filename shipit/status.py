"""Say what the fleet runs, as CodeDeploy knows it: each build, the groups that differ, the drift in a line. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from shipit.models import Fleet, Group, Outcome, RolloutRecord
from shipit.wording import duration, moment, plural

#: So many builds besides the main one are named in the line.
_NAMED = 2
_NEVER, _FOREIGN = "nothing yet", "a revision of others"


@dataclass(frozen=True, kw_only=True)
class BuildRow:
    """Count who runs one build, and since when all of them do; `build` is empty where it is not one of ours."""

    build: str
    title: str
    groups: tuple[str, ...]
    instances: int
    since: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class GroupRow:
    """Describe a group that is not simply on the main build; `note` says what came after its last success."""

    group: str
    queue: str
    instances: int
    title: str
    since: datetime | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Status:
    """Hold what the fleet runs: the builds, the one of most groups first; the groups that differ; the drift."""

    builds: tuple[BuildRow, ...]
    groups: tuple[GroupRow, ...]
    line: str

    @property
    def fields(self) -> dict[str, object]:
        """Return it as the tables of `inv status`."""
        builds = [
            {"build": b.title, "groups": str(len(b.groups)), "instances": str(b.instances), "since": _moment(b.since)}
            for b in self.builds
        ]
        groups = [
            {
                "group": g.group,
                "instances": str(g.instances),
                "runs": g.title,
                "since": _moment(g.since),
                "note": g.note,
            }
            for g in self.groups
        ]
        tables = {"builds": builds, "differ": groups}
        return {"fleet": self.line, **{name: table for name, table in tables.items() if table}}


def summarize(
    fleet: Fleet,
    record: RolloutRecord | None,
    running: Callable[[Group], str],
    *,
    now: datetime,
    lock: str = "",
) -> Status:
    """Return the status of the fleet.

    `record` is the last rollout, `running` tells the build of a group (empty where it is not one of ours), and `lock`
    says in words who holds the lock, if anybody. Of builds on equally many groups the last rollout's counts as main.
    """
    titles = {g.name: running(g) or (_NEVER if g.last_success is None else _FOREIGN) for g in fleet.groups}
    counts = Counter(titles.values())
    last = record.build if record else ""
    ranked = sorted(counts, key=lambda title: (-counts[title], title != last, title))
    builds = tuple(_build_row(title, [g for g in fleet.groups if titles[g.name] == title]) for title in ranked)
    groups = tuple(
        GroupRow(
            group=g.name, queue=g.queue, instances=g.in_service, title=titles[g.name], since=_since(g), note=_note(g)
        )
        for g in fleet.groups
        if titles[g.name] != ranked[0] or _note(g)
    )
    parts = [*_spread(builds, len(fleet.groups)), _doing(fleet), _rollout(record, now)]
    if lock:
        parts.append(f"locked by {lock}")
    return Status(builds=builds, groups=groups, line="; ".join(p for p in parts if p))


def _build_row(title: str, groups: Sequence[Group]) -> BuildRow:
    moments = [at for g in groups if (at := _since(g))]
    return BuildRow(
        build="" if title in (_NEVER, _FOREIGN) else title,
        title=title,
        groups=tuple(g.name for g in groups),
        instances=sum(g.in_service for g in groups),
        since=max(moments, default=None),
    )


def _since(group: Group) -> datetime | None:
    success = group.last_success
    return None if success is None else success.completed_at or success.created_at


def _moment(at: datetime | None) -> str:
    return moment(at) if at else "-"


def _note(group: Group) -> str:
    """Say what makes the word of the last success doubtful, if anything does."""
    success, attempt = group.last_success, group.last_attempt
    if attempt and not attempt.status.ended:
        return f"{attempt.id} is running: {attempt.description or 'creator ' + attempt.creator}"
    if attempt and (success is None or attempt.id != success.id):
        ended = f"ended as {attempt.status}"
        return f"{attempt.id} came later and {ended}" if success else f"{attempt.id} {ended}"
    left = success.overview.failed + success.overview.skipped if success else 0
    return f"{success.id} left {left} of {success.overview.total} instances behind" if success and left else ""


def _spread(builds: Sequence[BuildRow], total: int) -> list[str]:
    if not builds:
        return ["no group is known"]
    main, *others = builds
    verb = "runs" if len(main.groups) == 1 else "run"
    if not others:
        who = "the only group" if total == 1 else f"all {total} groups"
        return [f"{who} {verb} {main.title}{_after(main)}"]
    said = [f"{len(main.groups)} of {total} groups {verb} {main.title}"]
    for row in others[:_NAMED]:
        many = len(row.groups) > 1
        who = f"{len(row.groups)} groups" if many else row.groups[0]
        said.append(f"{who} {'run' if many else 'runs'} {row.title}{_after(row)}")
    rest = others[_NAMED:]
    if rest:
        said.append(f"{plural(sum(len(r.groups) for r in rest), 'group')} {plural(len(rest), 'other build')}")
    return said


def _after(row: BuildRow) -> str:
    return f" since {_moment(row.since)}" if row.since else ""


def _doing(fleet: Fleet) -> str:
    busy = [g.name for g in fleet.groups if g.active]
    if len(busy) == 1:
        return f"{busy[0]} is being deployed to"
    return f"{len(busy)} groups are being deployed to" if busy else ""


def _rollout(record: RolloutRecord | None, now: datetime) -> str:
    if record is None:
        return "no rollout is known"
    name = f"last rollout {record.id} of {record.build} by {record.by}"
    if record.ended_at is None or record.outcome is Outcome.RUNNING:
        return f"{name} began {_ago(record.started_at, now)} and has not ended"
    return f"{name} ended {record.outcome} {_ago(record.ended_at, now)}"


def _ago(at: datetime, now: datetime) -> str:
    seconds = (now.astimezone(UTC) - at).total_seconds()
    return "just now" if seconds < 1 else f"{duration(seconds)} ago"
