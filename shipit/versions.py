"""Say which build ran where, from when to when: the runs of deployments, joined into periods of a group. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from shipit.models import BuildRun, Group, Period


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
    ends = [run.until for run in turn if run.until]
    if unended and after:
        # Of those that died without a word, what came next is all that is known of their end.
        ends.append(after[0].since)
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
