"""Mark findings in the files of a GitHub pull request, by workflow commands on standard error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

from shipit.display.around import Around
from shipit.display.text import clean
from shipit.display.writer import Writer
from shipit.events import Event, Linted
from shipit.models import Finding, Severity

if TYPE_CHECKING:
    from shipit.display import Display

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


class WithAnnotations(Around):
    """Pass everything on to a display, and annotate findings: the runner reads both streams of a step."""

    def __init__(self, display: Display, stream: TextIO | None = None) -> None:
        """Wrap `display`; `stream` is standard error by default: standard output may be JSON lines."""
        super().__init__(display)
        self._writer = Writer(sys.stderr if stream is None else stream)

    def __call__(self, event: Event) -> None:
        """Pass the event on, and annotate what it found."""
        super().__call__(event)
        if isinstance(event, Linted):
            for finding in event.findings:
                self._writer.line(annotation(finding))


def annotation(finding: Finding) -> str:
    """Return GitHub's command that marks the finding; its file is from the project's folder."""
    place = f"file={_property(finding.file)}," + (f"line={finding.line}," if finding.line else "")
    message = f"{finding.what}. {finding.why}. Fix: {finding.fix}"
    return f"::{_COMMANDS[finding.severity]} {place}title={_property(finding.rule)}::{_escaped(message)}"


def _escaped(text: str) -> str:
    return clean(text).replace("%", "%25")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
