"""What a hook printed: the whole of it in `logs/scripts.log`, its tail for the diagnostics."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from types import TracebackType

#: Characters of the log that travel to CodeDeploy (reference codedeploy.md, section 3).
TAIL = 2048


class ScriptLog:
    """Append entries to a file, and keep the last ones that fit into less than 2,048 characters together.

    Entries are kept or dropped whole, so that one line of 2 KB or more at the end leaves the tail empty: the
    agent's own behaviour (reference codedeploy.md, section 3).
    """

    def __init__(self, path: Path) -> None:
        """Open `path` for appending; its folder is made where it is missing."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")
        self._entries: deque[str] = deque()
        self._length = 0

    def __enter__(self) -> ScriptLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, entry: str) -> None:
        """Append one entry, a line with its newline as a rule."""
        self._file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {entry}")
        self._entries.append(entry)
        self._length += len(entry)
        while self._length >= TAIL:
            self._length -= len(self._entries.popleft())

    @property
    def tail(self) -> str:
        """Return the last entries."""
        return "".join(self._entries)
