"""The daemon as others see it: its record in the state folder, its process, and its own requests.

Imports the standard library alone. Linux only: /proc and pidfd tell one process from a later one of the same id.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import signal
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_RECORD = "daemon.json"

# The user's proxy must not be asked for this machine's own loopback.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


@dataclass(frozen=True, kw_only=True)
class Running:
    """Record a daemon that serves: `process_start` (clock ticks since boot) tells it from a later pid."""

    pid: int
    process_start: str
    url: str

    @property
    def alive(self) -> bool:
        """Tell whether this very process still runs."""
        return not self.wait(0)

    def write(self, state: Path) -> None:
        """Write the record, whole or not at all."""
        part = state / f"{_RECORD}.part"
        part.write_text(json.dumps(asdict(self)), encoding="utf-8")
        part.replace(state / _RECORD)

    @staticmethod
    def read(state: Path) -> Running | None:
        """Return the daemon that runs, or None."""
        try:
            found = Running(**json.loads((state / _RECORD).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return found if found.alive else None

    @staticmethod
    def forget(state: Path) -> None:
        """Remove the record."""
        (state / _RECORD).unlink(missing_ok=True)

    def wait(self, seconds: float) -> bool:
        """Wait for the process to end, at most that long; tell whether it has."""
        # The state in /proc is the main thread's, which may be a zombie while another still holds the port.
        with self._handle() as handle:
            return handle is None or bool(select.select([handle], [], [], seconds)[0])

    def send(self, number: signal.Signals) -> None:
        """Send the process a signal, and no other that has its pid by now."""
        with self._handle() as handle:
            if handle is not None:
                signal.pidfd_send_signal(handle, number)

    @contextlib.contextmanager
    def _handle(self) -> Iterator[int | None]:
        """Hold the process, or what its parent has not yet collected of it, by a pidfd; None where it is gone."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            yield None
            return
        try:
            yield handle if process_start(self.pid) == self.process_start else None
        finally:
            os.close(handle)


def process_start(pid: int) -> str:
    """Return when a process started, in clock ticks since boot; empty where there is none (proc(5), field 22)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[19]


def request(url: str, path: str, given: Mapping[str, object] | None = None) -> dict[str, Any]:
    """Ask the daemon something below /_sandbox/; raises OSError where it does not answer, or refuses."""
    body = None if given is None else json.dumps(given).encode()
    try:
        with _open(urllib.request.Request(f"{url}/_sandbox/{path}", data=body), timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
    except (http.client.HTTPException, ValueError) as error:
        raise OSError(f"{url} does not answer as a sandbox does: {error}") from error
    return found
