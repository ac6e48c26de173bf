"""Print everything that the tool prints: live on a terminal, plain lines in a log, JSON lines for programs.

Engines emit `shipit.events`; a Display is their Listener. Each display lives in its own module and is imported when
it is opened: rich is loaded for the live one alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Protocol, TextIO

from shipit.errors import ShipitError, UsageError
from shipit.events import Event
from shipit.models import RolloutPlan

MODES = ("auto", "live", "plain", "json")


class Display(Protocol):
    """What commands print through. Leaving it always gives the terminal back as it was."""

    def __enter__(self) -> Display:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Print what is still owed and restore the terminal."""

    def __call__(self, event: Event) -> None:
        """Show an event. May be called from several threads, as upload progress is."""

    def plan(self, plan: RolloutPlan) -> None:
        """Show what a rollout would do, group by group, totals last."""

    def text(self, line: str, *, code: bool = False) -> None:
        """Show a line, control characters escaped; `code` is not broken to fit, since somebody copies it."""

    def value(self, kind: str, fields: Mapping[str, object]) -> None:
        """Show a command's answer: one field alone as its value, several as names and values.

        A field that is a list of mappings is shown as a table. `kind` names the answer in JSON.
        """

    def error(self, error: ShipitError) -> None:
        """Show what went wrong, and what to do next, on standard error."""


def open_display(
    mode: str = "auto", *, stream: TextIO | None = None, env: Mapping[str, str] | None = None
) -> Display:
    """Return the display for `mode`: `auto`, `live`, `plain` or `json`; raises UsageError for another.

    `auto` is live when the stream is a terminal that can move its cursor and no CI job runs us, else plain. Where
    GITHUB_STEP_SUMMARY names a file, a summary in Markdown is appended to it on leaving; in a job of GitHub's,
    findings are annotated.
    """
    if mode not in MODES:
        raise UsageError(f"there is no display {mode!r}", hint=f"choose one of {', '.join(MODES)}")
    stream = sys.stdout if stream is None else stream
    env = os.environ if env is None else env
    display = _open(_choose(stream, env) if mode == "auto" else mode, stream, env)
    if env.get("GITHUB_ACTIONS") == "true":
        from shipit.display.github import WithAnnotations

        display = WithAnnotations(display)
    if path := env.get("GITHUB_STEP_SUMMARY"):
        from shipit.display.markdown import WithSummary

        return WithSummary(display, path)
    return display


def _choose(stream: TextIO, env: Mapping[str, str]) -> str:
    able = stream.isatty() and env.get("TERM", "") != "dumb" and env.get("CI", "").lower() not in ("true", "1")
    return "live" if able else "plain"


def _open(mode: str, stream: TextIO, env: Mapping[str, str]) -> Display:
    if mode == "json":
        from shipit.display.jsonl import JsonDisplay

        return JsonDisplay(stream)
    if mode == "live":
        from shipit.display.live import open_live

        return open_live(stream, env)
    from shipit.display.plain import PlainDisplay

    return PlainDisplay(stream)
