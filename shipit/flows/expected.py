"""What each group is expected to run: the build that was named, or what the records of past rollouts say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from shipit.errors import DriftError, UsageError
from shipit.events import Notice
from shipit.flows.locks import drives
from shipit.ledger import LostRecord
from shipit.models import Fleet, Group, RolloutRecord, Wanted
from shipit.plan import patterns, running_build, select
from shipit.rollout import complete, gather
from shipit.verify import Expected, expect
from shipit.wiring import Tool
from shipit.wording import plural

_NAMES = 5


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Hold what the instances are asked for.

    `unsure` are groups that have instances and of which nothing tells what they should run, because a record is lost:
    `lost` says which.
    """

    groups: Mapping[str, Wanted]
    unsure: tuple[str, ...] = ()
    lost: str = ""

    def admit(self) -> None:
        """Raise DriftError where some groups could not be checked that a lost record may have been meant for."""
        if self.unsure:
            raise DriftError(
                f"nothing tells what {_names(self.unsure)} should run: {self.lost}",
                hint="name the build with --build, or deploy there",
            )


def expected(tool: Tool, build: str, only: str) -> Asked:
    """Return what each chosen group is expected to run, and tell it; nothing needs telling of a named build.

    A record that is lost or damaged stops nobody: the marks of its deployments count, and CodeDeploy's last success
    where there is none; a warning says so. Raises UsageError for a pattern that matches nothing, and where nothing is
    expected of any chosen group.
    """
    fleet = tool.fleet.read()
    chosen = select(fleet, patterns(only))
    if build:
        return Asked(groups={name: Wanted(build=build) for name in sorted(chosen)})
    prefix = tool.settings.prefix
    records = _Records(tool, fleet)
    groups = [g for g in fleet.groups if g.name in chosen]
    found = _published(
        tool,
        expect(
            records,
            groups,
            driven=lambda record: drives(tool.lock.holder(), record),
            running=lambda group: running_build(group.last_success, prefix),
        ),
    )
    if not found.groups:
        known = "no rollout was meant for" if records.latest else f"no rollout of {tool.settings.env} is known for"
        raise UsageError(
            f"{known} {_names(found.unknown)}, so no build is expected there", hint="name one with --build"
        )
    _tell(tool, found, records)
    return Asked(
        groups=found.groups,
        unsure=_unsure(found, groups) if records.lost else (),
        lost=records.lost.why if records.lost else "",
    )


class _Records:
    """Read the records as they are asked for, each with the deployments that its process had no time to note.

    The way back ends where one is lost: `lost` names it, and the last record is made anew of what its deployments
    say. What lies behind it is an older word for every group that it may have been meant for.
    """

    def __init__(self, tool: Tool, fleet: Fleet) -> None:
        self.latest: RolloutRecord | None = None
        self.lost: LostRecord | None = None
        self._tool = tool
        self._groups = fleet.groups
        self._attempts = {g.name: g.last_attempt for g in fleet.groups if g.last_attempt}

    def __iter__(self) -> Iterator[RolloutRecord]:
        for found in self._tool.ledger.back():
            if isinstance(found, LostRecord):
                self.lost = found
                yield from self._gathered(found.id)
                return
            self.latest = self.latest or found
            yield complete(found, self._attempts)
        if self.latest is None:
            self.lost = LostRecord(id="", why=f"no rollout of {self._tool.settings.env} is on record")

    def _gathered(self, rollout: str) -> Iterator[RolloutRecord]:
        made = gather(rollout, self._groups, now=self._tool.clock.now())
        if made is not None:
            self.latest = self.latest or made
            # Whether it was meant for the others is not known: it says nothing of them.
            yield replace(made, excluded=tuple(g.name for g in self._groups if g.name not in made.groups))


def _unsure(found: Expected, groups: list[Group]) -> tuple[str, ...]:
    return tuple(g.name for g in groups if g.name in found.unknown and g.instances)


def _published(tool: Tool, found: Expected) -> Expected:
    """Leave out groups that no rollout was meant for and that run what nobody published: nothing could prove them."""
    unsaid = {name for name, wanted in found.groups.items() if not wanted.rollout}
    if not unsaid:
        return found
    versions = tool.builds.versions()
    strange = {name for name in unsaid if found.groups[name].build not in versions}
    return replace(
        found,
        groups={name: wanted for name, wanted in found.groups.items() if name not in strange},
        unknown=tuple(sorted({*found.unknown, *strange})),
    )


def _tell(tool: Tool, found: Expected, records: _Records) -> None:
    """Say what is expected, where that is not one build everywhere, and of which groups nothing is."""
    if records.lost:
        text = f"{records.lost.why}; where no newer rollout tells, what CodeDeploy says is expected"
        tool.display(Notice(text=text, warning=True))
    told: dict[Wanted, list[str]] = defaultdict(list)
    for name, wanted in found.groups.items():
        told[wanted].append(name)
    latest = records.latest
    for wanted, names in sorted(told.items(), key=lambda t: -len(t[1])):
        where = "" if len(told) == 1 else f" in {_names(names)}"
        by = f" by {latest.by}" if latest and wanted.rollout == latest.id and latest.by else ""
        source = f", of rollout {wanted.rollout}{by}" if wanted.rollout else ", as CodeDeploy's last success has it"
        tool.display(Notice(text=f"expecting {wanted.build}{where}{source}"))
    for rollout, waiting in found.waiting.items():
        text = f"rollout {rollout} is running and has yet to start {_names(waiting)}: what they ran is expected there"
        tool.display(Notice(text=text, warning=True))
    if found.unknown:
        why = "nothing tells what they should run" if records.lost else "no rollout was meant for them"
        tool.display(Notice(text=f"not checked, for {why}: {_names(found.unknown)}", warning=True))


def _names(names: tuple[str, ...] | list[str]) -> str:
    if len(names) <= _NAMES:
        return ", ".join(names)
    return f"{plural(len(names), 'group')} ({', '.join(names[:_NAMES])} and {len(names) - _NAMES:,} more)"
