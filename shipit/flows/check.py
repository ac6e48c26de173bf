"""Ask the instances: what each group is expected to run, one look or many, and the files that tell of the verdict."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace

from shipit.display.files import VerdictFiles
from shipit.errors import Interrupted, ShipitError, UsageError
from shipit.events import Event, Notice, Verified
from shipit.flows.locks import drives
from shipit.flows.prepare import seconds
from shipit.models import Fleet, RolloutRecord, Verification, Wanted
from shipit.plan import patterns, running_build, select
from shipit.rollout import complete
from shipit.verify import Expected, expect, outcome
from shipit.wiring import Tool
from shipit.wording import plural

_NAMES = 5


def verify_versions(
    tool: Tool,
    *,
    build: str = "",
    only: str = "",
    wait: str = "",
    everything: bool = False,
    junit: str = "",
    markdown: str = "",
) -> None:
    """Check that every instance reports the build that is expected of its group, and say so in files as well.

    Without a `build` the records of past rollouts tell what is expected. Returns only where the fleet is converged.
    The files are written before that is known to anybody else, whatever the verdict, and where there is none.
    """
    limit = seconds("--wait", wait)
    files = VerdictFiles(tool.settings.env, junit=junit, markdown=markdown, everything=everything)
    found: Verification | None = None

    def listen(event: Event) -> None:
        nonlocal found
        if isinstance(event, Verified):
            found = event.verification
            event = replace(event, everything=everything)
        tool.display(event)

    try:
        groups, latest = _wanted(tool, build, only)
        outcome(tool.look(groups, latest=latest, wait=limit, stop_when=lambda look: False, listen=listen))
    except BaseException as error:
        try:
            files.write(found, _named(error))
        except ShipitError as failure:
            # What ended the command says more than a full disk does.
            tool.display(Notice(text=failure.message, warning=True))
        raise
    else:
        files.write(found, None)
    finally:
        files.discard()


def _named(error: BaseException) -> ShipitError:
    """Return the error as one of ours, for a file: the command's one handler tells it to people."""
    if isinstance(error, ShipitError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Interrupted("interrupted before there was a verdict", hint="the same command looks again")
    return ShipitError(f"{type(error).__name__}: {error}")


def _wanted(tool: Tool, build: str, only: str) -> tuple[Mapping[str, Wanted], str]:
    """Return what each chosen group is expected to run, and the build of the last rollout, empty where none is read.

    Raises UsageError for a pattern that matches nothing, and where nothing is expected of any chosen group.
    """
    fleet = tool.fleet.read()
    chosen = select(fleet, patterns(only))
    if build:
        return {name: Wanted(build=build) for name in sorted(chosen)}, ""
    prefix = tool.settings.prefix
    records = _Records(tool, fleet)
    found = expect(
        records,
        [g for g in fleet.groups if g.name in chosen],
        driven=lambda record: drives(tool.lock.holder(), record),
        running=lambda group: running_build(group.last_success, prefix),
    )
    if records.latest is None:
        raise UsageError(
            f"no rollout of {tool.settings.env} is known, so no build is expected", hint="name one with --build"
        )
    found = _published(tool, found)
    if not found.groups:
        raise UsageError(
            f"no rollout was meant for {_names(found.unknown)}, so no build is expected there",
            hint="name one with --build",
        )
    _tell(tool, found, records.latest)
    return found.groups, records.latest.build


class _Records:
    """Read the records as they are asked for, each with the deployments that its process had no time to note."""

    def __init__(self, tool: Tool, fleet: Fleet) -> None:
        self.latest: RolloutRecord | None = None
        self._tool = tool
        self._attempts = {g.name: g.last_attempt for g in fleet.groups if g.last_attempt}

    def __iter__(self) -> Iterator[RolloutRecord]:
        for record in self._tool.ledger.back():
            self.latest = self.latest or record
            yield complete(record, self._attempts)


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


def _tell(tool: Tool, found: Expected, latest: RolloutRecord) -> None:
    """Say what is expected, where that is not one build everywhere, and of which groups nothing is."""
    told: dict[Wanted, list[str]] = defaultdict(list)
    for name, wanted in found.groups.items():
        told[wanted].append(name)
    for wanted, names in sorted(told.items(), key=lambda t: -len(t[1])):
        where = "" if len(told) == 1 else f" in {_names(names)}"
        by = f" by {latest.by}" if wanted.rollout == latest.id else ""
        source = f", of rollout {wanted.rollout}{by}" if wanted.rollout else ", as CodeDeploy's last success has it"
        tool.display(Notice(text=f"expecting {wanted.build}{where}{source}"))
    for rollout, waiting in found.waiting.items():
        text = f"rollout {rollout} is running and has yet to start {_names(waiting)}: what they ran is expected there"
        tool.display(Notice(text=text, warning=True))
    if found.unknown:
        text = f"not checked, for no rollout was meant for them: {_names(found.unknown)}"
        tool.display(Notice(text=text, warning=True))


def _names(names: tuple[str, ...] | list[str]) -> str:
    if len(names) <= _NAMES:
        return ", ".join(names)
    return f"{plural(len(names), 'group')} ({', '.join(names[:_NAMES])} and {len(names) - _NAMES:,} more)"
