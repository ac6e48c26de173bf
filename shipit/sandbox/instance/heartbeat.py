"""Send the heartbeats of instances whose workers are stubs: what each one's watcher does on a real machine."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

from shipit.sandbox.clock import Handle, Timer

log = logging.getLogger(__name__)

#: Seconds after which a report counts as slow: it waits for its server, and needs no slot for that.
_SLOW_AFTER = 2.0

#: Seconds after which a report is killed; report.py's own limits end it before.
_LONGEST = 60.0

#: With no instance at all: how often per interval to look for one.
_LOOKS = 20


class Reporter(Protocol):
    """Know instances and let one report: what heartbeats need of `ProcessAgent`."""

    def instances(self) -> list[str]:
        """Return the ids of all instances."""

    def heartbeat(self, instance_id: str, done: Callable[[], None]) -> None:
        """Let the instance report and return at once; call `done` when that is over, however it went."""


class Heartbeats:
    """Let each instance report once per interval, one at a time and evenly spread."""

    def __init__(self, agent: Reporter, timer: Timer, seconds: float) -> None:
        """Report every `seconds` of `timer`.

        Reports carry the machine's own time: on a clock of factor f, pass f times the interval that is meant.
        Raises ValueError where `seconds` is not positive.
        """
        if seconds <= 0:
            raise ValueError(f"the interval of heartbeats must be positive, not {seconds}")
        self._agent = agent
        self._timer = timer
        self._seconds = seconds
        #: Who reported longest ago comes first.
        self._turns: deque[str] = deque()
        self._busy = False
        self._next: Handle | None = None
        self._closed = True
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin; the first report goes out after one instance's share of the interval."""
        with self._lock:
            self._closed = False
            self._schedule()

    def close(self) -> None:
        """Send no more; a report under way is left to the agent, whose `close` ends it."""
        with self._lock:
            self._closed = True
            if self._next:
                self._next.cancel()

    def _tick(self) -> None:
        with self._lock:
            if self._closed:
                return
            instance_id = None if self._busy else self._whose_turn()
            self._busy = self._busy or instance_id is not None
            self._schedule()
        if instance_id is not None:
            self._agent.heartbeat(instance_id, self._done)

    def _whose_turn(self) -> str | None:
        present = self._agent.instances()
        known, there = set(self._turns), set(present)
        self._turns = deque(one for one in self._turns if one in there)
        self._turns.extend(one for one in present if one not in known)
        if not self._turns:
            return None
        self._turns.rotate(-1)
        return self._turns[-1]

    def _schedule(self) -> None:
        share = self._seconds / (len(self._agent.instances()) or _LOOKS)
        self._next = self._timer.call_later(share, self._tick)

    def _done(self) -> None:
        with self._lock:
            self._busy = False


def send_report(
    pids: Iterable[int], root: Path, environment: Mapping[str, str], on_slow: Callable[[], None]
) -> int | None:
    """Run report.py of the release that one of the workers `pids` runs from; return its exit code.

    Returns None, and starts nothing, where no worker runs from a release that can report. While two do, in the
    moment between two builds, the one that `current` points to speaks. `on_slow` is called when it takes long.
    """
    found = [(script, pid) for pid in pids if (script := _script(pid, root))]
    if not found:
        return None
    script, pid = max(found, key=lambda pair: _is_current(pair[0]))
    home = script.parents[3]
    with subprocess.Popen(
        # This Python itself rather than the instance's `python3`, which would start a shell first.
        [sys.executable, "-I", "-S", str(script), str(home), str(pid), "heartbeat"],
        cwd=root,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            _, complaint = process.communicate(timeout=_SLOW_AFTER)
        except subprocess.TimeoutExpired:
            on_slow()
            try:
                _, complaint = process.communicate(timeout=_LONGEST)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                _, complaint = process.communicate()
    if process.returncode:
        log.debug("%s: %s", home, complaint.decode(errors="replace").strip())
    return process.returncode


def _script(pid: int, root: Path) -> Path | None:
    """Return report.py of the release that a process runs from; None where it runs from elsewhere, or is gone."""
    try:
        release = Path(os.readlink(f"/proc/{pid}/cwd"))
    except OSError:
        return None
    script = release / "scripts" / "report.py"
    if release.parent.name != "releases" or not release.is_relative_to(root.resolve()) or not script.is_file():
        return None
    return script


def _is_current(script: Path) -> bool:
    return (script.parents[3] / "current").resolve() == script.parents[1]
