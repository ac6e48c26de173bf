"""Read from the records of past rollouts which build each group is expected to run. Pure.

The latest rollout that says anything of a group decides, not the last rollout: groups that it left out on purpose
keep what an earlier one brought. A mixed fleet must never pass, so a rollout that is over counts for every group that
it was meant for, whatever became of it there; only one that still runs may leave groups on what they had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from shipit.models import Group, Outcome, RolloutRecord, Wanted


@dataclass(frozen=True, kw_only=True)
class Expected:
    """Hold what each group is expected to run.

    `unknown` are groups of which nothing is known: no rollout was meant for them, and CodeDeploy never brought them
    a build of ours. `waiting` names the groups that a running rollout, by its id, has yet to start.
    """

    groups: Mapping[str, Wanted]
    unknown: tuple[str, ...] = ()
    waiting: Mapping[str, tuple[str, ...]]


def expect(
    records: Iterable[RolloutRecord],
    groups: Iterable[Group],
    *,
    driven: Callable[[RolloutRecord], bool],
    running: Callable[[Group], str],
) -> Expected:
    """Return what each group is expected to run.

    `records` come newest first, and no more of them are read than are needed. `driven` tells whether a living
    process leads a rollout that has not ended; `running` is the build of a group by CodeDeploy's last success, empty
    where it is none of ours.
    """
    by_name = {g.name: g for g in groups}
    search = _Search(by_name)
    for record in records:
        search.read(record, live=record.outcome is Outcome.RUNNING and driven(record))
        if not search.open:
            break
    unknown = []
    for name in sorted(search.open):
        known = search.pending.get(name) or search.before.get(name)
        if known is None and (build := running(by_name[name])):
            known = Wanted(build=build)
        if known is None:
            unknown.append(name)
        else:
            search.found[name] = known
    return Expected(
        groups=dict(sorted(search.found.items())),
        unknown=tuple(unknown),
        waiting={rollout: tuple(names) for rollout, names in search.waiting.items()},
    )


class _Search:
    """Go back through the records until each group is settled."""

    def __init__(self, groups: Iterable[str]) -> None:
        self.open = set(groups)
        self.found: dict[str, Wanted] = {}
        #: What a group ran before a running rollout that has not started it, by that rollout's record.
        self.before: dict[str, Wanted] = {}
        #: What a rollback is taken to mean for a group that it does not name, until the rollout that it undoes tells.
        self.pending: dict[str, Wanted] = {}
        self.waiting: dict[str, list[str]] = {}
        self._undone: set[str] = set()
        self._undoer: dict[str, str] = {}

    def read(self, record: RolloutRecord, *, live: bool) -> None:
        """Settle the groups of which this record says what they run."""
        for name in sorted(self.open):
            wanted = self._of(record, name, live=live)
            if wanted is not None:
                self.found[name] = wanted
                self.open.discard(name)
        if record.undoes:
            self._undone.add(record.undoes)

    def _of(self, record: RolloutRecord, name: str, *, live: bool) -> Wanted | None:
        entry = record.groups.get(name)
        left_out = name in record.excluded
        if self._undoer.get(name) == record.id:
            # One that takes back what a rollout touched names every group of that one, or leaves it out; a rollback
            # of the whole fleet does not name the groups that ran its build already.
            whole = self.pending.pop(name)
            del self._undoer[name]
            if entry is not None or left_out:
                return whole
        if entry is None:
            if left_out or record.id in self._undone:
                return None
            wanted = Wanted(build=record.build, rollout=record.id)
            if record.undoes:
                self.pending.setdefault(name, wanted)
                self._undoer.setdefault(name, record.undoes)
                return None
            return wanted
        wanted = Wanted(build=entry.build or record.build, rollout=record.id)
        if entry.deployments:
            return wanted
        if live:
            self.waiting.setdefault(record.id, []).append(name)
            if entry.before:
                self.before.setdefault(name, Wanted(build=entry.before))
            return None
        # Undone before its turn came: whatever undid it left the group alone.
        return None if record.id in self._undone else wanted
