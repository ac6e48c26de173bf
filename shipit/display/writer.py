"""Write lines to a stream that may have no reader, or an encoding that lacks a character."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from shipit.display.text import clean, wrap
from shipit.errors import ShipitError


class Writer:
    """Write whole lines and flush each; a reader that went away silences it and stops nothing."""

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream`."""
        self._stream = stream
        self._open = True

    def line(self, text: str) -> None:
        """Write one line."""
        if not self._open:
            return
        try:
            self._stream.write(f"{encodable(text, self._stream)}\n")
            self._stream.flush()
        except BrokenPipeError:
            self._open = False
            _hush(self._stream)


def encodable(text: str, stream: TextIO) -> str:
    """Return the text with what the stream's encoding lacks as escapes."""
    if text.isascii():
        return text
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _hush(stream: TextIO) -> None:
    """Send the rest nowhere: the interpreter flushes standard output at exit, and would fail the command then."""
    if stream is sys.stdout:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def write_error(error: ShipitError) -> None:
    """Write the error and its hint to standard error."""
    writer, limit = Writer(sys.stderr), _columns(sys.stderr)
    first, *rest = error.message.splitlines() or [""]
    for line in (f"error: {clean(first)}", *(f"  {clean(t)}" for t in (*rest, *error.hint.splitlines()))):
        for text in wrap(line, limit, "  "):
            writer.line(text)


def _columns(stream: TextIO) -> int | None:
    """Return how wide the terminal behind the stream is, None where there is none."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or None if stream.isatty() else None
    except (OSError, ValueError):
        return None
