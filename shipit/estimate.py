"""Estimate how long a rollout takes, by how long its groups took before. Pure; all times in seconds."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from datetime import datetime
from statistics import median

from shipit.models import Phase, RolloutRecord

#: So many of a group's last times count: enough to outvote an odd one, few enough to follow a change.
_LAST = 5


def seconds_by_group(records: Iterable[RolloutRecord], names: Iterable[str] = ()) -> Mapping[str, float]:
    """Return for each group the median of its last five times that ended in success.

    Each of `names` that never succeeded gets the median over all groups. Empty where nothing is known of any.
    """
    times: dict[str, list[float]] = {}
    for record in sorted(records, key=lambda r: (r.started_at, r.id), reverse=True):
        for name, entry in record.groups.items():
            if entry.phase is Phase.SUCCEEDED and entry.seconds is not None:
                times.setdefault(name, []).append(entry.seconds)
    found = {name: median(taken[:_LAST]) for name, taken in times.items()}
    if not found:
        return {}
    usual = median(found.values())
    return {**dict.fromkeys(names, usual), **found}


def makespan(expected: Iterable[float], at_once: int) -> float:
    """Return when the last of the groups ends, if `at_once` of them run at a time and the longest start first.

    Raises ValueError for `at_once` below 1.
    """
    return _schedule((), expected, at_once)


def remaining(
    started: Mapping[str, datetime],
    waiting: Iterable[str],
    expected: Mapping[str, float],
    *,
    at_once: int,
    now: datetime,
) -> float | None:
    """Return how long until the groups that run (`started` at) and those that wait have all ended.

    A group that takes longer than expected counts as due now. None where nothing is known of one of the groups: no
    number is better than a wrong one. Raises ValueError for `at_once` below 1.
    """
    queue = list(waiting)
    if any(name not in expected for name in (*started, *queue)):
        return None
    left = [max(expected[name] - (now - at).total_seconds(), 0.0) for name, at in started.items()]
    return _schedule(left, (expected[name] for name in queue), at_once)


def _schedule(busy: Iterable[float], waiting: Iterable[float], at_once: int) -> float:
    """Give each waiting group, the longest first, the place that is free first; return when all is over."""
    if at_once < 1:
        raise ValueError(f"at_once is {at_once}: at least one group must be able to run")
    free = list(busy)
    latest = max(free, default=0.0)
    free += [0.0] * (at_once - len(free))
    # More may run than places are left (the limit was lowered): those that end first free none then.
    free = sorted(free)[len(free) - at_once :]
    heapq.heapify(free)
    for seconds in sorted(waiting, reverse=True):
        end = free[0] + seconds
        heapq.heapreplace(free, end)
        latest = max(latest, end)
    return latest
