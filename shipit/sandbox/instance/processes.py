"""Find and kill all that an instance started, and let nothing survive the daemon.

Every process of an instance carries MARK=<the instance's folder> in its environment, and so does whatever it
starts, also in a session of its own. That makes /proc the record: no list of pids to keep, and none that outlives
its process.
A process that clears its environment and leaves its group escapes. Linux only.

Run as a program, `python processes.py <state>` waits until its stdin closes, which it does also when the daemon is
killed by `kill -9`, and then cleans up. It therefore imports the standard library alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

MARK = "SHIPIT_SANDBOX_INSTANCE"

_ROUNDS = 10


def instances_folder(state: Path) -> Path:
    """Return the folder that holds one folder per instance."""
    return state.resolve() / "instances"


def journal_folder(state: Path) -> Path:
    """Return the folder that holds, by instance, what units printed: one file per unit, kept when instances go."""
    return state.resolve() / "journal"


def clean_leftovers(state: Path) -> int:
    """Kill every process that an instance below `state` left behind; return how many there were."""
    return kill_marked(instances_folder(state), below=True)


def kill_marked(folder: Path, *, below: bool = False) -> int:
    """Kill (SIGKILL) the processes marked with `folder`, or with any folder below it; return how many.

    Looks again until none is left, for a process may fork while it is being looked for.
    """
    marks = os.fsencode(f"{MARK}={folder}/" if below else f"{MARK}={folder}\0")
    killed: set[int] = set()
    for _ in range(_ROUNDS):
        found = {pid for pid in _pids() if _kill_if_marked(pid, marks)}
        if found <= killed:
            break
        killed |= found
    return len(killed)


def start_reaper(state: Path) -> subprocess.Popen[bytes]:
    """Start the program that cleans up when this process dies; close its stdin to end it."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, str(state)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _kill_if_marked(pid: int, mark: bytes) -> bool:
    # Gone meanwhile, or somebody else's: in both cases not ours to kill.
    with contextlib.suppress(OSError):
        handle = os.pidfd_open(pid)  # first, so that the pid cannot change hands between the look and the kill
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                environ = b"\0" + file.read() + b"\0"
            if b"\0" + mark in environ:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                return True
        finally:
            os.close(handle)
    return False


if __name__ == "__main__":
    sys.stdin.buffer.read()
    clean_leftovers(Path(sys.argv[1]))
