"""Say which build ran where, from when to when: the runs of deployments, joined into periods of a group. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from shipit.models import BuildRun, Group
from shipit.wording import plural


@dataclass(frozen=True, kw_only=True)
class Period:
    """Hold the time in which a group's instances were started with one build, by one deployment or several.

    `instances` counts starts by deployment: an instance that was brought the build twice counts twice. `until` is
    None while the build is the group's last and runs on; `unended` counts the instances of which no end is known.
    """

    group: str
    build: str
    deployments: tuple[str, ...]
    instances: int
    since: datetime
    until: datetime | None
    unended: int


def periods(runs: Iterable[BuildRun], groups: Mapping[str, Group]) -> tuple[Period, ...]:
    """Return the periods, group by group, the newest first; `groups` names those that there are by their ASG.

    Deployments of one build that follow each other in a group are one period, as those to launched instances do.
    Where another build came between, as it does before a rollback, they are two.
    """
    found: list[Period] = []
    by_asg: dict[str, list[BuildRun]] = {}
    for run in runs:
        by_asg.setdefault(run.asg, []).append(run)
    for asg, theirs in by_asg.items():
        name = groups[asg].name if asg in groups else asg
        turns = _turns(sorted(theirs, key=lambda r: (r.since, r.build, r.deployment_id)))
        ended = zip(turns, [*turns[1:], None], strict=True)
        found += reversed([_period(name, turn, after) for turn, after in ended])
    return tuple(sorted(found, key=lambda p: p.group))


def of_group(runs: Iterable[BuildRun], pattern: str, groups: Mapping[str, Group]) -> tuple[BuildRun, ...]:
    """Return the runs of groups whose name, queue or ASG a wildcard matches; an empty one matches all."""

    def matches(asg: str) -> bool:
        group = groups.get(asg)
        return any(fnmatchcase(name, pattern) for name in (asg, *((group.name, group.queue) if group else ())))

    return tuple(run for run in runs if not pattern or matches(run.asg))


def rows(found: Iterable[Period], *, build: bool = True) -> list[dict[str, str]]:
    """Return a row for each period; without `build` where all are of one."""
    return [_row(period, build) for period in found]


def _turns(runs: Sequence[BuildRun]) -> list[list[BuildRun]]:
    turns: list[list[BuildRun]] = []
    for run in runs:
        if turns and turns[-1][0].build == run.build:
            turns[-1].append(run)
        else:
            turns.append([run])
    return turns


def _period(group: str, turn: Sequence[BuildRun], after: Sequence[BuildRun] | None) -> Period:
    unended = sum(run.unended for run in turn)
    # Where all of them died without a word, what came next is all that is known of their end.
    ends = [run.until for run in turn if run.until] or [run.since for run in (after or ())[:1]]
    until = max(ends) if ends and (after or not unended) else None
    return Period(
        group=group,
        build=turn[0].build,
        deployments=tuple(dict.fromkeys(run.deployment_id for run in turn if run.deployment_id)),
        instances=sum(run.instances for run in turn),
        since=turn[0].since,
        until=until,
        unended=unended,
    )


def _row(period: Period, build: bool) -> dict[str, str]:
    first, *more = period.deployments or ("-",)
    note = f" and {plural(len(more), 'more', 'more')}" if more else ""
    if period.until and period.unended:
        note += f"; no end is known of {period.unended:,}"
    return {
        "group": period.group,
        **({"build": period.build} if build else {}),
        "from": _minute(period.since),
        "to": _minute(period.until) if period.until else "now",
        "instances": f"{period.instances:,}",
        "deployment": first + note,
    }


def _minute(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"
