"""Show a rollout live on a terminal: what is final scrolls by, what moves stays at the bottom and is redrawn.

The region is erased when its work ends, so the scrollback holds only what is true for good.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from shipit.clock import steady_now
from shipit.display.blocks import brief, plan_lines, summary_lines, value_lines, verification_lines
from shipit.display.board import Board
from shipit.display.failures import failure_told
from shipit.display.findings import finding_lines
from shipit.display.frame import ASCII, Glyphs, bar, ending, frame
from shipit.display.periods import period_lines
from shipit.display.text import Line, clean, clip, size, wrap
from shipit.display.words import sentence
from shipit.display.writer import encodable, write_error
from shipit.errors import ShipitError
from shipit.events import (
    BuildsRan,
    BuildStep,
    Event,
    GroupDiagnosed,
    GroupEnded,
    GroupProgress,
    GroupStarted,
    Linted,
    Published,
    RolloutFinished,
    RolloutStarted,
    Throttled,
    Tick,
    UploadProgress,
    Verified,
    WaveStarted,
)
from shipit.models import RolloutPlan

#: Redraws a second: the eye needs no more for a clock in seconds, and each costs a few milliseconds.
_RATE = 4
_STYLES = {
    "good": Style(color="green"),
    "bad": Style(color="red"),
    "warn": Style(color="yellow"),
    "dim": Style(dim=True),
    "head": Style(bold=True),
    "": Style.null(),
}


def open_live(stream: TextIO, env: Mapping[str, str]) -> LiveDisplay:
    """Return a live display over a terminal; NO_COLOR takes its colours away."""
    console = Console(
        file=stream,
        force_terminal=True,
        no_color=bool(env.get("NO_COLOR")),
        markup=False,
        emoji=False,
        highlight=False,
        legacy_windows=False,
        _environ=env,
    )
    return LiveDisplay(console)


class LiveDisplay:
    """Show a command on a terminal that rich drives."""

    def __init__(self, console: Console, *, now: Callable[[], datetime] = steady_now) -> None:
        """Show on `console`; `now` is the clock that elapsed times run by."""
        self._console = console
        self._now = now
        # Guards what the thread that redraws reads. Never held while printing: rich has a lock of its own.
        self._lock = threading.Lock()
        self._board = Board()
        self._status: tuple[str, int, int] | None = None
        self._live: Live | None = None
        self._moved = False
        wide = encodable("━─…", console.file) == "━─…"  # type: ignore[arg-type]  # rich says IO[str]: the same
        self._glyphs = Glyphs() if wide else ASCII

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._settle()
        finally:
            if self._moved:
                self._console.show_cursor(True)

    def __call__(self, event: Event) -> None:
        """Show the event: in the region while it moves, above it once it is final."""
        with self._lock:
            self._board.take(event)
        match event:
            case RolloutStarted():
                self._status = None
                self._open()
            case WaveStarted():
                self._status = None
                self._tell(event)
            case UploadProgress(version=version, sent=sent, total=total):
                self._status = (f"uploading {version}: {size(sent)} of {size(total)}", sent, total)
                self._open()
            case Published():
                self._close()
                self._tell(event)
            case GroupDiagnosed():
                with self._lock:
                    told = failure_told(event, self._board.alike(event), self._console.width)
                self._print(told)
            case RolloutFinished():
                self._close()
                self._print(summary_lines(self._board, event, self._console.width))
            case Linted():
                self._print(finding_lines(event, self._console.width))
            case BuildsRan():
                self._print(period_lines(event, self._console.width))
            case Verified(verification=found, final=False):
                current = sum(n.state.value == "current" for n in found.nodes)
                self._status = (brief(found, event.left), current, found.counted)
                self._open()
            case Verified(verification=found):
                self._close()
                self._print(verification_lines(found, self._console.width, everything=event.everything))
            case GroupStarted() | GroupProgress() | GroupEnded() | Throttled() | Tick():
                pass
            case BuildStep(stage="done"):
                pass
            case _:
                self._tell(event)

    def _tell(self, event: Event) -> None:
        if line := sentence(event):
            self._wrapped(line)

    def _wrapped(self, line: Line) -> None:
        self._print(Line(t, line.tone) for t in wrap(line.text, self._console.width, "  "))

    def plan(self, plan: RolloutPlan) -> None:
        """Print the plan's table."""
        self._print(plan_lines(plan, self._console.width))

    def text(self, line: str, *, code: bool = False) -> None:
        """Print a line."""
        told = [clean(t) for t in line.splitlines() or [""]]
        limit = None if code else self._console.width
        self._print(Line(t) for whole in told for t in wrap(whole, limit, "  "))

    def value(self, kind: str, fields: Mapping[str, object]) -> None:
        """Print a command's answer."""
        self._print(value_lines(fields, self._console.width))

    def error(self, error: ShipitError) -> None:
        """Erase the region and print the error on standard error."""
        self._settle()
        write_error(error)

    def _settle(self) -> None:
        """Close the region; a rollout that did not conclude leaves a line of where it stood."""
        was_open = self._live is not None
        self._close()
        if was_open and self._board.running:
            self._wrapped(ending(self._board))

    def _open(self) -> None:
        if self._live is not None:
            return
        self._moved = True
        ours = self._console.file is sys.stdout
        self._live = Live(
            _Region(self._region),
            console=self._console,
            refresh_per_second=_RATE,
            transient=True,
            redirect_stdout=ours,
            redirect_stderr=ours,
            vertical_overflow="crop",
        )
        self._live.start()

    def _close(self) -> None:
        live, self._live = self._live, None
        self._status = None
        if live is not None:
            live.stop()

    def _region(self, columns: int, lines: int) -> list[Line]:
        with self._lock:
            status = self._status
            if self._board.running:
                room = lines - (status is not None)
                drawn = frame(self._board, self._now(), columns=columns, lines=room, glyphs=self._glyphs)
                return [*drawn, *([self._status_line(status, columns)] if status else [])]
        return [self._status_line(status, columns)] if status else []

    def _status_line(self, status: tuple[str, int, int], columns: int) -> Line:
        said, done, total = status
        room = columns - len(said) - 2
        drawn = f"{bar(done, total, min(room, 40), self._glyphs)}  {said}" if room >= 8 else said
        return Line(clip(clean(drawn), columns, self._glyphs.mark))

    def _print(self, lines: Iterable[Line]) -> None:
        text, lines = Text(no_wrap=True, overflow="ignore"), list(lines)
        if not lines:
            return
        for number, line in enumerate(lines):
            if number:
                text.append("\n")
            text.append(self._able(line.text), _STYLES[line.tone])
        self._console.print(text, crop=False, no_wrap=True, overflow="ignore")

    def _able(self, text: str) -> str:
        return encodable(text, self._console.file)  # type: ignore[arg-type]  # rich says IO[str]: the same


class _Region:
    """What rich redraws: asks for the lines of the moment, at the size of the moment."""

    def __init__(self, lines: Callable[[int, int], list[Line]]) -> None:
        self._lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # One row stays free: a region as tall as the terminal would scroll at each redraw.
        height = max(console.size.height - 1, 1)
        for line in self._lines(options.max_width, height):
            text = encodable(line.text, console.file)  # type: ignore[arg-type]  # rich says IO[str]: the same
            yield Segment(text, _STYLES[line.tone])
            yield Segment.line()
