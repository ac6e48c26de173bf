"""Start, stop and watch the service units of one instance: a process manager as small as the hooks need.

A real program that dies is started anew as its Restart= says, once it has run; a stub stays dead and shows as failed.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import shutil
import signal
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO

from shipit.sandbox.instance.unit_file import BadUnit, Unit, load_unit

#: What runs in place of the program in mode "stub": a process that costs nothing.
_STUB = ("sleep", "infinity")

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


class UnitFailed(Exception):
    """Say why a unit did not start, in systemd's words."""


@dataclass(frozen=True, kw_only=True)
class UnitState:
    """Describe a unit now: `active` is active, activating, deactivating, inactive or failed."""

    name: str
    description: str
    active: str
    main_pid: int
    restarts: int = 0


class _Service:
    """Run one unit's process in a group of its own, which stands for its control group."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.process: subprocess.Popen[bytes] | None = None
        self.phase = "inactive"
        self.restarts = 0
        #: Held through a start and through a stop, so that one waits for the other.
        self.lock = threading.Lock()

    @property
    def state(self) -> UnitState:
        code = self.process.poll() if self.process else None
        running = self.process is not None and code is None
        active = self.phase
        if active == "active" and not running:
            active = "failed" if code else "inactive"
        return UnitState(
            name=self.unit.name,
            description=self.unit.description,
            active=active,
            main_pid=self.process.pid if self.process and running else 0,
            restarts=self.restarts,
        )


class Units:
    """Manage the units of one instance. All methods may be called from any thread."""

    def __init__(
        self, folder: Path, environment: Mapping[str, str], *, stub: bool, journal: Path | None = None
    ) -> None:
        """Read unit files in `folder`; `environment` is what each process has below its unit's own.

        With `stub` an idle process runs instead of each ExecStart=, with its environment and folder. What programs
        print is appended to `<unit>.log` in the folder `journal`, which must exist, or lost without one.
        """
        self._folder = folder
        self._journal = journal
        self._environment = dict(environment)
        self._stub = stub
        self._services: dict[str, _Service] = {}
        self._enabled: set[str] = set()
        self._closed = False
        self._lock = threading.Lock()

    def start(self, name: str) -> None:
        """Start a unit and wait until it is ready (Type=notify) or runs. Starting an active one does nothing.

        The services that it wants are started first, and do not matter to it: none of their failures is its own. A
        stub wants nothing, for a fleet of idle workers would have as many idle watchers. Raises BadUnit for a unit
        that cannot be loaded, UnitFailed for one that does not come up.
        """
        service = self._service(name)
        with service.lock:
            if service.state.active == "active":
                return
            service.unit = load_unit(self._folder, name)
            service.restarts = 0
            for wanted in () if self._stub else service.unit.wants:
                with contextlib.suppress(BadUnit, UnitFailed):
                    self.start(wanted)
            self._bring_up(service)

    def stop(self, name: str) -> None:
        """Stop a unit by its ExecStop= and as its KillMode= says, and wait for it.

        Stopping one that does not run does nothing, but that no Restart= brings it back.
        """
        with self._lock:
            service = self._services.get(name)
        if service is None:
            load_unit(self._folder, name)
            return
        with service.lock:
            if service.process and service.process.poll() is None:
                service.phase = "deactivating"
                self._run_stop_commands(service.process, service.unit)
                _stop(service.process, service.unit)
            service.phase = "inactive"

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to all processes of a unit; one that does not run gets none."""
        with self._lock:
            service = self._services.get(name)
        if service and service.process and service.process.poll() is None:
            _signal_group(service.process, number)

    def enable(self, name: str, enabled: bool) -> None:
        """Record whether a unit would start at boot; an instance of the sandbox never boots twice."""
        with self._lock:
            (self._enabled.add if enabled else self._enabled.discard)(name)

    def is_enabled(self, name: str) -> bool:
        """Tell whether a unit was enabled."""
        with self._lock:
            return name in self._enabled

    def state(self, name: str) -> UnitState:
        """Return a unit's state; one that was never started is inactive, whether it exists or not."""
        with self._lock:
            service = self._services.get(name)
        return service.state if service else UnitState(name=name, description=name, active="inactive", main_pid=0)

    def matching(self, pattern: str) -> list[UnitState]:
        """Return the units that were started and match a shell pattern, by name; not those stopped since."""
        with self._lock:
            services = [service for name, service in sorted(self._services.items()) if fnmatchcase(name, pattern)]
        return [state for service in services if (state := service.state).active != "inactive"]

    def kill(self, pattern: str) -> int:
        """Kill (SIGKILL) the main process of each active unit that matches; return how many there were."""
        with self._lock:
            services = [service for name, service in self._services.items() if fnmatchcase(name, pattern)]
        running = [one.process for one in services if one.state.active == "active" and one.process]
        for process in running:
            process.kill()
        return len(running)

    def close(self) -> None:
        """Kill all processes at once, as if the power were cut; no unit starts after that."""
        with self._lock:
            self._closed = True
            processes = [service.process for service in self._services.values() if service.process]
        for process in processes:
            if process.poll() is None:
                _signal_group(process, signal.SIGKILL)
                process.wait()

    def _service(self, name: str) -> _Service:
        with self._lock:
            if name not in self._services:
                self._services[name] = _Service(load_unit(self._folder, name))
            return self._services[name]

    def _bring_up(self, service: _Service) -> None:
        service.phase = "activating"
        try:
            self._start(service)
            service.phase = "active"
        finally:
            if service.phase != "active":
                service.phase = "failed"
        if not self._stub and service.unit.restart != "no":
            threading.Thread(target=self._mind, args=(service, service.process), daemon=True).start()

    def _mind(self, service: _Service, process: subprocess.Popen[bytes]) -> None:
        """Wait for the end of a process that nobody stops, and start its unit anew where Restart= wants it."""
        code = process.wait()
        with service.lock:
            if self._closed or service.process is not process or service.phase != "active":
                return
            # What is left of the control group goes with the main process.
            _signal_group(process, signal.SIGKILL)
            if service.unit.restart == "on-failure" and code in (0, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP):
                return
            service.phase = "activating"
        time.sleep(service.unit.restart_delay)
        with service.lock:
            if self._closed or service.process is not process or service.phase != "activating":
                return
            service.restarts += 1
            with contextlib.suppress(UnitFailed):  # it shows as failed
                self._bring_up(service)

    def _start(self, service: _Service) -> None:
        unit = service.unit
        if not os.access(unit.command[0], os.X_OK):
            raise UnitFailed(f"{unit.name}: Failed to execute {unit.command[0]}: no such program (203/EXEC)")
        if not Path(unit.working_directory).is_dir():
            raise UnitFailed(f"{unit.name}: Changing to {unit.working_directory} failed (200/CHDIR)")
        if self._stub:
            stub = shutil.which(_STUB[0])
            assert stub, "every system has sleep"
            self._spawn(service, (stub, *_STUB[1:]), {})
        elif unit.type == "notify":
            self._spawn_and_wait(service)
        else:
            self._spawn(service, unit.command, {})

    def _spawn(
        self, service: _Service, command: tuple[str, ...], extra: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                raise UnitFailed("the instance is gone")
            try:
                with self._output(service.unit) as output:
                    service.process = subprocess.Popen(
                        command,
                        cwd=service.unit.working_directory,
                        env={**self._environment, **service.unit.environment, **extra},
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=output,
                        start_new_session=True,
                    )
            except OSError as error:
                raise UnitFailed(f"{service.unit.name}: Failed to execute {command[0]}: {error.strerror}") from error
            return service.process

    @contextlib.contextmanager
    def _output(self, unit: Unit) -> Iterator[IO[bytes] | int]:
        """Open where a unit's processes print to; each line is appended whole, whoever else writes."""
        if self._journal is None or self._stub:
            yield subprocess.DEVNULL
            return
        with (self._journal / f"{unit.name}.log").open("ab") as file:
            yield file

    def _run_stop_commands(self, process: subprocess.Popen[bytes], unit: Unit) -> None:
        """Run ExecStop=, one after another, each for as long as a stop may take; none of them can fail the stop."""
        if self._stub:
            return
        environment = {**self._environment, **unit.environment, "MAINPID": str(process.pid)}
        limit = None if unit.stop_timeout == float("inf") else unit.stop_timeout
        for words in unit.stop_commands:
            command = [_VARIABLE.sub(lambda found: environment.get(found[1] or found[2], ""), word) for word in words]
            with self._output(unit) as output, contextlib.suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(
                    command,
                    cwd=unit.working_directory,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    timeout=limit,
                    check=False,
                )

    def _spawn_and_wait(self, service: _Service) -> None:
        """Start a Type=notify unit; return when it sent READY=1 (sd_notify(3))."""
        address = f"shipit-notify-{uuid.uuid4().hex}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.bind(f"\0{address}")
            process = self._spawn(service, service.unit.command, {"NOTIFY_SOCKET": f"@{address}"})
            if not _await_ready(ready, process, service.unit.start_timeout):
                died = process.poll()
                _signal_group(process, signal.SIGKILL)
                process.wait()
                why = "start operation timed out" if died is None else f"main process exited with {died}"
                raise UnitFailed(f"Job for {service.unit.name} failed: {why}.")


def _await_ready(ready: socket.socket, process: subprocess.Popen[bytes], timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    with open(os.pidfd_open(process.pid), "rb") as exited, selectors.DefaultSelector() as selector:
        selector.register(ready, selectors.EVENT_READ)
        selector.register(exited, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            readable = {key.fileobj for key, _ in selector.select(min(left, 3600.0))}
            if ready in readable and b"READY=1" in ready.recv(4096).split(b"\n"):
                return True
            if exited in readable:
                return False
    return False


def _stop(process: subprocess.Popen[bytes], unit: Unit) -> None:
    """Send SIGTERM to the main process (mixed, process) or to all (control-group); after the time, SIGKILL."""
    if unit.kill_mode == "control-group":
        _signal_group(process, signal.SIGTERM)
    else:
        process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(None if unit.stop_timeout == float("inf") else unit.stop_timeout)
    if unit.kill_mode == "process":
        process.kill()
    else:
        _signal_group(process, signal.SIGKILL)
    process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    # The group outlives its leader as long as it has members, and its id stays taken.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
