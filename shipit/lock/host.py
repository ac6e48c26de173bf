"""This machine and its processes, as far as a lock depends on them."""

from __future__ import annotations

import os
import select
import socket
import time
from pathlib import Path
from typing import Protocol

from shipit.lock.state import Process


class Host(Protocol):
    """What the lock needs of the machine it runs on."""

    def me(self) -> Process:
        """Return this process."""

    def has_ended(self, process: Process) -> bool:
        """Tell whether a process is known to be gone; False where it ran on another machine."""


def boot_seconds() -> float:
    """Return seconds on a clock that nobody sets, and that on Linux goes on while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class ThisHost:
    """Satisfy `Host` from /proc. Where there is none, no process is ever known to be gone: its lock expires."""

    def me(self) -> Process:
        """Return this process."""
        pid = os.getpid()
        return Process(host=socket.gethostname(), machine=_machine(), pid=pid, start=_process_start(pid))

    def has_ended(self, process: Process) -> bool:
        """Tell whether a process of this machine, boot and pid namespace is gone; False in doubt."""
        here = self.me()
        if not process.machine or (process.host, process.machine) != (here.host, here.machine):
            return False
        try:
            handle = os.pidfd_open(process.pid)
        except ProcessLookupError:
            return True
        except OSError:
            return False
        try:
            ended = select.poll()
            ended.register(handle, select.POLLIN)
            # A start that could not be read is no evidence: with hidepid, /proc shows no other user's processes. The
            # handle is readable once no thread is left, also while the parent has not collected the process.
            start = _process_start(process.pid)
            another = bool(start and process.start) and start != process.start
            return another or bool(ended.poll(0))
        finally:
            os.close(handle)


def _machine() -> str:
    """Return what two processes share that see each other in /proc; empty where that cannot be told.

    Containers on one machine share its boot id and may share its host name, but each has its own pids.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _process_start(pid: int) -> str:
    """Return when a process started, in clock ticks since boot; empty where that is not shown (proc(5), field 22)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    except OSError:
        return ""
