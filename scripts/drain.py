#!/usr/bin/env python3
"""Stop one worker without losing or stranding a message: what it works on first, then gently, then firmly.

    drain.py --pid PID [--wait S] [--grace S] [--cold S]

    SIGUSR2   stop polling, if the worker has the plugin (a process that does not handle the signal would die of it),
              and for --wait seconds let the polls come back that are out
    SIGTERM   finish the tasks: a warm shutdown, for up to --grace seconds
    SIGQUIT   end the tasks and give their messages back, for up to --cold seconds
    the rest  is the service manager's: SIGKILL is not sent

Each stage ends at once when the process does. Its last line is JSON, {"how": "warm", "seconds": 3.6}: `warm`,
`cold`, `gone` where there was nothing to end, `alive` where it lives on; that exits 1, all else 0. Run twice at the
same time, each keeps to its own deadlines, and SIGQUIT is sent by one of them.

A flag goes before the environment (SHIPIT_DRAIN_WAIT, SHIPIT_DRAIN_GRACE, SHIPIT_DRAIN_COLD), that before
settings.env and defaults.env beside this file. Standard library alone, Python 3.9 and later. Made to be the unit's
ExecStop=.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path

#: Seconds. The wait is kombu's own wait_time_seconds, 10, and a little: an application with a shorter one sets less.
BUILT_IN = {"WAIT": 11.5, "GRACE": 60.0, "COLD": 20.0}
#: Seconds between looks where Python or the kernel has no pidfd.
LOOK = 0.05


class ByDescriptor:
    """A process by its pidfd: no other can get its number while we hold it (Linux 5.3)."""

    def __init__(self, pid: int) -> None:
        self._descriptor = os.pidfd_open(pid)

    def send(self, number: int) -> None:
        """Send a signal. Raises ProcessLookupError once the process has ended."""
        signal.pidfd_send_signal(self._descriptor, number)

    def ended(self, seconds: float) -> bool:
        """Wait until the process has ended, for so long at most; say whether it has."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(max(0.0, seconds) * 1000))


class ByNumber:
    """A process by its number and the time it was started at, looked at again and again."""

    def __init__(self, pid: int) -> None:
        self._pid, self._began = pid, began(pid)
        if self._began is None:
            raise ProcessLookupError(errno.ESRCH, "no such process")

    def send(self, number: int) -> None:
        """Send a signal. Raises ProcessLookupError once the process has ended."""
        if began(self._pid) != self._began:
            raise ProcessLookupError(errno.ESRCH, "no such process")
        os.kill(self._pid, number)

    def ended(self, seconds: float) -> bool:
        """Wait until the process has ended, for so long at most; say whether it has."""
        deadline = time.monotonic() + seconds
        while began(self._pid) == self._began:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(LOOK, left))
        return True


def began(pid: int) -> str | None:
    """Return when the process was started, in ticks since boot (proc(5)); None if it is gone, or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name before the last bracket may hold anything. State is field 3, the start field 22.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def opened(pid: int) -> ByDescriptor | ByNumber:
    """Return the process. Raises ProcessLookupError where there is none."""
    try:
        return ByDescriptor(pid)
    except (AttributeError, OSError) as error:
        if isinstance(error, ProcessLookupError):
            raise
        return ByNumber(pid)


def handles(pid: int, number: int) -> bool:
    """Say whether the process has a handler of its own for the signal: its bit in SigCgt of /proc/PID/status."""
    try:
        for row in Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines():
            if row.startswith("SigCgt:"):
                return bool(int(row.split()[1], 16) >> (number - 1) & 1)
    except (OSError, ValueError):
        pass
    return False


def drain(pid: int, wait: float, grace: float, cold: float) -> str:
    """Take the process through the stages; return `warm`, `cold`, `alive` or `gone`. Times are in seconds.

    Raises PermissionError for a process of somebody else.
    """
    how = "warm"
    try:
        process = opened(pid)
    except ProcessLookupError:
        return "gone"
    if process.ended(0):
        return "gone"
    # The name says that SIGQUIT was sent: a second one would end the worker before it has given its messages back.
    # It is free again once its holder has ended, and nobody but Linux has to clean up.
    quitting = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        if handles(pid, signal.SIGUSR2):
            process.send(signal.SIGUSR2)
            if process.ended(wait):
                return how
        process.send(signal.SIGTERM)
        if process.ended(grace):
            return how
        how = "cold"
        try:
            quitting.bind(f"\0shipit-drain-{pid}-{began(pid)}")
        except OSError:
            pass
        else:
            process.send(signal.SIGQUIT)
        return how if process.ended(cold) else "alive"
    except ProcessLookupError:
        return how
    finally:
        quitting.close()


def default(name: str) -> float:
    """Return SHIPIT_DRAIN_<name> of the environment, else of the files beside this one, else what is built in."""
    key = f"SHIPIT_DRAIN_{name}"
    rows = [f"{key}={os.environ.get(key, '')}"]
    for file in ("settings.env", "defaults.env"):
        with contextlib.suppress(OSError):
            rows += Path(__file__).with_name(file).read_text(encoding="utf-8").splitlines()
    for row in rows:
        found, _, value = row.partition("=")
        try:
            if found.strip() == key:
                return max(0.0, float(value.strip().strip("\"'")))
        except ValueError:
            continue
    return BUILT_IN[name]


def main(words: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(description="Stop one Celery worker without losing or stranding a message.")
    # systemd leaves out $MAINPID where the main process has ended already.
    parser.add_argument("--pid", nargs="?", default="", help="the worker's main process")
    parser.add_argument("--wait", type=float, help="seconds between SIGUSR2 and SIGTERM")
    parser.add_argument("--grace", type=float, help="seconds for a warm shutdown")
    parser.add_argument("--cold", type=float, help="seconds for a cold shutdown")
    given = parser.parse_args(words)
    if given.pid and (not given.pid.isdecimal() or int(given.pid) < 2):
        parser.error(f"--pid {given.pid} is no process to drain")
    times = [
        default(name) if value is None else value
        for name, value in (("WAIT", given.wait), ("GRACE", given.grace), ("COLD", given.cold))
    ]
    start = time.monotonic()
    how = drain(int(given.pid), *times) if given.pid else "gone"
    print(json.dumps({"how": how, "seconds": round(time.monotonic() - start, 1)}), flush=True)
    return 1 if how == "alive" else 0


if __name__ == "__main__":
    sys.exit(main())
