"""Rules for Celery's settings: what loses, doubles or strands tasks on SQS."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from shipit.lint.commands import CeleryCommand, celery_commands
from shipit.lint.configuration import TRANSPORT, UNKNOWN, Module, Setting, read_module
from shipit.lint.rules import Rule
from shipit.lint.sources import Sources
from shipit.models import Finding, Severity

ACKS_LATE = Rule(
    id="celery-acks-late-without-reject",
    finds="`task_acks_late`, of the application or of a task, without `task_reject_on_worker_lost`",
    why="measured: a SIGTERM to the whole process group lost 2 of 2 tasks, and a SIGKILL of one pool process (out "
    "of memory) lost its task; with reject_on_worker_lost none was lost",
    fix="set task_reject_on_worker_lost=True, and give the queue a dead-letter queue (maxReceiveCount 3)",
    severity=Severity.ERROR,
)
PREFETCH = Rule(
    id="celery-prefetch",
    finds="`worker_prefetch_multiplier` above 1, 0 (no bound), or left at its default of 4",
    why="a worker holds messages that it does not work on, while their visibility timeout runs; past it, measured, "
    "2 of 2 tasks ran twice. A reclaimed instance takes all of them with it",
    fix="set worker_prefetch_multiplier=1",
)
VISIBILITY_UNUSED = Rule(
    id="celery-visibility-timeout-unused",
    finds="`visibility_timeout` beside `predefined_queues`",
    why="documented: with predefined queues it has no effect, so the queue's own counts (SQS gives a new one 30 s); "
    "measured with a timeout of 3 s and tasks of 8 s: both of two ran twice",
    fix="remove it, set the visibility timeout on the queue, and `import shipit_worker` to have it extended",
)
LONG_POLL = Rule(
    id="celery-long-poll-without-quiesce",
    finds="`wait_time_seconds` above 5, or left at kombu's default of 10, without shipit_worker's quiesce",
    why="measured with 10 s: a plain TERM stranded 13 of 298 messages until their visibility timeout (45 of 302 "
    "with Celery 5.6); quiesced first, 0 of 307",
    fix="`import shipit_worker` in the Celery module, or set wait_time_seconds to 2",
)
KEEPER = Rule(
    id="celery-keeper-without-time-limit",
    finds="`import shipit_worker` without a `task_time_limit`",
    why="the keeper leaves a task without a limit alone, since one that hangs would be kept for ever: past the "
    "queue's visibility timeout it runs a second time (measured: both of two did)",
    fix="set task_time_limit above your longest task, at most 12 h, or SHIPIT_VISIBILITY=0 to do without the keeper",
)
REMOTE = Rule(
    id="celery-remote-control",
    finds="remote control in scripts and code: `celery inspect`, `control`, `status`, `events`, `app.control.…`",
    why="SQS has no remote control: measured, inspect ping, control shutdown and control cancel_consumer all fail, "
    "so a script that relies on them stops and learns nothing",
    fix="send signals to the main process: scripts/drain.py stops a worker, `systemctl show` says whether it runs",
)
UNKNOWN_VALUE = Rule(
    id="celery-unknown",
    finds="settings that only running the program would tell (shown with `--all`)",
    why="what the environment or a function gives cannot be judged from the source",
    fix="look at it yourself, or write the value out",
    severity=Severity.NOTE,
)
RULES = (ACKS_LATE, PREFETCH, VISIBILITY_UNUSED, LONG_POLL, KEEPER, REMOTE, UNKNOWN_VALUE)

#: What a file must mention to be read: the words of the settings that rules ask for, in any spelling.
_RELEVANT = (
    b"celery",
    b"shipit_worker",
    b"acks_late",
    b"reject_on_worker_lost",
    b"prefetch_multiplier",
    b"task_time_limit",
    b"broker_transport_options",
)
#: Seconds of a long poll from which a plain stop strands messages, and kombu's default (kombu.transport.SQS).
_LONG, _DEFAULT_WAIT = 5, 10
#: What switches a plugin of shipit_worker off.
_OFF = ("off", "no", "false", "0")


@dataclass(frozen=True, kw_only=True)
class Celery:
    """Join what all files say of the application; several applications in one bundle are taken for one."""

    modules: tuple[Module, ...] = ()
    keeper: bool = False
    quiesce: bool = False
    #: Seconds, by the command line of a worker.
    time_limits: tuple[Setting, ...] = ()
    prefetches: tuple[Setting, ...] = ()

    def of(self, name: str) -> list[Setting]:
        """Return all assignments of a setting."""
        return [s for m in self.modules for s in m.settings if s.name == name]

    @property
    def opaque(self) -> list[tuple[str, int, str]]:
        """Return the places where settings come from what is not in the bundle: file, line and what."""
        here = {posixpath.basename(m.file).removesuffix(".py") for m in self.modules}
        here |= {name for m in self.modules for name in m.classes}
        return [
            (m.file, line, where)
            for m in self.modules
            for line, where in m.opaque
            if not where.startswith("django.conf") and re.split(r"[.:]", where)[-1] not in here
        ]

    @property
    def rejects(self) -> bool:
        """Tell whether a task whose process was lost comes back, as far as can be known."""
        options = [o.get("reject_on_worker_lost") for m in self.modules for _, o in m.tasks]
        return any(value in (True, UNKNOWN) for value in (*(s.value for s in self.of(_REJECT)), *options))

    @property
    def time_limit(self) -> Setting | None:
        """Return the longest time limit that is known, in seconds."""
        tasks = (
            Setting(name="time_limit", value=options["time_limit"], file=m.file, line=line)
            for m in self.modules
            for line, options in m.tasks
            if "time_limit" in options
        )
        known = [s for s in (*self.of("task_time_limit"), *self.time_limits, *tasks) if _number(s.value) > 0]
        return max(known, key=lambda s: _number(s.value), default=None)

    @property
    def is_sqs(self) -> bool:
        """Tell whether the broker is SQS, or might be."""
        urls = [s.value for s in self.of("broker_url") if isinstance(s.value, str) and s.value]
        return not urls or any(url.startswith("sqs") for url in urls)


_REJECT = "task_reject_on_worker_lost"


def read_celery(sources: Sources, *, most: int | None = None) -> Celery:
    """Return what the bundle's files say of Celery, of at most `most` Python files."""
    modules = [read_module(n, sources.text(n)) for n in sources.python(most) if sources.mentions(n, _RELEVANT)]
    plugin = any(m.plugin for m in modules)
    settings = {key: one.value for key, one in sources.settings().items()}
    limits: list[Setting] = []
    prefetches: list[Setting] = []
    for file, command in _commands(sources):
        for flag, found in (("--time-limit", limits), ("--prefetch-multiplier", prefetches)):
            if flag in command.options:
                value = _parsed(command.options[flag])
                found.append(Setting(name=flag, value=value, file=file, line=command.line))
    return Celery(
        modules=tuple(modules),
        keeper=plugin and _parsed(settings.get("SHIPIT_VISIBILITY", "")) != 0,
        quiesce=plugin and settings.get("SHIPIT_QUIESCE", "").lower() not in _OFF,
        time_limits=tuple(limits),
        prefetches=tuple(prefetches),
    )


def _commands(sources: Sources) -> Iterator[tuple[str, CeleryCommand]]:
    """Yield the commands of shell scripts, and the worker's with SHIPIT_CELERY_ARGS, each behind its file."""
    for name in sources.shell():
        for command in celery_commands(sources.text(name)):
            yield name, command
    if more := sources.settings().get("SHIPIT_CELERY_ARGS"):
        for command in celery_commands(f"celery worker {more.value}"):
            yield more.file, replace(command, line=more.line)


def check_celery(found: Celery, sources: Sources, *, notes: bool = False) -> Iterator[Finding]:
    """Yield what is wrong with the settings; with `notes` also what could not be known."""
    yield from _acks_late(found)
    yield from _prefetch(found)
    if found.is_sqs:
        yield from _transport(found)
        yield from _keeper(found)
        yield from _remote(found, sources)
    if notes:
        yield from _notes(found)


def _acks_late(found: Celery) -> Iterator[Finding]:
    everywhere = any(s.value in (True, UNKNOWN) for s in found.of(_REJECT))
    if everywhere or found.opaque:
        return
    for setting in found.of("task_acks_late"):
        if setting.value is True:
            yield ACKS_LATE.at(setting.file, setting.line, "task_acks_late without task_reject_on_worker_lost")
    for module in found.modules:
        for line, options in module.tasks:
            if options.get("acks_late") is True and options.get("reject_on_worker_lost") in (None, False):
                yield ACKS_LATE.at(module.file, line, "the task has acks_late without reject_on_worker_lost")


def _prefetch(found: Celery) -> Iterator[Finding]:
    settings = [*found.of("worker_prefetch_multiplier"), *found.prefetches]
    for setting in settings:
        if setting.value is not UNKNOWN and _number(setting.value) != 1:
            shown = f"{setting.name} is {setting.value}"
            yield PREFETCH.at(setting.file, setting.line, f"{shown}, no bound at all" if not setting.value else shown)
    if not settings and not found.opaque:
        for file, line in _applications(found):
            yield PREFETCH.at(file, line, "worker_prefetch_multiplier is not set, and its default is 4")


def _transport(found: Celery) -> Iterator[Finding]:
    predefined = found.of(f"{TRANSPORT}.predefined_queues")
    if predefined:
        for setting in found.of(f"{TRANSPORT}.visibility_timeout"):
            what = "visibility_timeout has no effect beside predefined_queues"
            yield VISIBILITY_UNUSED.at(setting.file, setting.line, what)
    if found.quiesce:
        return
    waits = found.of(f"{TRANSPORT}.wait_time_seconds")
    for setting in waits:
        if _number(setting.value) > _LONG:
            yield LONG_POLL.at(setting.file, setting.line, f"wait_time_seconds is {setting.value}, without quiesce")
    what = f"wait_time_seconds is not set, and its default is {_DEFAULT_WAIT}, without quiesce"
    options = found.of(TRANSPORT)
    if waits or found.opaque or any(s.value is UNKNOWN for s in options):
        return
    for file, line in [(s.file, s.line) for s in options] or list(_applications(found)):
        yield LONG_POLL.at(file, line, what)


def _keeper(found: Celery) -> Iterator[Finding]:
    limits = [*found.of("task_time_limit"), *found.time_limits]
    if not found.keeper or found.opaque or any(s.value is UNKNOWN or _number(s.value) > 0 for s in limits):
        return
    tasks = [options for m in found.modules for _, options in m.tasks]
    if tasks and all(options.get("time_limit") for options in tasks):
        return
    for module in found.modules:
        if module.plugin:
            line = next(iter(module.applications), 1)
            yield KEEPER.at(module.file, line, "shipit_worker's keeper without a task_time_limit")


def _remote(found: Celery, sources: Sources) -> Iterator[Finding]:
    for module in found.modules:
        for line, call in module.remote:
            yield REMOTE.at(module.file, line, f"{call} does not work on SQS")
    for name, command in _commands(sources):
        if command.name in ("inspect", "control", "status", "events", "flower"):
            yield REMOTE.at(name, command.line, f"celery {command.name} does not work on SQS")


def _notes(found: Celery) -> Iterator[Finding]:
    for module in found.modules:
        if not module.readable:
            yield UNKNOWN_VALUE.at(module.file, 0, "is not Python that can be read")
        for setting in module.settings:
            if setting.value is UNKNOWN and not setting.name.endswith((".predefined_queues", ".region")):
                yield UNKNOWN_VALUE.at(setting.file, setting.line, f"{setting.name} cannot be known from the source")
    for file, line, where in found.opaque:
        yield UNKNOWN_VALUE.at(file, line, f"settings come from {where or 'elsewhere'}, which is not in the bundle")


def _applications(found: Celery) -> Iterable[tuple[str, int]]:
    return ((m.file, line) for m in found.modules for line in m.applications)


def _number(value: object) -> float:
    """Return the number, 0 for what is none."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


def _parsed(text: str) -> object:
    """Return the number that a word is, UNKNOWN for a variable and the like."""
    number = float(text) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{0,9})?", text) else None
    if number is None:
        return UNKNOWN
    return int(number) if number.is_integer() else number
