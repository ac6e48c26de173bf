"""Print lines for a log: one for each change, none for an instance, a fleet line each half minute.

Where groups are many, those that start and those that succeed are told together, four times a minute at most: a clean
rollout of 500 groups is a page, not a book. What did not succeed is told at once, each by itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta, tzinfo
from types import TracebackType
from typing import Self, TextIO

from shipit.clock import steady_now
from shipit.display.blocks import (
    MANY,
    plan_lines,
    progress,
    summary_lines,
    value_lines,
    verification_lines,
    waiting,
)
from shipit.display.board import Board
from shipit.display.failures import failure_told
from shipit.display.findings import finding_lines
from shipit.display.periods import period_lines
from shipit.display.text import Line, clean, listing
from shipit.display.words import fleet, sentence
from shipit.display.writer import Writer, write_error
from shipit.errors import ShipitError
from shipit.events import (
    BuildsRan,
    Event,
    GroupDiagnosed,
    GroupEnded,
    GroupProgress,
    GroupStarted,
    Linted,
    Notice,
    RolloutFinished,
    RolloutStarted,
    Throttled,
    Tick,
    UploadProgress,
    Verified,
)
from shipit.models import Phase, RolloutPlan
from shipit.wording import plural

_FLEET = timedelta(seconds=30)
_UPLOAD = timedelta(seconds=10)
_MANY = timedelta(seconds=15)
_VERDICT = timedelta(minutes=2)
#: What goes by while many groups move, and does not wait until those to be told together have been.
_PASSING = (GroupStarted, GroupProgress, GroupEnded, GroupDiagnosed, Throttled, Notice)


class PlainDisplay:
    """Print without colour or cursor movement, each line flushed; times are local, as a log's reader counts them."""

    def __init__(
        self, stream: TextIO, *, now: Callable[[], datetime] = steady_now, zone: tzinfo | None = None
    ) -> None:
        """Print to `stream`; `zone` is the time zone shown, the machine's by default."""
        self._writer = Writer(stream)
        self._now = now
        self._zone = zone
        self._lock = threading.RLock()
        self._board = Board()
        self._starts: list[GroupStarted] = []
        self._successes: list[GroupEnded] = []
        self._told: dict[str, datetime] = {}
        self._verdict = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._tell_many()

    def __call__(self, event: Event) -> None:
        """Print the event's lines, if it has any."""
        with self._lock:
            self._board.take(event)
            if self._keeps(event):
                return
            if isinstance(event, Tick):
                if self._due("many", _MANY, event.at):
                    self._tell_many(event.at)
            elif not isinstance(event, _PASSING):
                self._tell_many()
            self._tell(event)
            if isinstance(event, RolloutStarted):
                self._told["fleet"] = self._told["many"] = event.at
            elif (
                isinstance(event, (Tick, GroupProgress))
                and self._board.running
                and self._due("fleet", _FLEET, event.at)
            ):
                self._stamped(fleet(self._board), event.at)

    def _keeps(self, event: Event) -> bool:
        """Keep the event for later where it is one of many alike."""
        if len(self._board.rows) <= MANY:
            return False
        match event:
            case GroupStarted():
                self._starts.append(event)
            case GroupEnded(phase=Phase.SUCCEEDED):
                self._successes.append(event)
            case _:
                return False
        return True

    def _tell(self, event: Event) -> None:
        match event:
            case GroupProgress() | Tick():
                return
            case UploadProgress() if not self._due("upload", _UPLOAD, self._now()):
                return
            case Throttled() if not self._due("throttle", _FLEET, self._now()):
                return
            case GroupDiagnosed():
                self._block(failure_told(event, self._board.alike(event)), None)
            case RolloutFinished(at=at):
                self._block(summary_lines(self._board, event), at)
            case Linted():
                for line in finding_lines(event):
                    self._writer.line(line.text)
            case BuildsRan():
                for line in period_lines(event):
                    self._writer.line(line.text)
            case Verified(verification=found, final=True):
                # Of a rollout's last look the verdict is told after its end: a log's times never run back.
                over = self._board.finished
                at = max(found.at, over.at) if over else found.at
                self._block(verification_lines(found, everything=event.everything), at)
            case Verified(verification=found):
                # A log of an hour's wait must show that somebody still looks.
                due = self._due("verdict", _VERDICT, found.at)
                if due or progress(found) != self._verdict:
                    self._verdict, self._told["verdict"] = progress(found), found.at
                    self._stamped(waiting(found, event.left), found.at)
            case _:
                if said_line := sentence(event):
                    self._stamped(said_line.text, getattr(event, "at", None))

    def _tell_many(self, at: datetime | None = None) -> None:
        """Tell together what was kept, under the time of the telling: a log's times never run back."""
        starts, self._starts = self._starts, []
        successes, self._successes = self._successes, []
        if starts:
            reach = plural(sum(s.instances for s in starts), "instance")
            names = listing([s.group for s in starts])
            self._stamped(f"started {plural(len(starts), 'group')} ({reach}): {names}", at)
        if successes:
            reach = plural(sum(s.overview.succeeded for s in successes), "instance")
            names = listing([s.group for s in successes])
            self._stamped(f"{plural(len(successes), 'group')} succeeded ({reach}): {names}", at)

    def _due(self, what: str, every: timedelta, at: datetime) -> bool:
        last = self._told.get(what)
        if last is not None and at - last < every:
            return False
        self._told[what] = at
        return True

    def _stamped(self, text: str, at: datetime | None) -> None:
        self._writer.line(f"{(at or self._now()).astimezone(self._zone):%H:%M:%S} {text}")

    def _block(self, lines: Iterable[Line], at: datetime | None) -> None:
        """Print lines, the first with the time, the others indented below it."""
        for number, line in enumerate(lines):
            if number == 0:
                self._stamped(line.text, at)
            else:
                self._writer.line(f"         {line.text}")

    def plan(self, plan: RolloutPlan) -> None:
        """Print the plan's table."""
        self._lines(plan_lines(plan))

    def text(self, line: str, *, code: bool = False) -> None:
        """Print a line without the time."""
        self._lines(Line(clean(t)) for t in line.splitlines() or [""])

    def value(self, kind: str, fields: Mapping[str, object]) -> None:
        """Print the answer without the time: it may be what a script reads."""
        self._lines(value_lines(fields))

    def _lines(self, lines: Iterable[Line]) -> None:
        with self._lock:
            self._tell_many()
            for line in lines:
                self._writer.line(line.text)

    def error(self, error: ShipitError) -> None:
        """Print the error on standard error."""
        with self._lock:
            self._tell_many()
        write_error(error)
