"""Read what past rollouts say: which build to go back to, and the rows of `inv history`. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from shipit.models import Outcome, RolloutRecord
from shipit.wording import duration, moment


def previous_good(records: Iterable[RolloutRecord], running: str) -> RolloutRecord | None:
    """Return the newest rollout that ended good, of another build than `running`; None where there is none.

    A build that was undone is no place to go back to, unless it was brought again later and that ended good. Rollouts
    of the whole fleet come before those that left groups out or on other builds: a trial's build is not the fleet's.
    """
    ranked = newest_first(records)
    left = {record.undoes for record in ranked}
    partial: RolloutRecord | None = None
    undone: set[str] = set()
    for record in ranked:
        # Whoever undoes a rollout writes both records, and may have died between the two.
        if record.undone_by or record.id in left or record.outcome is Outcome.ROLLED_BACK:
            undone.add(record.build)
        elif record.outcome.good and record.build != running and record.build not in undone:
            if not record.excluded and len({group.build for group in record.groups.values()}) < 2:
                return record
            partial = partial or record
    return partial


def rows(records: Iterable[RolloutRecord]) -> list[dict[str, str]]:
    """Return a row for each rollout, the newest first."""
    return [_row(record) for record in newest_first(records)]


def newest_first(records: Iterable[RolloutRecord]) -> list[RolloutRecord]:
    """Return the records, the newest first: by the one before it that each names, else by when they started."""
    ranked = sorted(records, key=lambda r: (r.started_at, r.id), reverse=True)
    left: dict[str, list[RolloutRecord]] = {}
    for record in ranked:
        left.setdefault(record.id, []).append(record)
    followed = {record.previous for record in ranked}
    found: list[RolloutRecord] = []
    # The loop over all comes last: only records that name each other in a ring are left for it.
    for record in [*(r for r in ranked if r.id not in followed), *ranked]:
        rollout_id = record.id
        while left.get(rollout_id):
            found.append(left[rollout_id].pop(0))
            rollout_id = found[-1].previous
    return found


def _row(record: RolloutRecord) -> dict[str, str]:
    well = sum(g.phase.ended and not g.phase.bad for g in record.groups.values())
    return {
        "id": record.id,
        "when": moment(record.started_at),
        "by": record.by,
        "build": record.build,
        "outcome": record.outcome.value,
        "groups": f"{well} of {len(record.groups)}",
        "duration": "-" if record.seconds is None else duration(record.seconds),
        "note": "; ".join(_notes(record)),
    }


def _notes(record: RolloutRecord) -> list[str]:
    notes = [f"undoes {record.undoes}"] if record.undoes else []
    if record.undone_by:
        notes.append(f"undone by {record.undone_by}")
    if record.excluded:
        notes.append(f"left out {len(record.excluded)}")
    return [*notes, record.why] if record.why else notes
