"""Estimate how long each group takes, by how long it took before. Pure; all times in seconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
