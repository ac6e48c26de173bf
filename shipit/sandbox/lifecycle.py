"""Start, find, stop and reset the daemon, from the process of the command line.

Imports nothing heavy. Linux only: /proc tells one process from a later one of the same id.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from shipit.errors import PreflightError, ShipitError
from shipit.sandbox.config import SandboxConfig, state_folder

_START_SECONDS = 120
_STOP_SECONDS = 15


@dataclass(frozen=True, kw_only=True)
class Running:
    """Record a daemon that serves: `process_start` (clock ticks since boot) tells it from a later pid."""

    pid: int
    process_start: str
    url: str
    digest: str

    @property
    def alive(self) -> bool:
        """Tell whether this very process still runs."""
        return process_start(self.pid) == self.process_start

    def write(self, state: Path) -> None:
        """Write the record, whole or not at all."""
        part = state / "daemon.json.part"
        part.write_text(json.dumps(asdict(self)), encoding="utf-8")
        part.replace(state / "daemon.json")

    @staticmethod
    def read(state: Path) -> Running | None:
        """Return the daemon that runs, or None."""
        try:
            found = Running(**json.loads((state / "daemon.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return found if found.alive else None

    @staticmethod
    def forget(state: Path) -> None:
        """Remove the record."""
        (state / "daemon.json").unlink(missing_ok=True)


def process_start(pid: int) -> str:
    """Return when a process started, in clock ticks since boot; empty where there is none (proc(5), field 22)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]


def ensure(config: SandboxConfig, notice: Callable[[str], None]) -> str:
    """Return the URL of the sandbox, started first where it does not run.

    Raises PreflightError where the port is taken, ShipitError where the daemon does not come up.
    """
    state = state_folder(Path(config.root))
    running = Running.read(state)
    if running is None:
        with _only_one(state):
            running = Running.read(state) or _start(config, state, notice)
    if running.digest != config.digest:
        notice("shipit.toml asks for another sandbox than the one that runs; inv sandbox.reset makes it anew")
    return running.url


def stop(config: SandboxConfig) -> bool:
    """Stop the daemon and wait for its end; tell whether one ran."""
    running = Running.read(state_folder(Path(config.root)))
    if running is None:
        return False
    with contextlib.suppress(OSError):
        request(running.url, "stop", {})
    for number in (None, signal.SIGTERM, signal.SIGKILL):
        if number is not None and running.alive:
            os.kill(running.pid, number)
        deadline = time.monotonic() + _STOP_SECONDS
        while running.alive and time.monotonic() < deadline:
            time.sleep(0.05)
    return True


def reset(config: SandboxConfig, notice: Callable[[str], None]) -> str:
    """Stop the daemon, delete all state, start anew; return the URL."""
    stop(config)
    shutil.rmtree(state_folder(Path(config.root)), ignore_errors=True)
    return ensure(config, notice)


def status(config: SandboxConfig) -> Mapping[str, object] | None:
    """Return what the daemon says of itself, or None where none runs."""
    running = Running.read(state_folder(Path(config.root)))
    if running is None:
        return None
    return {"url": running.url, **request(running.url, "status")}


def request(url: str, path: str, given: Mapping[str, object] | None = None) -> dict[str, Any]:
    """Ask the daemon something below /_sandbox/; raises OSError where it does not answer or refuses."""
    body = None if given is None else json.dumps(given).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{url}/_sandbox/{path}", data=body), timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


@contextlib.contextmanager
def _only_one(state: Path) -> Iterator[None]:
    """Let one process at a time start the daemon; others wait and then find it."""
    state.mkdir(parents=True, exist_ok=True)
    with (state / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _start(config: SandboxConfig, state: Path, notice: Callable[[str], None]) -> Running:
    _refuse_taken(config)
    notice(f"starting the sandbox: {len(config.queues)} groups, {config.instances} instances on {config.url}")
    (state / "config.json").write_text(config.to_json(), encoding="utf-8")
    log = state / "daemon.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "shipit.sandbox", str(state)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=state,
            start_new_session=True,
        )
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        running = Running.read(state)
        if running and running.pid == process.pid:
            return running
        if process.poll() is not None:
            break
        time.sleep(0.05)
    process.kill()
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() or ["it said nothing"]
    raise ShipitError(f"the sandbox did not start: {lines[-1]}", hint=f"its log: {log}")


def _refuse_taken(config: SandboxConfig) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", config.port))
        except OSError:
            raise PreflightError(
                f"port {config.port} of the sandbox is taken by {_holder(config.url)}",
                hint="stop that one, or set another `port` in the env's [sandbox] table",
            ) from None


def _holder(url: str) -> str:
    try:
        return f"the sandbox of {request(url, 'status')['root']}"
    except (OSError, ValueError, KeyError):
        return "another program"
