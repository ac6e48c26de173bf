"""Print lines for a log: one for each change, none for an instance, a fleet line each half minute."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from types import TracebackType
from typing import Self, TextIO

from shipit.display.blocks import (
    MANY,
    failure_told,
    plan_lines,
    summary_lines,
    value_lines,
    verdict,
    verification_lines,
)
from shipit.display.board import Board
from shipit.display.text import Line, clean, listing, plural
from shipit.display.words import fleet, sentence
from shipit.display.writer import Writer, write_error
from shipit.errors import ShipitError
from shipit.events import (
    Event,
    GroupDiagnosed,
    GroupProgress,
    GroupStarted,
    RolloutFinished,
    RolloutStarted,
    Throttled,
    Tick,
    UploadProgress,
    Verified,
)
from shipit.models import RolloutPlan

_FLEET = timedelta(seconds=30)
_UPLOAD = timedelta(seconds=10)


def _now() -> datetime:
    return datetime.now(UTC)


class PlainDisplay:
    """Print without colour or cursor movement, each line flushed; times are local, as a log's reader counts them."""

    def __init__(self, stream: TextIO, *, now: Callable[[], datetime] = _now, zone: tzinfo | None = None) -> None:
        """Print to `stream`; `zone` is the time zone shown, the machine's by default."""
        self._writer = Writer(stream)
        self._now = now
        self._zone = zone
        self._lock = threading.RLock()
        self._board = Board()
        self._starts: list[GroupStarted] = []
        self._causes: Counter[str] = Counter()
        self._told: dict[str, datetime] = {}
        self._verdict = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._tell_starts()

    def __call__(self, event: Event) -> None:
        """Print the event's lines, if it has any."""
        with self._lock:
            self._board.take(event)
            if isinstance(event, GroupStarted) and len(self._board.rows) > MANY:
                self._starts.append(event)
                return
            self._tell_starts()
            self._tell(event)
            if isinstance(event, RolloutStarted):
                self._told["fleet"] = event.at
            elif (
                isinstance(event, (Tick, GroupProgress))
                and self._board.running
                and self._due("fleet", _FLEET, event.at)
            ):
                self._stamped(fleet(self._board), event.at)

    def _tell(self, event: Event) -> None:
        match event:
            case GroupProgress() | Tick():
                return
            case UploadProgress() if not self._due("upload", _UPLOAD, self._now()):
                return
            case Throttled() if not self._due("throttle", _FLEET, self._now()):
                return
            case GroupDiagnosed():
                self._tell_failure(event)
            case RolloutFinished(at=at):
                self._block(summary_lines(self._board, event), at)
            case Verified(verification=found, final=final):
                said = verdict(found)
                if final:
                    self._block(verification_lines(found), found.at)
                elif said.split(" Athena:")[0] != self._verdict:
                    self._verdict = said.split(" Athena:")[0]
                    self._stamped(said, found.at)
            case _:
                if line := sentence(event):
                    self._stamped(line.text, getattr(event, "at", None))

    def _tell_starts(self) -> None:
        starts, self._starts = self._starts, []
        if starts:
            reach = plural(sum(s.instances for s in starts), "instance")
            names = listing([s.group for s in starts])
            self._stamped(f"started {plural(len(starts), 'group')} ({reach}): {names}", starts[-1].at)

    def _tell_failure(self, failure: GroupDiagnosed) -> None:
        self._causes[failure.cause] += 1
        self._block(failure_told(failure, self._causes[failure.cause]), None)

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

    def text(self, line: str) -> None:
        """Print a line without the time."""
        self._lines(Line(clean(t)) for t in line.splitlines() or [""])

    def value(self, kind: str, fields: Mapping[str, object]) -> None:
        """Print the answer without the time: it may be what a script reads."""
        self._lines(value_lines(fields))

    def _lines(self, lines: Iterable[Line]) -> None:
        with self._lock:
            self._tell_starts()
            for line in lines:
                self._writer.line(line.text)

    def error(self, error: ShipitError) -> None:
        """Print the error on standard error."""
        with self._lock:
            self._tell_starts()
        write_error(error)
