"""Answer `systemctl` for all instances: the daemon's side of the stand-in on the hooks' PATH."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import struct
import sys
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from shipit.sandbox.instance import systemctl_client
from shipit.sandbox.instance.unit_file import BadUnit
from shipit.sandbox.instance.units import UnitFailed, Units, UnitState


class SystemctlServer:
    """Listen on an abstract unix socket: no file to clean up, and no limit on the state folder's length."""

    def __init__(self, find: Callable[[str], Units | None]) -> None:
        """Look the units of an instance up by `find`, which returns None for an unknown id."""
        self._find = find
        self.address = f"shipit-systemctl-{uuid.uuid4().hex}"
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(f"\0{self.address}")
        self._listener.listen(64)
        self._thread = threading.Thread(target=self._serve, name="systemctl", daemon=True)
        self._thread.start()

    def write_client(self, folder: Path, instance_id: str) -> None:
        """Write the program `systemctl` of one instance into `folder`."""
        # Through sh, since a #! line takes neither blanks nor two options.
        command = shlex.join([sys.executable, "-I", "-S", systemctl_client.__file__, self.address, instance_id])
        path = folder / "systemctl"
        path.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
        path.chmod(0o755)

    def close(self) -> None:
        """Stop listening."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), name="systemctl", daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        # A client that went away (its hook was killed) needs no answer.
        with connection, contextlib.suppress(OSError):
            if _peer_uid(connection) != os.getuid():
                return  # abstract sockets know no permissions
            instance_id, *arguments = _receive(connection).decode().split("\0")
            units = self._find(instance_id)
            code, out, error = run(units, arguments) if units else (1, "", "the instance is gone")
            connection.sendall(f"{code}\0{out}\0{error}".encode())


@dataclass(frozen=True, kw_only=True)
class _Call:
    """Hold one call taken apart; `names` are complete (`worker@x` is `worker@x.service`)."""

    verb: str
    names: tuple[str, ...]
    properties: tuple[str, ...]
    options: frozenset[str]


def run(units: Units, arguments: Sequence[str]) -> tuple[int, str, str]:
    """Carry out one call of systemctl; return its exit code and what it prints on stdout and stderr.

    Knows what hooks and the watcher need: daemon-reload, start, stop, restart, try-restart, kill, enable, disable,
    is-active, is-failed, is-enabled, show, status, list-units; `--now`, `--no-block`, `-p`, `--value`, `--quiet`,
    `--signal=`; a pattern in place of a unit for `show`. Exit codes are systemctl(1)'s; options that only shape the
    output for people are accepted and ignored.
    """
    call = _parse(arguments)
    verb = _VERBS.get(call.verb)
    if verb is None:
        return 1, "", f"Unknown command verb {call.verb}."
    try:
        code, out = verb(units, call)
    except (BadUnit, UnitFailed) as error:
        return 5 if isinstance(error, BadUnit) else 1, "", f"Failed to {call.verb}: {error}"
    return code, "" if "--quiet" in call.options else out, ""


def _parse(arguments: Sequence[str]) -> _Call:
    words: list[str] = []
    properties: list[str] = []
    options: set[str] = set()
    rest = iter(arguments)
    for argument in rest:
        if argument in ("-p", "--property"):
            properties += next(rest, "").split(",")
        elif argument.startswith("--property="):
            properties += argument.partition("=")[2].split(",")
        elif argument.startswith("-"):
            options.add({"-q": "--quiet"}.get(argument, argument))
        else:
            words.append(argument)
    names = (name if name.endswith(".service") else f"{name}.service" for name in words[1:])
    return _Call(
        verb=words[0] if words else "",
        names=tuple(names),
        properties=tuple(properties),
        options=frozenset(options),
    )


def _reload(units: Units, call: _Call) -> tuple[int, str]:
    return 0, ""  # unit files are read at each start


def _each(call: _Call, act: Callable[[str], None]) -> tuple[int, str]:
    """Do something with each unit and wait for it; with `--no-block` behind the caller, who hears of no failure."""

    def quietly(name: str) -> None:
        with contextlib.suppress(BadUnit, UnitFailed):
            act(name)

    for name in call.names:
        if "--no-block" in call.options:
            threading.Thread(target=quietly, args=(name,), name=f"{call.verb} {name}", daemon=True).start()
        else:
            act(name)
    return 0, ""


def _start(units: Units, call: _Call) -> tuple[int, str]:
    return _each(call, units.start)


def _stop(units: Units, call: _Call) -> tuple[int, str]:
    return _each(call, units.stop)


def _restart(units: Units, call: _Call) -> tuple[int, str]:
    def restart(name: str) -> None:
        units.stop(name)
        units.start(name)

    return _each(call, restart)


def _try_restart(units: Units, call: _Call) -> tuple[int, str]:
    active = tuple(name for name in call.names if units.state(name).active == "active")
    return _restart(units, replace(call, names=active))


def _kill(units: Units, call: _Call) -> tuple[int, str]:
    wanted = next((one.partition("=")[2] for one in call.options if one.startswith("--signal=")), "TERM")
    number = signal.Signals[f"SIG{wanted.removeprefix('SIG')}"]
    for name in call.names:
        units.signal(name, number)
    return 0, ""


def _enable(units: Units, call: _Call) -> tuple[int, str]:
    for name in call.names:
        units.enable(name, True)
    return _start(units, call) if "--now" in call.options else (0, "")


def _disable(units: Units, call: _Call) -> tuple[int, str]:
    for name in call.names:
        units.enable(name, False)
    return _stop(units, call) if "--now" in call.options else (0, "")


def _is_enabled(units: Units, call: _Call) -> tuple[int, str]:
    enabled = [units.is_enabled(name) for name in call.names]
    return 0 if any(enabled) else 1, "".join("enabled\n" if one else "disabled\n" for one in enabled)


def _is_active(units: Units, call: _Call) -> tuple[int, str]:
    states = [units.state(name).active for name in call.names]
    return 0 if "active" in states else 3, "".join(f"{state}\n" for state in states)


def _is_failed(units: Units, call: _Call) -> tuple[int, str]:
    states = [units.state(name).active for name in call.names]
    return 0 if "failed" in states else 1, "".join(f"{state}\n" for state in states)


def _show(units: Units, call: _Call) -> tuple[int, str]:
    blocks: list[str] = []
    for name in call.names:
        states = units.matching(name) if set(name) & set("*?[") else [units.state(name)]
        for known in map(_properties, states):
            asked = [key for key in call.properties or known if key in known]
            lines = [known[key] if "--value" in call.options else f"{key}={known[key]}" for key in asked]
            blocks.append("".join(f"{line}\n" for line in lines))
    return 0, "\n".join(blocks)


def _status(units: Units, call: _Call) -> tuple[int, str]:
    states = [units.state(name) for name in call.names]
    text = "".join(f"{s.name} - {s.description}\n  Active: {s.active}\n  Main PID: {s.main_pid}\n" for s in states)
    return 0 if all(state.active == "active" for state in states) else 3, text


def _list_units(units: Units, call: _Call) -> tuple[int, str]:
    states = {state.name: state for pattern in call.names or ("*",) for state in units.matching(pattern)}
    return 0, "".join(f"{s.name} loaded {s.active} {_sub_state(s)} {s.description}\n" for s in states.values())


def _properties(state: UnitState) -> dict[str, str]:
    return {
        "Id": state.name,
        "MainPID": str(state.main_pid),
        "NRestarts": str(state.restarts),
        "ActiveState": state.active,
        "SubState": _sub_state(state),
    }


def _sub_state(state: UnitState) -> str:
    return {"active": "running", "inactive": "dead"}.get(state.active, state.active)


_VERBS: dict[str, Callable[[Units, _Call], tuple[int, str]]] = {
    "daemon-reload": _reload,
    "start": _start,
    "stop": _stop,
    "restart": _restart,
    "try-restart": _try_restart,
    "kill": _kill,
    "enable": _enable,
    "disable": _disable,
    "is-enabled": _is_enabled,
    "is-active": _is_active,
    "is-failed": _is_failed,
    "show": _show,
    "status": _status,
    "list-units": _list_units,
}


def _receive(connection: socket.socket) -> bytes:
    """Read a request to its end: the client closes its side behind it."""
    request = b""
    while data := connection.recv(65_536):
        request += data
    return request


def _peer_uid(connection: socket.socket) -> int:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    uid: int = struct.unpack("3i", credentials)[1]
    return uid
