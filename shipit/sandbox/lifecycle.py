"""Start, find, stop and reset the daemon, from the process of the command line. Imports nothing heavy."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from shipit.errors import PreflightError, ShipitError
from shipit.home import make_home
from shipit.sandbox.config import SandboxConfig, state_folder
from shipit.sandbox.instance.processes import clean_leftovers
from shipit.sandbox.running import Running, request

__all__ = ["Running", "ensure", "request", "reset", "status", "stop"]

Notice = Callable[[str], None]

_START_SECONDS = 120
_STOP_SECONDS = 10
_LOCK, _LOG, _CONFIG = "lock", "daemon.log", "config.json"
_NEEDED = ("moto", "werkzeug", "duckdb", "sqlglot")


def ensure(config: SandboxConfig, notice: Notice) -> str:
    """Return the URL of the sandbox, started first where it does not run.

    `notice` gets a line when it is started, and one when the one that runs is not the one asked for. Raises
    PreflightError where the port is taken or the `sandbox` extra is missing, ShipitError where the daemon does not
    come up.
    """
    state = state_folder(Path(config.root))
    running = Running.read(state)
    if running is None or not _wake(running):
        with _only_one(state):
            running = _still_there(state) or _start(config, state, notice)
    if differences := _differences(config, state):
        notice(f"the sandbox that runs differs from shipit.toml: {differences}; inv sandbox.reset makes it anew")
    return running.url


def stop(config: SandboxConfig) -> bool:
    """Stop the daemon and wait for its end, and that of all it started; tell whether one ran."""
    state = state_folder(Path(config.root))
    if not state.is_dir():
        return False
    with _only_one(state):
        return _end(state)


def reset(config: SandboxConfig, notice: Notice) -> str:
    """Stop the daemon, delete all state, start anew; return the URL. Raises what `ensure` raises."""
    state = state_folder(Path(config.root))
    with _only_one(state):
        _end(state)
        for path in state.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != _LOCK:  # which we hold: another in its place would let another process in
                path.unlink()
        return _start(config, state, notice).url


def status(config: SandboxConfig) -> Mapping[str, object] | None:
    """Return what the daemon says of itself, or None where none runs; raises ShipitError where it is silent."""
    state = state_folder(Path(config.root))
    running = Running.read(state)
    if running is None:
        return None
    try:
        return {"url": running.url, "state": str(state), **request(running.url, "status")}
    except OSError as error:
        raise _silent(running, state) from error


def _wake(running: Running) -> bool:
    """Begin its idle time anew; False where it is about to end, or silent."""
    try:
        request(running.url, "wake", {})
    except OSError:
        return False
    return True


def _still_there(state: Path) -> Running | None:
    """Return the daemon that runs and will; one that is about to end is waited for."""
    running = Running.read(state)
    if running is None or _wake(running):
        return running
    if not running.wait(_STOP_SECONDS):
        raise _silent(running, state)
    return None


def _silent(running: Running, state: Path) -> ShipitError:
    return ShipitError(
        f"the sandbox does not answer on {running.url}, but its process {running.pid} is there",
        hint=f"inv sandbox.reset ends it and makes a new one; its log: {state / _LOG}",
    )


@contextlib.contextmanager
def _only_one(state: Path) -> Iterator[None]:
    """Let one process at a time start or stop the daemon; others wait, and then find what it did."""
    make_home(state.parent)
    state.mkdir(exist_ok=True)
    with (state / _LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _end(state: Path) -> bool:
    """End the daemon, the hard way if it must be; tell whether there was one."""
    running = Running.read(state)
    if running is None:
        return False
    try:
        request(running.url, "stop", {})
    except OSError:
        running.send(signal.SIGTERM)
    for number in (signal.SIGTERM, signal.SIGKILL):
        if running.wait(_STOP_SECONDS):
            break
        running.send(number)
    else:
        running.wait(_STOP_SECONDS)
        clean_leftovers(state)
    Running.forget(state)
    return True


def _start(config: SandboxConfig, state: Path, notice: Notice) -> Running:
    if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
        raise PreflightError(
            f"the sandbox needs {', '.join(missing)}, and it is not installed",
            hint="pip install 'shipit-codedeploy[sandbox]'",
        )
    _free_port(config)
    notice(f"starting the sandbox: {len(config.queues)} groups, {config.instances} instances on {config.url}")
    (state / _CONFIG).write_text(config.to_json(), encoding="utf-8")
    log = state / _LOG
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
    try:
        while time.monotonic() < deadline and process.poll() is None:
            running = Running.read(state)
            if running and running.pid == process.pid:
                return running
            time.sleep(0.05)
    except BaseException:  # Ctrl-C too: what is not known to run must not stay
        process.kill()
        raise
    process.kill()
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() or ["it said nothing"]
    raise ShipitError(f"the sandbox did not start: {lines[-1]}", hint=f"its log: {log}")


def _free_port(config: SandboxConfig) -> None:
    """Refuse a port that is taken, unless by a sandbox of this very project whose record is lost: end that one."""
    if not _is_taken(config.port):
        return
    root = _root_of_holder(config.url)
    if root == config.root:
        with contextlib.suppress(OSError):
            request(config.url, "stop", {})
        deadline = time.monotonic() + _STOP_SECONDS
        while _is_taken(config.port) and time.monotonic() < deadline:
            time.sleep(0.05)
        if not _is_taken(config.port):
            return
    holder = f"the sandbox of {root}" if root else "another program"
    raise PreflightError(
        f"port {config.port} of the sandbox is taken by {holder}",
        hint="stop that one, or set another `port` in the env's [sandbox] table",
    )


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _root_of_holder(url: str) -> str:
    try:
        return str(request(url, "status").get("root", ""))
    except (OSError, AttributeError):
        return ""


def _differences(config: SandboxConfig, state: Path) -> str:
    """Say in what the sandbox that runs differs from what is asked for; empty where in nothing."""
    try:
        made = SandboxConfig.from_json((state / _CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, KeyError):
        return "another version of shipit made it"
    return ", ".join(config.differences(made))
